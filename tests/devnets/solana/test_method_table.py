"""Every method line by line: refusals by name, options, defaults and the exact shapes."""

import asyncio
import base64
import json
import struct
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from solders.compute_budget import (
    request_heap_frame,
    set_compute_unit_limit,
    set_compute_unit_price,
)
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.rpc.errors import MethodNotFoundMessage
from solders.rpc.responses import GetSlotResp
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from sandbox.devnets.solana.rpc import METHODS
from tests.devnets.solana import tokens
from tests.devnets.solana.by_hand import NOW_S, founded, person
from tests.devnets.solana.chain import SOL, Refused, move
from tests.devnets.solana.inside import Ear, InsideChain
from tests.devnets.solana.test_fuzz import state_of

A, B = person(1), person(2)
a, b = str(A.pubkey()), str(B.pubkey())
PROCESSED, CONFIRMED = {"commitment": "processed"}, {"commitment": "confirmed"}
SOME_HASH = "4uQeVj5tqViQh7yWWGStvkEG1Zmhx6uasJtWCJziofM"
SOME_SIGNATURE = "1" * 64
UNSET = str(Pubkey.default())
BUDGET = Pubkey.from_string("ComputeBudget111111111111111111111111111111")


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[InsideChain]:
    """At slot 3, with two people who have money, and time standing still."""
    made = InsideChain(tmp_path)
    await founded(made, {A: 10 * SOL, B: 5 * SOL})
    await made.advance(1)
    yield made
    await made.close()


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InsideChain]:
    """The same chain for all the requests that are refused: the next one finds it as it was."""
    made = InsideChain(tmp_path_factory.mktemp("untouched"))

    async def start() -> None:
        await founded(made, {A: 10 * SOL, B: 5 * SOL})
        await made.advance(1)

    asyncio.run(start())
    before = state_of(made)
    yield made
    assert state_of(made) == before
    asyncio.run(made.close())


async def refusal(chain: InsideChain, method: str, *params: Any) -> tuple[int, str]:
    with pytest.raises(Refused) as refused:
        await chain.call(method, *params)
    return refused.value.code, refused.value.message


def text_of(tx: VersionedTransaction) -> str:
    return base64.b64encode(bytes(tx)).decode()


# --- refusals ----------------------------------------------------------------------------------


async def test_an_unknown_method_is_refused_by_its_name(chain: InsideChain) -> None:
    for method in ("getFees", "slotSubscribe", "", "getslot", "x" * 5_000):
        name = method if len(method) < 80 else "x" * 80 + "…"
        assert await refusal(chain, method) == (-32601, f"Method not found: {name}")
    ear = Ear(chain)
    answer = await ear.ask("blockSubscrib", "all")
    assert answer["error"] == {"code": -32601, "message": "Method not found: blockSubscrib"}
    parsed = GetSlotResp.from_json(json.dumps(answer))
    assert parsed == MethodNotFoundMessage("Method not found: blockSubscrib")
    await ear.close()


async def test_control_methods_are_unknown_where_they_are_off(chain: InsideChain) -> None:
    chain.node.control = False
    try:
        code, message = await refusal(chain, "sandbox_pause")
        hint = "(start the devnet with --faults)"
        assert (code, message) == (-32601, f"Method not found: sandbox_pause {hint}")
    finally:
        chain.node.control = True


