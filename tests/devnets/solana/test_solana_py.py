"""The unmodified solana-py client against a chain that runs at 20 ms a slot."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from solana.exceptions import SolanaRpcException
from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed, Finalized, Processed
from solana.rpc.core import RPCException
from solana.rpc.models import MemcmpOpts, TokenAccountOpts, TxOpts
from solana.rpc.websocket_api import SolanaWsClient
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import Message, MessageV0
from solders.rpc.config import RpcTransactionLogsFilterMentions
from solders.signature import Signature
from solders.transaction import VersionedTransaction
from solders.transaction_status import TransactionConfirmationStatus

from tests.devnets.solana import tokens
from tests.devnets.solana.chain import SOL, Chain, move


@pytest.fixture
async def client(running_chain: Chain) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(running_chain.rpc, commitment=Confirmed) as client:
        yield client


async def funded(client: AsyncClient) -> Keypair:
    key = Keypair()
    answer = await client.request_airdrop(key.pubkey(), 10 * SOL)
    await client.confirm_transaction(answer.value, Confirmed, sleep_seconds=0.02)
    return key


async def signed(client: AsyncClient, payer: Keypair, lamports: int = SOL) -> VersionedTransaction:
    latest = (await client.get_latest_blockhash(Finalized)).value
    message = MessageV0.try_compile(
        payer.pubkey(), [move(payer, Keypair().pubkey(), lamports)], [], latest.blockhash
    )
    return VersionedTransaction(message, [payer])


async def test_refusals_reach_the_caller_as_its_own_exceptions(client: AsyncClient) -> None:
    payer = await funded(client)
    with pytest.raises(RPCException) as refused:
        await client.send_transaction(await signed(client, payer, 100 * SOL))
    assert "custom program error: 0x1" in str(refused.value)
    message = Message.new_with_blockhash(
        [move(payer, Keypair().pubkey(), SOL)], payer.pubkey(), Hash.new_unique()
    )
    with pytest.raises(RPCException) as refused:
        await client.send_transaction(VersionedTransaction(message, [payer]))
    assert "Blockhash not found" in str(refused.value)


async def test_send_confirm_and_read_back(client: AsyncClient) -> None:
    payer = await funded(client)
    tx = await signed(client, payer)
    latest = (await client.get_latest_blockhash(Confirmed)).value
    options = TxOpts(skip_preflight=False, preflight_commitment=Confirmed)
    signature = (await client.send_transaction(tx, opts=options)).value
    answer = await client.confirm_transaction(
        signature, Finalized, 0.02, last_valid_block_height=latest.last_valid_block_height
    )
    (status,) = answer.value
    assert status is not None
    assert status.confirmation_status == TransactionConfirmationStatus.Finalized
    found = (
        await client.get_transaction(
            signature, "base64", commitment=Finalized, max_supported_transaction_version=0
        )
    ).value
    assert found is not None
    assert found.transaction.transaction == tx
    assert found.transaction.meta is not None
    assert found.transaction.meta.fee == 5_000
    rows = (await client.get_signatures_for_address(payer.pubkey())).value
    assert rows[0].signature == signature
    block = (await client.get_block(found.slot, "json", max_supported_transaction_version=0)).value
    assert block is not None
    assert block.transactions is not None
    assert len(block.transactions) == 1
    simulated = (await client.simulate_transaction(await signed(client, payer))).value
    assert simulated.err is None
    assert simulated.units_consumed == 150


async def test_token_reads(client: AsyncClient, running_chain: Chain) -> None:
    issuer = await funded(client)
    key = issuer.pubkey()
    mint = await tokens.make_mint(running_chain, issuer)
    signature = await running_chain.do(
        tokens.open_account(key, key, mint), tokens.mint_to(mint, key, key, 123), signers=[issuer]
    )
    await client.confirm_transaction(Signature.from_string(signature), Confirmed, 0.02)
    assert (await client.get_token_supply(mint)).value.ui_amount_string == "1.23"
    account = tokens.ata(key, mint)
    assert (await client.get_token_account_balance(account)).value.amount == "123"
    by_owner = await client.get_token_accounts_by_owner_json_parsed(
        key, TokenAccountOpts(mint=mint)
    )
    assert [row.pubkey for row in by_owner.value] == [account]
    found = await client.get_program_accounts(
        tokens.TOKEN_2022, encoding="base64", filters=[174, MemcmpOpts(offset=0, bytes=str(mint))]
    )
    assert [row.pubkey for row in found.value] == [account]
    assert (await client.get_token_largest_accounts(mint)).value[0].address == account


async def test_constant_answers_have_shapes_that_the_client_reads(client: AsyncClient) -> None:
    assert (await client.is_connected()) is True
    assert (await client.get_version()).value.solana_core == "3.0.0"
    assert (await client.get_epoch_schedule()).value.slots_per_epoch == 432_000
    assert (await client.get_epoch_info()).value.slots_in_epoch == 432_000
    assert (await client.get_supply()).value.circulating > 0
    assert (await client.get_vote_accounts()).value.current == []
    assert (await client.get_inflation_governor()).value.taper == 1.0
    assert (await client.get_inflation_rate()).value.total == 0.0
    assert len((await client.get_largest_accounts()).value) == 8
    assert (await client.get_minimum_balance_for_rent_exemption(174)).value == 2_101_920
    assert (await client.get_first_available_block()).value == 0
    assert (await client.get_minimum_ledger_slot()).value == 0
    assert (await client.get_identity()).value is not None
    assert (await client.get_slot_leader()).value is not None
    assert (await client.get_cluster_nodes()).value[0].version == "3.0.0"
    assert (await client.get_leader_schedule()).value is not None
    assert (await client.get_block_commitment(0)).value.total_stake == 1
    assert (await client.get_recent_performance_samples(1)).value[0].sample_period_secs == 60
    assert (await client.get_transaction_count()).value >= 0
    assert (await client.get_genesis_hash()).value is not None
    assert (await client.get_block_time(0)).value is not None
    assert (await client.get_blocks(0, 2)).value[0] == 0


async def test_subscriptions_through_its_websocket_client(
    client: AsyncClient, running_chain: Chain
) -> None:
    payer = await funded(client)
    receiver = Keypair().pubkey()
    async with SolanaWsClient(running_chain.ws) as ws:
        slots = await ws.slot_subscribe()
        roots = await ws.root_subscribe()
        account = await ws.account_subscribe(
            pubkey=receiver, commitment=Processed, encoding="base64"
        )
        logs = await ws.logs_subscribe(
            filter_=RpcTransactionLogsFilterMentions(receiver), commitment=Confirmed
        )
        blockhash = (await client.get_latest_blockhash()).value.blockhash
        message = Message.new_with_blockhash(
            [move(payer, receiver, SOL)], payer.pubkey(), blockhash
        )
        tx = VersionedTransaction(message, [payer])
        signature = await ws.signature_subscribe(signature=tx.signatures[0], commitment=Finalized)
        await client.send_transaction(tx)
        wanted = {s.subscription_id for s in (slots, roots, account, logs, signature)}
        seen: set[int] = set()
        async with asyncio.timeout(10):
            while seen != wanted:
                seen.add((await ws.recv()).subscription)
        await ws.unsubscribe(slots)
        await ws.unsubscribe(account)


async def test_an_expired_transaction_is_told_as_expired(client: AsyncClient) -> None:
    payer = await funded(client)
    tx = await signed(client, payer)
    height = (await client.get_block_height(Confirmed)).value
    # Never sent: once its blockhash has expired the client gives up by itself.
    with pytest.raises(Exception, match="block height exceeded") as expired:
        await client.confirm_transaction(
            tx.signatures[0], Confirmed, 0.02, last_valid_block_height=height + 10
        )
    assert not isinstance(expired.value, SolanaRpcException)
