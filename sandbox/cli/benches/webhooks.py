"""What webhooks and event streams do on this machine: rate, waiting, and who holds up whom."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import aiohttp
import httpx2

from sandbox.cli import show
from sandbox.cli.benches import measure
from sandbox.cli.benches.payers import Payer
from sandbox.cli.benches.shop import Shop
from sandbox.cli.endpoints import Running

EVENTS, RESENT_AT_ONCE = 1_000, 1_000
DELIVERIES = 10_000
LISTENERS, TOLD, TELL_EVERY_S = 500, 40, 0.1
BESIDE, DEAD_BACKLOG = 100, 1_000
PROBES, LOAD_BATCHES_S = 60, 0.1
CREATED, COMPLETED = "checkout.session.created", "checkout.session.completed"
GIVE_UP_S, POLL_S = 60.0, 0.005
LONGEST_LOAD_S = 120
Add = Callable[..., None]


class Receiver:
    """A receiver process; see `bench_receiver`."""

    def __init__(self, url: str, http: httpx2.AsyncClient) -> None:
        self.url, self._http = url, http

    async def heard(self) -> dict[str, float]:
        """Monotonic seconds of each object's first webhook."""
        found: dict[str, float] = (await self._http.get(f"{self.url}/heard")).json()
        return found

    async def hears(self, id_: str) -> float:
        """The monotonic second at which the webhook of this object came; waits for it."""
        until = time.monotonic() + GIVE_UP_S
        while time.monotonic() < until:
            found: float | None = (await self._http.get(f"{self.url}/heard/{id_}")).json()
            if found is not None:
                return found
            await asyncio.sleep(POLL_S)
        raise TimeoutError(f"no webhook of {id_} came")

    async def count(self) -> tuple[int, float]:
        """How many webhooks came, and the monotonic second of the last."""
        found = (await self._http.get(f"{self.url}/count")).json()
        return found["count"], found["last"]


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver until the end of the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sandbox.cli.benches.receiver", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        port = int(await process.stdout.readline())
        async with httpx2.AsyncClient(timeout=30, trust_env=False) as http:
            yield Receiver(f"http://127.0.0.1:{port}", http)
    finally:
        process.terminate()
        await process.wait()


async def measure_all(add: Add, running: Running, shop: Shop) -> None:
    """Deliveries per second, who is held up by a dead and a hanging receiver, and the streams."""
    show.err.print("webhooks and event streams")
    async with receiving() as receiver:
        await _rate(add, running, shop, receiver)
        await _beside(add, running, shop, receiver)
    await _streams(add, running, shop)


