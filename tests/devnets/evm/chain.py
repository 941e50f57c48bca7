"""Driving a devnet process from tests: raw JSON-RPC, AsyncWeb3, a funded key, signed transfers."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx2
from eth_account import Account
from eth_account.signers.local import LocalAccount
from web3 import AsyncHTTPProvider, AsyncWeb3

from sandbox.devnets.evm import process
from sandbox.devnets.evm.node import FINAL_DEPTH

ETHER = 10**18
GWEI = 10**9
FAUCET: LocalAccount = Account.from_key("0x" + "0f" * 32)
OTHER = "0x" + "22" * 20
_NEVER_MS = 3_600_000


class Refused(Exception):
    """The chain answered with an error object."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(str(error))
        self.code: int = error["code"]
        self.message: str = error["message"]
        self.data: Any = error.get("data")


def transfer(
    nonce: int,
    *,
    key: LocalAccount = FAUCET,
    to: str = OTHER,
    value: int = 1,
    tip: int = GWEI,
    most: int = 20 * GWEI,
) -> str:
    """A signed transfer of native coin, as hex."""
    signed = key.sign_transaction(
        {
            "to": to,
            "value": value,
            "gas": 21_000,
            "maxFeePerGas": most,
            "maxPriorityFeePerGas": tip,
            "nonce": nonce,
            "chainId": 31337,
        }
    )
    return "0x" + bytes(signed.raw_transaction).hex()


class Chain:
    """One data directory and the process on it, if it runs."""

    def __init__(self, data_dir: Path, *, stderr: int | None = None, **settings: Any) -> None:
        self.data_dir, self._stderr = data_dir, stderr
        self._settings: dict[str, Any] = {
            "block_ms": 50,
            "final_delay_ms": 100,
            "heartbeat_ms": _NEVER_MS,
            "control": True,
            "fund": (FAUCET.address,),
            **settings,
        }
        self._ids = itertools.count(1)
        self.http = httpx2.AsyncClient(timeout=30)
        self.running: process.Running | None = None

    async def start(self, **settings: Any) -> None:
        argv = process.command(self.data_dir, **{**self._settings, **settings})
        self.running = await process.start(argv, stderr=self._stderr)

    async def start_still(self) -> None:
        """Start it paused: it makes none of the blocks that it owes, however late the pause is."""
        await self.start(block_ms=_NEVER_MS, final_delay_ms=_NEVER_MS)
        await self.call("sandbox_pause")

    async def stop(self) -> int:
        assert self.running is not None
        code = await self.running.stop()
        self.running = None
        return code

    async def kill(self) -> None:
        assert self.running is not None
        await self.running.kill()
        self.running = None

    async def close(self) -> None:
        if self.running is not None:
            await self.running.kill()
        await self.http.aclose()

    @property
    def rpc(self) -> str:
        assert self.running is not None
        return self.running.rpc

    @property
    def ws(self) -> str:
        assert self.running is not None
        return self.running.ws

    def web3(self) -> AsyncWeb3[AsyncHTTPProvider]:
        return AsyncWeb3(AsyncHTTPProvider(self.rpc))

    def anvil_pid(self) -> int:
        """The child of the front; its name is that of the program."""
        assert self.running is not None
        children = Path(f"/proc/{self.running.pid}/task/{self.running.pid}/children").read_text()
        for pid in map(int, children.split()):
            if Path(f"/proc/{pid}/comm").read_text().strip() == "anvil":
                return pid
        raise AssertionError("the front has no anvil")

    async def post(self, body: Any) -> Any:
        return (await self.http.post(self.rpc, json=body)).json()

    async def call(self, method: str, *params: Any) -> Any:
        request = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        answer = await self.post(request)
        assert answer["id"] == request["id"] or "error" in answer
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["result"]

    async def head(self, tag: str = "latest") -> dict[str, Any]:
        found: dict[str, Any] = await self.call("eth_getBlockByNumber", tag, False)
        return found

    async def height(self) -> int:
        return int(await self.call("eth_blockNumber"), 16)

    async def quiet(self) -> None:
        """Wait for the blocks that follow a first start."""

        async def is_quiet() -> bool:
            return await self.height() == FINAL_DEPTH

        await until(is_quiet, "the blocks that follow a start")

    async def send(self, raw: str) -> str:
        tx_hash: str = await self.call("eth_sendRawTransaction", raw)
        return tx_hash

    async def send_at_once(self, raws: Sequence[str]) -> list[str]:
        """In one request: the node takes all of them before it does anything else."""
        asked = [
            {"jsonrpc": "2.0", "id": n, "method": "eth_sendRawTransaction", "params": [raw]}
            for n, raw in enumerate(raws)
        ]
        return [answer["result"] for answer in await self.post(asked)]

    async def receipt(self, tx_hash: str) -> dict[str, Any]:
        """Wait for it."""
        found: dict[str, Any] = await until(
            lambda: self.call("eth_getTransactionReceipt", tx_hash), f"a receipt of {tx_hash}"
        )
        return found

    async def pay(self, nonce: int, **terms: Any) -> dict[str, Any]:
        return await self.receipt(await self.send(transfer(nonce, **terms)))

    async def final(self, number: int) -> None:
        """Wait until the block is final."""

        async def is_final() -> bool:
            return int((await self.head("finalized"))["number"], 16) >= number

        await until(is_final, f"block {number} being final")


async def until(ask: Callable[[], Awaitable[Any]], what: str, seconds: float = 15) -> Any:
    """Ask until the answer is truthy; a chain that is being restored is asked again."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if found := await ask():
                return found
        except Refused as error:
            if not (isinstance(error.data, dict) and error.data.get("retryable")):
                raise
        await asyncio.sleep(0.02)
    raise AssertionError(f"waited {seconds} s for {what}")
