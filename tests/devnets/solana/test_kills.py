"""kill -9 of the devnet at random moments while clients send and wait for `confirmed`.

After each start: what anybody was told is confirmed is there, as it was told; blocks join by hash;
no signature is in two of them; tokens and lamports add up. `pytest -m soak` plays the long run.
"""

import asyncio
import base64
import contextlib
import json
import random
import struct
from pathlib import Path
from typing import Any

import httpx2
import pytest
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from sandbox.devnets.solana import process
from tests.devnets.solana import tokens
from tests.devnets.solana.chain import SOL, Chain, move

CONFIRMED = {"commitment": "confirmed"}
PEOPLE, BATCH, SENDERS = 6, 12, 3
AWAY = (httpx2.TransportError, WebSocketException, OSError, AssertionError)


class World:
    """A chain with a token and people, the load on it, and all that clients were told."""

    def __init__(self, chain: Chain, seed: int) -> None:
        self.chain, self.dice = chain, random.Random(seed)
        self.issuer = Keypair()
        self.people = [Keypair() for _ in range(PEOPLE)]
        self.told: dict[str, tuple[int, Any]] = {}  # signature → slot and error, as confirmed
        self.unsettled: set[str] = set()
        self.in_block: dict[str, int] = {}
        self.blocks: dict[int, str] = {}
        self.fees = self.sent = self.notified = 0
        self.tip = 0

    async def found(self) -> None:
        chain = self.chain
        for key in (self.issuer, *self.people):
            await chain.call("requestAirdrop", str(key.pubkey()), 1_000 * SOL)
        self.mint = await tokens.make_mint(chain, self.issuer)
        boss = self.issuer.pubkey()
        for person in self.people:
            key = person.pubkey()
            acts = [tokens.open_account(boss, key, self.mint)]
            acts.append(tokens.mint_to(self.mint, key, boss, 1_000_000))
            await chain.do(*acts, signers=[self.issuer])
        await self.compare()

    def _act(self) -> tuple[Instruction, Keypair]:
        one, two = self.dice.sample(self.people, 2)
        units, boss = self.dice.randrange(1, 10**6), self.issuer.pubkey()
        kind = self.dice.randrange(8)
        if kind == 0:
            return tokens.mint_to(self.mint, one.pubkey(), boss, units), self.issuer
        if kind == 1:
            return tokens.burn(self.mint, one.pubkey(), boss, units), self.issuer
        if kind == 2:
            return move(one, two.pubkey(), units), one
        return tokens.pay(self.mint, one.pubkey(), two.pubkey(), units), one  # some fail

    # --- the load

    async def send(self) -> None:
        """Batches for ever, until the node is gone."""
        with contextlib.suppress(*AWAY):
            while True:
                blockhash = await self.chain.blockhash()
                batch = [self._request(number, blockhash) for number in range(BATCH)]
                for answer in await self.chain.post(batch):
                    if "result" in answer:
                        self.unsettled.add(answer["result"])
                        self.sent += 1

    def _request(self, number: int, blockhash: Hash) -> dict[str, Any]:
        act, signer = self._act()
        message = Message.new_with_blockhash([act], signer.pubkey(), blockhash)
        raw = bytes(VersionedTransaction(message, [signer]))
        options = {"encoding": "base64", "skipPreflight": True}
        params = [base64.b64encode(raw).decode(), options]
        return {"jsonrpc": "2.0", "id": number, "method": "sendTransaction", "params": params}

    async def poll(self) -> None:
        """Ask for statuses for ever, and note what is said to be confirmed."""
        with contextlib.suppress(*AWAY):
            while True:
                asked = list(self.unsettled)[:256]
                for name, status in zip(asked, await self._statuses(asked), strict=True):
                    if status and status["confirmationStatus"] != "processed":
                        self.told[name] = status["slot"], status["err"]
                        self.unsettled.discard(name)
                await asyncio.sleep(0.005)

    async def listen(self) -> None:
        """The same by notifications, which come first."""
        with contextlib.suppress(*AWAY):
            async with connect(self.chain.ws) as ws:
                await ws.send(
                    '{"jsonrpc":"2.0","id":0,"method":"logsSubscribe",'
                    '"params":["all",{"commitment":"confirmed"}]}'
                )
                await ws.recv()
                while True:
                    result = json.loads(await ws.recv())["params"]["result"]
                    value = result["value"]
                    self.told[value["signature"]] = result["context"]["slot"], value["err"]
                    self.notified += 1

    async def snapshot(self, name: str) -> None:
        with contextlib.suppress(*AWAY):
            await self.chain.call("sandbox_snapshot", {"name": name})

    async def killed(self, seconds: float, *, snapshot: str | None) -> None:
        """Load, then kill -9 after so many seconds."""
        work = [self.poll(), self.listen(), *(self.send() for _ in range(SENDERS))]
        tasks = [asyncio.create_task(each) for each in work]
        await asyncio.sleep(seconds)
        if snapshot:
            tasks.append(asyncio.create_task(self.snapshot(snapshot)))
            await asyncio.sleep(0.002 * self.dice.random())
        await self.chain.kill()
        for task in tasks:
            task.cancel()
        for end in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(end, Exception):
                raise end

    async def killed_while_starting(self, seconds: float) -> None:
        argv = process.command(self.chain.data_dir, slot_ms=10, max_memory_records=100)
        child = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.DEVNULL)
        await asyncio.sleep(seconds)
        child.kill()
        await child.wait()

    # --- the comparison

    async def compare(self) -> None:
        chain = self.chain
        await chain.call("sandbox_pause")
        await chain.advance(2)
        await self._walk()
        names = list(self.told)
        for at in range(0, len(names), 256):
            part = names[at : at + 256]
            for name, status in zip(part, await self._statuses(part), strict=True):
                assert status, f"{name} was confirmed and is gone"
                assert (status["slot"], status["err"]) == self.told[name]
                assert self.in_block[name] == status["slot"]
        self.told.clear()  # `_walk` has it in a block, which the next ones must follow
        self.unsettled.clear()
        await self._add_up()
        await chain.call("sandbox_resume")

    async def _walk(self) -> None:
        """The blocks since the last time follow those of the last time."""
        for slot in await self.chain.call("getBlocks", self.tip, None, CONFIRMED):
            block = await self.chain.call(
                "getBlock", slot, {**CONFIRMED, "maxSupportedTransactionVersion": 0}
            )
            if slot in self.blocks:
                assert block["blockhash"] == self.blocks[slot]
                continue
            if slot:
                assert block["previousBlockhash"] == self.blocks[block["parentSlot"]]
                assert block["parentSlot"] == self.tip
            self.blocks[slot], self.tip = block["blockhash"], slot
            for each in block["transactions"]:
                name = each["transaction"]["signatures"][0]
                assert name not in self.in_block, f"{name} is in two blocks"
                self.in_block[name] = slot
                self.fees += each["meta"]["fee"]

    async def read_all_again(self) -> None:
        """Every block as it was when it was first read."""
        slots = await self.chain.call("getBlocks", 0, None, CONFIRMED)
        assert [slot for slot in slots if slot <= self.tip] == list(self.blocks)
        found: dict[str, int] = {}
        options = {**CONFIRMED, "transactionDetails": "signatures"}
        for slot, block_hash in self.blocks.items():
            block = await self.chain.call("getBlock", slot, options)
            assert block["blockhash"] == block_hash
            found |= dict.fromkeys(block["signatures"], slot)
        assert found == self.in_block

    async def _add_up(self) -> None:
        """At one moment: nothing is made or lost but by minting, burning and fees."""
        faucets = await self.chain.value("getLargestAccounts", CONFIRMED)
        owners = [self.issuer.pubkey(), *(person.pubkey() for person in self.people)]
        purses = [tokens.ata(person.pubkey(), self.mint) for person in self.people]
        lamports = sum(each["lamports"] for each in faucets)
        found = await self._accounts([self.mint, *owners, *purses])
        lamports += sum(account["lamports"] for account in found)
        assert lamports + self.fees == 8 * 10**17
        data = [base64.b64decode(account["data"][0]) for account in found]
        (supply,) = struct.unpack_from("<Q", data[0], 36)
        held = [struct.unpack_from("<Q", each, 64)[0] for each in data[1 + len(owners) :]]
        assert supply == sum(held)

    async def _accounts(self, keys: list[Pubkey]) -> list[dict[str, Any]]:
        options = {**CONFIRMED, "encoding": "base64"}
        found: list[dict[str, Any]] = await self.chain.value(
            "getMultipleAccounts", [str(key) for key in keys], options
        )
        return found

    async def _statuses(self, names: list[str]) -> list[Any]:
        found: list[Any] = await self.chain.value(
            "getSignatureStatuses", names, {"searchTransactionHistory": True}
        )
        return found


@pytest.mark.parametrize("kills", [5, pytest.param(100, marks=pytest.mark.soak)])
async def test_kills_at_random_moments_lose_nothing_that_was_confirmed(
    tmp_path: Path, kills: int
) -> None:
    chain = Chain(tmp_path / "chain", slot_ms=10, paused=False, max_memory_records=100)
    try:
        await chain.start()
        world = World(chain, seed=kills)
        await world.found()
        told = 0
        for number in range(kills):
            dice = world.dice
            await world.killed(
                0.05 + 0.3 * dice.random(),
                snapshot=f"at-{number}" if dice.random() < 0.3 else None,
            )
            told += len(world.told)
            if dice.random() < 0.2:
                await world.killed_while_starting(0.5 * dice.random())
            await chain.start()
            await world.compare()
        await chain.stop()
        await chain.start()
        await world.compare()
        await world.read_all_again()
        assert world.notified > 20 * kills
        assert told > 20 * kills
        print(f"{kills} kills, {world.sent} sent, {told} told confirmed, {world.tip} slots")
    finally:
        await chain.close()
