"""Driving a devnet process from tests: raw JSON-RPC, slots, funded wallets, transfers."""

from __future__ import annotations

import base64
import itertools
from pathlib import Path
from typing import Any

import httpx2
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from sandbox.devnets.solana import process

SOL = 10**9
_NEVER_MS = 3_600_000


class Refused(Exception):
    """The chain answered with an error object."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(str(error))
        self.code: int = error["code"]
        self.message: str = error["message"]
        self.data: Any = error.get("data")


class Chain:
    """One data directory and the process on it, if it runs."""

    def __init__(
        self,
        data_dir: Path,
        *,
        slot_ms: int = _NEVER_MS,  # a paused chain hears that it is only once it runs
        paused: bool = True,
        finality: int = 32,
        control: bool = True,
        max_memory_records: int | None = None,
        stderr: int | None = None,
    ) -> None:
        self.data_dir, self.paused = data_dir, paused
        self._settings: dict[str, Any] = {
            "slot_ms": slot_ms,
            "finality": finality,
            "control": control,
            "max_memory_records": max_memory_records,
        }
        self._stderr = stderr
        self._ids = itertools.count(1)
        self.http = httpx2.AsyncClient(timeout=20)
        self.running: process.Running | None = None

    async def start(self) -> None:
        self.running = await process.start(
            process.command(self.data_dir, **self._settings), stderr=self._stderr
        )
        if self.paused:
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

    async def post(self, body: Any, **headers: str) -> Any:
        """POST JSON and give the decoded answer, whatever it is."""
        response = await self.http.post(self.rpc, json=body, headers=headers)
        assert response.status_code == 200, response.text
        return response.json()

    async def call(self, method: str, *params: Any) -> Any:
        """The result of a call; raises Refused for an error object."""
        body = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        answer = await self.post(body)
        assert answer["id"] == body["id"]
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["result"]

    async def value(self, method: str, *params: Any) -> Any:
        """The `value` of a result with context."""
        return (await self.call(method, *params))["value"]

    async def advance(self, slots: int) -> int:
        """Make slots; gives the open one."""
        return int((await self.call("sandbox_advanceSlots", {"slots": slots}))["slot"])

    async def blockhash(self, commitment: str = "processed") -> Hash:
        value = await self.value("getLatestBlockhash", {"commitment": commitment})
        return Hash.from_string(value["blockhash"])

    async def wallet(self, lamports: int = 10 * SOL) -> Keypair:
        """A new key with money on it (in the open slot)."""
        key = Keypair()
        await self.call("requestAirdrop", str(key.pubkey()), lamports)
        return key

    async def sign(self, *instructions: Instruction, signers: list[Keypair]) -> bytes:
        """Wire bytes of a legacy transaction paid by the first signer."""
        message = Message.new_with_blockhash(
            list(instructions), signers[0].pubkey(), await self.blockhash()
        )
        return bytes(VersionedTransaction(message, signers))

    async def send(self, raw: bytes, **options: Any) -> str:
        """sendTransaction in base64; gives the signature."""
        text = base64.b64encode(raw).decode()
        return str(await self.call("sendTransaction", text, {"encoding": "base64", **options}))

    async def do(self, *instructions: Instruction, signers: list[Keypair]) -> str:
        """Sign and send."""
        return await self.send(await self.sign(*instructions, signers=signers))

    async def pay(self, payer: Keypair, receiver: Pubkey, lamports: int) -> str:
        return await self.do(move(payer, receiver, lamports), signers=[payer])

    async def balance(self, key: Pubkey, commitment: str = "processed") -> int:
        return int(await self.value("getBalance", str(key), {"commitment": commitment}))

    async def status(self, signature: str) -> Any:
        found = await self.value(
            "getSignatureStatuses", [signature], {"searchTransactionHistory": True}
        )
        return found[0]


def move(payer: Keypair, receiver: Pubkey, lamports: int) -> Instruction:
    return transfer(
        TransferParams(from_pubkey=payer.pubkey(), to_pubkey=receiver, lamports=lamports)
    )
