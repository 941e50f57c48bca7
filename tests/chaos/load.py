"""A shop that never gives up, with customers on both chains, and what `holders` do meanwhile.

Processes are killed all the time. Everybody repeats what got no answer: a shop with the same key,
a customer with the same bytes.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx2

from sandbox.cli.endpoints import JsonObject, Running
from tests.chaos.following import Following
from tests.chaos.holders import Holders
from tests.chaos.payers import Customer, EvmCustomer, Lost, Node, Paid, SolanaCustomer
from tests.journeys.customers import new_key

PATIENCE_S = 150
GRANT_TIYN = 100_000_000
EXPIRES_IN_S = 86_400
_PAUSE_S = 0.1
# Per customer. A machine that is slow now must not be asked for more than it gets done: with more
# under way each takes longer by as much, and what is only slow would pass for lost.
_MOST_UNDER_WAY = 4
# An audit of everything takes its time; one that is asked again before it ends runs twice.
_READ_S = 120
_CAPTURE_LOOK_S = 0.4
_GONE = (httpx2.TransportError, OSError, ValueError, KeyError)


@dataclass(slots=True)
class Answer:
    """What a POST was answered, at some time after `after`: its key is kept for a day."""

    after: datetime
    path: str
    key: str
    role: str
    asked: JsonObject
    status: int
    text: str
    body: JsonObject


class Load:
    """Sessions, payments, refunds, settlements, grants, and what `holders` do at the reserve;
    and everything that was answered.
    """

    def __init__(self, running: Running, seed: int, *, per_chain: int = 2) -> None:
        self.running = running
        self._chance = random.Random(seed)
        self._api = httpx2.AsyncClient(timeout=20)
        self._node = httpx2.AsyncClient(timeout=5)
        self._go = asyncio.Event()
        self._busy = 0
        self._keys = 0
        self.answers: list[Answer] = []
        self.paid: list[Paid] = []
        self.broken: list[str] = []
        self.repeats = 0
        self.customers: list[Customer] = [
            *(SolanaCustomer(self, new_key("solana")) for _ in range(per_chain)),
            *(EvmCustomer(self, new_key("evm")) for _ in range(per_chain)),
        ]
        self._most_under_way = _MOST_UNDER_WAY * len(self.customers)
        self.following = Following(self)
        self.holders = Holders(self, self._chance)
        self._tasks: list[asyncio.Task[None]] = []
        self._under_way: set[asyncio.Task[None]] = set()

    # -- life

    async def start(self) -> None:
        """Fund everybody, then begin."""
        everybody = [*self.customers, *self.holders.customers]
        await asyncio.gather(*(self._grant(one) for one in everybody))
        self.holders.begin(GRANT_TIYN)
        self._tasks = [asyncio.create_task(self._buys(one)) for one in self.customers]
        self._tasks.append(asyncio.create_task(self.following.run()))
        self._tasks += [
            asyncio.create_task(self._repeats(act, between))
            for act, between in (
                (self._settle, (1.0, 3.0)),
                (self._give, (0.5, 1.5)),
                *self.holders.acts(),
            )
        ]
        self.resume()

    def resume(self) -> None:
        self._go.set()

    async def pause(self) -> None:
        """Begin nothing new, and wait until what was begun is through."""
        self._go.clear()
        began = time.monotonic()
        while self._busy:
            if time.monotonic() > self.following.since(began) + 2 * PATIENCE_S:
                raise Lost(f"{self._busy} did not come to their end: {self.broken}")
            await asyncio.sleep(_PAUSE_S)

    async def close(self) -> None:
        tasks = [*self._tasks, *self._under_way]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._api.aclose()
        await self._node.aclose()
        await self.following.close()

    # -- asking

    async def insist(self, chain: str, step: Callable[[Node], Awaitable[Any]]) -> Any:
        """What `step` gives in the end, whatever becomes of the node meanwhile."""

        async def node(method: str, *params: object) -> Any:
            body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            url = self.running.endpoints[f"{chain}_rpc"]
            answer = (await self._node.post(url, json=body)).json()
            if "error" in answer:
                raise ValueError(f"{method}: {answer['error']}")
            return answer["result"]

        last: object = "nothing came"
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            try:
                if (found := await step(node)) not in (None, False):
                    return found
            except _GONE as error:
                last = error
            await asyncio.sleep(_PAUSE_S)
        raise Lost(f"{chain} gave no good answer within {PATIENCE_S} s: {last!r}")

    async def ask(self, path: str, body: JsonObject, role: str = "merchant") -> Answer:
        """POST with one key until there is an answer; it is kept."""
        self._keys += 1
        key = f"chaos-{self._keys}"
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            found = await self.post(path, body, key, role)
            if found is not None:
                self.answers.append(found)
                return found
            self.repeats += 1
            await asyncio.sleep(_PAUSE_S)
        raise Lost(f"POST {path} with {key} had no answer within {PATIENCE_S} s")

    async def post(self, path: str, body: JsonObject, key: str, role: str) -> Answer | None:
        """One try; None is no answer, or one that says to try again."""
        endpoints = self.running.endpoints
        headers = {"Authorization": f"Bearer {endpoints['keys'][role]}", "Idempotency-Key": key}
        try:
            answer = await self._api.post(endpoints["api"] + path, json=body, headers=headers)
            found = answer.json()
        except _GONE:
            return None
        if answer.status_code in (503, 504) or found.get("code") == "request_in_progress":
            return None
        if answer.status_code >= 500:
            raise Lost(f"POST {path} was answered {answer.status_code}: {answer.text}")
        made = found.get("created_at")
        after = datetime.fromisoformat(made) if made else self._after()
        return Answer(after, path, key, role, body, answer.status_code, answer.text, found)

    def _after(self) -> datetime:
        """The sandbox's time of the newest answer that tells it."""
        return max(
            (one.after for one in self.answers[-1:]), default=datetime.min.replace(tzinfo=UTC)
        )

    async def get(self, path: str, role: str = "operator", **query: str | int) -> JsonObject:
        """GET until there is an answer."""
        endpoints = self.running.endpoints
        headers = {"Authorization": f"Bearer {endpoints['keys'][role]}"}
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            try:
                url = self.running.endpoints["api"] + path
                answer = await self._api.get(url, headers=headers, params=query, timeout=_READ_S)
                found: JsonObject = answer.json()
            except _GONE:
                pass
            else:
                if answer.status_code == 200:
                    return found
                if answer.status_code != 503:
                    raise Lost(f"GET {path} was answered {answer.status_code}: {answer.text}")
            await asyncio.sleep(_PAUSE_S)
        raise Lost(f"GET {path} had no answer within {PATIENCE_S} s")

    async def now(self) -> datetime:
        """The sandbox's time."""
        return datetime.fromisoformat((await self.get("/v1/sandbox/clock"))["now"])

    async def read(self, url: str) -> bytes:
        """The content of a public address, asked for until it comes."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            try:
                answer = await self._api.get(url)
            except _GONE:
                pass
            else:
                if answer.status_code == 200:
                    return bytes(answer.content)
            await asyncio.sleep(_PAUSE_S)
        raise Lost(f"GET {url} had no answer within {PATIENCE_S} s")

    # -- doing

    async def _grant(self, customer: Customer) -> None:
        body = {
            "chain": customer.chain,
            "address": customer.address,
            "amount_tiyn": GRANT_TIYN,
        }
        grant = (await self.ask("/v1/sandbox/faucet", body, "operator")).body
        await self.until(f"/v1/sandbox/faucet/{grant['id']}", lambda g: g["status"] == "sent")

    async def until(self, path: str, done: Any, every_s: float = _PAUSE_S) -> JsonObject:
        """The object once it is `done`; raises `Lost` when that takes too long for a worker that
        keeps up.
        """
        began = time.monotonic()
        while not done(found := await self.get(path)):
            if time.monotonic() > self.following.since(began) + PATIENCE_S:
                raise Lost(f"{path} stays {found}")
            await asyncio.sleep(every_s)
        return found

    async def _buys(self, customer: Customer) -> None:
        bought = 0
        while True:
            await self._may_go_on()
            await self._at_work(self._buy(customer, refunds=bought % 2 == 1))
            bought += 1
            await asyncio.sleep(self._chance.uniform(0, 0.3))

    async def _buy(self, customer: Customer, *, refunds: bool) -> None:
        price = self._chance.randint(1_000, 50_000)
        asked = {"amount_tiyn": price, "currency": "KZT", "expires_in_s": EXPIRES_IN_S}
        session = (await self.ask("/v1/checkout/sessions", asked)).body
        paid = Paid(session["id"], customer.chain, customer.address, price)
        self.paid.append(paid)
        await customer.pay(session, paid)
        self.go_on(self._follow(session, refunds=refunds))

    async def _follow(self, session: JsonObject, *, refunds: bool) -> None:
        """What the shop does once it is paid; the customer does not wait for it."""
        seen = await self.until(
            f"/v1/checkout/sessions/{session['id']}",
            lambda s: s["payment"] is not None and s["payment"]["captured_at"] is not None,
            _CAPTURE_LOOK_S,
        )
        if refunds:
            back = self._chance.randint(1, session["amount_tiyn"] // 2)
            await self.ask("/v1/refunds", {"payment": seen["payment"]["id"], "amount_tiyn": back})

    async def _repeats(
        self, act: Callable[[], Awaitable[None]], between: tuple[float, float]
    ) -> None:
        while True:
            await self._may_go_on()
            await self._at_work(act())
            await asyncio.sleep(self._chance.uniform(*between))

    async def _settle(self) -> None:
        merchant = self.running.endpoints["keys"]["merchant_id"]
        await self.ask("/v1/settlements", {"merchant_id": merchant})

    async def _give(self) -> None:
        customer = self._chance.choice(self.customers)
        body = {"chain": customer.chain, "address": customer.address, "amount_tiyn": 1_000}
        await self.ask("/v1/sandbox/faucet", body, "operator")

    async def _may_go_on(self) -> None:
        await self._go.wait()
        while self._is_enough or not self._go.is_set():
            await asyncio.sleep(_PAUSE_S)

    @property
    def _is_enough(self) -> bool:
        return self.following.is_behind or len(self._under_way) >= self._most_under_way

    def go_on(self, work: Any) -> None:
        """Work that nobody waits for, but a pause does."""
        task = asyncio.create_task(self._at_work(work))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _at_work(self, work: Any) -> None:
        self._busy += 1
        try:
            await work
        except Exception as error:
            self.broken.append(f"{type(error).__name__}: {error}")
        finally:
            self._busy -= 1
