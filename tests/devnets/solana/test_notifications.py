"""Subscriptions frame by frame: refusals, the exact notifications, their order and commitment."""

import base64
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from sandbox.devnets.solana import subscriptions
from tests.devnets.solana import tokens
from tests.devnets.solana.by_hand import NOW_S, founded, person
from tests.devnets.solana.chain import SOL, move
from tests.devnets.solana.inside import Ear, InsideChain

A, B, C = person(1), person(2), person(3)
a, b, c = (str(key.pubkey()) for key in (A, B, C))
KINDS = ("account", "program", "logs", "signature", "block", "slot", "root", "vote", "slotsUpdates")
SYSTEM = str(Pubkey.default())
SOME_SIGNATURE = "1" * 64


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[InsideChain]:
    """At slot 2, with two people who have money in slot 1."""
    made = InsideChain(tmp_path)
    await founded(made, {A: 10 * SOL, B: 5 * SOL})
    yield made
    await made.close()


@pytest.fixture
async def ear(chain: InsideChain) -> AsyncIterator[Ear]:
    made = Ear(chain)
    yield made
    await made.close()


def told(kind: str, subscription: int, result: Any) -> dict[str, Any]:
    return {
        "jsonrpc": "2.0",
        "method": f"{kind}Notification",
        "params": {"result": result, "subscription": subscription},
    }


def at(slot: int, value: Any) -> dict[str, Any]:
    return {"context": {"slot": slot, "apiVersion": "3.0.0"}, "value": value}


def wallet(lamports: int, data: Any, owner: str = SYSTEM) -> dict[str, Any]:
    return {
        "lamports": lamports,
        "data": data,
        "owner": owner,
        "executable": False,
        "rentEpoch": 2**64 - 1,
        "space": 0,
    }


async def subscribed(ear: Ear, method: str, *params: Any) -> int:
    return int((await ear.ask(method, *params))["result"])


# --- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "params", "message"),
    [
        ("accountSubscribe", [], "`params` should have at least 1 argument(s)"),
        ("accountSubscribe", ["0OIl"], "Invalid param: Invalid"),
        ("accountSubscribe", ["abc"], "Invalid param: WrongSize"),
        ("accountSubscribe", [a, {"encoding": "hex"}], "unknown variant `hex`"),
        ("accountSubscribe", [a, {"commitment": "soon"}], "unknown variant `soon`"),
        ("accountSubscribe", [a, {"dataSlice": [1, 2]}], "invalid type for dataSlice"),
        ("programSubscribe", [a, {"filters": [{"dataSize": 1}] * 5}], "Too many filters"),
        ("logsSubscribe", ["none"], "Only 1 address supported"),
        ("logsSubscribe", [{"mentions": []}], "Only 1 address supported"),
        ("logsSubscribe", [{"mentions": [a, b]}], "Only 1 address supported"),
        ("logsSubscribe", [{"mentions": [7]}], "expected a public key string"),
        ("signatureSubscribe", [a], "Invalid param: WrongSize"),
        ("signatureSubscribe", [SOME_SIGNATURE, {"enableReceivedNotification": 1}], "boolean"),
        ("blockSubscribe", ["some"], "unknown block filter"),
        ("blockSubscribe", [{"mentions": a}], "expected a public key string"),
        ("blockSubscribe", ["all", {"commitment": "processed"}], "commitment below `confirmed`"),
        ("blockSubscribe", ["all", {"transactionDetails": "few"}], "unknown variant `few`"),
        ("blockSubscribe", ["all", {"maxSupportedTransactionVersion": "0"}], "expected u64"),
        ("blockSubscribe", ["all", {"showRewards": "no"}], "expected a boolean"),
        ("slotUnsubscribe", [], "`params` should have at least 1 argument(s)"),
        ("slotUnsubscribe", ["1"], "expected u64"),
        *((f"{kind}Unsubscribe", [999], "Invalid subscription id.") for kind in KINDS),
    ],
)
async def test_what_cannot_be_subscribed_to_is_refused(
    chain: InsideChain, ear: Ear, method: str, params: list[Any], message: str
) -> None:
    error = (await ear.ask(method, *params))["error"]
    assert error["code"] == -32602
    assert message in error["message"]
    assert chain.hub.count(ear._connection) == 0