@pytest.mark.parametrize(
    ("method", "params", "message"),
    [
        ("getSlot", [{"commitment": "soon"}], "unknown variant `soon`, expected a commitment"),
        ("getSlot", [{"minContextSlot": "1"}], "invalid value for minContextSlot, expected u64"),
        ("getAccountInfo", [a, {"encoding": "hex"}], "unknown variant `hex`"),
        ("getAccountInfo", [a, {"dataSlice": 5}], "invalid type for dataSlice"),
        ("getAccountInfo", [a, {"dataSlice": {"offset": -1}}], "invalid value for offset"),
        ("getTransaction", [SOME_SIGNATURE, "base32"], "unknown variant `base32`"),
        ("getTransaction", [SOME_SIGNATURE, {"maxSupportedTransactionVersion": "0"}], "u64"),
        ("getBlock", [1, {"transactionDetails": "some"}], "unknown variant `some`"),
        ("getBlock", [1, {"rewards": 1}], "invalid type for rewards, expected a boolean"),
        ("getSignatureStatuses", [[], {"searchTransactionHistory": 1}], "searchTransactionHistory"),
        ("getSignaturesForAddress", [a, {"limit": 1_001}], "Invalid limit; max 1000"),
        ("getSignaturesForAddress", [a, {"before": 1}], "invalid type for before"),
        ("getLargestAccounts", [{"filter": "rich"}], "unknown variant `rich`"),
        ("getBlockProduction", [{"range": {"firstSlot": 0, "lastSlot": 1}}], "max 0"),
        ("getBlockProduction", [{"range": {"firstSlot": 1}}], "cannot be greater than lastSlot"),
        ("getBlockProduction", [{"range": 5}], "invalid type for range, expected an object"),
        ("getBlockProduction", [{"identity": "me"}], "Invalid"),
        ("getVoteAccounts", [{"votePubkey": "me"}], "Invalid"),
        ("getLeaderSchedule", ["now"], "invalid value for slot, expected u64"),
        ("getInflationReward", [[a], {"epoch": -1}], "invalid value for epoch"),
        ("getProgramAccounts", [a, {"filters": [{"memo": 1}]}], "unknown filter"),
        ("getProgramAccounts", [a, {"filters": [{"dataSize": 1}] * 5}], "Too many filters"),
        ("getProgramAccounts", [a, {"withContext": "yes"}], "withContext"),
        ("getTokenAccountsByOwner", [a, {}], "expected mint or programId"),
        ("getTokenAccountsByOwner", [a, {"mint": b}], "could not find mint"),
        ("getTokenAccountsByOwner", [a, {"programId": b}], "unrecognized Token program id"),
        ("getTokenAccountBalance", [a, CONFIRMED], "not a Token account"),
        ("getTokenAccountBalance", [SOME_HASH], "could not find account"),
        ("getTokenSupply", [a, CONFIRMED], "not a Token mint"),
        ("getTokenLargestAccounts", [SOME_HASH], "could not find account"),
        ("getMultipleAccounts", [[a] * 101], "Too many inputs provided; max 100"),
        ("getSignatureStatuses", [[SOME_SIGNATURE] * 257], "Too many inputs provided; max 256"),
        ("getBlocks", [0, 500_001], "Slot range too large; max 500000"),
        ("getBlocksWithLimit", [0, 500_001], "Limit too large; max 500000"),
        ("getSlotLeaders", [0, 5_001], "Invalid limit; max 5000"),
        ("getRecentPerformanceSamples", [721], "Invalid limit; max 720"),
        ("getMinimumBalanceForRentExemption", [-1], "expected u64"),
        ("getMinimumBalanceForRentExemption", [2**40], "too large"),
        ("getBalance", [], "`params` should have at least 1 argument(s)"),
        ("getBalance", ["0OIl"], "Invalid param: Invalid"),
        ("getBalance", ["abc"], "Invalid param: WrongSize"),
        ("getBalance", [a, "confirmed"], "expected an object"),
        ("getTransaction", ["abc"], "Invalid param: WrongSize"),
        ("isBlockhashValid", ["l"], "Invalid param: Invalid"),
        ("getFeeForMessage", ["AAAA"], "invalid message"),
        ("sendTransaction", ["AAAA", {"encoding": "hex"}], "unsupported encoding: hex"),
        ("sendTransaction", ["AAAA", {"preflightCommitment": "now"}], "invalid transaction"),
        ("simulateTransaction", ["!", {"encoding": "base64"}], "invalid base64 encoding"),
        ("simulateTransaction", ["0"], "invalid base58 encoding"),
        ("requestAirdrop", [a, "1"], "expected u64"),
        ("requestAirdrop", [a, 1, {"recentBlockhash": SOME_HASH}], "recentBlockhash is unknown"),
    ],
)  # fmt: skip
async def test_what_cannot_be_served_says_so(
    untouched: InsideChain, method: str, params: list[Any], message: str
) -> None:
    code, said = await refusal(untouched, method, *params)
    assert code == -32602
    assert message in said


