"""Every refusal of the token and its neighbours: code, message, logs; and what a pause allows."""

import asyncio
import base64
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, create_account

from tests.devnets.solana.by_hand import person
from tests.devnets.solana.chain import SOL, Refused, move
from tests.devnets.solana.inside import InsideChain
from tests.devnets.solana.tokens import (
    ASSOCIATED,
    DECIMALS,
    MINT_SPACE,
    TOKEN_2022,
    approve,
    ata,
    burn,
    close,
    freeze,
    make_mint,
    mint_to,
    open_account,
    pause,
    pay,
    plain_transfer,
)

BOSS, BUYER, STRANGER, MINT, OTHER = (person(number) for number in (1, 2, 3, 9, 10))
boss, buyer, stranger, mint, other = (key.pubkey() for key in (BOSS, BUYER, STRANGER, MINT, OTHER))
SHOP = person(4).pubkey()
NAMED = bytes.fromhex("d2e11ea258b84d8d")
CHANGED = bytes.fromhex("dde9312db5cadcc8")


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InsideChain]:
    """Two mints of one boss; the buyer has 100.00 of the first and an account of the second."""
    made = InsideChain(tmp_path_factory.mktemp("token"))
    asyncio.run(furnish(made))
    yield made
    asyncio.run(made.close())


async def furnish(chain: InsideChain) -> None:
    for key in (BOSS, BUYER, STRANGER):
        await chain.call("requestAirdrop", str(key.pubkey()), 10 * SOL)
    await make_mint(chain, BOSS, MINT)
    await make_mint(chain, BOSS, OTHER)
    for held, owners in ((mint, (boss, buyer, SHOP)), (other, (boss, buyer))):
        await chain.do(*(open_account(boss, owner, held) for owner in owners), signers=[BOSS])
    await chain.do(mint_to(mint, buyer, boss, 10_000), signers=[BOSS])


def call(data: bytes, *accounts: tuple[Pubkey, str]) -> Instruction:
    return Instruction(TOKEN_2022, data, [AccountMeta(k, "s" in f, "w" in f) for k, f in accounts])


def set_authority(account: Pubkey, kind: int, new: Pubkey, current: Pubkey) -> Instruction:
    return call(bytes([6, kind, 1]) + bytes(new), (account, "w"), (current, "s"))


def text(words: str) -> bytes:
    return struct.pack("<I", len(words)) + words.encode()


def pay_to_other_mint() -> Instruction:
    data = b"\x0c" + struct.pack("<QB", 5, DECIMALS)
    accounts = (ata(buyer, mint), "w"), (mint, ""), (ata(buyer, other), "w"), (buyer, "s")
    return call(data, *accounts)


def make_again() -> Instruction:
    made = open_account(boss, buyer, mint)
    return Instruction(ASSOCIATED, b"\x00", made.accounts)


def rename(authority: Pubkey) -> Instruction:
    return call(CHANGED + b"\x00" + text("Other"), (mint, "w"), (authority, "s"))


def new_mint_named_by_a_stranger() -> list[Instruction]:
    fresh, key = person(11).pubkey(), bytes(boss)
    lamports = (128 + MINT_SPACE + 200) * 6_960
    return [
        create_account(
            CreateAccountParams(
                from_pubkey=boss,
                to_pubkey=fresh,
                lamports=lamports,
                space=234,
                owner=TOKEN_2022,
            )
        ),
        call(b"\x27\x00" + key + bytes(fresh), (fresh, "w")),
        call(bytes([0x14, DECIMALS]) + key + b"\x01" + key, (fresh, "w")),
        call(
            NAMED + text("N") + text("S") + text("U"),
            (fresh, "w"),
            (stranger, ""),
            (fresh, ""),
            (stranger, "s"),
        ),
    ]


@dataclass(frozen=True)
class Case:
    """What is sent, what comes of it; `before` and `behind` make the case and unmake it."""

    instructions: Callable[[], list[Instruction]]
    signers: list[Keypair]
    err: int | str
    index: int = 0
    before: Instruction | None = None
    behind: Instruction | None = None


