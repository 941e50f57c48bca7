"""Address lookup tables: made, used by a version-0 transaction, indexed and parsed."""

import base64
import struct

from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from tests.devnets.solana.chain import SOL, Chain, move

TABLES = Pubkey.from_string("AddressLookupTab1e1111111111111111111111111")
WITH_V0 = {"commitment": "confirmed", "maxSupportedTransactionVersion": 0}


async def make_table(chain: Chain, payer: Keypair, addresses: list[Pubkey]) -> Pubkey:
    slot = await chain.advance(1) - 1
    key = payer.pubkey()
    table, bump = Pubkey.find_program_address([bytes(key), struct.pack("<Q", slot)], TABLES)
    accounts = [
        AccountMeta(table, False, True),
        AccountMeta(key, True, False),
        AccountMeta(key, True, True),
        AccountMeta(Pubkey.default(), False, False),
    ]
    added = b"".join(bytes(address) for address in addresses)
    await chain.do(
        Instruction(TABLES, struct.pack("<IQB", 0, slot, bump), accounts),
        Instruction(TABLES, struct.pack("<IQ", 2, len(addresses)) + added, accounts),
        signers=[payer],
    )
    await chain.advance(1)
    return table


async def test_a_loaded_account_is_paid_listed_and_shown(chain: Chain) -> None:
    payer, receiver, reference = await chain.wallet(), Keypair().pubkey(), Keypair().pubkey()
    table = await make_table(chain, payer, [receiver, reference])
    pay = move(payer, receiver, SOL)
    instruction = Instruction(
        pay.program_id, pay.data, [*pay.accounts, AccountMeta(reference, False, False)]
    )
    message = MessageV0.try_compile(
        payer.pubkey(),
        [instruction],
        [AddressLookupTableAccount(table, [receiver, reference])],
        await chain.blockhash(),
    )
    assert len(message.account_keys) == 2
    signature = await chain.send(bytes(VersionedTransaction(message, [payer])))
    await chain.advance(1)
    assert await chain.balance(receiver, "confirmed") == SOL
    for key in (receiver, reference):
        (row,) = await chain.call("getSignaturesForAddress", str(key), WITH_V0)
        assert row["signature"] == signature
    found = await chain.call("getTransaction", signature, WITH_V0)
    assert found["meta"]["loadedAddresses"] == {
        "writable": [str(receiver)],
        "readonly": [str(reference)],
    }
    assert found["meta"]["postBalances"][2] == SOL
    assert found["transaction"]["message"]["accountKeys"] == [
        str(payer.pubkey()),
        str(Pubkey.default()),
    ]
    parsed = await chain.call("getTransaction", signature, WITH_V0 | {"encoding": "jsonParsed"})
    assert parsed["transaction"]["message"]["accountKeys"][2:] == [
        {"pubkey": str(receiver), "signer": False, "writable": True, "source": "lookupTable"},
        {"pubkey": str(reference), "signer": False, "writable": False, "source": "lookupTable"},
    ]
    value = await chain.value(
        "getAccountInfo", str(table), {"commitment": "confirmed", "encoding": "jsonParsed"}
    )
    info = value["data"]["parsed"]["info"]
    assert info["addresses"] == [str(receiver), str(reference)]
    assert info["authority"] == str(payer.pubkey())
    # The journal keeps what was loaded.
    await chain.kill()
    await chain.start()
    assert await chain.call("getTransaction", signature, WITH_V0) == found


async def test_the_fee_that_was_told_is_the_fee_that_is_charged(chain: Chain) -> None:
    payer = await chain.wallet()
    message = MessageV0.try_compile(
        payer.pubkey(),
        [
            set_compute_unit_limit(20_001),
            set_compute_unit_price(333_333),
            move(payer, Keypair().pubkey(), SOL),
        ],
        [],
        await chain.blockhash(),
    )
    text = base64.b64encode(b"\x80" + bytes(message).removeprefix(b"\x80")).decode()
    told = await chain.value("getFeeForMessage", text, {"commitment": "processed"})
    signature = await chain.send(bytes(VersionedTransaction(message, [payer])))
    await chain.advance(1)
    found = await chain.call("getTransaction", signature, WITH_V0)
    assert found["meta"]["fee"] == told == 5_000 + 6_667
    assert await chain.balance(payer.pubkey(), "confirmed") == 9 * SOL - told
