"""Rolling back blocks: state is byte-equal to what it was, and slots do not repeat."""

import contextlib
import random
from typing import Any

import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from sandbox.devnets.solana import control
from tests.devnets.solana import tokens
from tests.devnets.solana.chain import SOL, Chain, Refused, move

PROCESSED = {"commitment": "processed", "encoding": "base64"}
CONFIRMED = {"commitment": "confirmed"}


async def test_a_final_block_cannot_be_rolled_back(chain: Chain) -> None:
    await chain.advance(40)
    with pytest.raises(Refused) as refused:
        await chain.call("sandbox_reorg", {"slots": 32, "mode": "drop"})
    assert refused.value.code == -32602
    await chain.call("sandbox_reorg", {"slots": 31, "mode": "drop"})


async def test_without_the_flag_there_are_no_faults_clocks_or_snapshots(chain: Chain) -> None:
    await chain.stop()
    chain._settings["control"] = False
    chain.paused = False
    await chain.start()
    for method in control.METHODS:
        with pytest.raises(Refused) as refused:
            await chain.call(method, {})
        assert refused.value.code == -32601


async def test_dropped_blocks_become_skipped_slots(chain: Chain) -> None:
    payer, receiver = await chain.wallet(), Keypair().pubkey()
    await chain.advance(40)
    kept = await chain.call("getBlock", 40, CONFIRMED)
    raw = await chain.sign(move(payer, receiver, SOL), signers=[payer])
    signature = await chain.send(raw)
    await chain.advance(3)
    answer = await chain.call("sandbox_reorg", {"slots": 3, "mode": "drop"})
    assert answer["droppedTransactions"] == 1
    assert answer["parent"] == 40
    assert await chain.status(signature) is None
    assert await chain.balance(receiver) == 0
    assert await chain.call("getSignaturesForAddress", str(receiver), CONFIRMED) == []
    await chain.advance(2)
    assert await chain.call("getBlocks", 39, None, CONFIRMED) == [39, 40, 45, 46]
    for slot in (41, 43, 44):
        with pytest.raises(Refused) as refused:
            await chain.call("getBlock", slot, CONFIRMED)
        assert refused.value.code == -32007
    after = await chain.call("getBlock", 45, CONFIRMED)
    assert after["previousBlockhash"] == kept["blockhash"]
    assert after["parentSlot"] == 40
    assert after["blockHeight"] == kept["blockHeight"] + 1
    # What was dropped may come again, once.
    await chain.send(raw)
    with pytest.raises(Refused):
        await chain.send(raw)
    await chain.advance(1)
    assert await chain.balance(receiver, "confirmed") == SOL


