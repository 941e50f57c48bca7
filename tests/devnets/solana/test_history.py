"""Blocks, transactions with complete metas, and signatures by address."""

import asyncio
import base64

import pytest
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.transaction import VersionedTransaction

from tests.devnets.solana import tokens
from tests.devnets.solana.chain import SOL, Chain, Refused, move

CONFIRMED = {"commitment": "confirmed"}
WITH_V0 = {"commitment": "confirmed", "maxSupportedTransactionVersion": 0}


async def test_blocks_join_by_hash_and_height(chain: Chain) -> None:
    await chain.wallet()
    await chain.advance(20)
    slots = await chain.call("getBlocks", 0, None, CONFIRMED)
    assert slots == list(range(21))
    blocks = [await chain.call("getBlock", slot, CONFIRMED) for slot in slots]
    for parent, child, slot in zip(blocks, blocks[1:], slots, strict=False):
        assert child["previousBlockhash"] == parent["blockhash"]
        assert child["parentSlot"] == slot
        assert child["blockHeight"] == parent["blockHeight"] + 1
        assert child["blockTime"] >= parent["blockTime"]
    assert len({block["blockhash"] for block in blocks}) == 21
    assert await chain.call("getBlocksWithLimit", 3, 4, CONFIRMED) == [3, 4, 5, 6]
    assert await chain.call("getBlockTime", 5) == blocks[5]["blockTime"]


async def test_a_block_in_every_detail_level(chain: Chain) -> None:
    payer = await chain.wallet()
    signature = await chain.pay(payer, Keypair().pubkey(), SOL)
    slot = await chain.advance(1) - 1
    options = CONFIRMED | {"encoding": "base64"}
    full = await chain.call("getBlock", slot, options)
    raw, encoding = full["transactions"][1]["transaction"]
    assert encoding == "base64"
    assert str(VersionedTransaction.from_bytes(base64.b64decode(raw)).signatures[0]) == signature
    assert full["rewards"] == []
    assert "version" not in full["transactions"][1]
    none = await chain.call(
        "getBlock", slot, options | {"transactionDetails": "none", "rewards": False}
    )
    assert "transactions" not in none
    assert "rewards" not in none
    signatures = await chain.call("getBlock", slot, options | {"transactionDetails": "signatures"})
    assert signatures["signatures"][1] == signature
    accounts = await chain.call("getBlock", slot, options | {"transactionDetails": "accounts"})
    assert accounts["transactions"][1]["transaction"]["accountKeys"][0] == {
        "pubkey": str(payer.pubkey()),
        "signer": True,
        "writable": True,
        "source": "transaction",
    }
    versioned = await chain.call("getBlock", slot, WITH_V0)
    assert versioned["transactions"][1]["version"] == "legacy"


async def test_version_0_needs_the_option(chain: Chain) -> None:
    payer = await chain.wallet()
    message = MessageV0.try_compile(
        payer.pubkey(),
        [move(payer, Keypair().pubkey(), SOL)],
        [],
        await chain.blockhash(),
    )
    signature = await chain.send(bytes(VersionedTransaction(message, [payer])))
    slot = await chain.advance(1) - 1
    for method, what in (("getTransaction", signature), ("getBlock", slot)):
        with pytest.raises(Refused) as refused:
            await chain.call(method, what, CONFIRMED)
        assert refused.value.code == -32015
    found = await chain.call("getTransaction", signature, WITH_V0)
    assert found["version"] == 0
    assert found["meta"]["loadedAddresses"] == {"writable": [], "readonly": []}


