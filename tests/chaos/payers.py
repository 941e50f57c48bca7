"""Customers on either chain who pay once, however often the node dies meanwhile."""

import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from eth_account.signers.local import LocalAccount
from solders.hash import Hash
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from sandbox.chains.evm import tx as evm_tx
from sandbox.chains.evm import wallet as evm_wallet
from sandbox.chains.port import Signed
from sandbox.chains.solana import tx as solana_tx
from sandbox.chains.solana import wallet as solana_wallet
from sandbox.cli.endpoints import JsonObject, Running
from tests.journeys.customers import address_of, option_of

_CONFIRMED = {"commitment": "confirmed"}

Node = Callable[..., Awaitable[Any]]
"""A call of a node: method and parameters; raises when there is no result."""


class Nodes(Protocol):
    """The nodes of the chains of a sandbox that is killed all the time."""

    running: Running

    async def insist(self, chain: str, step: Callable[[Node], Awaitable[Any]]) -> Any:
        """What `step` gives in the end, whatever becomes of the node. Raises `Lost`."""


class Lost(Exception):
    """What must come sooner or later did not come."""


@dataclass(slots=True)
class Paid:
    """One payment of a customer: every transaction signed for it, the last one is in."""

    session: str
    chain: str
    payer: str
    amount_tiyn: int
    txs: list[str] = field(default_factory=list)


class SolanaCustomer:
    """Signs anew only when the old transaction can never come: its blockhash is over in final
    history, and it is not there.
    """

    chain = "solana"

    def __init__(self, nodes: Nodes, key: Keypair) -> None:
        self._nodes, self.key, self.address = nodes, key, address_of(key)

    async def pay(self, session: JsonObject, paid: Paid) -> None:
        request = solana_wallet.parse_url(option_of(session, self.chain)["url"])
        units = option_of(session, self.chain)["amount_units"]
        token, payer = solana_tx.Token(request.mint, 2), self.key.pubkey()
        what = [
            solana_tx.memo(request.memo or ""),
            solana_tx.transfer_units(token, payer, request.recipient, units, request.references),
        ]
        signed: Signed | None = None

        async def step(node: Node) -> bool:
            nonlocal signed
            if signed is None:
                latest = (await node("getLatestBlockhash", _CONFIRMED))["value"]
                blockhash = Hash.from_string(latest["blockhash"])
                until = latest["lastValidBlockHeight"]
                signed = solana_tx.sign(what, [self.key], blockhash, until)
                paid.txs.append(signed.tx_id)
            raw = base64.b64encode(signed.raw).decode()
            await node("sendTransaction", raw, {"encoding": "base64", "skipPreflight": True})
            final = await node("getBlockHeight", {"commitment": "finalized"})
            history = {"searchTransactionHistory": True}
            [status] = (await node("getSignatureStatuses", [signed.tx_id], history))["value"]
            if status is not None and status["err"] is not None:
                raise Lost(f"{signed.tx_id} failed on chain: {status['err']}")
            if status is None and final > (signed.valid_until_height or 0):
                signed = None
            return status is not None and status["confirmationStatus"] != "processed"

        await self._nodes.insist(self.chain, step)

    async def units(self) -> int:
        """What the chain says that it holds, in final history."""
        mint = Pubkey.from_string(self._nodes.running.endpoints["kzte"]["solana_mint"])
        account = str(solana_tx.token_account(Pubkey.from_string(self.address), mint))
        final = {"commitment": "finalized"}
        found = await self._nodes.insist(
            self.chain, lambda node: node("getTokenAccountBalance", account, final)
        )
        return int(found["value"]["amount"])

    async def supply(self) -> int:
        """Units that exist on its chain, in final history."""
        mint, final = (
            self._nodes.running.endpoints["kzte"]["solana_mint"],
            {"commitment": "finalized"},
        )
        found = await self._nodes.insist(
            self.chain, lambda node: node("getTokenSupply", mint, final)
        )
        return int(found["value"]["amount"])

    async def receipt(self, tx: str) -> Any:
        """What the chain says for ever of a final transaction; None when it has none."""
        history = {"searchTransactionHistory": True}
        found = await self._nodes.insist(
            self.chain, lambda node: node("getSignatureStatuses", [tx], history)
        )
        [status] = found["value"]
        if status is None or status["confirmationStatus"] != "finalized":
            return None
        return {"slot": status["slot"], "err": status["err"]}


class EvmCustomer:
    """Signs once per payment: a nonce can be used once only, whatever becomes of the bytes."""

    chain = "evm"

    def __init__(self, nodes: Nodes, key: LocalAccount) -> None:
        self._nodes, self.key, self.address = nodes, key, address_of(key).lower()
        self._nonce = 0

    async def pay(self, session: JsonObject, paid: Paid) -> None:
        request = evm_wallet.parse_url(option_of(session, self.chain)["url"])
        data = evm_tx.call_data(
            "transfer(address,uint256)", request.recipient, request.amount_units
        )
        act, fees = evm_tx.Act(request.token, data, 150_000), evm_tx.Fees(10**11, 10**9)
        tx, raw = evm_tx.sign(self.key, request.chain_id, self._nonce, act, fees)
        self._nonce += 1
        paid.txs.append(tx)

        async def step(node: Node) -> bool:
            receipt = await node("eth_getTransactionReceipt", tx)
            if receipt is None:
                await node("eth_sendRawTransaction", "0x" + raw.hex())
            elif receipt["status"] != "0x1":
                raise Lost(f"{tx} failed on chain")
            return receipt is not None

        await self._nodes.insist(self.chain, step)

    async def units(self) -> int:
        """What the chain says that it holds."""
        return await self._asked("balanceOf(address)", self.address)

    async def supply(self) -> int:
        """Units that exist on its chain."""
        return await self._asked("totalSupply()")

    async def _asked(self, function: str, *arguments: str) -> int:
        token = self._nodes.running.endpoints["kzte"]["evm_token"]
        data = "0x" + evm_tx.call_data(function, *arguments).hex()
        call = {"to": token, "data": data}
        found = await self._nodes.insist(self.chain, lambda node: node("eth_call", call, "latest"))
        return int(found, 16)

    async def receipt(self, tx: str) -> Any:
        """What the chain says for ever of a transaction; None when it is in no block."""

        async def step(node: Node) -> tuple[Any]:
            return (await node("eth_getTransactionReceipt", tx),)

        [found] = await self._nodes.insist(self.chain, step)
        return found


Customer = SolanaCustomer | EvmCustomer
