"""Requests on their way to a sandbox, and what they were answered, as lines of a recording."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import httpx2

from sandbox.cassette import secrets, tape
from sandbox.cassette.tape import JsonObject
from sandbox.cassette.world import API, World, WorldSilent
from sandbox.core.canonical import canonical

_KEPT_OF_REQUESTS: Final = ("accept-language", "last-event-id")
_KEPT_OF_ANSWERS: Final = ("sandbox-fidelity", "idempotency-replayed", "retry-after", "location")
_OURS: Final = "sandbox-"
# Of one connection, or made anew by whoever sends on (RFC 9110, section 7.6.1).
HOP_BY_HOP: Final = frozenset({
    "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding",
    "upgrade", "host", "content-length", "content-encoding", "accept-encoding", "date", "server",
})  # fmt: skip
STREAM: Final = "text/event-stream"


class Recorder:
    """The steps of one run. Addresses of the sandbox in `urls` become `{api}`."""

    def __init__(self, world: World, urls: Iterable[str] = ()) -> None:
        self.world = world
        self._urls = [world.url, *urls]
        self.steps: list[JsonObject] = []

    def send(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[httpx2.Response, JsonObject]:
        """Pass a request on; its answer, unread, and its line, which `answered` ends.

        Lines stand in the order of the answers: one that waits, as `quiesce` does, comes after what
        it waited for, whoever of two programs was first to ask. Raises `WorldSilent`.
        """
        onward = {name: value for name, value in headers.items() if name.lower() not in HOP_BY_HOP}
        line = self._asked(method, path, {k.lower(): v for k, v in headers.items()}, body)
        try:
            request = self.world.http.build_request(method, path, headers=onward, content=body)
            answer = self.world.http.send(request, stream=True)
        except httpx2.TransportError as error:
            self.steps.append(line)
            raise WorldSilent(self.world.url, str(error)) from None
        line["status"] = answer.status_code
        line["answer_headers"] = {
            name: self.plain(answer.headers[name])
            for name in _KEPT_OF_ANSWERS
            if name in answer.headers
        }
        return answer, line

    def answered(self, line: JsonObject, body: bytes | None) -> None:
        """The end of a line; None for a stream, of which a recording holds the events."""
        line["answer"] = {"stream": True} if body is None else self._content(body)
        self.steps.append(line)

    def act(self, name: str, **what: Any) -> None:
        """Something that was done to the world past its API."""
        self.steps.append({"kind": tape.ACT, "act": name, **self.plain(what)})

    def plain(self, value: Any) -> Any:
        """Without secrets and without the sandbox's address."""
        if isinstance(value, str):
            for url in self._urls:
                value = value.replace(url, API)
            return secrets.without(value)
        if isinstance(value, list):
            return [self.plain(one) for one in value]
        if isinstance(value, dict):
            return {name: self.plain(one) for name, one in value.items()}
        return value

    def _asked(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> JsonObject:
        kept = {
            name: self.plain(value)
            for name, value in headers.items()
            if name in _KEPT_OF_REQUESTS or name.startswith(_OURS)
        }
        return {
            "kind": tape.EXCHANGE,
            "method": method,
            "path": self.plain(path),
            "caller": self._caller(headers.get("authorization")),
            "idempotency_key": headers.get("idempotency-key"),
            "headers": kept,
            "request": self._content(body),
            "status": None,
            "answer_headers": {},
            "answer": None,
        }

    def _caller(self, authorization: str | None) -> str | None:
        """The role of a key that the world began with, else `key <id>`; None without a key."""
        if authorization is None:
            return None
        token = authorization.partition(" ")[2].strip()
        role = next((role for role, key in self.world.keys.items() if key == token), None)
        return role or f"key {secrets.key_id(authorization)}"

    def _content(self, body: bytes) -> JsonObject | None:
        """`{"json": …}`, or `{"text": …}` for what RFC 8785 cannot hold; None without a body."""
        if not body:
            return None
        try:
            found = json.loads(body)
            canonical(found)
        except ValueError:
            return {"text": self.plain(body.decode("utf-8", "replace"))}
        return {"json": self.plain(found)}