async def test_a_connection_may_hold_ten_thousand_and_no_more(
    chain: InsideChain, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(10):
        await ear.say([{"jsonrpc": "2.0", "id": 1, "method": "slotSubscribe"}] * 1_000)
        (answers,) = await ear.heard()
        assert all("result" in answer for answer in answers)
    refused = await ear.ask("rootSubscribe")
    assert refused["error"] == {"code": -32602, "message": "Too many subscriptions; max 10000"}
    other = Ear(chain)
    assert "result" in await other.ask("rootSubscribe")
    monkeypatch.setattr(subscriptions, "MAX_ALL_SUBSCRIPTIONS", 10_001)
    refused = await other.ask("rootSubscribe")
    assert refused["error"]["message"] == "Too many subscriptions on this node; max 10001"
    # A place that is given back is there again.
    assert (await ear.ask("slotUnsubscribe", 1))["result"] is True
    assert "result" in await ear.ask("rootSubscribe")
    await other.close()


# --- slots -------------------------------------------------------------------------------------


async def test_slots_roots_and_their_updates(chain: InsideChain, ear: Ear) -> None:
    await chain.advance(30)  # 32 is open, nothing but genesis is final
    slots = await subscribed(ear, "slotSubscribe")
    roots = await subscribed(ear, "rootSubscribe")
    updates = await subscribed(ear, "slotsUpdatesSubscribe")
    await subscribed(ear, "voteSubscribe")  # there are no votes: it is silent
    await chain.advance(1)
    frames = await ear.heard()
    stamps = [frame["params"]["result"].pop("timestamp", None) for frame in frames if
              frame["params"]["subscription"] == updates]  # fmt: skip
    assert all(isinstance(stamp, int) for stamp in stamps)
    assert frames == [
        told("slotsUpdates", updates, {"type": "optimisticConfirmation", "slot": 32}),
        told("root", roots, 1),
        told("slotsUpdates", updates, {"type": "root", "slot": 1}),
        told("slot", slots, {"slot": 33, "parent": 32, "root": 1}),
        told("slotsUpdates", updates, {"type": "createdBank", "slot": 33, "parent": 32}),
    ]


# --- signatures --------------------------------------------------------------------------------


async def test_a_signature_at_each_commitment_then_forgotten(chain: InsideChain, ear: Ear) -> None:
    raw = await chain.sign(move(A, C.pubkey(), SOL), signers=[A])
    signature = str(VersionedTransaction.from_bytes(raw).signatures[0])
    early = {"commitment": "processed", "enableReceivedNotification": True}
    processed = await subscribed(ear, "signatureSubscribe", signature, early)
    confirmed = await subscribed(ear, "signatureSubscribe", signature, {"commitment": "confirmed"})
    finalized = await subscribed(ear, "signatureSubscribe", signature)
    await chain.send(raw)
    assert await ear.heard() == [
        told("signature", processed, at(2, "receivedSignature")),
        told("signature", processed, at(2, {"err": None})),
    ]
    await chain.advance(1)
    assert await ear.heard() == [told("signature", confirmed, at(2, {"err": None}))]
    await chain.advance(31)
    assert await ear.heard() == [told("signature", finalized, at(2, {"err": None}))]
    for gone in (processed, confirmed, finalized):
        error = (await ear.ask("signatureUnsubscribe", gone))["error"]
        assert error == {"code": -32602, "message": "Invalid subscription id."}
    # Too late for the event, in time for the answer: which comes first.
    await ear.say(
        {"jsonrpc": "2.0", "id": "x", "method": "signatureSubscribe", "params": [signature]}
    )
    answer, late = await ear.heard()
    assert answer == {"jsonrpc": "2.0", "id": "x", "result": finalized + 1}
    assert late == told("signature", finalized + 1, at(2, {"err": None}))


async def test_a_failed_signature_says_why(chain: InsideChain, ear: Ear) -> None:
    raw = await chain.sign(move(A, C.pubkey(), 50 * SOL), signers=[A])
    signature = await chain.send(raw, skipPreflight=True)
    frames = (await ear.ask("signatureSubscribe", signature, {"commitment": "processed"}), ear)
    (notified,) = await ear.heard()
    err = {"InstructionError": [0, {"Custom": 1}]}
    assert notified == told("signature", frames[0]["result"], at(2, {"err": err}))


# --- accounts and programs ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        (None, ""),
        ("base58", ["", "base58"]),
        ("base64", ["", "base64"]),
        ("base64+zstd", ["KLUv/SAAAQAA", "base64+zstd"]),
        ("jsonParsed", ["", "base64"]),
    ],
)
async def test_an_account_is_told_at_each_commitment_in_its_encoding(
    chain: InsideChain, ear: Ear, encoding: str | None, data: Any
) -> None:
    named = {} if encoding is None else {"encoding": encoding}
    levels = {
        level: await subscribed(ear, "accountSubscribe", c, {"commitment": level, **named})
        for level in ("processed", "confirmed", "finalized")
    }
    await chain.pay(A, C.pubkey(), SOL)
    await chain.pay(A, C.pubkey(), 2 * SOL)
    assert await ear.heard() == [
        told("account", levels["processed"], at(2, wallet(lamports, data)))
        for lamports in (SOL, 3 * SOL)
    ]
    await chain.advance(1)
    # A block tells of an account once: as it left it.
    assert await ear.heard() == [told("account", levels["confirmed"], at(2, wallet(3 * SOL, data)))]
    await chain.pay(C, A.pubkey(), 3 * SOL - 5_000)
    assert await ear.heard() == [told("account", levels["processed"], at(3, wallet(0, data)))]
    await chain.advance(1)
    assert await ear.heard() == [told("account", levels["confirmed"], at(3, wallet(0, data)))]
    await chain.advance(30)
    assert await ear.heard() == [told("account", levels["finalized"], at(2, wallet(3 * SOL, data)))]
    await chain.advance(1)
    assert await ear.heard() == [told("account", levels["finalized"], at(3, wallet(0, data)))]
    for subscription in levels.values():
        assert (await ear.ask("accountUnsubscribe", subscription))["result"] is True
    await chain.pay(A, C.pubkey(), SOL)
    await chain.advance(40)
    assert await ear.heard() == []