async def test_options_of_a_preflight_are_read(chain: InsideChain) -> None:
    raw = await chain.sign(move(A, B.pubkey(), 5), signers=[A])
    for name, value in (
        ("preflightCommitment", "now"),
        ("maxRetries", -1),
        ("skipPreflight", "no"),
        ("minContextSlot", 1.5),
    ):
        with pytest.raises(Refused) as refused:
            await chain.send(raw, **{name: value})
        assert refused.value.code == -32602
    # The slot must be reached at the preflight's commitment: nothing is final yet, the tip is 3.
    with pytest.raises(Refused) as refused:
        await chain.send(raw, minContextSlot=2)
    assert (refused.value.code, refused.value.data) == (-32016, {"contextSlot": 0})
    options = {"preflightCommitment": "confirmed", "minContextSlot": 2, "maxRetries": 0}
    assert await chain.send(raw, **options)


@pytest.mark.parametrize(
    ("method", "params"),
    [
        *((name, []) for name in (
            "getSlot", "getBlockHeight", "getTransactionCount", "getEpochInfo", "getSlotLeader",
            "getLatestBlockhash",
        )),
        ("getBalance", [a]),
        ("getAccountInfo", [a]),
        ("getMultipleAccounts", [[a]]),
        ("getProgramAccounts", [UNSET]),
        ("getTokenAccountsByOwner", [a, {"programId": str(tokens.TOKEN_2022)}]),
        ("isBlockhashValid", [SOME_HASH]),
        ("getSignaturesForAddress", [a]),
        ("getBlocks", [0, 1]),
        ("getBlocksWithLimit", [0, 1]),
        ("getInflationReward", [[a]]),
    ],
)  # fmt: skip
async def test_a_context_slot_that_is_not_reached_is_refused(
    untouched: InsideChain, method: str, params: list[Any]
) -> None:
    with pytest.raises(Refused) as refused:
        await untouched.call(method, *params, CONFIRMED | {"minContextSlot": 3})
    assert refused.value.code == -32016
    assert refused.value.data == {"contextSlot": 2}
    await untouched.call(method, *params, CONFIRMED | {"minContextSlot": 2})


# --- shapes ------------------------------------------------------------------------------------


async def test_constants_have_their_shapes(chain: InsideChain) -> None:
    leader = (await chain.call("getIdentity"))["identity"]
    assert len(str(Pubkey.from_string(leader))) in (43, 44)
    wanted = {
        "getHealth": "ok",
        "getVersion": {"solana-core": "3.0.0", "feature-set": 3_294_202_862},
        "getSlotLeader": leader,
        "getVoteAccounts": {"current": [], "delinquent": []},
        "getFirstAvailableBlock": 0,
        "minimumLedgerSlot": 0,
        "getMaxRetransmitSlot": 3,
        "getMaxShredInsertSlot": 3,
        "getEpochSchedule": {
            "slotsPerEpoch": 432_000,
            "leaderScheduleSlotOffset": 432_000,
            "warmup": False,
            "firstNormalEpoch": 0,
            "firstNormalSlot": 0,
        },
        "getInflationGovernor": {
            "foundation": 0.0,
            "foundationTerm": 0.0,
            "initial": 0.0,
            "taper": 1.0,
            "terminal": 0.0,
        },
        "getInflationRate": {"epoch": 0, "foundation": 0.0, "total": 0.0, "validator": 0.0},
        "getClusterNodes": [
            {
                "pubkey": leader,
                "gossip": None,
                "tpu": None,
                "rpc": None,
                "version": "3.0.0",
                "featureSet": 3_294_202_862,
                "shredVersion": 1,
            }
        ],
        "getRecentPrioritizationFees": [{"slot": s, "prioritizationFee": 0} for s in range(3)],
        "getLeaderSchedule": {leader: list(range(1_000))},
        "getRecentPerformanceSamples": [
            {
                "slot": 2,
                "numTransactions": 2,
                "numNonVoteTransactions": 2,
                "numSlots": 2,
                "samplePeriodSecs": 60,
            }
        ],
    }
    for method, shape in wanted.items():
        assert await chain.call(method) == shape, method
    assert await chain.call("getSlotLeaders", 1, 2) == [leader, leader]
    assert await chain.call("getInflationReward", [a, b]) == [None, None]
    assert await chain.call("getBlockCommitment", 1) == {
        "commitment": [0] * 31 + [1],
        "totalStake": 1,
    }
    assert await chain.call("getBlockCommitment", 77) == {"commitment": None, "totalStake": 1}
    assert await chain.value("getStakeMinimumDelegation") == 1
    assert await refusal(chain, "getHighestSnapshotSlot") == (-32008, "No snapshot")
    # The filters and ranges of these are real.
    assert await chain.call("getLeaderSchedule", None, {"identity": a}) == {}
    assert await chain.call("getLeaderSchedule", 432_000 * 2) is None
    assert await chain.value("getLargestAccounts", {"filter": "nonCirculating"}) == []
    rich = await chain.value("getLargestAccounts", PROCESSED)
    assert len(rich) == 8
    assert rich[0]["lamports"] >= rich[-1]["lamports"] == 10**17 - 15 * SOL - 10_000
    assert await chain.value("getSupply") == {
        "total": 8 * 10**17,
        "circulating": 8 * 10**17,
        "nonCirculating": 0,
        "nonCirculatingAccounts": [],
    }
    made = await chain.call("getBlockProduction", CONFIRMED | {"range": {"firstSlot": 1}})
    assert made["value"] == {
        "byIdentity": {leader: [2, 2]},
        "range": {"firstSlot": 1, "lastSlot": 2},
    }
    made = await chain.value("getBlockProduction", CONFIRMED | {"identity": a})
    assert made["byIdentity"] == {}


