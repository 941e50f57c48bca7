"""A running sandbox as a recording sees it: its API, its keys, and what happened in it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Final

import httpx2

from sandbox.cassette import tape
from sandbox.cassette.tape import Cassette, JsonObject
from sandbox.core.errors import SandboxError

TIMEOUT_S: Final = 330.0
QUIESCE_S: Final = 60
API: Final = "{api}"
"""What stands in a recording for the address of the sandbox."""
_ROLES: Final = ("merchant", "issuer", "operator", "regulator", "fund_officer")
_PAGE: Final = 100


class WorldSilent(SandboxError):
    """The sandbox went away in the middle of a recording."""

    code = "no_answer"

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"the sandbox at {url} does not answer: {why}")


@dataclass(slots=True)
class World:
    """The API of `endpoints`, with the keys of its roles and those that were made meanwhile."""

    endpoints: Mapping[str, Any]
    http: httpx2.Client = field(init=False)

    def __post_init__(self) -> None:
        self.http = httpx2.Client(base_url=self.url, timeout=TIMEOUT_S)

    @property
    def url(self) -> str:
        url: str = self.endpoints["api"]
        return url

    @property
    def keys(self) -> dict[str, str]:
        """Role → key."""
        return {role: key for role, key in self.endpoints["keys"].items() if role in _ROLES}

    def close(self) -> None:
        """Close the connections."""
        self.http.close()

    def ask(
        self, method: str, path: str, role: str, body: JsonObject | None = None
    ) -> httpx2.Response:
        """One request of our own, which is on no recording. Raises `WorldSilent`."""
        headers = {"Authorization": f"Bearer {self.keys[role]}"}
        try:
            return self.http.request(method, path, headers=headers, json=body)
        except httpx2.TransportError as error:
            raise WorldSilent(self.url, str(error)) from None

    def quiesce(self) -> bool:
        """Wait until nothing is left to do; False when it was still busy after a minute."""
        path, body = "/v1/sandbox/quiesce", {"timeout_s": QUIESCE_S}
        return self.ask("POST", path, "operator", body).is_success

    def newest(self) -> tuple[int, int]:
        """(epoch, position) of the newest signed entry of the log."""
        origin, size, *_ = self.ask("GET", "/log/checkpoint", "regulator").text.split("\n")
        epoch = re.search(r"/e(\d+)$", origin)
        assert epoch is not None, origin
        return int(epoch[1]), int(size) - 1

    def header(self) -> JsonObject:
        """The first line of a recording that begins now; with a seed, once all is at rest.

        What is still to come of the time before would be on the recording, or not.
        """
        if self.endpoints.get("seed") is not None:
            self.quiesce()
        epoch, position = self.newest()
        clock = self.ask("GET", "/v1/sandbox/clock", "operator").json()
        return tape.header(
            sandbox=version("kzte-sandbox"),
            api=self.url,
            seed=self.endpoints.get("seed"),
            merchant=self.endpoints["keys"]["merchant_id"],
            now=clock["now"],
            frozen=clock["frozen"],
            after=f"{epoch}:{position}",
            kzte=dict(self.endpoints["kzte"]),
        )

    def events(self, after: str) -> list[JsonObject]:
        """Lines of all events behind `after`, as a regulator sees them."""
        found: list[JsonObject] = []
        while True:
            path = f"/v1/events?limit={_PAGE}&after={after}"
            page = self.ask("GET", path, "regulator").json()
            found += page["data"]
            if not page["has_more"]:
                return [{"kind": tape.EVENT, **event} for event in found]
            after = f"{found[-1]['epoch']}:{found[-1]['position']}"

    def finished(self, header: JsonObject, steps: list[JsonObject]) -> Cassette:
        """The recording that ends now, once nothing is left to do."""
        is_quiet = self.quiesce()
        events = self.events(header["after"])
        return Cassette({**header, "quiet": is_quiet}, steps, events, transactions_of(events))


def transactions_of(events: list[JsonObject]) -> list[JsonObject]:
    """Lines of the chain transactions that events tell of, each once, in order."""
    found: dict[tuple[str, str], JsonObject] = {}
    for event in events:
        for data in _objects(event["data"]):
            if not isinstance(data.get("tx"), str) or not isinstance(data.get("chain"), str):
                continue
            line = found.setdefault(
                (data["chain"], data["tx"]),
                {"kind": tape.TRANSACTION, "chain": data["chain"], "tx": data["tx"]},
            )
            told = {name: data[name] for name in ("height", "block_time") if data.get(name)}
            line.update(told)
    return list(found.values())


def _objects(value: Any) -> list[JsonObject]:
    if isinstance(value, list):
        return [inner for one in value for inner in _objects(one)]
    if isinstance(value, dict):
        return [value, *(inner for one in value.values() for inner in _objects(one))]
    return []