async def test_reincluded_transactions_land_in_a_new_slot_and_count_once(chain: Chain) -> None:
    payer, receiver = await chain.wallet(), Keypair().pubkey()
    await chain.advance(5)
    raws = [
        await chain.sign(move(payer, receiver, SOL // 10 + n), signers=[payer]) for n in range(5)
    ]
    signatures = [await chain.send(raw) for raw in raws]
    await chain.advance(2)
    answer = await chain.call("sandbox_reorg", {"slots": 2, "mode": "reinclude"})
    assert answer["reincludedTransactions"] == 5
    slot = await chain.advance(1) - 1
    block = await chain.call("getBlock", slot, CONFIRMED | {"transactionDetails": "signatures"})
    assert block["signatures"] == signatures
    for raw in raws:
        with pytest.raises(Refused) as refused:
            await chain.send(raw)
        assert refused.value.data["err"] == "AlreadyProcessed"
    assert await chain.balance(receiver, "confirmed") == sum(SOL // 10 + n for n in range(5))


async def test_a_transaction_that_used_a_dropped_blockhash_is_lost(chain: Chain) -> None:
    payer, receiver = await chain.wallet(), Keypair().pubkey()
    await chain.advance(10)
    await chain.pay(payer, receiver, SOL)
    await chain.advance(1)
    await chain.pay(payer, receiver, 2 * SOL)  # its hash is of the block that goes
    await chain.advance(1)
    answer = await chain.call("sandbox_reorg", {"slots": 2, "mode": "reinclude"})
    assert (answer["droppedTransactions"], answer["reincludedTransactions"]) == (2, 1)
    assert await chain.balance(receiver) == SOL


async def snapshot(chain: Chain, keys: list[Pubkey]) -> list[Any]:
    """Every byte of the accounts, and what the token indexes find."""
    names = [str(key) for key in keys]
    seen = [await chain.value("getMultipleAccounts", names, PROCESSED)]
    for program in (tokens.TOKEN_2022,):
        found = await chain.call("getProgramAccounts", str(program), PROCESSED)
        seen.append(sorted(found, key=lambda row: row["pubkey"]))
    for name in names:
        owned = await chain.value(
            "getTokenAccountsByOwner", name, {"programId": str(tokens.TOKEN_2022)}, PROCESSED
        )
        seen.append(sorted(owned, key=lambda row: row["pubkey"]))
    return seen


@pytest.mark.parametrize("restart", [False, True])
async def test_rolled_back_state_is_byte_equal(chain: Chain, restart: bool) -> None:
    """Random token histories; every few slots some are rolled back, sometimes after a kill -9."""
    rng = random.Random(20261121)
    issuer = await chain.wallet(50 * SOL)
    key = issuer.pubkey()
    mint = await tokens.make_mint(chain, issuer)
    people = [await chain.wallet(SOL) for _ in range(4)]
    keys = [key, mint, *(p.pubkey() for p in people)]
    keys += [tokens.ata(p.pubkey(), mint) for p in people]

    async def step() -> None:
        one, two = rng.sample(people, 2)
        a, b, units = one.pubkey(), two.pubkey(), rng.randrange(1, 50)
        instructions, signers = rng.choice(
            [
                ([move(one, b, 1_000_000 + units)], [one]),
                ([tokens.open_account(key, a, mint)], [issuer]),
                ([tokens.mint_to(mint, a, key, units)], [issuer]),
                ([tokens.mint_to(mint, b, key, units)], [issuer]),
                ([tokens.pay(mint, a, b, units)], [one]),
                ([tokens.burn(mint, a, key, units)], [issuer]),
                ([tokens.freeze(mint, a, key)], [issuer]),
                ([tokens.freeze(mint, a, key, thaw=True)], [issuer]),
                ([tokens.pause(mint, key)], [issuer]),
                ([tokens.pause(mint, key, resume=True)], [issuer]),
                ([tokens.approve(mint, a, b, units)], [one]),
                ([tokens.burn(mint, a, key, units), tokens.close(mint, a)], [issuer, one]),
            ]
        )
        raw = await chain.sign(*instructions, signers=signers)
        with contextlib.suppress(Refused):
            await chain.send(raw, skipPreflight=rng.random() < 0.5)

    await chain.advance(1)
    kept: list[list[Any]] = [await snapshot(chain, keys)]
    rolled_back = 0
    for _ in range(60):
        for _ in range(rng.randrange(4)):
            await step()
        await chain.advance(1)
        kept.append(await snapshot(chain, keys))
        if rng.random() < 0.2:
            if restart:
                await chain.kill()
                await chain.start()
                assert await snapshot(chain, keys) == kept[-1]
            await step()  # also in the open slot
            count = rng.randrange(1, min(len(kept), 12))
            await chain.call("sandbox_reorg", {"slots": count, "mode": "drop"})
            del kept[-count:]
            assert await snapshot(chain, keys) == kept[-1]
            rolled_back += count
    assert rolled_back > 20


async def test_a_reorg_survives_a_restart(chain: Chain) -> None:
    payer, receiver = await chain.wallet(), Keypair().pubkey()
    await chain.advance(3)
    signature = await chain.pay(payer, receiver, SOL)
    await chain.advance(2)
    answer = await chain.call("sandbox_reorg", {"slots": 2, "mode": "drop"})
    await chain.kill()
    await chain.start()
    assert await chain.balance(receiver) == 0
    assert await chain.status(signature) is None
    assert await chain.call("getSlot", {"commitment": "processed"}) == answer["slot"]
    await chain.advance(1)
    block = await chain.call("getBlock", answer["slot"], CONFIRMED)
    assert block["previousBlockhash"] == answer["blockhash"]
