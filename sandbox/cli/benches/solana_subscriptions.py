"""A thousand people who each wait for their payment on a WebSocket, all paid in one slot."""

import asyncio
import json
import time
from collections.abc import Callable

from websockets.asyncio.client import ClientConnection, connect

from sandbox.cli.benches import rpc
from sandbox.cli.benches.solana_payers import Payers, Signed
from sandbox.devnets.running import Running

SUBSCRIPTIONS, SOCKETS, SENDERS, BATCH = 1_000, 10, 4, 50
TRIES = 10
LEVEL = {"commitment": "confirmed"}
Add = Callable[..., None]


class NotInOneSlot(Exception):
    """The payments of a try fell into several slots: this machine is too slow for the figure."""


async def served(add: Add, devnet: Running, payers: Payers, slot_ms: int) -> None:
    """Milliseconds from the end of the slot with all payments to the last notification of it."""
    for _ in range(TRIES):
        signed = await payers.sign(SUBSCRIPTIONS)
        slots, late_s = await _try(devnet, signed, slot_ms)
        if len(slots) == 1:
            name = f"{SUBSCRIPTIONS:,} signature subscriptions, the last served after the slot"
            add(name, late_s * 1000, "ms")
            return
    raise NotInOneSlot


async def _try(devnet: Running, signed: list[Signed], slot_ms: int) -> tuple[set[int], float]:
    """The slots that the notifications name, and how long after the first one's end they came."""
    options = {"encoding": "base64", "skipPreflight": True}
    asked = [rpc.one("sendTransaction", one.raw, options) for one in signed]
    requests = [rpc.post(devnet.rpc, asked[at : at + BATCH]) for at in range(0, len(asked), BATCH)]
    sockets = [await connect(devnet.ws) for _ in range(SOCKETS + 1)]
    try:
        clock, *listeners = sockets
        for number, listener in enumerate(listeners):
            await _subscribe(listener, signed[number::SOCKETS])
        await clock.send(json.dumps(rpc.one("slotSubscribe")))
        await clock.recv()
        await clock.recv()
        ends_at = time.perf_counter() + slot_ms / 1000
        await rpc.pour(devnet.rpc, SENDERS, requests)
        heard = [asyncio.create_task(_hear(each, SUBSCRIPTIONS // SOCKETS)) for each in listeners]
        slots = set[int]().union(*(await asyncio.gather(*heard)))
        return slots, time.perf_counter() - ends_at
    finally:
        for socket in sockets:
            await socket.close()


async def _subscribe(listener: ClientConnection, signed: list[Signed]) -> None:
    asked = [rpc.one("signatureSubscribe", one.signature, LEVEL) for one in signed]
    await listener.send(json.dumps(asked))
    assert len(json.loads(await listener.recv())) == len(asked)


async def _hear(listener: ClientConnection, count: int) -> set[int]:
    """The slots of so many notifications."""
    slots = set()
    for _ in range(count):
        result = json.loads(await listener.recv())["params"]["result"]
        assert result["value"] == {"err": None}
        slots.add(result["context"]["slot"])
    return slots
