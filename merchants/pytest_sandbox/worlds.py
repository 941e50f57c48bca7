"""The sandbox as a test uses it: one merchant's calls, the clock, payers, worlds."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import httpx2

from merchants.client import ApiRefusal, JsonObject, MerchantClient
from merchants.pytest_sandbox.errors import NoRestore, NoSuchWorld, NotSeen
from merchants.pytest_sandbox.process import SandboxProcess
from merchants.pytest_sandbox.receiver import Webhooks

Found = TypeVar("Found")

BASE: Final = "pytest"
_PAGE: Final = 100
_LOOK_SECONDS: Final = 0.05


class Sandbox:
    """A running sandbox, its seeded merchant's key in `client` and `merchant`."""

    def __init__(self, process: SandboxProcess) -> None:
        self.process, self.data_dir = process, process.data_dir
        self.api: str = process.endpoints["api"]
        self.keys: dict[str, str] = process.endpoints["keys"]
        self.merchant_id = self.keys["merchant_id"]
        self.client = httpx2.Client(
            base_url=self.api,
            headers={"Authorization": f"Bearer {self.keys['merchant']}"},
            timeout=30,
        )
        self.merchant = MerchantClient(self.api, self.keys["merchant"])
        self.operator = MerchantClient(self.api, self.keys["operator"], timeout_s=330)
        self.webhooks = Webhooks()
        self.clock, self.wallets = Clock(self), Wallets(self)
        endpoint = self.merchant.post("/v1/webhook_endpoints", {"url": self.webhooks.url})
        self.webhooks.secret = endpoint["secret"]
        self._endpoint_id: str = endpoint["id"]
        self._begins_after = 0  # the last event of what was before this test
        self.epoch = 0
        self.begin()

    def close(self) -> None:
        """Close the connections."""
        self.webhooks.close()
        self.client.close()
        self.merchant.close()
        self.operator.close()

    def unregister(self) -> None:
        """Take our webhook endpoint away again."""
        self.merchant.delete(f"/v1/webhook_endpoints/{self._endpoint_id}")

    @property
    def endpoints(self) -> JsonObject:
        """What `sandbox up` says of itself; a restored world has another log key in it."""
        found: JsonObject = json.loads((self.data_dir / "endpoints.json").read_text())
        return found

    # -- the merchant

    def create_session(self, amount_tiyn: int, **fields: Any) -> JsonObject:
        """A checkout session of `amount_tiyn` tiyn (1 ₸ = 100 tiyn)."""
        return self.merchant.create_session(amount_tiyn, **fields)

    def session(self, session: JsonObject | str) -> JsonObject:
        """The session as it is now."""
        return self.merchant.session(_id(session))

    def pay(self, session: JsonObject | str, wallet: str | None = None, **terms: Any) -> JsonObject:
        """Have a wallet pay it, what is asked unless `amount_tiyn` says otherwise; see `Wallet`."""
        usual = "exact" if terms.get("amount_tiyn") is None else "payer"
        return self.wallets[wallet or usual].pay(session, **terms)

    def refund(self, payment: JsonObject | str, amount_tiyn: int, reason: str = "") -> JsonObject:
        """Send a captured payment back, or a part of it."""
        return self.merchant.refund(_id(payment), amount_tiyn, reason=reason)

    def trigger(
        self,
        scenario: str,
        session: JsonObject | str | None = None,
        *,
        chain: str | None = None,
    ) -> JsonObject:
        """Have a scenario played, on a session if one is given: `GET /v1/sandbox/triggers` is the
        table of them. A refusal that it is about is in `refused` of the answer.
        """
        body: JsonObject = {"scenario": scenario}
        if session is not None:
            body["session"] = _id(session)
        if chain is not None:
            body["chain"] = chain
        return self.operator.post("/v1/sandbox/triggers", body)

    def wait(
        self,
        look: Callable[[], Found],
        until: Callable[[Found], bool] = bool,
        *,
        seconds: float = 15,
        what: str = "it",
    ) -> Found:
        """Look again and again; gives what was found. Raises NotSeen with the last look."""
        deadline = time.monotonic() + seconds
        while not until(found := look()):
            if time.monotonic() > deadline:
                raise NotSeen(f"{what} did not happen within {seconds:.0f} s; last: {found!r}")
            time.sleep(_LOOK_SECONDS)
        return found

    def quiesce(self, seconds: int = 60) -> JsonObject:
        """Wait until everything is final, delivered and logged."""
        return self.operator.post("/v1/sandbox/quiesce", {"timeout_s": seconds})

    def events(self, type_: str | None = None) -> list[JsonObject]:
        """The merchant's events since this test began, oldest first; `type_` may end in `*`."""
        query: dict[str, str | int] = {} if type_ is None else {"type": type_}
        return self._events(self._begins_after, **query)

    def _events(self, after: int, **query: str | int) -> list[JsonObject]:
        found: list[JsonObject] = []
        while True:
            page = self.merchant.get("/v1/events", after=after, limit=_PAGE, **query)
            found += page["data"]
            if not page["has_more"]:
                return found
            after = page["data"][-1]["sequence"]

    # -- worlds

    def snapshot(self, name: str) -> JsonObject:
        """Keep the world as it is under a name, for `@pytest.mark.sandbox(world=name)`."""
        return self.operator.post("/v1/sandbox/snapshots", {"name": name})

    def worlds(self) -> list[str]:
        """The names of the snapshots that there are. Raises NoRestore."""
        try:
            found = self.operator.get("/v1/sandbox/snapshots")["data"]
        except ApiRefusal as refusal:
            if refusal.status not in (404, 501):
                raise
            raise NoRestore(
                f"this sandbox cannot go back to a world ({refusal}): a test that may run in the"
                ' world of the others has @pytest.mark.sandbox(world="shared")'
            ) from None
        return [str(each["name"]) for each in found]

    def restore(self, name: str) -> JsonObject:
        """Go back to a world; what came since is gone."""
        try:
            restored = self.operator.post(f"/v1/sandbox/snapshots/{name}/restore", {})
        except ApiRefusal as refusal:
            if refusal.status != 404:
                raise
            names = ", ".join(self.worlds())
            raise NoSuchWorld(f"there is no world {name!r}: there are {names}") from None
        self.begin()
        return restored

    def forget(self, name: str) -> None:
        """Delete a snapshot; the world stays as it is."""
        self.operator.delete(f"/v1/sandbox/snapshots/{name}")

    def begin(self) -> None:
        """What comes from now on is this test's."""
        self.epoch = self.clock.state["epoch"]
        self.webhooks.begin(self.epoch)
        events = self._events(0)
        self._begins_after = events[-1]["sequence"] if events else 0