FROZEN = (freeze(mint, buyer, boss), freeze(mint, buyer, boss, thaw=True))
PAUSED = (pause(mint, boss), pause(mint, boss, resume=True))
CASES = {
    "more than there is": Case(lambda: [pay(mint, buyer, SHOP, 10_001)], [BUYER], 0x1),
    "more lamports than there are": Case(
        lambda: [move(BUYER, SHOP, 11 * SOL)], [BUYER], 0x1
    ),
    "an account of another mint": Case(lambda: [pay_to_other_mint()], [BUYER], 0x3),
    "no owner": Case(
        lambda: [call(b"\x0c" + struct.pack("<QB", 5, 2), (ata(buyer, mint), "w"), (mint, ""),
                      (ata(SHOP, mint), "w"), (stranger, "s"))], [STRANGER], 0x4
    ),
    "minted by a stranger": Case(lambda: [mint_to(mint, buyer, stranger, 1)], [STRANGER], 0x4),
    "burned by the mint authority": Case(lambda: [burn(mint, buyer, stranger, 1)], [STRANGER], 0x4),
    "closed with a balance": Case(lambda: [close(mint, buyer)], [BUYER], 0xB),
    "thawed twice": Case(lambda: [FROZEN[1]], [BOSS], 0xD),
    "frozen twice": Case(lambda: [FROZEN[0]], [BOSS], 0xD, 0, *FROZEN),
    "an authority that an account has not": Case(
        lambda: [set_authority(ata(buyer, mint), 0, SHOP, buyer)], [BUYER], 0xF
    ),
    "paid from a frozen account": Case(
        lambda: [pay(mint, buyer, SHOP, 1)], [BUYER], 0x11, 0, *FROZEN
    ),
    "minted to a frozen account": Case(
        lambda: [mint_to(mint, buyer, boss, 1)], [BOSS], 0x11, 0, *FROZEN
    ),
    "burned from a frozen account": Case(
        lambda: [burn(mint, buyer, buyer, 1)], [BUYER], 0x11, 0, *FROZEN
    ),
    "seized from a frozen account": Case(
        lambda: [call(b"\x0c" + struct.pack("<QB", 5, 2), (ata(buyer, mint), "w"), (mint, ""),
                      (ata(SHOP, mint), "w"), (boss, "s"))], [BOSS], 0x11, 0, *FROZEN
    ),
    "wrong decimals": Case(lambda: [pay(mint, buyer, SHOP, 1, decimals=6)], [BUYER], 0x12),
    "an unchecked transfer": Case(lambda: [plain_transfer(mint, buyer, SHOP, 1)], [BUYER], 0x1F),
    "given away for good": Case(
        lambda: [set_authority(ata(buyer, mint), 2, SHOP, buyer)], [BUYER], 0x22
    ),
    "paid while paused": Case(lambda: [pay(mint, buyer, SHOP, 1)], [BUYER], 0x43, 0, *PAUSED),
    "minted while paused": Case(lambda: [mint_to(mint, buyer, boss, 1)], [BOSS], 0x43, 0, *PAUSED),
    "burned while paused": Case(lambda: [burn(mint, buyer, buyer, 1)], [BUYER], 0x43, 0, *PAUSED),
    "paused by a stranger": Case(lambda: [pause(mint, stranger)], [STRANGER], 0x4),
    "named by a stranger": Case(
        new_mint_named_by_a_stranger, [BOSS, person(11), STRANGER], 0x35C2B5BF, 3
    ),
    "renamed by a stranger": Case(lambda: [rename(stranger)], [STRANGER], 0x35C2B5C0),
    "no account to pay to": Case(
        lambda: [pay(mint, buyer, person(12).pubkey(), 1)], [BUYER], "IncorrectProgramId"
    ),
    "an associated account made again": Case(lambda: [make_again()], [BOSS], "IllegalOwner"),
}  # fmt: skip
SENTENCES = {
    "IncorrectProgramId": "incorrect program id for instruction",
    "IllegalOwner": "Provided owner is not allowed",
}
# These say nothing in a log line of their own: they must be known by their number.
SILENT = {0x1F, 0x22, 0x43}


@pytest.mark.parametrize("name", CASES)
async def test_a_refusal_says_its_code_in_error_message_and_logs(
    chain: InsideChain, name: str
) -> None:
    case = CASES[name]
    if case.before is not None:
        await chain.do(case.before, signers=[BOSS])
        await chain.advance(1)  # an equal instruction again needs another blockhash
    supply = await chain.value("getTokenSupply", str(mint), {"commitment": "processed"})
    raw = await chain.sign(*case.instructions(), signers=case.signers)
    with pytest.raises(Refused) as refused:
        await chain.send(raw)
    code, err = case.err, case.err if isinstance(case.err, str) else {"Custom": case.err}
    said = SENTENCES[code] if isinstance(code, str) else f"custom program error: {code:#x}"
    assert refused.value.code == -32002
    assert refused.value.message == (
        f"Transaction simulation failed: Error processing Instruction {case.index}: {said}"
    )
    data = refused.value.data
    assert data["err"] == {"InstructionError": [case.index, err]}
    assert data["unitsConsumed"] > 0
    assert data["logs"][-1].endswith(f" failed: {said}")
    if case.err in SILENT:
        assert not any(line.startswith("Program log: Error:") for line in data["logs"])
    # Simulated, it is the same; and neither moved anything.
    value = await simulated(chain, raw)
    assert (value["err"], value["logs"]) == (data["err"], data["logs"])
    assert await chain.value("getTokenSupply", str(mint), {"commitment": "processed"}) == supply
    if case.behind is not None:
        await chain.do(case.behind, signers=[BOSS])
        await chain.advance(1)


async def simulated(chain: InsideChain, raw: bytes) -> Any:
    options = {"encoding": "base64", "commitment": "processed"}
    return await chain.value("simulateTransaction", base64.b64encode(raw).decode(), options)


async def test_a_paused_mint_is_not_a_frozen_ledger(chain: InsideChain) -> None:
    await chain.do(PAUSED[0], signers=[BOSS])
    newcomer = person(13).pubkey()
    for instruction, signer in (
        (PAUSED[0], BOSS),  # pausing twice is no error
        (open_account(buyer, newcomer, mint), BUYER),
        (approve(mint, buyer, stranger, 5), BUYER),
        (FROZEN[0], BOSS),
        (FROZEN[1], BOSS),
        (set_authority(mint, 1, boss, boss), BOSS),
        (PAUSED[1], BOSS),
    ):
        await chain.advance(1)
        await chain.do(instruction, signers=[signer])
    await chain.do(pay(mint, buyer, SHOP, 1), signers=[BUYER])


async def test_a_payer_that_nobody_knows_leaves_no_logs(chain: InsideChain) -> None:
    nobody = person(14)
    with pytest.raises(Refused) as refused:
        await chain.do(move(nobody, SHOP, 1), signers=[nobody])
    assert refused.value.message == (
        "Transaction simulation failed: "
        "Attempt to debit an account but found no record of a prior credit."
    )
    assert (refused.value.data["err"], refused.value.data["logs"]) == ("AccountNotFound", [])
