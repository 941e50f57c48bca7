"""Metas of transactions without tokens, against ones worked out by hand.

Constants: 5,000 lamports a signature, 150 units for what is built in, 1 lamport on such programs.
"""

import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from solders.pubkey import Pubkey

from tests.devnets.solana.by_hand import (
    BUILTIN,
    CONFIRMED,
    INVOKE,
    NOW_S,
    SYSTEM,
    SYSTEM_LOGS,
    Written,
    bare,
    check,
    founded,
    land,
    meta,
    parsed,
    person,
)
from tests.devnets.solana.chain import SOL
from tests.devnets.solana.inside import InsideChain
from tests.devnets.solana.test_durable_nonces import NONCE_RENT, make_nonce
from tests.devnets.solana.test_lookup_tables import make_table

A, B, C = person(1), person(2), person(3)
a, b, c = A.pubkey(), B.pubkey(), C.pubkey()
BUDGET = Pubkey.from_string("ComputeBudget111111111111111111111111111111")
RECENT_HASHES = Pubkey.from_string("SysvarRecentB1ockHashes11111111111111111111")
ONE_SOL = bytes.fromhex("0200000000ca9a3b00000000")  # transfer, 10^9 lamports
ONE_SOL_58 = "3Bxs3zzLZLuLQEYX"


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[InsideChain]:
    made = InsideChain(tmp_path)
    await founded(made, {A: 10 * SOL, B: 5 * SOL})
    yield made
    await made.close()


def moved(source: Pubkey, destination: Pubkey, lamports: int) -> dict[str, object]:
    return parsed(
        SYSTEM,
        "system",
        "transfer",
        source=str(source),
        destination=str(destination),
        lamports=lamports,
    )


async def test_a_transfer_that_fails_pays_its_fee_and_moves_nothing(chain: InsideChain) -> None:
    # 1,500 SOL = 1,500,000,000,000 lamports, which is 15d3ef79800 in hex.
    data = bytes.fromhex("02000000" + "0098f73e5d010000")
    written = Written([A], [(a, "sw"), (c, "w"), (SYSTEM, "")], [(2, [0, 1], data)])
    landed = await land(chain, written, skip_preflight=True)
    await chain.advance(1)
    await check(
        chain,
        landed,
        [bare(2, [0, 1], "3Bxs3zxTTdpWmq6F")],
        [moved(a, c, 1_500 * SOL)],
        meta(
            fee=5_000,
            units=150,
            before=[10_000_000_000, 0, BUILTIN],
            after=[9_999_995_000, 0, BUILTIN],
            logs=[
                INVOKE.format(SYSTEM),
                "Transfer: insufficient lamports 9999995000, need 1500000000000",
                f"Program {SYSTEM} failed: custom program error: 0x1",
            ],
            err={"InstructionError": [0, {"Custom": 1}]},
        ),
    )


async def test_a_transfer(chain: InsideChain) -> None:
    landed = await land(
        chain, Written([A], [(a, "sw"), (c, "w"), (SYSTEM, "")], [(2, [0, 1], ONE_SOL)])
    )
    await chain.advance(1)
    await check(
        chain,
        landed,
        [bare(2, [0, 1], ONE_SOL_58)],
        [moved(a, c, SOL)],
        meta(
            fee=5_000,
            units=150,
            before=[10_000_000_000, 0, BUILTIN],
            after=[8_999_995_000, 1_000_000_000, BUILTIN],
            logs=SYSTEM_LOGS,
        ),
    )


async def test_two_transfers_in_one_transaction(chain: InsideChain) -> None:
    # The second gives on what the first brought: B is named twice and listed once.
    keys = [(a, "sw"), (b, "sw"), (c, "w"), (SYSTEM, "")]
    written = Written([A, B], keys, [(3, [0, 1], ONE_SOL), (3, [1, 2], ONE_SOL)])
    landed = await land(chain, written)
    await chain.advance(1)
    await check(
        chain,
        landed,
        [bare(3, [0, 1], ONE_SOL_58), bare(3, [1, 2], ONE_SOL_58)],
        [moved(a, b, SOL), moved(b, c, SOL)],
        meta(
            fee=10_000,
            units=300,
            before=[10_000_000_000, 5_000_000_000, 0, BUILTIN],
            after=[8_999_990_000, 5_000_000_000, 1_000_000_000, BUILTIN],
            logs=SYSTEM_LOGS * 2,
        ),
    )


async def test_a_sponsor_pays_for_three_signers(chain: InsideChain) -> None:
    # A pays, B sends, C signs without being written to.
    keys = [(a, "sw"), (b, "sw"), (c, "s"), (SYSTEM, "")]
    written = Written([A, B, C], keys, [(3, [1, 0, 2], ONE_SOL)])
    landed = await land(chain, written)
    assert written.header == (3, 1, 1)
    assert len(set(landed.signatures)) == 3
    await chain.advance(1)
    await check(
        chain,
        landed,
        [bare(3, [1, 0, 2], ONE_SOL_58)],
        [moved(b, a, SOL)],
        meta(
            fee=15_000,
            units=150,
            before=[10_000_000_000, 5_000_000_000, 0, BUILTIN],
            after=[10_999_985_000, 4_000_000_000, 0, BUILTIN],
            logs=SYSTEM_LOGS,
        ),
    )


