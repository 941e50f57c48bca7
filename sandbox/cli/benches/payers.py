"""Customers of a measurement: one wallet per chain that signs many payments, then sends them."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from solders.hash import Hash
from solders.keypair import Keypair

from contracts import token
from sandbox.chains.evm import wallet as evm_wallet
from sandbox.chains.evm.accounts import Account, LocalAccount
from sandbox.chains.evm.rpc import Node
from sandbox.chains.port import Signed
from sandbox.chains.solana import tx as solana_tx
from sandbox.chains.solana import wallet as solana_wallet
from sandbox.chains.solana.rpc import Rpc
from sandbox.cli.benches import limits_evm as evm_limits

BATCH = 50
SEND = {"encoding": "base64", "skipPreflight": True}
Session = Mapping[str, Any]


class Payer(Protocol):
    """What is signed is sent in requests of 50, as many wallets together would."""

    chain: str
    address: str

    async def sign(self, sessions: Sequence[Session]) -> list[str]:
        """A raw transaction for each session; wallets have their own processors for that."""
        ...

    async def send(self, raws: Sequence[str]) -> None:
        """Send what `sign` gave."""
        ...

    async def is_confirmed(self) -> bool:
        """Whether the last payment is in a confirmed block."""
        ...


class SolanaPayer:
    chain = "solana"

    def __init__(self, endpoints: Mapping[str, Any]) -> None:
        self._key = Keypair()
        self._decimals = token.load().decimals
        self.address = str(self._key.pubkey())
        self._rpc, self._last = Rpc(endpoints["solana_rpc"]), ""

    async def is_confirmed(self) -> bool:
        [status] = (await self._rpc.call("getSignatureStatuses", [self._last]))["value"]
        return status is not None and status["confirmationStatus"] != "processed"

    async def sign(self, sessions: Sequence[Session]) -> list[str]:
        latest = (await self._rpc.call("getLatestBlockhash", {"commitment": "confirmed"}))["value"]
        blockhash = Hash.from_string(latest["blockhash"])
        signed = [self._signed(_option(session, self.chain), blockhash) for session in sessions]
        self._last = signed[-1].tx_id
        return [base64.b64encode(one.raw).decode() for one in signed]

    async def send(self, raws: Sequence[str]) -> None:
        for first in range(0, len(raws), BATCH):
            await self._rpc.batch(
                [("sendTransaction", [raw, SEND]) for raw in raws[first : first + BATCH]]
            )

    def _signed(self, option: Mapping[str, Any], blockhash: Hash) -> Signed:
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
        return solana_tx.sign(instructions, [self._key], blockhash, 0)


class EvmPayer:
    chain = "evm"

    def __init__(self, endpoints: Mapping[str, Any]) -> None:
        self._node, self._used = Node(endpoints["evm_rpc"]), 0
        self._token = endpoints["kzte"]["evm_token"]
        self._key: LocalAccount = Account.create()
        self.address: str = self._key.address

    async def sign(self, sessions: Sequence[Session]) -> list[str]:
        requests = [evm_wallet.parse_url(_option(one, self.chain)["url"]) for one in sessions]
        return await self.sign_transfers(
            [(one.recipient, one.amount_units or 0) for one in requests]
        )

    async def sign_transfers(self, to: Sequence[tuple[str, int]]) -> list[str]:
        """Token transfers of (recipient, units)."""
        used = await self._count("pending")
        self._used = used + len(to)
        return evm_limits.transfers(self._key, used, self._token, to)

    async def send(self, raws: Sequence[str]) -> None:
        await evm_limits.send(self._node, raws)

    async def is_confirmed(self) -> bool:
        return await self._count("latest") >= self._used

    async def _count(self, at: str) -> int:
        return int(await self._node.call("eth_getTransactionCount", self.address, at), 16)


def _option(session: Session, chain: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = next(one for one in session["options"] if one["chain"] == chain)
    return found