async def test_the_default_commitment_is_finalized(chain: InsideChain) -> None:
    """Nothing of slot 1 is final at slot 3, so every default answer shows slot 0."""
    assert await chain.call("getSlot") == 0
    assert await chain.call("getBlockHeight") == 0
    assert await chain.call("getTransactionCount") == 0
    assert await chain.call("getBalance", a) == {
        "context": {"slot": 0, "apiVersion": "3.0.0"},
        "value": 0,
    }
    for method, params, none in (
        ("getAccountInfo", [a], None),
        ("getMultipleAccounts", [[a]], [None]),
        ("getTokenAccountsByOwner", [a, {"programId": str(tokens.TOKEN_2022)}], []),
    ):
        assert await chain.value(method, *params) == none
    assert await chain.call("getSignaturesForAddress", a) == []
    assert await chain.call("getBlocks", 0) == [0]
    assert await chain.call("getEpochInfo", CONFIRMED) == {
        "absoluteSlot": 2,
        "blockHeight": 2,
        "epoch": 0,
        "slotIndex": 2,
        "slotsInEpoch": 432_000,
        "transactionCount": 2,
    }
    latest = await chain.call("getLatestBlockhash")
    genesis = await chain.call("getBlock", 0, {"transactionDetails": "none"})
    assert latest == {
        "context": {"slot": 0, "apiVersion": "3.0.0"},
        "value": {"blockhash": genesis["blockhash"], "lastValidBlockHeight": 150},
    }
    # A signature's status is the one answer that is always of the newest slot.
    (row,) = await chain.call("getSignaturesForAddress", a, CONFIRMED)
    statuses = await chain.call("getSignatureStatuses", [row["signature"], SOME_SIGNATURE])
    assert statuses == {
        "context": {"slot": 3, "apiVersion": "3.0.0"},
        "value": [
            {
                "slot": 1,
                "confirmations": 2,
                "err": None,
                "status": {"Ok": None},
                "confirmationStatus": "confirmed",
            },
            None,
        ],
    }
    assert row == {
        "signature": row["signature"],
        "slot": 1,
        "err": None,
        "memo": None,
        "blockTime": NOW_S,
        "confirmationStatus": "confirmed",
    }