async def test_a_priority_fee(chain: InsideChain) -> None:
    # 20,001 units at 333,333 millionths of a lamport: 6,666.99..., rounded up 6,667.
    keys = [(a, "sw"), (c, "w"), (SYSTEM, ""), (BUDGET, "")]
    limit, price = b"\x02" + struct.pack("<I", 20_001), b"\x03" + struct.pack("<Q", 333_333)
    instructions: list[tuple[int, list[int], bytes]] = [
        (3, [], limit),
        (3, [], price),
        (2, [0, 1], ONE_SOL),
    ]
    landed = await land(chain, Written([A], keys, instructions))
    await chain.advance(1)
    budget_logs = [INVOKE.format(BUDGET), f"Program {BUDGET} success"]
    undecoded = {"programId": str(BUDGET), "accounts": [], "stackHeight": 1}
    await check(
        chain,
        landed,
        [bare(3, [], "EwST9Z"), bare(3, [], "3Gz883TVjP6w"), bare(2, [0, 1], ONE_SOL_58)],
        [undecoded | {"data": "EwST9Z"}, undecoded | {"data": "3Gz883TVjP6w"}, moved(a, c, SOL)],
        meta(
            fee=11_667,
            units=450,
            before=[10_000_000_000, 0, BUILTIN, BUILTIN],
            after=[8_999_988_333, 1_000_000_000, BUILTIN, BUILTIN],
            logs=budget_logs * 2 + SYSTEM_LOGS,
        ),
    )


async def test_accounts_from_a_lookup_table(chain: InsideChain) -> None:
    # Static keys are 0 and 1; the table brings 2 (written to) and 3 (read only, named by nobody
    # but the message).
    table = await make_table(chain, B, [b, c, a])
    landed = await land(
        chain,
        Written(
            [A],
            [(a, "sw"), (SYSTEM, "")],
            [(1, [0, 2, 3], ONE_SOL)],
            loaded=[(c, "w"), (b, "")],
            table=table,
            table_indexes=(b"\x01", b"\x00"),
        ),
    )
    held = await chain.balance(b)
    await chain.advance(1)
    await check(
        chain,
        landed,
        [bare(1, [0, 2, 3], ONE_SOL_58)],
        [moved(a, c, SOL)],
        meta(
            fee=5_000,
            units=150,
            before=[10_000_000_000, BUILTIN, 0, held],
            after=[8_999_995_000, BUILTIN, 1_000_000_000, held],
            logs=SYSTEM_LOGS,
            loaded={"writable": [str(c)], "readonly": [str(b)]},
        ),
    )


async def test_an_advanced_nonce(chain: InsideChain) -> None:
    nonce = await make_nonce(chain, B)
    keys = [(a, "sw"), (b, "s"), (nonce, "w"), (RECENT_HASHES, ""), (SYSTEM, "")]
    held = (await chain.balance(b), await chain.balance(RECENT_HASHES))
    written = Written([A, B], keys, [(4, [2, 3, 1], b"\x04\0\0\0")])
    landed = await land(chain, written)
    await chain.advance(1)
    await check(
        chain,
        landed,
        [bare(4, [2, 3, 1], "6vx8P")],
        [
            parsed(
                SYSTEM,
                "system",
                "advanceNonce",
                nonceAccount=str(nonce),
                recentBlockhashesSysvar=str(RECENT_HASHES),
                nonceAuthority=str(b),
            )
        ],
        meta(
            fee=10_000,
            units=150,
            before=[10_000_000_000, held[0], NONCE_RENT, held[1], BUILTIN],
            after=[9_999_990_000, held[0], NONCE_RENT, held[1], BUILTIN],
            logs=SYSTEM_LOGS,
        ),
    )
    account = await chain.value("getAccountInfo", str(nonce), {"encoding": "jsonParsed"})
    assert account is None  # not final yet
    options = {"encoding": "jsonParsed", "commitment": "confirmed"}
    account = await chain.value("getAccountInfo", str(nonce), options)
    assert account["data"]["program"] == "nonce"
    assert account["data"]["parsed"]["type"] == "initialized"
    assert account["data"]["parsed"]["info"]["authority"] == str(b)
    assert account["data"]["parsed"]["info"]["feeCalculator"] == {"lamportsPerSignature": "5000"}


async def test_a_block_around_them(chain: InsideChain) -> None:
    keys = [(a, "sw"), (c, "w"), (SYSTEM, "")]
    first = await land(chain, Written([A], keys, [(2, [0, 1], ONE_SOL)]))
    second = await land(
        chain, Written([B], [(b, "sw"), (c, "w"), (SYSTEM, "")], [(2, [0, 1], ONE_SOL)])
    )
    await chain.advance(1)
    options = CONFIRMED | {"encoding": "base64"}
    parent = await chain.call("getBlock", first.slot - 1, options)
    block = await chain.call("getBlock", first.slot, options)
    transactions = block.pop("transactions")
    assert [one["transaction"][1] for one in transactions] == ["base64", "base64"]
    assert [one["meta"]["postBalances"][1] for one in transactions] == [SOL, 2 * SOL]
    assert block == {
        "blockhash": str(await chain.blockhash("confirmed")),
        "previousBlockhash": parent["blockhash"],
        "parentSlot": first.slot - 1,
        "blockTime": NOW_S,
        "blockHeight": first.slot,
        "rewards": [],
    }
    assert first.blockhash == parent["blockhash"]
    options |= {"transactionDetails": "signatures", "rewards": False}
    named = await chain.call("getBlock", first.slot, options)
    assert named == {
        "blockhash": block["blockhash"],
        "previousBlockhash": parent["blockhash"],
        "parentSlot": first.slot - 1,
        "blockTime": NOW_S,
        "blockHeight": first.slot,
        "signatures": [first.signatures[0], second.signatures[0]],
    }
    plain = await chain.call("getBlock", first.slot, options | {"transactionDetails": "full"})
    assert all("rewards" not in one["meta"] for one in plain["transactions"])