async def _rate(add: Add, running: Running, shop: Shop, receiver: Receiver) -> None:
    """Events that are there already, sent again and again to one endpoint that answers at once."""
    await shop.create(EVENTS)
    await asyncio.to_thread(running.quiesce)
    endpoint = await _endpoint(running, f"{receiver.url}/fast", ["refund.failed"])
    page = await asyncio.to_thread(
        running.get, "/v1/events", "merchant", type=CREATED, before="999999999", limit=1
    )
    newest = page["data"][-1]["sequence"]
    body = {
        "after_sequence": newest - EVENTS,
        "to_sequence": newest,
        "endpoint": endpoint,
    }
    done, rates = 0, []
    while done < DELIVERIES:
        asked = await asyncio.to_thread(running.post, "/v1/events/resend", body, "merchant")
        began, wanted = time.monotonic(), done + asked["deliveries"]
        while (await receiver.count())[0] < wanted:
            if time.monotonic() - began > GIVE_UP_S:
                raise TimeoutError("webhooks that were sent again did not come")
            await asyncio.sleep(0.02)
        done, last = await receiver.count()
        rates.append(asked["deliveries"] / (last - began))
        await asyncio.to_thread(running.quiesce)
    add("webhook deliveries to a fast receiver", sorted(rates)[len(rates) // 2], "1/s")
    await _drop(running, endpoint)


async def _beside(add: Add, running: Running, shop: Shop, receiver: Receiver) -> None:
    """The wait for a webhook while a dead and a hanging endpoint have a backlog, and without."""
    fast = await _endpoint(running, f"{receiver.url}/fast", [CREATED])
    alone = await _waits(shop, receiver)
    others = [
        await _endpoint(running, "http://127.0.0.1:9/dead", [CREATED]),
        await _endpoint(running, f"{receiver.url}/hang", [CREATED]),
    ]
    await shop.create(DEAD_BACKLOG)
    await asyncio.sleep(2)
    beside = await _waits(shop, receiver)
    for name, values in (("alone", alone), ("beside a dead and a hanging one", beside)):
        for share in (0.50, 0.99):
            figure = f"event to webhook {name}, p{share * 100:.0f}"
            add(figure, measure.percentile(values, share), "ms")
    for endpoint in (fast, *others):
        await _drop(running, endpoint)


async def _waits(shop: Shop, receiver: Receiver) -> list[float]:
    made: dict[str, float] = {}
    for _ in range(BESIDE):
        [session] = await shop.create(1)
        made[session["id"]] = time.monotonic()
        await asyncio.sleep(0.02)
    heard = await _all_of(receiver, list(made))
    return [max(0.0, heard[id_] - at) * 1000 for id_, at in made.items()]


async def _all_of(receiver: Receiver, ids: Sequence[str]) -> dict[str, float]:
    began = time.monotonic()
    while not set(ids) <= (heard := await receiver.heard()).keys():
        if time.monotonic() - began > GIVE_UP_S:
            raise TimeoutError("not every webhook came")
        await asyncio.sleep(0.05)
    return heard


async def under_load(
    add: Add, running: Running, shop: Shop, load: Payer, probe: Payer, per_s: float
) -> None:
    """From a confirmed block to the webhook, one payment at a time, while `load` pays `per_s`."""
    show.err.print(f"webhooks while {per_s:.0f} payments a second go on")
    async with receiving() as receiver:
        endpoint = await _endpoint(running, f"{receiver.url}/fast", [COMPLETED])
        each = max(1, round(per_s * LOAD_BATCHES_S))
        stop = asyncio.Event()
        paying = asyncio.create_task(_pay_on(shop, load, each, stop))
        took = []
        try:
            for number in range(PROBES + 5):
                [session] = await shop.create(1)
                await probe.send(await probe.sign([session]))
                confirmed = await _confirmed(probe)
                heard = await receiver.hears(session["id"])
                if number >= 5:  # the first ones come while the load begins
                    took.append(max(0.0, heard - confirmed) * 1000)
        finally:
            stop.set()
            paid = await paying
        add(f"payments beside, {load.chain}", paid, "1/s")
        for share in (0.50, 0.99):
            figure = f"confirmed to webhook under load on {probe.chain}, p{share * 100:.0f}"
            add(figure, measure.percentile(took, share), "ms")
        await _drop(running, endpoint)


async def _confirmed(payer: Payer) -> float:
    """The monotonic second at which its last payment is seen in a confirmed block."""
    until = time.monotonic() + GIVE_UP_S
    while time.monotonic() < until:
        if await payer.is_confirmed():
            return time.monotonic()
        await asyncio.sleep(POLL_S)
    raise TimeoutError("a payment of the measurement was not confirmed")


async def _pay_on(shop: Shop, payer: Payer, each: int, stop: asyncio.Event) -> float:
    """Sessions and their payments in a steady stream; answers how many a second it was."""
    began, paid = time.monotonic(), 0
    while not stop.is_set():
        due = began + paid / each * LOAD_BATCHES_S
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        await payer.send(await payer.sign(await shop.create(each)))
        paid += each
    return paid / (time.monotonic() - began)


async def _streams(add: Add, running: Running, shop: Shop) -> None:
    """From the answer that an event is written to its arrival at each of 500 listeners."""
    came: dict[str, list[float]] = {}
    headers = {"Authorization": f"Bearer {running.key('merchant')}"}
    url = f"{running.endpoints['api']}/v1/events/stream?after=latest&type={CREATED}"
    ready = asyncio.Semaphore(0)

    async def listen(http: aiohttp.ClientSession) -> None:
        async with http.get(url) as answer:
            await answer.content.readline()
            ready.release()
            async for line in answer.content:
                if line.startswith(b"data:"):
                    at = time.monotonic()
                    place = line.index(b'"id":"cs_') + 6
                    came.setdefault(line[place : place + 29].decode(), []).append(at)

    async with aiohttp.ClientSession(
        headers=headers,
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=None),
        read_bufsize=2**18,
    ) as http:
        tasks = [asyncio.create_task(listen(http)) for _ in range(LISTENERS)]
        for _ in tasks:
            await asyncio.wait_for(ready.acquire(), GIVE_UP_S)
        await asyncio.sleep(1)
        told: dict[str, float] = {}
        for _ in range(TOLD):
            [session] = await shop.create(1)
            told[session["id"]] = time.monotonic()
            await asyncio.sleep(TELL_EVERY_S)
        began = time.monotonic()
        while sum(len(came.get(id_, ())) for id_ in told) < TOLD * LISTENERS:
            if time.monotonic() - began > GIVE_UP_S:
                raise TimeoutError("not every listener heard of every event")
            await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    waits = [max(0.0, at - told[id_]) * 1000 for id_ in told for at in came[id_]]
    for share in (0.50, 0.99):
        figure = f"event to {LISTENERS} listeners, p{share * 100:.0f}"
        add(figure, measure.percentile(waits, share), "ms")


async def _endpoint(running: Running, url: str, types: list[str]) -> str:
    asked = {"url": url, "types": types}
    made = await asyncio.to_thread(running.post, "/v1/webhook_endpoints", asked, "merchant")
    id_: str = made["id"]
    return id_


async def _drop(running: Running, endpoint: str) -> None:
    body = {"status": "disabled"}
    path = f"/v1/webhook_endpoints/{endpoint}"
    await asyncio.to_thread(running.post, path, body, "merchant")
