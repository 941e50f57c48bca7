"""sendTransaction and simulateTransaction: refusals with their exact codes, then what lands."""

import base64

import pytest
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import Message, MessageV0, MessageV1
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from tests.devnets.solana.chain import SOL, Chain, Refused, move


async def test_money_that_is_not_there_is_refused_with_the_simulation(chain: Chain) -> None:
    payer = await chain.wallet(SOL)
    raw = await chain.sign(move(payer, Keypair().pubkey(), 5 * SOL), signers=[payer])
    with pytest.raises(Refused) as refused:
        await chain.send(raw)
    assert refused.value.code == -32002
    assert refused.value.message == (
        "Transaction simulation failed: Error processing Instruction 0: custom program error: 0x1"
    )
    assert refused.value.data["err"] == {"InstructionError": [0, {"Custom": 1}]}
    assert any("insufficient lamports" in line for line in refused.value.data["logs"])
    assert await chain.balance(payer.pubkey()) == SOL


async def test_a_failed_preflight_takes_no_fee_and_leaves_no_trace(chain: Chain) -> None:
    payer = await chain.wallet(SOL)
    before = await chain.call("getTransactionCount", {"commitment": "processed"})
    raw = await chain.sign(move(payer, Keypair().pubkey(), 5 * SOL), signers=[payer])
    with pytest.raises(Refused):
        await chain.send(raw)
    await chain.advance(1)
    assert await chain.balance(payer.pubkey(), "confirmed") == SOL
    assert await chain.call("getTransactionCount", {"commitment": "processed"}) == before


async def test_an_unknown_blockhash_is_refused(chain: Chain) -> None:
    payer = await chain.wallet()
    message = Message.new_with_blockhash(
        [move(payer, Keypair().pubkey(), SOL)], payer.pubkey(), Hash.new_unique()
    )
    raw = bytes(VersionedTransaction(message, [payer]))
    with pytest.raises(Refused) as refused:
        await chain.send(raw)
    assert refused.value.code == -32002
    assert refused.value.message == "Transaction simulation failed: Blockhash not found"
    assert refused.value.data["err"] == "BlockhashNotFound"
    assert refused.value.data["logs"] == []
    # Without preflight the signature comes back, and nothing lands.
    signature = await chain.send(raw, skipPreflight=True)
    await chain.advance(1)
    assert await chain.status(signature) is None


async def test_a_false_signature_is_refused(chain: Chain) -> None:
    payer = await chain.wallet()
    message = Message.new_with_blockhash(
        [move(payer, Keypair().pubkey(), SOL)], payer.pubkey(), await chain.blockhash()
    )
    raw = bytes(VersionedTransaction.populate(message, [Signature.new_unique()]))
    with pytest.raises(Refused) as refused:
        await chain.send(raw)
    assert refused.value.code == -32003
    signature = await chain.send(raw, skipPreflight=True)
    await chain.advance(1)
    assert await chain.status(signature) is None


async def test_a_payer_without_an_account_is_refused(chain: Chain) -> None:
    payer = Keypair()
    raw = await chain.sign(move(payer, Keypair().pubkey(), 1), signers=[payer])
    with pytest.raises(Refused) as refused:
        await chain.send(raw)
    assert refused.value.data["err"] == "AccountNotFound"
    signature = await chain.send(raw, skipPreflight=True)
    await chain.advance(1)
    assert await chain.status(signature) is None


@pytest.mark.parametrize(
    "text",
    ["", "!!!!", "AAAA", base64.b64encode(bytes(64)).decode(), base64.b64encode(b"\x01").decode()],
)
async def test_what_is_no_transaction_is_refused(chain: Chain, text: str) -> None:
    with pytest.raises(Refused) as refused:
        await chain.call("sendTransaction", text, {"encoding": "base64"})
    assert refused.value.code == -32602


