"""Faults of the chain itself: other forks, final blocks by force, a node that is behind."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from solders.keypair import Keypair

from tests.devnets.solana import tokens
from tests.devnets.solana.chain import SOL, Chain, Refused, move
from tests.devnets.solana.inside import InsideChain

CONFIRMED = {"commitment": "confirmed"}
PROCESSED = {"commitment": "processed"}
FINALIZED = {"commitment": "finalized"}


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[InsideChain]:
    made = InsideChain(tmp_path)
    yield made
    await made.stop()


def text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"slots": 1, "forced": True}, "unknown option forced; known: slots, mode, force, replace"),
    ({"slots": 1, "percent": 50}, "percent goes with mode reinclude"),
    ({"slots": 1, "spread": 2}, "spread goes with mode reinclude"),
    ({"slots": 1, "mode": "reinclude", "percent": 101}, "percent must be"),
    ({"slots": 1, "mode": "reinclude", "spread": 0}, "spread must be"),
    ({"slots": 1, "mode": "reinclude", "signatures": "all"}, "signatures must be a list"),
    ({"slots": 1, "mode": "reinclude", "signatures": [str(Keypair().sign_message(b""))]},
     "is in none of these blocks"),
    ({"slots": 1, "mode": "reinclude", "signatures": [], "percent": 5}, "not both"),
    ({"slots": 1, "replace": ["AAAA"]}, "invalid transaction"),
    ({"slots": 1, "replace": "AAAA"}, "replace must be a list"),
    ({"slots": 1, "force": 1}, "force"),
    ({"slots": 1, "mode": "other"}, "mode must be"),
    ({"slots": 32}, "at most 31 slots can be replaced: what is final is kept unless `force`"),
    ({"slots": 32, "force": True}, "undo of older blocks is gone; sandbox_keepUndo"),
]  # fmt: skip


async def test_a_reorg_that_cannot_be_is_refused_and_changes_nothing(chain: Chain) -> None:
    await chain.advance(40)
    before = await chain.call("getBlocks", 0, None, CONFIRMED)
    for asked, why in REFUSED:
        with pytest.raises(Refused, match=why) as refused:
            await chain.call("sandbox_reorg", asked)
        assert refused.value.code == -32602
        assert await chain.call("getBlocks", 0, None, CONFIRMED) == before


async def paid(chain: Chain, count: int) -> tuple[list[str], Keypair]:
    """Payments of one payer with a blockhash that outlives the reorg, in a block of their own."""
    payer, receiver = await chain.wallet(), Keypair()
    await chain.advance(40)
    raws = [
        await chain.sign(move(payer, receiver.pubkey(), SOL // 10 + n), signers=[payer])
        for n in range(count)
    ]
    signatures = [await chain.send(raw) for raw in raws]
    await chain.advance(2)
    return signatures, receiver


async def test_chosen_transactions_come_again_and_the_others_are_lost(chain: Chain) -> None:
    signatures, receiver = await paid(chain, 4)
    asked = {"slots": 2, "mode": "reinclude", "signatures": [signatures[2], signatures[0]]}
    done = await chain.call("sandbox_reorg", asked)
    assert (done["droppedTransactions"], done["reincludedTransactions"]) == (4, 2)
    await chain.advance(1)
    assert await chain.balance(receiver.pubkey(), "confirmed") == 2 * SOL // 10 + 2
    found = await chain.value("getSignatureStatuses", signatures)
    assert [status is not None for status in found] == [True, False, True, False]


async def test_a_share_of_them_is_the_same_for_one_seed(chain: Chain) -> None:
    signatures, _ = await paid(chain, 20)
    again: list[list[bool]] = []
    await chain.call("sandbox_snapshot", {"name": "before"})
    for seed in (1, 1, 2):
        asked = {"slots": 2, "mode": "reinclude", "percent": 50, "seed": seed}
        done = await chain.call("sandbox_reorg", asked)
        assert 0 < done["reincludedTransactions"] < 20
        found = await chain.value("getSignatureStatuses", signatures)
        again.append([status is not None for status in found])
        await chain.call("sandbox_restore", {"name": "before"})
    assert again[0] == again[1] != again[2]


async def test_transactions_reappear_in_other_slots(chain: Chain) -> None:
    signatures, receiver = await paid(chain, 6)
    was = await chain.status(signatures[0])
    asked = {"slots": 2, "mode": "reinclude", "spread": 3}
    done = await chain.call("sandbox_reorg", asked)
    assert done["reincludedTransactions"] == 6
    await chain.advance(1)
    found = await chain.value("getSignatureStatuses", signatures)
    first = found[0]["slot"]
    assert first > was["slot"]
    assert [status["slot"] - first for status in found] == [0, 0, 1, 1, 2, 2]
    assert await chain.balance(receiver.pubkey(), "confirmed") == sum(
        SOL // 10 + n for n in range(6)
    )


async def test_a_payment_is_replaced_by_one_that_spends_the_same_money(chain: Chain) -> None:
    payer, shop, thief = await chain.wallet(SOL), Keypair().pubkey(), Keypair().pubkey()
    await chain.advance(3)
    honest = await chain.sign(move(payer, shop, 900_000_000), signers=[payer])
    theft = await chain.sign(move(payer, thief, 900_000_000), signers=[payer])
    signature = await chain.send(honest)
    await chain.advance(2)
    late = await chain.sign(move(payer, thief, 1), signers=[payer])  # a hash that goes
    with pytest.raises(Refused, match="blockhash that the new fork does not have"):
        await chain.call("sandbox_reorg", {"slots": 2, "replace": [text(late)]})
    unsigned = theft[:1] + bytes(64) + theft[65:]
    with pytest.raises(Refused, match="not signed"):
        await chain.call("sandbox_reorg", {"slots": 2, "replace": [text(unsigned)]})
    asked = {"slots": 2, "mode": "reinclude", "replace": [text(theft)]}
    done = await chain.call("sandbox_reorg", asked)
    assert [each["err"] for each in done["replacements"]] == [None]
    await chain.advance(1)
    assert await chain.balance(thief, "confirmed") == 900_000_000
    assert await chain.balance(shop, "confirmed") == 0
    # It is in the new fork too, failed, for its fee: as on a cluster.
    assert (await chain.status(signature))["err"] == {"InstructionError": [0, {"Custom": 1}]}
    assert await chain.balance(payer.pubkey(), "confirmed") == 100_000_000 - 2 * 5_000


async def test_final_blocks_are_replaced_by_force_while_their_undo_is_kept(chain: Chain) -> None:
    payer, receiver = await chain.wallet(), Keypair().pubkey()
    await chain.call("sandbox_keepUndo", {"slots": 64})
    await chain.advance(40)
    raw = await chain.sign(move(payer, receiver, SOL), signers=[payer])
    signature = await chain.send(raw)
    await chain.advance(50)
    assert (await chain.status(signature))["confirmationStatus"] == "finalized"
    final = await chain.call("getSlot", FINALIZED)
    with pytest.raises(Refused, match="unless `force` is true"):
        await chain.call("sandbox_reorg", {"slots": 50})
    done = await chain.call("sandbox_reorg", {"slots": 50, "force": True})
    assert done["parent"] == 40
    for _ in range(2):
        assert await chain.status(signature) is None
        assert await chain.balance(receiver) == 0
        assert await chain.call("getSlot", FINALIZED) == 40 < final
        assert await chain.call("getSlot", PROCESSED) == 92
        await chain.kill()
        await chain.start()
    await chain.advance(40)
    assert await chain.call("getSlot", FINALIZED) > final
    assert (await chain.call("sandbox_clearFaults"))["undo"] == 0


@pytest.mark.parametrize("checkpoint", [False, True])
async def test_finality_does_not_fall_over_a_restart_while_undo_is_kept(
    chain: Chain, checkpoint: bool
) -> None:
    payer = await chain.wallet()
    await chain.call("sandbox_keepUndo", {"slots": 20})
    await chain.advance(1_100 if checkpoint else 90)
    await chain.call("sandbox_reorg", {"slots": 31})
    final = await chain.call("getSlot", FINALIZED)
    await chain.pay(payer, Keypair().pubkey(), SOL)
    if checkpoint:
        await chain.call("sandbox_snapshot", {"name": "a"})
        await chain.call("sandbox_restore", {"name": "a"})
    await chain.kill()
    await chain.start()
    assert await chain.call("getSlot", FINALIZED) == final


async def view(chain: Chain, keys: list[str], signatures: list[str]) -> dict[str, Any]:
    """What a client that asks everything sees of the chain."""
    tips, token = {}, str(tokens.TOKEN_2022)
    for level in ("processed", "confirmed", "finalized"):
        at = {"commitment": level}
        tips[level] = [
            await chain.call("getSlot", at),
            await chain.call("getBlockHeight", at),
            await chain.call("getTransactionCount", at),
            await chain.call("getLatestBlockhash", at),
            await chain.call("getMultipleAccounts", keys, {**at, "encoding": "base64"}),
            [await chain.call("getBalance", key, at) for key in keys],
            sorted(
                await chain.call("getProgramAccounts", token, {**at, "encoding": "base64"}),
                key=lambda row: row["pubkey"],
            ),
            await chain.call("getEpochInfo", at),
        ]
    for level in ("confirmed", "finalized"):
        at = {"commitment": level}
        tips[level] += [
            await chain.call("getBlocks", 0, None, at),
            [await chain.call("getSignaturesForAddress", key, at) for key in keys],
            [await chain.call("getTransaction", each, at) for each in signatures],
        ]
        newest = tips[level][0]
        block = await chain.call("getBlock", newest, {**at, "transactionDetails": "signatures"})
        tips[level].append(block)
    return {
        **tips,
        "statuses": await chain.call("getSignatureStatuses", signatures),
        "found": await chain.call(
            "getSignatureStatuses", signatures, {"searchTransactionHistory": True}
        ),
    }


async def test_a_node_that_is_behind_answers_everything_as_it_did_then(chain: Chain) -> None:
    """The view of each slot is noted, and given again so many slots later, whatever the method."""
    payer = await chain.wallet()
    holder = Keypair()
    mint = await tokens.make_mint(chain, payer)
    keys = [str(payer.pubkey()), str(holder.pubkey()), str(tokens.ata(holder.pubkey(), mint))]
    await chain.do(tokens.open_account(payer.pubkey(), holder.pubkey(), mint), signers=[payer])
    await chain.advance(45)
    await chain.call("sandbox_setRpcFault", {"kind": "stale", "slots": 7})
    assert (await chain.call("sandbox_getFaults"))["rpc"] == {"kind": "stale", "slots": 7}
    await chain.advance(10)  # until what is final is old enough too
    noted: list[dict[str, Any]] = []
    signatures: list[str] = []
    for step in range(12):
        await chain.call("sandbox_setRpcFault", {"kind": "off"})
        for n in range(step % 3):
            issue = tokens.mint_to(mint, holder.pubkey(), payer.pubkey(), 10 * step + n)
            signatures.append(await chain.do(issue, signers=[payer]))
        last = await view(chain, keys, signatures)
        noted.append(last)
        await chain.call("sandbox_keepUndo", {"slots": 7})
        if step >= 7:
            await chain.call("sandbox_setRpcFault", {"kind": "stale", "slots": 7})
            then = noted[step - 7]
            seen = await view(chain, keys, signatures[: len(then["statuses"]["value"])])
            assert seen == then
            late = signatures[-1]
            assert await chain.status(late) is None
            assert await chain.call("getTransaction", late, CONFIRMED) is None
            with pytest.raises(Refused):
                await chain.call("getBlock", then["processed"][0] + 1, CONFIRMED)
        await chain.advance(1)
    await chain.call("sandbox_setRpcFault", {"kind": "off"})
    assert (await chain.status(signatures[-1])) is not None


async def test_what_is_sent_to_a_node_that_is_behind_lands_once(chain: Chain) -> None:
    payer, receiver = await chain.wallet(), Keypair().pubkey()
    await chain.advance(40)
    new = await chain.blockhash()
    await chain.call("sandbox_setRpcFault", {"kind": "stale", "slots": 5})
    # Its own hash is older, but good; the newest one is unknown to it.
    raw = await chain.sign(move(payer, receiver, SOL), signers=[payer])
    signature = await chain.send(raw)
    for again in ({}, {"skipPreflight": True}):
        if again:
            await chain.send(raw, **again)
        else:
            with pytest.raises(Refused) as refused:
                await chain.send(raw)
            assert refused.value.data["err"] == "AlreadyProcessed"
    assert not (await chain.value("isBlockhashValid", str(new), PROCESSED))
    assert await chain.status(signature) is None
    assert await chain.balance(receiver) == 0
    await chain.advance(5)
    assert (await chain.status(signature))["confirmationStatus"] == "processed"
    assert await chain.balance(receiver) == SOL
    await chain.advance(1)
    assert await chain.balance(receiver, "confirmed") == SOL


@pytest.mark.parametrize(
    ("method", "asked"),
    [
        ("sandbox_setClock", {"offset": 5}),
        ("sandbox_setSlotMs", {"slotMs": 50, "unit": "ms"}),
        ("sandbox_advanceSlots", {"slots": 1, "paused": True}),
        ("sandbox_keepUndo", {"slots": 1, "blocks": 1}),
        ("sandbox_holdFinality", {"hold": True, "until": 5}),
        ("sandbox_setRpcFault", {"kind": "lag", "ms": 300, "times": 1}),
        ("sandbox_setSendingFault", {"dropped": 1}),
        ("sandbox_snapshot", {"name": "one", "force": True}),
    ],
)
async def test_a_misspelt_option_is_refused_and_sets_nothing(
    chain: InsideChain, method: str, asked: dict[str, Any]
) -> None:
    before = await chain.call("sandbox_getFaults"), chain.bank.clock.offset_ms, chain.bank.tip
    with pytest.raises(Refused, match="unknown option") as refused:
        await chain.call(method, asked)
    assert refused.value.code == -32602
    assert (
        await chain.call("sandbox_getFaults"),
        chain.bank.clock.offset_ms,
        chain.bank.tip,
    ) == before
    assert await chain.call("sandbox_listSnapshots") == []


async def test_a_view_that_cannot_be_had_is_refused(chain: Chain) -> None:
    with pytest.raises(Refused, match="the chain is too short to be behind"):
        await chain.call("sandbox_setRpcFault", {"kind": "stale", "slots": 1})
    await chain.advance(40)
    for slots in (0, 32, 500, "5", None):
        with pytest.raises(Refused, match=r"slots must be a whole number 1\.\.31"):
            await chain.call("sandbox_setRpcFault", {"kind": "stale", "slots": slots})


async def test_finality_seen_from_behind_never_falls(chain: Chain) -> None:
    await chain.advance(60)
    final = await chain.call("getSlot", FINALIZED)
    await chain.call("sandbox_setRpcFault", {"kind": "stale", "slots": 31})
    for _ in range(40):
        seen = await chain.call("getSlot", FINALIZED)
        assert seen >= final
        assert await chain.call("getSlot", CONFIRMED) >= seen
        final = seen
        await chain.advance(1)
    assert final == await chain.call("getSlot", PROCESSED) - 33


async def test_slots_are_stepped_one_by_one_while_time_stands_still_for_blocks(
    chain: Chain,
) -> None:
    await chain.call("sandbox_pause")
    assert [await chain.advance(1) for _ in range(3)] == [2, 3, 4]
    assert (await chain.call("sandbox_getFaults"))["paused"] is True
    assert await chain.call("getSlot", PROCESSED) == 4


@pytest.mark.parametrize("restart", [False, True])
async def test_an_expired_transaction_whose_hash_a_reorg_makes_good_again_counts_once(
    chain: Chain, restart: bool
) -> None:
    """The tip is lower after a reorg, so that a blockhash is young again; what landed is known."""
    payer, receiver = await chain.wallet(), Keypair().pubkey()
    await chain.advance(5)
    raw = await chain.sign(move(payer, receiver, SOL), signers=[payer])
    await chain.send(raw)
    await chain.advance(160)
    if restart:
        await chain.kill()
        await chain.start()
    with pytest.raises(Refused) as refused:
        await chain.send(raw)
    assert refused.value.data["err"] == "BlockhashNotFound"
    await chain.call("sandbox_reorg", {"slots": 30, "mode": "drop"})
    with pytest.raises(Refused) as refused:
        await chain.send(raw)
    assert refused.value.data["err"] == "AlreadyProcessed"
    await chain.send(raw, skipPreflight=True)
    await chain.advance(1)
    assert await chain.balance(receiver, "confirmed") == SOL
