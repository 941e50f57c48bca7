"""solders alone: its own requests over plain HTTP, its own types for every answer and refusal."""

from typing import Any

import httpx2
import pytest
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.rpc import errors, requests, responses
from solders.rpc.config import RpcContextConfig, RpcSendTransactionConfig
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction
from solders.transaction_status import TransactionErrorFieldless

from sandbox.devnets.solana.process import Running

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def post(devnet: Running, body: str) -> str:
    async with httpx2.AsyncClient() as http:
        headers = {"content-type": "application/json"}
        return (await http.post(devnet.rpc, content=body, headers=headers)).text


def stranger_pays(blockhash: Hash) -> VersionedTransaction:
    payer = Keypair()
    move = transfer(
        TransferParams(from_pubkey=payer.pubkey(), to_pubkey=Pubkey.default(), lamports=1)
    )
    message = Message.new_with_blockhash([move], payer.pubkey(), blockhash)
    return VersionedTransaction(message, [payer])


async def test_every_refusal_is_read_as_its_own_type(devnet: Running) -> None:
    unknown = stranger_pays(Hash.new_unique())
    forged = VersionedTransaction.populate(unknown.message, [Signature.new_unique()])
    as_base64 = RpcSendTransactionConfig()  # without one it names no encoding, and means base64
    ahead = RpcContextConfig(min_context_slot=2**40)
    cases: list[tuple[Any, Any, Any]] = [
        (
            requests.SendVersionedTransaction(unknown, as_base64),
            responses.SendTransactionResp,
            errors.SendTransactionPreflightFailureMessage,
        ),
        (
            requests.SendVersionedTransaction(forged, as_base64),
            responses.SendTransactionResp,
            errors.RpcCustomErrorFieldless,
        ),
        (requests.GetSlot(ahead), responses.GetSlotResp, errors.MinContextSlotNotReachedMessage),
        (requests.GetBlock(2**40), responses.GetBlockResp, errors.BlockNotAvailableMessage),
        (
            requests.GetTokenSupply(Pubkey.new_unique()),
            responses.GetTokenSupplyResp,
            errors.InvalidParamsMessage,
        ),
        (requests.ValidatorExit(), responses.ValidatorExitResp, errors.MethodNotFoundMessage),
    ]
    found = [answer.from_json(await post(devnet, asked.to_json())) for asked, answer, _ in cases]
    assert [type(one) for one in found] == [wanted for _, _, wanted in cases]
    assert found[0].data.err == TransactionErrorFieldless.BlockhashNotFound
    assert found[1] == errors.RpcCustomErrorFieldless.TransactionSignatureVerificationFailure


async def test_a_batch_is_read_in_order_each_by_its_type(devnet: Running) -> None:
    key = Pubkey.new_unique()
    batch = requests.batch_to_json(
        [requests.GetBalance(key, id=7), requests.GetHealth(id=8), requests.GetVersion(id=9)]
    )
    found: list[Any] = responses.batch_from_json(
        await post(devnet, batch),
        [responses.GetBalanceResp, responses.GetHealthResp, responses.GetVersionResp],
    )
    balance, health, version = found
    assert balance.value == 0
    assert health.value == "ok"
    assert version.value.solana_core == "3.0.0"