async def test_a_version_1_transaction_is_refused(chain: Chain) -> None:
    payer = await chain.wallet()
    message = MessageV1.try_compile(
        payer.pubkey(), [move(payer, Keypair().pubkey(), SOL)], await chain.blockhash()
    )
    with pytest.raises(Refused) as refused:
        await chain.send(bytes(VersionedTransaction(message, [payer])))
    assert refused.value.code == -32602
    assert "version" in refused.value.message


async def test_a_transaction_above_1232_bytes_is_refused(chain: Chain) -> None:
    payer = await chain.wallet()
    receivers = [Keypair().pubkey() for _ in range(22)]
    moves = [move(payer, receiver, SOL // 100) for receiver in receivers]
    raw = await chain.sign(*moves, signers=[payer])
    assert len(raw) > 1_232
    with pytest.raises(Refused) as refused:
        await chain.send(raw)
    assert refused.value.code == -32602


async def test_a_context_slot_ahead_of_the_chain_is_refused(chain: Chain) -> None:
    with pytest.raises(Refused) as refused:
        await chain.call("getSlot", {"commitment": "processed", "minContextSlot": 10_000})
    assert refused.value.code == -32016
    assert refused.value.data == {"contextSlot": 1}


async def test_the_same_transaction_counts_once(chain: Chain) -> None:
    payer, receiver = await chain.wallet(), Keypair().pubkey()
    raw = await chain.sign(move(payer, receiver, SOL), signers=[payer])
    signature = await chain.send(raw)
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            await chain.send(raw)
        assert refused.value.data["err"] == "AlreadyProcessed"
        assert refused.value.message == (
            "Transaction simulation failed: This transaction has already been processed"
        )
        assert await chain.send(raw, skipPreflight=True) == signature
        await chain.advance(40)  # also when it is final
    assert await chain.balance(receiver) == SOL


async def test_the_same_transaction_counts_once_after_a_restart(chain: Chain) -> None:
    payer, receiver = await chain.wallet(), Keypair().pubkey()
    raw = await chain.sign(move(payer, receiver, SOL), signers=[payer])
    signature = await chain.send(raw)
    await chain.advance(40)
    await chain.stop()
    await chain.start()
    with pytest.raises(Refused) as refused:
        await chain.send(raw)
    assert refused.value.data["err"] == "AlreadyProcessed"
    assert await chain.send(raw, skipPreflight=True) == signature
    assert await chain.balance(receiver) == SOL


async def test_a_blockhash_expires_after_150_blocks(chain: Chain) -> None:
    payer, receiver = await chain.wallet(), Keypair().pubkey()
    latest = await chain.value("getLatestBlockhash", {"commitment": "processed"})
    blockhash, last_valid = latest["blockhash"], latest["lastValidBlockHeight"]
    raws = []
    for lamports in (SOL, 2 * SOL):
        message = Message.new_with_blockhash(
            [move(payer, receiver, lamports)], payer.pubkey(), Hash.from_string(blockhash)
        )
        raws.append(bytes(VersionedTransaction(message, [payer])))
    await chain.advance(149)
    assert await chain.call("getBlockHeight", {"commitment": "processed"}) == last_valid
    assert await chain.value("isBlockhashValid", blockhash, {"commitment": "processed"}) is True
    await chain.send(raws[0])
    await chain.advance(1)
    assert await chain.value("isBlockhashValid", blockhash, {"commitment": "processed"}) is False
    with pytest.raises(Refused) as refused:
        await chain.send(raws[1])
    assert refused.value.data["err"] == "BlockhashNotFound"
    # The one that landed is expired as well, not "already processed": it stays refused for ever.
    with pytest.raises(Refused) as refused:
        await chain.send(raws[0])
    assert refused.value.data["err"] == "BlockhashNotFound"


async def test_a_blockhash_asked_at_finalized_is_still_good(chain: Chain) -> None:
    payer = await chain.wallet()
    await chain.advance(60)
    blockhash = await chain.blockhash("finalized")
    message = Message.new_with_blockhash(
        [move(payer, Keypair().pubkey(), SOL)], payer.pubkey(), blockhash
    )
    await chain.send(bytes(VersionedTransaction(message, [payer])))


async def test_expire_blockhashes_expires_them(chain: Chain) -> None:
    payer = await chain.wallet()
    raw = await chain.sign(move(payer, Keypair().pubkey(), SOL), signers=[payer])
    await chain.call("sandbox_expireBlockhashes")
    with pytest.raises(Refused) as refused:
        await chain.send(raw)
    assert refused.value.data["err"] == "BlockhashNotFound"


async def test_a_failure_without_preflight_lands_and_pays_its_fee(chain: Chain) -> None:
    payer = await chain.wallet(SOL)
    raw = await chain.sign(move(payer, Keypair().pubkey(), 5 * SOL), signers=[payer])
    signature = await chain.send(raw, skipPreflight=True)
    await chain.advance(1)
    status = await chain.status(signature)
    assert status["err"] == {"InstructionError": [0, {"Custom": 1}]}
    assert status["status"] == {"Err": status["err"]}
    assert await chain.balance(payer.pubkey(), "confirmed") == SOL - 5_000
    found = await chain.call("getTransaction", signature, {"commitment": "confirmed"})
    assert found["meta"]["err"] == status["err"]
    assert found["meta"]["fee"] == 5_000


async def test_simulation_changes_nothing_and_tells_everything(chain: Chain) -> None:
    payer, receiver = await chain.wallet(), Keypair().pubkey()
    raw = await chain.sign(move(payer, receiver, SOL), signers=[payer])
    text = base64.b64encode(raw).decode()
    value = await chain.value(
        "simulateTransaction",
        text,
        {
            "encoding": "base64",
            "sigVerify": True,
            "innerInstructions": True,
            "accounts": {"addresses": [str(receiver)], "encoding": "base64"},
        },
    )
    assert value["err"] is None
    assert value["unitsConsumed"] > 0
    assert value["accounts"][0]["lamports"] == SOL
    assert await chain.balance(receiver) == 0


async def test_simulation_can_replace_the_blockhash_but_not_also_verify(chain: Chain) -> None:
    payer = await chain.wallet()
    message = MessageV0.try_compile(
        payer.pubkey(), [move(payer, Keypair().pubkey(), SOL)], [], Hash.default()
    )
    text = base64.b64encode(bytes(VersionedTransaction(message, [payer]))).decode()
    options = {"encoding": "base64", "replaceRecentBlockhash": True}
    value = await chain.value("simulateTransaction", text, options)
    assert value["err"] is None
    latest = await chain.value("getLatestBlockhash", {"commitment": "finalized"})
    assert value["replacementBlockhash"] == latest
    with pytest.raises(Refused) as refused:
        await chain.call("simulateTransaction", text, options | {"sigVerify": True})
    assert refused.value.code == -32602
    value = await chain.value("simulateTransaction", text, {"encoding": "base64"})
    assert value["err"] == "BlockhashNotFound"


async def test_fees_are_told_for_known_blockhashes_only(chain: Chain) -> None:
    payer = await chain.wallet()
    moves = [move(payer, Keypair().pubkey(), SOL)]
    for blockhash, fee in ((await chain.blockhash(), 5_000), (Hash.new_unique(), None)):
        message = MessageV0.try_compile(payer.pubkey(), moves, [], blockhash)
        raw = b"\x80" + bytes(message) if bytes(message)[0] != 0x80 else bytes(message)
        text = base64.b64encode(raw).decode()
        found = await chain.value("getFeeForMessage", text, {"commitment": "processed"})
        assert found == fee


async def test_equal_airdrops_in_one_slot_all_arrive(chain: Chain) -> None:
    receiver = str(Keypair().pubkey())
    signatures = {await chain.call("requestAirdrop", receiver, SOL) for _ in range(8)}
    assert len(signatures) == 8
    assert await chain.value("getBalance", receiver, {"commitment": "processed"}) == 8 * SOL
    await chain.advance(1)
    found = await chain.call("getTransaction", signatures.pop(), {"commitment": "confirmed"})
    logs = found["meta"]["logMessages"]
    assert logs[0] == "Program 11111111111111111111111111111111 invoke [1]"
    assert len(logs) == 2