async def test_an_account_too_large_for_base58_is_told_without_its_data(
    chain: InsideChain, ear: Ear
) -> None:
    mint = await tokens.make_mint(chain, A)
    account = str(tokens.ata(A.pubkey(), mint))
    options = {"commitment": "processed"}
    plain = await subscribed(ear, "accountSubscribe", account, options)
    parsed = await subscribed(
        ear, "accountSubscribe", account, options | {"encoding": "jsonParsed"}
    )
    sliced = options | {"encoding": "base64", "dataSlice": {"offset": 64, "length": 8}}
    part = await subscribed(ear, "accountSubscribe", account, sliced)
    await chain.do(
        tokens.open_account(A.pubkey(), A.pubkey(), mint),
        tokens.mint_to(mint, A.pubkey(), A.pubkey(), 77),
        signers=[A],
    )
    shown = {
        frame["params"]["subscription"]: frame["params"]["result"]["value"]["data"]
        for frame in await ear.heard()
    }
    assert shown[plain] == "error: data too large for bs58 encoding"
    assert shown[part] == [base64.b64encode((77).to_bytes(8, "little")).decode(), "base64"]
    assert shown[parsed]["program"] == "spl-token-2022"
    assert shown[parsed]["parsed"]["info"]["tokenAmount"] == {
        "amount": "77",
        "decimals": 2,
        "uiAmount": 0.77,
        "uiAmountString": "0.77",
    }


async def test_a_program_tells_of_its_accounts_while_they_are_its_own(
    chain: InsideChain, ear: Ear
) -> None:
    mint = await tokens.make_mint(chain, A)
    await chain.advance(1)
    slot = await chain.call("getSlot", {"commitment": "processed"})
    owned = {"memcmp": {"offset": 32, "bytes": b}}
    options = {
        "commitment": "processed",
        "encoding": "base64",
        "dataSlice": {"offset": 0, "length": 0},
    }
    mine = await subscribed(
        ear, "programSubscribe", str(tokens.TOKEN_2022), options | {"filters": [owned]}
    )
    account = str(tokens.ata(B.pubkey(), mint))
    shown = {
        "pubkey": account,
        "account": wallet(2_101_920, ["", "base64"], str(tokens.TOKEN_2022)) | {"space": 174},
    }
    await chain.do(
        tokens.open_account(A.pubkey(), B.pubkey(), mint),
        tokens.open_account(A.pubkey(), C.pubkey(), mint),
        signers=[A],
    )
    assert await ear.heard() == [told("program", mine, at(slot, shown))]
    # Closed, it belongs to the system program and to nobody: its program does not tell of it.
    await chain.do(tokens.close(mint, B.pubkey()), signers=[B])
    assert await ear.heard() == []
    assert (await ear.ask("programUnsubscribe", mine))["result"] is True
    await chain.do(tokens.open_account(A.pubkey(), B.pubkey(), mint), signers=[A])
    assert await ear.heard() == []


# --- logs and blocks ---------------------------------------------------------------------------


