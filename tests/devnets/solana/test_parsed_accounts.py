"""`jsonParsed` accounts beyond tokens: extensions, sysvars, nonces, multisigs, programs."""

import struct
from typing import Any

import pytest
from solders import system_program as system
from solders.account import Account
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from spl.token import instructions as token
from spl.token import models

from sandbox.devnets.solana.jsonparsed import parse_account
from sandbox.devnets.solana.tokens import TOKEN
from tests.devnets.solana import tokens
from tests.devnets.solana.chain import SOL, Chain

A, B, D = (Pubkey([number] * 32) for number in (1, 2, 4))
RENT = "SysvarRent111111111111111111111111111111111"


def mint_with(kind: int, value: bytes) -> Account:
    base = bytearray(166)
    base[44], base[45], base[165] = 2, 1, 1
    data = bytes(base) + struct.pack("<HH", kind, len(value)) + value
    return Account(1, data, tokens.TOKEN_2022)


NOBODY = bytes(32)


@pytest.mark.parametrize(
    ("kind", "value", "wanted"),
    [
        (3, bytes(A), ("mintCloseAuthority", {"closeAuthority": str(A)})),
        (3, NOBODY, ("mintCloseAuthority", {"closeAuthority": None})),
        (6, b"\x02", ("defaultAccountState", {"accountState": "frozen"})),
        (9, b"", ("nonTransferable", None)),
        (
            10,
            bytes(A) + struct.pack("<qhqh", 5, -1, 6, 250),
            (
                "interestBearingConfig",
                {
                    "rateAuthority": str(A),
                    "initializationTimestamp": 5,
                    "preUpdateAverageRate": -1,
                    "lastUpdateTimestamp": 6,
                    "currentRate": 250,
                },
            ),
        ),
        (
            1,
            bytes(A) + NOBODY + struct.pack("<QQQHQQH", 7, 1, 2, 3, 4, 5, 6),
            (
                "transferFeeConfig",
                {
                    "transferFeeConfigAuthority": str(A),
                    "withdrawWithheldAuthority": None,
                    "withheldAmount": 7,
                    "olderTransferFee": {
                        "epoch": 1, "maximumFee": 2, "transferFeeBasisPoints": 3,
                    },
                    "newerTransferFee": {
                        "epoch": 4, "maximumFee": 5, "transferFeeBasisPoints": 6,
                    },
                },
            ),
        ),
        (14, bytes(A) + bytes(B), ("transferHook", {"authority": str(A), "programId": str(B)})),
        (
            25,
            bytes(A) + struct.pack("<dqd", 1.0, 9, 1.05),
            (
                "scaledUiAmountConfig",
                {
                    "authority": str(A),
                    "multiplier": "1",
                    "newMultiplierEffectiveTimestamp": 9,
                    "newMultiplier": "1.05",
                },
            ),
        ),
        (4, bytes(97), ("unparseableExtension", None)),
    ],
)  # fmt: skip
def test_an_extension_is_told_as_a_validator_tells_it(
    kind: int, value: bytes, wanted: tuple[str, Any]
) -> None:
    found = parse_account(bytes(D), mint_with(kind, value), lambda _: 2)
    assert found is not None
    (extension,) = found["parsed"]["info"]["extensions"]
    assert (extension["extension"], extension.get("state")) == wanted


async def test_sysvars_nonces_multisigs_and_programs_are_parsed(chain: Chain) -> None:
    payer, nonce = await chain.wallet(), Keypair()
    boss, key = payer.pubkey(), nonce.pubkey()
    group = Keypair()
    rent = await chain.call("getMinimumBalanceForRentExemption", 355)
    made = system.create_account(
        {
            "from_pubkey": boss,
            "to_pubkey": group.pubkey(),
            "lamports": rent,
            "space": 355,
            "owner": TOKEN,
        }
    )
    shared = models.InitializeMultisigParams(
        program_id=TOKEN, multisig=group.pubkey(), m=1, signers=[A, B]
    )
    first, second = system.create_nonce_account(boss, key, boss, SOL)
    await chain.do(first, second, signers=[payer, nonce])
    await chain.do(made, token.initialize_multisig(shared), signers=[payer, group])

    async def told(name: Any) -> Any:
        options = {"commitment": "processed", "encoding": "jsonParsed"}
        data = (await chain.value("getAccountInfo", str(name), options))["data"]
        return data["program"], data["parsed"]["type"], data["parsed"]["info"]

    assert (await told(key))[:2] == ("nonce", "initialized")
    assert (await told(key))[2]["authority"] == str(boss)
    assert await told(group.pubkey()) == (
        "spl-token",
        "multisig",
        {
            "numRequiredSigners": 1,
            "numValidSigners": 2,
            "isInitialized": True,
            "signers": [str(A), str(B)],
        },
    )
    program, kind, info = await told(TOKEN)
    assert (program, kind) == ("bpf-upgradeable-loader", "program")
    assert await chain.value("getAccountInfo", info["programData"], {"encoding": "base64"})
    told_rent = (await told(RENT))[2]
    per_byte = int(told_rent["lamportsPerByteYear"]) * told_rent["exemptionThreshold"]
    assert per_byte * (128 + 355) == rent
    program, kind, info = await told("SysvarEpochSchedu1e111111111111111111111111")
    assert (program, kind) == ("sysvar", "epochSchedule")
    assert info == await chain.call("getEpochSchedule")
    await chain.advance(3)
    kind, hashes = (await told("SysvarS1otHashes111111111111111111111111111"))[1:]
    assert kind == "slotHashes"
    block = await chain.call("getBlock", hashes[1]["slot"], {"commitment": "confirmed"})
    assert block["blockhash"] == hashes[1]["hash"]


async def test_the_clock_is_that_of_the_commitment_which_is_asked(chain: Chain) -> None:
    await chain.advance(40)
    clock = "SysvarC1ock11111111111111111111111111111111"
    for commitment in ("processed", "confirmed", "finalized"):
        options = {"commitment": commitment, "encoding": "jsonParsed"}
        found = await chain.call("getAccountInfo", clock, options)
        info = found["value"]["data"]["parsed"]["info"]
        assert info["slot"] == found["context"]["slot"]
        if commitment != "processed":
            assert info["unixTimestamp"] == await chain.call("getBlockTime", info["slot"])
