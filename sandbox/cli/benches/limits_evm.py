"""The limit on the EVM chain: what anvil alone does with the transfers that payments are."""

import asyncio
import contextlib
import secrets
import tempfile
import time
from collections.abc import Sequence
from dataclasses import astuple

from contracts import evm as artifacts
from contracts import token as specification
from contracts.evm_addresses import created_address
from sandbox.chains.evm import calls, tx
from sandbox.chains.evm.accounts import Account, LocalAccount
from sandbox.chains.evm.deploy import DEPLOY_GAS, creation_code
from sandbox.chains.evm.rpc import Node
from sandbox.chains.json_rpc import Call
from sandbox.chains.port import ChainUnavailable
from sandbox.devnets.evm.anvil import find_program
from sandbox.devnets.ports import LOOPBACK, any_free

CHAIN_ID = 31337
BATCH, BLOCK = 50, 500
START_S = 30
FEES = tx.Fees(10**12, 10**9)


class LimitFailed(Exception):
    """anvil left a transaction of the measurement out."""


async def anvil_transfers_per_second(count: int) -> float:
    """Token transfers to fresh addresses per second: batched sends, mined 500 to a block.

    Building and signing is not counted: a customer's wallet does that.
    """
    with tempfile.TemporaryDirectory(prefix="kzte-bench-anvil-") as folder:
        port = str(any_free())
        process = await asyncio.create_subprocess_exec(
            *(str(find_program()), "--quiet", "--port", port, "--no-mining"),
            *("--hardfork", "prague"),
            *("--gas-limit", "100000000", "--chain-id", str(CHAIN_ID), "--no-cors"),
            *("--cache-path", folder),
            cwd=folder,
        )
        try:
            node = Node(f"http://{LOOPBACK}:{port}")
            try:
                await _answers(node)
                return await _measure(node, count)
            finally:
                await node.aclose()
        finally:
            process.terminate()
            await process.wait()


async def _answers(node: Node) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        with contextlib.suppress(ChainUnavailable):
            await node.call("eth_chainId")
            return
        await asyncio.sleep(0.02)
    raise LimitFailed(f"anvil did not answer within {START_S} s")


async def _measure(node: Node, count: int) -> float:
    payer: LocalAccount = Account.create()
    token = await _token(node, payer, count)
    raws = transfers(payer, 0, token, [("0x" + secrets.token_hex(20), 1) for _ in range(count)])
    began = time.perf_counter()
    for first in range(0, count, BLOCK):
        await send(node, raws[first : first + BLOCK])
        await node.call("evm_mine")
    seconds = time.perf_counter() - began
    mined = int(await node.call("eth_getTransactionCount", payer.address, "latest"), 16)
    if mined != count:
        raise LimitFailed(f"{count - mined} of {count} transfers are in no block")
    return count / seconds


def transfers(
    payer: LocalAccount, nonce: int, token: str, to: Sequence[tuple[str, int]]
) -> list[str]:
    """Signed transfers of (recipient, units), with nonces from `nonce` on."""
    return [
        "0x"
        + tx.sign(
            payer,
            CHAIN_ID,
            nonce + index,
            tx.Act(token, tx.call_data(calls.TRANSFER, recipient, units), calls.CALL_GAS),
            FEES,
        )[1].hex()
        for index, (recipient, units) in enumerate(to)
    ]


async def send(node: Node, raws: Sequence[str]) -> None:
    """In requests of 50, as many wallets together would. Raises `LimitFailed` for a refusal."""
    asked: list[Call] = [("eth_sendRawTransaction", [raw]) for raw in raws]
    for first in range(0, len(asked), BATCH):
        refused = [r for r in await node.attempt(asked[first : first + BATCH]) if r is not None]
        if refused:
            raise LimitFailed(str(refused[0]))


async def _token(node: Node, payer: LocalAccount, units: int) -> str:
    """KZTE, its roles with anvil's own accounts, and all of it at the payer."""
    roles = specification.load().evm.roles
    holders: dict[str, str] = dict(
        zip(astuple(roles), await node.call("eth_accounts"), strict=False)
    )
    controller, minter, relayer = (
        holders[role] for role in (roles.master_minter, roles.minter, roles.relayer)
    )
    token = created_address(relayer, 0)
    arguments = artifacts.token_arguments(specification.load(), holders)
    acts = [
        (relayer, "", creation_code("kzte", arguments)),
        (controller, token, tx.call_data(calls.CONFIGURE_MINTER, minter, units)),
        (minter, token, tx.call_data(calls.MINT, payer.address, units, b"\1" * 32)),
    ]
    for sender, to, data in acts:
        call = {"from": sender, "data": "0x" + data.hex(), "gas": hex(DEPLOY_GAS)}
        sent = await node.call("eth_sendTransaction", call | ({"to": to} if to else {}))
        await node.call("evm_mine")
        receipt = await node.call("eth_getTransactionReceipt", sent)
        if receipt is None or int(receipt["status"], 16) == 0:
            raise LimitFailed(f"anvil refused to put the token there: {receipt}")
    await node.call("anvil_setBalance", payer.address, hex(10**6 * tx.WEI_PER_COIN))
    return token
