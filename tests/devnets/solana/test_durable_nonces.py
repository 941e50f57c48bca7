"""Durable nonces: refusals first, then use, once each, also after a failure and a restart."""

import base64
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.system_program import (
    AdvanceNonceAccountParams,
    advance_nonce_account,
    create_nonce_account,
)
from solders.transaction import VersionedTransaction

from tests.devnets.solana.chain import SOL, Refused, move
from tests.devnets.solana.inside import InsideChain

NONCE_RENT = 1_447_680  # (128 + 80) x 6,960


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[InsideChain]:
    made = InsideChain(tmp_path)
    yield made
    await made.close()


async def make_nonce(chain: InsideChain, payer: Keypair) -> Pubkey:
    nonce = Keypair()
    await chain.do(
        *create_nonce_account(payer.pubkey(), nonce.pubkey(), payer.pubkey(), NONCE_RENT),
        signers=[payer, nonce],
    )
    await chain.advance(1)
    return nonce.pubkey()


async def value_of(chain: InsideChain, nonce: Pubkey) -> Hash:
    options = {"commitment": "processed", "encoding": "base64"}
    found = await chain.value("getAccountInfo", str(nonce), options)
    return Hash(base64.b64decode(found["data"][0])[40:72])


def advance(nonce: Pubkey, authority: Pubkey) -> Instruction:
    return advance_nonce_account(
        AdvanceNonceAccountParams(nonce_pubkey=nonce, authorized_pubkey=authority)
    )


def signed(value: Hash, payer: Keypair, *instructions: Instruction) -> bytes:
    message = Message.new_with_blockhash(list(instructions), payer.pubkey(), value)
    return bytes(VersionedTransaction(message, [payer]))


async def test_a_nonce_that_is_not_advanced_first_is_no_nonce(chain: InsideChain) -> None:
    payer = await chain.wallet()
    nonce, key = await make_nonce(chain, payer), payer.pubkey()
    value, pay = await value_of(chain, nonce), move(payer, Keypair().pubkey(), SOL)
    stranger = await chain.wallet()
    for raw in (
        signed(value, payer, pay),
        signed(value, payer, pay, advance(nonce, key)),
        signed(Hash.new_unique(), payer, advance(nonce, key), pay),
        signed(value, payer, advance(Keypair().pubkey(), key), pay),
        signed(value, stranger, advance(nonce, stranger.pubkey())),
    ):
        with pytest.raises(Refused) as refused:
            await chain.send(raw)
        assert refused.value.data["err"] == "BlockhashNotFound"
    assert await value_of(chain, nonce) == value


async def test_a_nonce_works_long_after_every_blockhash_of_its_time_and_once(
    chain: InsideChain,
) -> None:
    payer, receiver = await chain.wallet(), Keypair().pubkey()
    nonce, key = await make_nonce(chain, payer), payer.pubkey()
    value = await value_of(chain, nonce)
    raw = signed(value, payer, advance(nonce, key), move(payer, receiver, SOL))
    other = signed(value, payer, advance(nonce, key), move(payer, receiver, 2 * SOL))
    await chain.advance(400)
    newest = bytes(await chain.blockhash())
    message = base64.b64encode(bytes(VersionedTransaction.from_bytes(raw).message)).decode()
    assert await chain.value("getFeeForMessage", message, {"commitment": "processed"}) == 5_000
    signature = await chain.send(raw)
    # Agave's rule: the new value is the hash of these words and the newest block's hash.
    expected = Hash(hashlib.sha256(b"DURABLE_NONCE" + newest).digest())
    assert await value_of(chain, nonce) == expected
    for again, err in ((raw, "BlockhashNotFound"), (other, "BlockhashNotFound")):
        with pytest.raises(Refused) as refused:
            await chain.send(again)
        assert refused.value.data["err"] == err
        await chain.send(again, skipPreflight=True)
    # Once per slot: the fresh value works from the next one on.
    fresh = signed(expected, payer, advance(nonce, key), move(payer, receiver, SOL))
    with pytest.raises(Refused):
        await chain.send(fresh)
    await chain.advance(200)
    for again in (raw, other):
        with pytest.raises(Refused):
            await chain.send(again)
    await chain.send(fresh)
    await chain.advance(1)
    assert await chain.balance(receiver, "confirmed") == 2 * SOL
    assert (await chain.status(signature))["err"] is None


async def test_a_failed_transaction_uses_its_nonce_up_and_pays_once(chain: InsideChain) -> None:
    payer = await chain.wallet(10 * SOL)
    nonce, key = await make_nonce(chain, payer), payer.pubkey()
    left = await chain.balance(key)
    value = await value_of(chain, nonce)
    raw = signed(value, payer, advance(nonce, key), move(payer, Keypair().pubkey(), 50 * SOL))
    signature = await chain.send(raw, skipPreflight=True)
    assert await value_of(chain, nonce) != value
    await chain.advance(200)  # its signature is forgotten by now
    assert await chain.send(raw, skipPreflight=True) == signature
    await chain.advance(1)
    assert await chain.balance(key, "confirmed") == left - 5_000
    assert (await chain.status(signature))["err"] == {"InstructionError": [1, {"Custom": 1}]}


async def test_a_reorg_gives_the_nonce_back_and_a_restart_keeps_it(tmp_path: Path) -> None:
    chain = InsideChain(tmp_path)
    payer, receiver = await chain.wallet(), Keypair().pubkey()
    nonce, key = await make_nonce(chain, payer), payer.pubkey()
    await chain.advance(1)
    value = await value_of(chain, nonce)
    raw = signed(value, payer, advance(nonce, key), move(payer, receiver, SOL))
    await chain.send(raw)
    await chain.advance(1)
    await chain.call("sandbox_reorg", {"slots": 1, "mode": "drop"})
    assert await value_of(chain, nonce) == value
    await chain.send(raw)
    await chain.advance(1)
    await chain.call("sandbox_reorg", {"slots": 1, "mode": "reinclude"})
    used = await value_of(chain, nonce)
    assert used != value
    await chain.advance(1)
    await chain.close()
    chain = InsideChain(tmp_path)
    assert await value_of(chain, nonce) == used
    assert await chain.balance(receiver) == SOL
    await chain.close()
