"""Metas of Token-2022 transactions, against ones worked out by hand.

Rent is (128 + bytes) x 6,960: 302 x 6,960 = 2,101,920 for an account of 174 bytes, 560 x 6,960 =
3,897,600 for the mint. Units are those of the programs that solders 0.29 brings.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from tests.devnets.solana.by_hand import (
    BUILTIN,
    INVOKE,
    SYSTEM,
    Landed,
    Written,
    amount,
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
from tests.devnets.solana.tokens import (
    ASSOCIATED,
    MEMO,
    TOKEN_2022,
    ata,
    freeze,
    make_mint,
    mint_to,
    open_account,
)

ISSUER, BUYER, SHOP, REFERENCE, MINT = (person(number) for number in (1, 2, 3, 4, 9))
issuer, buyer, shop, reference, mint = (
    key.pubkey() for key in (ISSUER, BUYER, SHOP, REFERENCE, MINT)
)
RENT, MINT_RENT = 2_101_920, 3_897_600
TOKEN_PROGRAM = 1_141_440  # (128 + 36) x 6,960: an upgradeable program's account
ATA_PROGRAM = 731_913_600  # (128 + 105,032) x 6,960: the program itself
MEMO_PROGRAM = 16_926_720  # (128 + 2,304) x 6,960
NONE = amount(0, "0", None)


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[InsideChain]:
    """A mint; the buyer has 100.00 of it, and the shop an empty account."""
    made = InsideChain(tmp_path)
    await founded(made, {ISSUER: 10 * SOL, BUYER: SOL})
    await make_mint(made, ISSUER, MINT)
    await made.do(
        open_account(issuer, buyer, mint),
        open_account(issuer, shop, mint),
        mint_to(mint, buyer, issuer, 10_000),
        signers=[ISSUER],
    )
    await made.advance(1)
    yield made
    await made.close()


def holding(index: int, owner: Pubkey, units: dict[str, Any]) -> dict[str, Any]:
    return {
        "accountIndex": index,
        "mint": str(mint),
        "owner": str(owner),
        "programId": str(TOKEN_2022),
        "uiTokenAmount": units,
    }


def token_logs(name: str, units: int, *, of: int = 200_000) -> list[str]:
    return [
        INVOKE.format(TOKEN_2022),
        f"Program log: Instruction: {name}",
        f"Program {TOKEN_2022} consumed {units} of {of} compute units",
        f"Program {TOKEN_2022} success",
    ]


def named(**keys: Pubkey) -> dict[str, str]:
    return {name: str(key) for name, key in keys.items()}


async def sent(
    chain: InsideChain, written: Written, *, skip_preflight: bool = False
) -> tuple[Landed, int]:
    """In a block of its own; also what the first signer had before."""
    had = await chain.balance(written.keys[0][0])
    landed = await land(chain, written, skip_preflight=skip_preflight)
    await chain.advance(1)
    return landed, had


async def test_a_payment_from_a_frozen_account_fails_and_pays_its_fee(chain: InsideChain) -> None:
    await chain.do(freeze(mint, buyer, issuer), signers=[ISSUER])
    keys = [(buyer, "sw"), (ata(buyer, mint), "w"), (ata(shop, mint), "w")]
    keys += [(mint, ""), (TOKEN_2022, "")]
    data = bytes.fromhex("0ce20400000000000002")  # 1,250 units, 2 decimals
    written = Written([BUYER], keys, [(4, [1, 3, 2, 0], data)])
    landed, _ = await sent(chain, written, skip_preflight=True)
    held = [
        holding(1, buyer, amount(10_000, "100", 100.0)),
        holding(2, shop, NONE),
    ]
    await check(
        chain,
        landed,
        [bare(4, [1, 3, 2, 0], "iyoo1BXgfe3jo")],
        [payment(authority=buyer)],
        meta(
            fee=5_000,
            units=1_405,
            before=[SOL, RENT, RENT, MINT_RENT, TOKEN_PROGRAM],
            after=[SOL - 5_000, RENT, RENT, MINT_RENT, TOKEN_PROGRAM],
            logs=[
                INVOKE.format(TOKEN_2022),
                "Program log: Instruction: TransferChecked",
                "Program log: Error: Account is frozen",
                f"Program {TOKEN_2022} consumed 1405 of 200000 compute units",
                f"Program {TOKEN_2022} failed: custom program error: 0x11",
            ],
            err={"InstructionError": [0, {"Custom": 17}]},
            tokens_before=held,
            tokens_after=held,
        ),
    )


def payment(**last: Any) -> dict[str, Any]:
    """12.50 from the buyer to the shop."""
    last = {name: str(one) if isinstance(one, Pubkey) else one for name, one in last.items()}
    return parsed(
        TOKEN_2022,
        "spl-token",
        "transferChecked",
        **named(source=ata(buyer, mint), mint=mint, destination=ata(shop, mint)),
        tokenAmount=amount(1_250, "12.5", 12.5),
        **last,
    )


async def test_a_payment_with_memo_and_reference(chain: InsideChain) -> None:
    # The reference is a fifth account of the transfer, which validators read as a multisig's.
    keys = [(buyer, "sw"), (ata(buyer, mint), "w"), (ata(shop, mint), "w")]
    keys += [(mint, ""), (MEMO, ""), (reference, ""), (TOKEN_2022, "")]
    written = Written(
        [BUYER],
        keys,
        [
            (4, [], "заказ 7".encode()),
            (6, [1, 3, 2, 0, 5], bytes.fromhex("0ce20400000000000002")),
        ],
    )
    landed, _ = await sent(chain, written)
    await check(
        chain,
        landed,
        [bare(4, [], "4wSkUjZot6jx2Eb5G"), bare(6, [1, 3, 2, 0, 5], "iyoo1BXgfe3jo")],
        [
            parsed(MEMO, "spl-memo", "заказ 7"),
            payment(multisigAuthority=buyer, signers=[str(reference)]),
        ],
        meta(
            fee=5_000,
            units=287 + 3_279,
            before=[SOL, RENT, RENT, MINT_RENT, MEMO_PROGRAM, 0, TOKEN_PROGRAM],
            after=[SOL - 5_000, RENT, RENT, MINT_RENT, MEMO_PROGRAM, 0, TOKEN_PROGRAM],
            logs=[
                INVOKE.format(MEMO),
                "Program log: Memo (len 12)",
                "Program log: заказ 7",
                f"Program {MEMO} consumed 287 of 400000 compute units",
                f"Program {MEMO} success",
                *token_logs("TransferChecked", 3_279, of=400_000 - 287),
            ],
            tokens_before=[
                holding(1, buyer, amount(10_000, "100", 100.0)),
                holding(2, shop, NONE),
            ],
            tokens_after=[
                holding(1, buyer, amount(8_750, "87.5", 87.5)),
                holding(2, shop, amount(1_250, "12.5", 12.5)),
            ],
        ),
    )
    (row,) = await chain.call(
        "getSignaturesForAddress", str(reference), {"commitment": "confirmed"}
    )
    assert row["memo"] == "[12] заказ 7"  # bytes of UTF-8, not characters


async def test_an_associated_account_is_made_by_inner_instructions(chain: InsideChain) -> None:
    owner = person(5).pubkey()
    account = ata(owner, mint)
    keys = [(issuer, "sw"), (account, "w"), (owner, ""), (mint, ""), (SYSTEM, "")]
    keys += [(TOKEN_2022, ""), (ASSOCIATED, "")]
    landed, had = await sent(chain, Written([ISSUER], keys, [(6, [0, 1, 2, 3, 4, 5], b"\x01")]))

    def inner(program: int, accounts: list[int], data: str) -> dict[str, Any]:
        return bare(program, accounts, data) | {"stackHeight": 2}

    data_size = inner(5, [3], "84eT")  # 15, and 0700: with ImmutableOwner
    create = inner(
        4, [0, 1], "11116sZiipZkWjEoX3nSofsnymQT8aB1JcPWfJPRHHho3RNXCw693hHiwdSuDzW1AwYqyu"
    )
    immutable = inner(5, [1], "P")
    initialize = inner(5, [1, 3], "6UZxWt3KdMnyDyMEEi6UVWfr4Yb4cmm7YuFUrvmdroUNc")
    inner_parsed = [
        parsed(
            TOKEN_2022,
            "spl-token",
            "getAccountDataSize",
            height=2,
            mint=str(mint),
            extensionTypes=["immutableOwner"],
        ),
        parsed(
            SYSTEM,
            "system",
            "createAccount",
            height=2,
            **named(source=issuer, newAccount=account, owner=TOKEN_2022),
            lamports=2_101_920,
            space=174,
        ),
        parsed(TOKEN_2022, "spl-token", "initializeImmutableOwner", height=2, account=str(account)),
        parsed(
            TOKEN_2022,
            "spl-token",
            "initializeAccount3",
            height=2,
            **named(account=account, mint=mint, owner=owner),
        ),
    ]
    others = [0, MINT_RENT, BUILTIN, TOKEN_PROGRAM, ATA_PROGRAM]
    invoke = f"Program {TOKEN_2022} invoke [2]"
    await check(
        chain,
        landed,
        [bare(6, [0, 1, 2, 3, 4, 5], "2")],
        [
            parsed(
                ASSOCIATED,
                "spl-associated-token-account",
                "createIdempotent",
                **named(
                    source=issuer,
                    account=account,
                    wallet=owner,
                    mint=mint,
                    systemProgram=SYSTEM,
                    tokenProgram=TOKEN_2022,
                ),
            )
        ],
        meta(
            fee=5_000,
            units=18_161,
            before=[had, 0, *others],
            after=[had - 5_000 - 2_101_920, 2_101_920, *others],
            logs=[
                INVOKE.format(ASSOCIATED),
                "Program log: CreateIdempotent",
                invoke,
                "Program log: Instruction: GetAccountDataSize",
                f"Program {TOKEN_2022} consumed 1646 of 194658 compute units",
                f"Program return: {TOKEN_2022} rgAAAAAAAAA=",  # 174 in eight bytes
                f"Program {TOKEN_2022} success",
                f"Program {SYSTEM} invoke [2]",
                f"Program {SYSTEM} success",
                "Program log: Initialize the associated token account",
                invoke,
                "Program log: Instruction: InitializeImmutableOwner",
                f"Program {TOKEN_2022} consumed 734 of 188190 compute units",
                f"Program {TOKEN_2022} success",
                invoke,
                "Program log: Instruction: InitializeAccount3",
                "Program log: Warning: Mint has a permanent delegate, so tokens in this account"
                " may be seized at any time",
                f"Program {TOKEN_2022} consumed 2976 of 185119 compute units",
                f"Program {TOKEN_2022} success",
                f"Program {ASSOCIATED} consumed 18161 of 200000 compute units",
                f"Program {ASSOCIATED} success",
            ],
            inner=[{"index": 0, "instructions": [data_size, create, immutable, initialize]}],
            tokens_after=[holding(1, owner, NONE)],
        ),
        [{"index": 0, "instructions": inner_parsed}],
    )


async def one(
    chain: InsideChain,
    signer: Keypair,
    keys: list[tuple[Pubkey, str]],
    accounts: list[int],
    data: tuple[str, str],
    shown: dict[str, Any],
    log: tuple[str, int],
    lamports: list[int],
    tokens: tuple[list[Any], list[Any]],
) -> None:
    """One Token-2022 instruction that costs its signer nothing but the fee."""
    keys = [*keys, (TOKEN_2022, "")]
    written = Written([signer], keys, [(len(keys) - 1, accounts, bytes.fromhex(data[0]))])
    landed, had = await sent(chain, written)
    await check(
        chain,
        landed,
        [bare(len(keys) - 1, accounts, data[1])],
        [shown],
        meta(
            fee=5_000,
            units=log[1],
            before=[had, *lamports, TOKEN_PROGRAM],
            after=[had - 5_000, *lamports, TOKEN_PROGRAM],
            logs=token_logs(*log),
            tokens_before=tokens[0],
            tokens_after=tokens[1],
        ),
    )


async def test_a_mint(chain: InsideChain) -> None:
    account = ata(shop, mint)
    await one(
        chain,
        ISSUER,
        [(issuer, "sw"), (mint, "w"), (account, "w")],
        [1, 2, 0],
        ("0e881300000000000002", "pMQ4FQHYr1DVB"),  # 5,000 units, 2 decimals
        parsed(
            TOKEN_2022,
            "spl-token",
            "mintToChecked",
            **named(mint=mint, account=account, mintAuthority=issuer),
            tokenAmount=amount(5_000, "50", 50.0),
        ),
        ("MintToChecked", 1_986),
        [MINT_RENT, RENT],
        ([holding(2, shop, NONE)], [holding(2, shop, amount(5_000, "50", 50.0))]),
    )
    supply = await chain.value("getTokenSupply", str(mint), {"commitment": "confirmed"})
    assert supply == amount(15_000, "150", 150.0)


async def test_a_burn(chain: InsideChain) -> None:
    account = ata(buyer, mint)
    await one(
        chain,
        BUYER,
        [(buyer, "sw"), (account, "w"), (mint, "w")],
        [1, 2, 0],
        ("0f640000000000000002", "s9m8UUrvs3fBP"),  # 100 units, 2 decimals
        parsed(
            TOKEN_2022,
            "spl-token",
            "burnChecked",
            **named(account=account, mint=mint, authority=buyer),
            tokenAmount=amount(100, "1", 1.0),
        ),
        ("BurnChecked", 2_321),
        [RENT, MINT_RENT],
        (
            [holding(1, buyer, amount(10_000, "100", 100.0))],
            [holding(1, buyer, amount(9_900, "99", 99.0))],
        ),
    )


async def test_a_freeze(chain: InsideChain) -> None:
    account = ata(buyer, mint)
    held = [holding(1, buyer, amount(10_000, "100", 100.0))]
    await one(
        chain,
        ISSUER,
        [(issuer, "sw"), (account, "w"), (mint, "")],
        [1, 2, 0],
        ("0a", "B"),
        parsed(
            TOKEN_2022,
            "spl-token",
            "freezeAccount",
            **named(account=account, mint=mint, freezeAuthority=issuer),
        ),
        ("FreezeAccount", 1_229),
        [RENT, MINT_RENT],
        (held, held),
    )
    options = {"encoding": "jsonParsed", "commitment": "confirmed"}
    value = await chain.value("getAccountInfo", str(account), options)
    assert value == {
        "lamports": RENT,
        "owner": str(TOKEN_2022),
        "executable": False,
        "rentEpoch": 18_446_744_073_709_551_615,
        "space": 174,
        "data": {
            "program": "spl-token-2022",
            "space": 174,
            "parsed": {
                "type": "account",
                "info": {
                    "mint": str(mint),
                    "owner": str(buyer),
                    "tokenAmount": amount(10_000, "100", 100.0),
                    "state": "frozen",
                    "isNative": False,
                    "extensions": [
                        {"extension": "immutableOwner"},
                        {"extension": "pausableAccount"},
                    ],
                },
            },
        },
    }


async def test_a_closed_account_gives_its_rent_back(chain: InsideChain) -> None:
    account = ata(shop, mint)
    keys = [(issuer, "sw"), (shop, "s"), (account, "w"), (TOKEN_2022, "")]
    landed, had = await sent(chain, Written([ISSUER, SHOP], keys, [(3, [2, 0, 1], b"\x09")]))
    await check(
        chain,
        landed,
        [bare(3, [2, 0, 1], "A")],
        [
            parsed(
                TOKEN_2022,
                "spl-token",
                "closeAccount",
                **named(account=account, destination=issuer, owner=shop),
            )
        ],
        meta(
            fee=10_000,
            units=1_790,
            before=[had, 0, RENT, TOKEN_PROGRAM],
            after=[had - 10_000 + RENT, 0, 0, TOKEN_PROGRAM],
            logs=token_logs("CloseAccount", 1_790),
            tokens_before=[holding(2, shop, NONE)],
        ),
    )
    assert await chain.value("getAccountInfo", str(account), {"commitment": "confirmed"}) is None