async def test_a_token_payment_has_complete_metas(chain: Chain) -> None:
    issuer = await chain.wallet()
    mint = await tokens.make_mint(chain, issuer)
    buyer, shop, reference = await chain.wallet(), Keypair().pubkey(), Keypair().pubkey()
    key = issuer.pubkey()
    await chain.do(
        tokens.open_account(key, buyer.pubkey(), mint),
        tokens.open_account(key, shop, mint),
        tokens.mint_to(mint, buyer.pubkey(), key, 5_000),
        signers=[issuer],
    )
    signature = await chain.do(
        tokens.memo("cs_тест".encode()),
        tokens.pay(mint, buyer.pubkey(), shop, 1_250, reference),
        signers=[buyer],
    )
    await chain.advance(1)
    found = await chain.call("getTransaction", signature, CONFIRMED)
    meta, message = found["meta"], found["transaction"]["message"]
    keys = message["accountKeys"]
    assert meta["err"] is None
    assert meta["fee"] == 5_000
    assert meta["computeUnitsConsumed"] > 1_000
    assert meta["innerInstructions"] == []
    assert len(meta["preBalances"]) == len(meta["postBalances"]) == len(keys)
    at = keys.index(str(buyer.pubkey()))
    assert meta["preBalances"][at] - meta["postBalances"][at] == 5_000

    def amounts(rows: list[dict[str, object]]) -> dict[str, object]:
        return {str(r["owner"]): r["uiTokenAmount"] for r in rows}

    before, after = amounts(meta["preTokenBalances"]), amounts(meta["postTokenBalances"])
    assert before[str(shop)] == {
        "amount": "0",
        "decimals": 2,
        "uiAmount": None,
        "uiAmountString": "0",
    }
    assert after[str(shop)] == {
        "amount": "1250",
        "decimals": 2,
        "uiAmount": 12.5,
        "uiAmountString": "12.5",
    }
    assert after[str(buyer.pubkey())]["uiAmountString"] == "37.5"  # type: ignore[index]  # JSON
    row = meta["postTokenBalances"][0]
    assert row["mint"] == str(mint)
    assert row["programId"] == str(tokens.TOKEN_2022)

    parsed = await chain.call("getTransaction", signature, CONFIRMED | {"encoding": "jsonParsed"})
    memo, payment = parsed["transaction"]["message"]["instructions"]
    assert (memo["program"], memo["parsed"]) == ("spl-memo", "cs_тест")
    assert payment["parsed"]["type"] == "transferChecked"
    assert payment["parsed"]["info"]["tokenAmount"]["amount"] == "1250"

    (listed,) = await chain.call("getSignaturesForAddress", str(reference), CONFIRMED)
    assert listed["signature"] == signature
    assert listed["memo"] == "[11] cs_тест"


async def test_signatures_by_address_page_newest_first(chain: Chain) -> None:
    payer, receiver = await chain.wallet(), Keypair().pubkey()
    sent = []
    for amount in range(1, 26):
        sent.append(await chain.pay(payer, receiver, SOL // 100 + amount))
        if amount % 4 == 0:
            await chain.advance(1)
    await chain.advance(1)
    newest_first = sent[::-1]

    async def listed(**options: object) -> list[str]:
        rows = await chain.call("getSignaturesForAddress", str(receiver), CONFIRMED | options)
        return [row["signature"] for row in rows]

    assert await listed() == newest_first
    assert await listed(limit=10) == newest_first[:10]
    assert await listed(limit=10, before=newest_first[9]) == newest_first[10:20]
    assert await listed(until=newest_first[3]) == newest_first[:3]
    for limit in (0, 1_001):
        with pytest.raises(Refused) as refused:
            await listed(limit=limit)
        assert refused.value.code == -32602


async def test_failed_transactions_are_listed_with_their_error(chain: Chain) -> None:
    payer, receiver = await chain.wallet(SOL), Keypair().pubkey()
    raw = await chain.sign(move(payer, receiver, 5 * SOL), signers=[payer])
    signature = await chain.send(raw, skipPreflight=True)
    await chain.advance(1)
    (row,) = await chain.call("getSignaturesForAddress", str(receiver), CONFIRMED)
    assert row["signature"] == signature
    assert row["err"] == {"InstructionError": [0, {"Custom": 1}]}


async def test_old_history_is_read_from_disk(chain: Chain) -> None:
    await chain.stop()
    chain._settings["max_memory_records"] = 5
    await chain.start()
    payer, receiver = await chain.wallet(), Keypair().pubkey()
    sent = []
    for amount in range(1, 61):
        sent.append(await chain.pay(payer, receiver, SOL // 100 + amount))
        await chain.advance(1)
    await chain.advance(40)
    before = [await chain.call("getTransaction", s) for s in sent]
    rows = await chain.call("getSignaturesForAddress", str(receiver))
    assert [row["signature"] for row in rows] == sent[::-1]
    middle = {"before": sent[40], "until": sent[10], "limit": 20}
    rows = await chain.call("getSignaturesForAddress", str(receiver), middle)
    assert [row["signature"] for row in rows] == sent[39:19:-1]
    assert (await chain.call("getBlock", before[0]["slot"]))["transactions"]
    # The archive holds the oldest: the journal is cut, once what is beside it is written.
    async with asyncio.timeout(20):
        while (chain.data_dir / "journal.bin").stat().st_size >= 60 * 700:
            await chain.advance(1)
    await chain.stop()
    await chain.start()
    assert [await chain.call("getTransaction", s) for s in sent] == before
    rows = await chain.call("getSignaturesForAddress", str(receiver))
    assert [row["signature"] for row in rows] == sent[::-1]
    assert await chain.balance(receiver) == sum(SOL // 100 + a for a in range(1, 61))