async def test_accounts_in_every_encoding(chain: InsideChain) -> None:
    mint = await tokens.make_mint(chain, A)
    await chain.do(tokens.open_account(A.pubkey(), B.pubkey(), mint), signers=[A])
    shown: dict[str, Any] = {
        "lamports": 10 * SOL - 10_000 - 3_897_600 - 5_000 - 2_101_920,
        "owner": UNSET,
        "executable": False,
        "rentEpoch": 2**64 - 1,
        "space": 0,
    }
    for encoding, data in (
        (None, ""),
        ("binary", ""),
        ("base58", ["", "base58"]),
        ("base64", ["", "base64"]),
        ("base64+zstd", ["KLUv/SAAAQAA", "base64+zstd"]),  # an empty frame
        ("jsonParsed", ["", "base64"]),
    ):
        options = PROCESSED if encoding is None else PROCESSED | {"encoding": encoding}
        assert await chain.value("getAccountInfo", a, options) == shown | {"data": data}, encoding
        # Asked for several, the encoding that is not named is another one.
        many = ["", "base64"] if encoding is None else data
        assert await chain.value("getMultipleAccounts", [a, SOME_HASH], options) == [
            shown | {"data": many},
            None,
        ]
    account = str(tokens.ata(B.pubkey(), mint))
    for options in (PROCESSED, PROCESSED | {"encoding": "base58"}):
        code, message = await refusal(chain, "getAccountInfo", account, options)
        assert (code, message) == (
            -32600,
            "Encoded binary (base 58) data should be less than 128 bytes,"
            " please use Base64 encoding.",
        )
    part = PROCESSED | {"dataSlice": {"offset": 32, "length": 32}}
    found = await chain.value("getAccountInfo", account, part | {"encoding": "base58"})
    assert found["data"] == [b, "base58"]
    assert found["space"] == 174
    beyond = PROCESSED | {"dataSlice": {"offset": 2**64 - 1, "length": 9}, "encoding": "base64"}
    assert (await chain.value("getAccountInfo", account, beyond))["data"] == ["", "base64"]


async def test_program_accounts_by_filter_and_in_order(chain: InsideChain) -> None:
    mint = await tokens.make_mint(chain, A)
    owners = [Keypair().pubkey() for _ in range(4)]
    await chain.do(*(tokens.open_account(A.pubkey(), o, mint) for o in owners), signers=[A])
    program = str(tokens.TOKEN_2022)
    base: dict[str, Any] = PROCESSED | {"encoding": "base64"}
    everything = await chain.call("getProgramAccounts", program, base)
    names = [row["pubkey"] for row in everything]
    assert len(names) == 5
    assert names == sorted(names)
    one = {"memcmp": {"offset": 32, "bytes": str(owners[2])}}
    raw = {"memcmp": {"offset": 32, "bytes": base64.b64encode(bytes(owners[2])).decode()}}
    raw["memcmp"]["encoding"] = "base64"
    listed = {"memcmp": {"offset": 32, "bytes": list(bytes(owners[2]))}}
    for filters, count in (
        ([], 5),
        ([{"dataSize": 174}], 4),
        ([{"dataSize": 165}], 0),
        ([{"tokenAccountState": None}], 4),
        ([one], 1),
        ([raw], 1),
        ([listed, {"dataSize": 174}], 1),
        ([{"memcmp": {"offset": 2**63, "bytes": "2"}}], 0),
    ):
        found = await chain.call("getProgramAccounts", program, base | {"filters": filters})
        assert len(found) == count, filters
    found = await chain.call("getProgramAccounts", program, base | {"withContext": True})
    assert found["context"] == {"slot": 3, "apiVersion": "3.0.0"}
    assert found["value"] == everything
    too_long = {"memcmp": {"offset": 0, "bytes": "1" * 129}}
    code, _ = await refusal(chain, "getProgramAccounts", program, base | {"filters": [too_long]})
    assert code == -32602


# --- fees --------------------------------------------------------------------------------------


