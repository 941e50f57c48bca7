"""Customers of a measurement: one wallet per chain that signs many payments and sends them."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from eth_account import Account
from eth_account.signers.local import LocalAccount
from solders.hash import Hash
from solders.keypair import Keypair

from contracts import token
from sandbox.chains.evm import wallet as evm_wallet
from sandbox.chains.evm.rpc import Node
from sandbox.chains.solana import tx as solana_tx
from sandbox.chains.solana import wallet as solana_wallet
from sandbox.chains.solana.rpc import Rpc
from sandbox.cli import bench_limits_evm as evm_limits

BATCH = 50
SEND = {"encoding": "base64", "skipPreflight": True}
Session = Mapping[str, Any]


class Payer(Protocol):
    """Everything is signed before anything is sent, in requests of 50, as many wallets would."""

    chain: str
    address: str

    async def pay(self, sessions: Sequence[Session]) -> None: ...


class SolanaPayer:
    chain = "solana"

    def __init__(self, endpoints: Mapping[str, Any]) -> None:
        self._rpc_url, self._key = endpoints["solana_rpc"], Keypair()
        self._decimals = token.load().decimals
        self.address = str(self._key.pubkey())

    async def pay(self, sessions: Sequence[Session]) -> None:
        rpc = Rpc(self._rpc_url)
        try:
            latest = (await rpc.call("getLatestBlockhash", {"commitment": "confirmed"}))["value"]
            blockhash = Hash.from_string(latest["blockhash"])
            raws = [self._signed(_option(session, self.chain), blockhash) for session in sessions]
            for first in range(0, len(raws), BATCH):
                await rpc.batch(
                    [("sendTransaction", [raw, SEND]) for raw in raws[first : first + BATCH]]
                )
        finally:
            await rpc.aclose()

    def _signed(self, option: Mapping[str, Any], blockhash: Hash) -> str:
        request = solana_wallet.parse_url(option["url"])
        instructions = [
            solana_tx.memo(option["memo"]),
            solana_tx.transfer_units(
                solana_tx.Token(request.mint, self._decimals),
                self._key.pubkey(),
                request.recipient,
                option["amount_units"],
                request.references,
            ),
        ]
        signed = solana_tx.sign(instructions, [self._key], blockhash, 0)
        return base64.b64encode(signed.raw).decode()


class EvmPayer:
    chain = "evm"

    def __init__(self, endpoints: Mapping[str, Any]) -> None:
        self._rpc_url = endpoints["evm_rpc"]
        self._token = endpoints["kzte"]["evm_token"]
        self._key: LocalAccount = Account.create()
        self.address: str = self._key.address

    async def pay(self, sessions: Sequence[Session]) -> None:
        requests = [evm_wallet.parse_url(_option(one, self.chain)["url"]) for one in sessions]
        await self.transfer([(one.recipient, one.amount_units or 0) for one in requests])

    async def transfer(self, to: Sequence[tuple[str, int]]) -> None:
        """Token transfers of (recipient, units)."""
        node = Node(self._rpc_url)
        try:
            nonce = int(await node.call("eth_getTransactionCount", self.address, "pending"), 16)
            await evm_limits.send(node, evm_limits.transfers(self._key, nonce, self._token, to))
        finally:
            await node.aclose()


def _option(session: Session, chain: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = next(one for one in session["options"] if one["chain"] == chain)
    return found