class Clock:
    """Sandbox time. A restored world has the time that it had."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    @property
    def state(self) -> JsonObject:
        """`now`, `offset_ms`, `frozen`, `epoch`."""
        return self._sandbox.operator.get("/v1/sandbox/clock")

    @property
    def now(self) -> datetime:
        """Sandbox time, UTC."""
        return datetime.fromisoformat(self.state["now"]).astimezone(UTC)

    def advance(self, by: timedelta | int) -> JsonObject:
        """Move time forward, by whole seconds; `fired` of the answer is what that made due."""
        seconds = by if isinstance(by, int) else by // timedelta(seconds=1)
        return self._move({"advance_s": seconds})

    def advance_to(self, instant: datetime | str) -> JsonObject:
        """Move time to an instant, as `expires_at` of a session has it, and a second more."""
        if isinstance(instant, str):
            instant = datetime.fromisoformat(instant)
        return self.advance(instant - self.now + timedelta(seconds=1))

    def freeze(self) -> JsonObject:
        """Stop time."""
        return self._move({"freeze": True})

    def release(self) -> JsonObject:
        """Let it go on from where it stands."""
        return self._move({"freeze": False})

    def _move(self, body: JsonObject) -> JsonObject:
        return self._sandbox.operator.post("/v1/sandbox/clock", body)


class Wallets:
    """Payers by name. `short`, `twice`, `late` and the others of `GET /v1/sandbox/triggers` pay as
    that table says; any other name is an ordinary wallet.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._played: frozenset[str] | None = None

    @property
    def played(self) -> frozenset[str]:
        """The names that pay in a way of their own."""
        if self._played is None:
            try:
                table = self._sandbox.operator.get("/v1/sandbox/triggers")["data"]
            except ApiRefusal as refusal:
                if refusal.status not in (404, 405):
                    raise
                table = []  # a sandbox from before scenarios
            self._played = frozenset(each["name"] for each in table if each.get("is_payer"))
        return self._played

    def __getitem__(self, name: str) -> Wallet:
        kind = PlayedWallet if name in self.played else Wallet
        return kind(self._sandbox, name)


class Wallet:
    """One name is one key on each chain, the same in every world of a sandbox."""

    def __init__(self, sandbox: Sandbox, name: str) -> None:
        self._sandbox, self.name = sandbox, name

    def pay(
        self,
        session: JsonObject | str,
        *,
        chain: str | None = None,
        amount_tiyn: int | None = None,
    ) -> JsonObject:
        """Pay what is left, or `amount_tiyn`, and wait until the session knows of it.

        A wallet without tokens gets some from the faucet first. Raises PaymentRefused.
        """
        argv = [*self._sandbox.process.command, "pay", _id(session), "--json"]
        argv += ["--data-dir", str(self._sandbox.data_dir), "--wallet", self.name]
        if chain is not None:
            argv += ["--chain", chain]
        if amount_tiyn is not None:
            argv += ["--amount-tiyn", str(amount_tiyn)]
        done = subprocess.run(
            argv, capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"}
        )
        if done.returncode:
            raise PaymentRefused(done.stderr.strip() or done.stdout.strip())
        paid: JsonObject = json.loads(done.stdout.strip().splitlines()[-1])
        return paid


class PlayedWallet(Wallet):
    """A simulated payer of the sandbox, with a manner of its own."""

    def pay(
        self,
        session: JsonObject | str,
        *,
        chain: str | None = None,
        amount_tiyn: int | None = None,
    ) -> JsonObject:
        """Pay as its name says, and wait until the events of it were told. Raises PaymentRefused
        where its wallet or the chain refuses, as with `empty`; ValueError for an amount.
        """
        if amount_tiyn is not None:
            raise ValueError(f"{self.name} pays what its name says: another name pays an amount")
        answer = self._sandbox.trigger(self.name, session, chain=chain)
        if (refused := answer["refused"]) is not None:
            raise PaymentRefused(f"{refused['code']}: {refused['detail']}")
        return answer


class PaymentRefused(Exception):
    """The wallet, its chain or the sandbox refused; the text is what `sandbox pay` said."""


def _id(found: JsonObject | str) -> str:
    return found if isinstance(found, str) else str(found["id"])