def instructions_with_budgets() -> list[tuple[int | None, list[Instruction]]]:
    """What is charged beside the signature; None for what is refused unpaid."""
    pay, memo = move(A, B.pubkey(), SOL // 100), tokens.memo(b"7")
    price, limit = set_compute_unit_price(1_000_000), set_compute_unit_limit  # a lamport a unit

    def budget(data: bytes) -> Instruction:
        return Instruction(BUDGET, data, [])

    return [
        (0, [pay]),
        (3_000 + 3_000, [price, pay]),
        (3_000 + 2 * 3_000, [price, pay, pay]),
        (3_000 + 200_000, [price, memo]),
        (3_000 + 3_000 + 200_000, [price, pay, memo]),
        (1_400_000, [price, *([memo] * 8)]),
        (1_400_000, [price, limit(5_000_000), pay]),
        (1_000, [limit(1_000), price, pay]),
        (1, [limit(1_000), set_compute_unit_price(1), pay]),
        (3_000 * 3, [price, request_heap_frame(64 * 1024), pay]),
        (None, [price, price, pay]),
        (None, [price, budget(b"\x02\x01"), pay]),
        (None, [price, budget(b""), pay]),
        (None, [price, budget(b"\x00" * 9), pay]),
    ]


async def test_the_fee_that_is_told_is_the_fee_that_is_charged(chain: InsideChain) -> None:
    for extra, instructions in instructions_with_budgets():
        blockhash = await chain.blockhash()
        message = Message.new_with_blockhash(instructions, A.pubkey(), blockhash)
        text = base64.b64encode(bytes(message)).decode()
        told = await chain.value("getFeeForMessage", text, PROCESSED)
        assert told == 5_000 + (extra or 0)
        before = await chain.balance(A.pubkey())
        raw = bytes(VersionedTransaction(message, [A]))
        signature = await chain.send(raw, skipPreflight=True)
        await chain.advance(1)
        found = await chain.call("getTransaction", signature, CONFIRMED)
        if extra is None:
            assert found is None
            assert await chain.balance(A.pubkey()) == before
        else:
            assert found["meta"]["fee"] == told
            assert before - await chain.balance(A.pubkey()) in (told, told + SOL // 100,
                                                                told + SOL // 50)  # fmt: skip


async def test_a_fee_is_told_for_versions_and_signers(chain: InsideChain) -> None:
    blockhash, pays = await chain.blockhash(), [move(A, B.pubkey(), 1), move(B, A.pubkey(), 1)]
    legacy = bytes(Message.new_with_blockhash(pays, A.pubkey(), blockhash))
    v0 = bytes(MessageV0.try_compile(A.pubkey(), pays, [], blockhash))
    v0 = b"\x80" + v0.removeprefix(b"\x80")
    unknown = bytes(Message.new_with_blockhash(pays, A.pubkey(), Hash.new_unique()))
    for raw, fee in ((legacy, 10_000), (v0, 10_000), (unknown, None)):
        text = base64.b64encode(raw).decode()
        assert await chain.value("getFeeForMessage", text, PROCESSED) == fee
    index_of_no_program = bytearray(legacy)
    index_of_no_program[-1 - 12 - 1 - 2 - 2 - 17] = 200  # the first instruction's program
    text = base64.b64encode(bytes(index_of_no_program)).decode()
    code, _ = await refusal(chain, "getFeeForMessage", text)
    assert code == -32602


# --- simulation --------------------------------------------------------------------------------


async def test_a_simulation_in_full(chain: InsideChain) -> None:
    blockhash = await chain.blockhash("confirmed")
    message = Message.new_with_blockhash([move(A, B.pubkey(), SOL)], A.pubkey(), blockhash)
    tx = VersionedTransaction(message, [A])
    options: dict[str, Any] = CONFIRMED | {"encoding": "base64", "innerInstructions": True}
    options["accounts"] = {"addresses": [b, SOME_HASH, a], "encoding": "base64"}
    value = await chain.value("simulateTransaction", text_of(tx), options)
    (second, missing, first) = value.pop("accounts")
    assert (second["lamports"], missing, first["lamports"]) == (6 * SOL, None, 9 * SOL - 5_000)
    assert value == {
        "err": None,
        "logs": [f"Program {UNSET} invoke [1]", f"Program {UNSET} success"],
        "unitsConsumed": 150,
        "returnData": None,
        "innerInstructions": [],
        "replacementBlockhash": None,
    }
    # Unsigned, it runs as well, but not where signatures are to be verified.
    unsigned = VersionedTransaction.populate(message, [Signature.default()])
    bare = CONFIRMED | {"encoding": "base64"}
    assert (await chain.value("simulateTransaction", text_of(unsigned), bare))["err"] is None
    code, message_text = await refusal(
        chain, "simulateTransaction", text_of(unsigned), bare | {"sigVerify": True}
    )
    assert (code, message_text) == (-32003, "Transaction signature verification failure")
    both = bare | {"sigVerify": True, "replaceRecentBlockhash": True}
    assert await refusal(chain, "simulateTransaction", text_of(tx), both) == (
        -32602,
        "sigVerify may not be used with replaceRecentBlockhash",
    )
    for encoding in ("base58", "binary", "hex"):
        asked = bare | {"accounts": {"addresses": [a], "encoding": encoding}}
        code, message_text = await refusal(chain, "simulateTransaction", text_of(tx), asked)
        assert (code, message_text) == (-32602, "base58 encoding not supported")
    many = bare | {"accounts": {"addresses": [a] * 4}}
    code, message_text = await refusal(chain, "simulateTransaction", text_of(tx), many)
    assert (code, message_text) == (-32602, "Too many accounts provided; max 3")
    assert await chain.balance(A.pubkey()) == 10 * SOL


async def test_a_simulation_that_fails_shows_no_accounts(chain: InsideChain) -> None:
    for blockhash, amount, err in (
        (await chain.blockhash(), 50 * SOL, {"InstructionError": [0, {"Custom": 1}]}),
        (Hash.new_unique(), SOL, "BlockhashNotFound"),
    ):
        message = Message.new_with_blockhash([move(A, B.pubkey(), amount)], A.pubkey(), blockhash)
        options = {"encoding": "base64", "accounts": {"addresses": [a, b]}}
        text = text_of(VersionedTransaction(message, [A]))
        value = await chain.value("simulateTransaction", text, options)
        assert value["err"] == err
        assert value["accounts"] == [None, None]
        assert value["unitsConsumed"] == (150 if isinstance(err, dict) else 0)


async def test_return_data_is_shown_where_a_program_gives_some(chain: InsideChain) -> None:
    mint = await tokens.make_mint(chain, A)
    # GetAccountDataSize with ImmutableOwner: 174 in eight bytes.
    ask = tokens._call(b"\x15" + struct.pack("<H", 7), (mint, ""))
    raw = await chain.sign(ask, signers=[A])
    returned = {"programId": str(tokens.TOKEN_2022), "data": ["rgAAAAAAAAA=", "base64"]}
    options = PROCESSED | {"encoding": "base64"}
    text = base64.b64encode(raw).decode()
    value = await chain.value("simulateTransaction", text, options)
    assert value["returnData"] == returned
    signature = await chain.send(raw)
    await chain.advance(1)
    found = await chain.call("getTransaction", signature, CONFIRMED)
    assert found["meta"]["returnData"] == returned


# --- transactions that cannot be --------------------------------------------------------------


async def test_a_transaction_may_have_1232_bytes_and_not_one_more(chain: InsideChain) -> None:
    short = await chain.sign(tokens.memo(b"x" * 1_000), signers=[A])
    exact = await chain.sign(tokens.memo(b"x" * (1_000 + 1_232 - len(short))), signers=[A])
    over = await chain.sign(tokens.memo(b"x" * (1_001 + 1_232 - len(short))), signers=[A])
    assert (len(exact), len(over)) == (1_232, 1_233)
    before = await chain.call("getTransactionCount", PROCESSED)
    with pytest.raises(Refused) as refused:
        await chain.send(over)
    assert refused.value.code == -32602
    assert refused.value.message == (
        "decoded solana_transaction::versioned::VersionedTransaction too large:"
        " 1233 bytes (max: 1232 bytes)"
    )
    for cut in (0, 1, 64, 65, 100, len(exact) - 1):
        with pytest.raises(Refused) as refused:
            await chain.send(exact[:cut], skipPreflight=True)
        assert refused.value.code == -32602
        assert refused.value.message.startswith("invalid transaction: ")
    assert await chain.call("getTransactionCount", PROCESSED) == before
    await chain.send(exact)


async def test_a_program_that_does_not_exist_is_refused(chain: InsideChain) -> None:
    nowhere = Instruction(Keypair().pubkey(), b"\x01", [])
    raw = await chain.sign(nowhere, signers=[A])
    with pytest.raises(Refused) as refused:
        await chain.send(raw)
    assert refused.value.code == -32002
    assert refused.value.message == (
        "Transaction simulation failed: Attempt to load a program that does not exist"
    )
    assert refused.value.data["err"] == "ProgramAccountNotFound"
    assert await chain.balance(A.pubkey()) == 10 * SOL


async def test_an_airdrop_uses_the_blockhash_it_is_told(chain: InsideChain) -> None:
    blockhash = str(await chain.blockhash("finalized"))
    signature = await chain.call("requestAirdrop", b, 7, {"recentBlockhash": blockhash})
    await chain.advance(1)
    found = await chain.call("getTransaction", signature, CONFIRMED)
    assert found["transaction"]["message"]["recentBlockhash"] == blockhash


def test_every_method_is_asked_in_this_file_or_by_the_fuzzer() -> None:
    """A method that nobody shows here or in the fuzzer's seeds would be served untested."""
    here = Path(__file__).read_text() + Path(__file__).with_name("fuzz.py").read_text()
    assert [method for method in METHODS if f'"{method}"' not in here] == []