async def test_logs_at_each_commitment_of_all_or_of_one(chain: InsideChain, ear: Ear) -> None:
    every = {
        level: await subscribed(ear, "logsSubscribe", "all", {"commitment": level})
        for level in ("processed", "confirmed", "finalized")
    }
    mine = await subscribed(ear, "logsSubscribe", {"mentions": [c]}, {"commitment": "processed"})
    other = await chain.pay(A, B.pubkey(), SOL)
    failing = await chain.sign(move(A, C.pubkey(), 50 * SOL), signers=[A])
    failed = await chain.send(failing, skipPreflight=True)
    fine = {
        "signature": other,
        "err": None,
        "logs": [f"Program {SYSTEM} invoke [1]", f"Program {SYSTEM} success"],
    }
    bad = {
        "signature": failed,
        "err": {"InstructionError": [0, {"Custom": 1}]},
        "logs": [
            f"Program {SYSTEM} invoke [1]",
            "Transfer: insufficient lamports 8999990000, need 50000000000",
            f"Program {SYSTEM} failed: custom program error: 0x1",
        ],
    }
    assert await ear.heard() == [
        told("logs", every["processed"], at(2, fine)),
        told("logs", every["processed"], at(2, bad)),
        told("logs", mine, at(2, bad)),
    ]
    await chain.advance(1)
    assert await ear.heard() == [
        told("logs", every["confirmed"], at(2, fine)),
        told("logs", every["confirmed"], at(2, bad)),
    ]
    await chain.advance(31)
    # What came before the subscription, in slot 1, was final one slot earlier, and is told too.
    frames = [frame["params"]["result"] for frame in await ear.heard()]
    assert [frame["context"]["slot"] for frame in frames] == [1, 1, 2, 2]
    assert [frame["value"] for frame in frames[2:]] == [fine, bad]
    for subscription in (*every.values(), mine):
        assert (await ear.ask("logsUnsubscribe", subscription))["result"] is True
    await chain.pay(A, C.pubkey(), SOL)
    assert await ear.heard() == []


async def test_blocks_whole_or_of_one_account(chain: InsideChain, ear: Ear) -> None:
    options = {"commitment": "confirmed", "transactionDetails": "signatures", "showRewards": False}
    every = await subscribed(ear, "blockSubscribe", "all", options)
    mine = await subscribed(ear, "blockSubscribe", {"mentionsAccountOrProgram": c}, options)
    signatures = [await chain.pay(A, key.pubkey(), SOL) for key in (B, C)]
    await chain.advance(1)
    first, second = await ear.heard()
    block = {
        "blockhash": str(await chain.blockhash("confirmed")),
        "previousBlockhash": first["params"]["result"]["value"]["block"]["previousBlockhash"],
        "parentSlot": 1,
        "blockTime": NOW_S,
        "blockHeight": 2,
        "signatures": signatures,
    }
    assert first == told("block", every, at(2, {"slot": 2, "err": None, "block": block}))
    block["signatures"] = signatures[1:]
    assert second == told("block", mine, at(2, {"slot": 2, "err": None, "block": block}))
    parent = await chain.call("getBlock", 1, {"commitment": "confirmed"})
    assert block["previousBlockhash"] == parent["blockhash"]
    for subscription in (every, mine):
        assert (await ear.ask("blockUnsubscribe", subscription))["result"] is True
    await chain.advance(1)
    assert await ear.heard() == []


# --- order -------------------------------------------------------------------------------------


async def test_an_answer_comes_before_what_it_causes(chain: InsideChain, ear: Ear) -> None:
    """web3.js and kit learn a subscription's id from its answer: nothing may come before it."""
    raw = await chain.sign(move(A, C.pubkey(), SOL), signers=[A])
    text = base64.b64encode(raw).decode()
    await ear.say(
        [
            {"jsonrpc": "2.0", "id": 1, "method": "slotSubscribe"},
            {"jsonrpc": "2.0", "id": 2, "method": "sandbox_advanceSlots", "params": [{"slots": 1}]},
            {"jsonrpc": "2.0", "id": 3, "method": "sendTransaction",
             "params": [text, {"encoding": "base64"}]},
        ]
    )  # fmt: skip
    frames = await ear.heard()
    assert isinstance(frames[0], list)
    assert [answer["id"] for answer in frames[0]] == [1, 2, 3]
    assert [frame["method"] for frame in frames[1:]] == ["slotNotification"]


def test_every_kind_of_subscription_is_shown_here() -> None:
    here = Path(__file__).read_text()
    served = re.findall(r'^        "(\w+)": ', Path(subscriptions.__file__).read_text(), re.M)
    assert set(KINDS) <= set(served)
    assert [kind for kind in KINDS if f'"{kind}Subscribe"' not in here] == []
