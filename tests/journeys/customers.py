"""Customers of a running sandbox, on either chain."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
from eth_account import Account
from eth_account.signers.local import LocalAccount
from solders.keypair import Keypair

from sandbox.chains.evm import tx as evm_tx
from sandbox.chains.evm import wallet as evm_wallet
from sandbox.chains.solana import wallet as solana_wallet
from sandbox.cli import pay
from sandbox.cli.endpoints import JsonObject, Running

CHAINS = ("solana", "evm")
SEND_FOR_S = 60


def option_of(session: JsonObject, chain: str) -> JsonObject:
    found: JsonObject = next(one for one in session["options"] if one["chain"] == chain)
    return found


def rpc(url: str, method: str, *params: object) -> Any:
    """The result of one JSON-RPC call."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
    answer = httpx2.post(url, json=body, timeout=10).json()
    assert "error" not in answer, answer["error"]
    return answer["result"]


def new_key(chain: str) -> Any:
    """A fresh key: a `Keypair` of Solana, an account of eth-account."""
    return Keypair() if chain == "solana" else Account.create()


def address_of(key: Any) -> str:
    return str(key.pubkey()) if isinstance(key, Keypair) else str(key.address)


def funded(sandbox: Running, chain: str, amount_tiyn: int) -> Any:
    """A fresh key with tokens and coin for fees from the faucet."""
    key = new_key(chain)
    assert pay.fund(sandbox, chain, address_of(key), amount_tiyn)["status"] == "sent"
    return key


Pays = Callable[..., Awaitable[str]]


def secret_file(key: Any, folder: Path) -> Path:
    """The key as the chain's usual tools read it."""
    path = folder / "wallet"
    text = "0x" + key.key.hex() if isinstance(key, LocalAccount) else str(list(bytes(key)))
    path.write_text(text)
    return path


async def pays(sandbox: Running, chain: str, key: Any, session: JsonObject) -> str:
    """An ordinary wallet pays; the transaction's id once it is in a block."""
    wallets: dict[str, Pays] = {"solana": solana_wallet.pay, "evm": evm_wallet.pay}
    url = option_of(session, chain)["url"]
    return await wallets[chain](sandbox.endpoints[f"{chain}_rpc"], key, url)


async def sends(sandbox: Running, chain: str, key: Any, session: JsonObject) -> str:
    """The same, not waiting for any block."""
    kind: Any = {"solana": solana_wallet.SolanaWallet, "evm": evm_wallet.EvmWallet}[chain]
    wallet = kind(sandbox.endpoints[f"{chain}_rpc"], key)
    sent: str = await wallet.pay(option_of(session, chain)["url"], wait=False)
    await wallet.aclose()
    return sent


class Stubborn:
    """An EVM customer with one signed transaction, sent until a receipt says that it is in."""

    def __init__(self, sandbox: Running, key: LocalAccount, session: JsonObject) -> None:
        self._url = sandbox.endpoints["evm_rpc"]
        request = evm_wallet.parse_url(option_of(session, "evm")["url"])
        data = evm_tx.call_data(
            "transfer(address,uint256)", request.recipient, request.amount_units
        )
        fees = evm_tx.Fees(10**12, 10**9)
        act = evm_tx.Act(request.token, data, 150_000)
        self.tx, self._raw = evm_tx.sign(key, request.chain_id, 0, act, fees)
        self.receipts: list[JsonObject] = []

    async def pay(self) -> None:
        """Send and ask, again and again, whatever goes wrong with the node meanwhile."""
        until = time.monotonic() + SEND_FOR_S
        async with httpx2.AsyncClient(timeout=5) as client:
            while time.monotonic() < until:
                try:
                    await self._call(client, "eth_sendRawTransaction", "0x" + self._raw.hex())
                    receipt = await self._call(client, "eth_getTransactionReceipt", self.tx)
                except (httpx2.TransportError, ValueError):
                    receipt = None
                if receipt is not None:
                    self.receipts.append(receipt)
                    return
                await asyncio.sleep(0.05)
        raise AssertionError(f"{self.tx} was in no block within {SEND_FOR_S} s")

    async def _call(self, client: httpx2.AsyncClient, method: str, *params: object) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return (await client.post(self._url, json=body)).json().get("result")
