"""Events in their order and without a gap, over breaks of any kind: the stream, and beside it the
list, which fills what the stream left out.
"""

import json
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import httpx2

from sandbox.cli.endpoints import (
    ApiError,
    GaveUp,
    JsonObject,
    NoAnswer,
    NotRunning,
    Role,
    Running,
)
from sandbox.cli.listeners import Place
from sandbox.core.errors import SandboxError

STREAM: Final = "/v1/events/stream"
LATEST: Final = "latest"
# The stream says each 10 s that it is alive.
SILENCE_S: Final = 30.0
FIRST_WAIT_S, LONGEST_WAIT_S = 0.25, 5.0
PAGE: Final = 100

Start = Literal["now", "beginning"] | Place


@dataclass(frozen=True, slots=True)
class Arrival:
    """One event. `place` is None of one that was sent again: the reader stands where it stood."""

    event: JsonObject
    place: Place | None
    filled: bool = False


@dataclass(frozen=True, slots=True)
class Note:
    """What happened to the reading itself; `values` are for programs."""

    kind: Literal["listening", "away", "back", "gap", "filled", "lost", "restored", "stopped"]
    text: str
    values: JsonObject


class NotAStream(SandboxError):
    """Something answers there that is no sandbox."""

    code = "not_a_stream"

    def __init__(self, url: str, found: str) -> None:
        super().__init__(f"{url}{STREAM} is no stream of events ({found}): is it a sandbox?")


class Follower:
    """Reads as `role` from `start` on; `key` is the merchant's, default: the seeded one's.

    `tell` gets every `Note`. `place` is the last event that was yielded.
    """

    def __init__(
        self,
        data_dir: Path,
        role: Role,
        key: str | None,
        start: Start,
        tell: Callable[[Note], None],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._data_dir, self._role, self._key = data_dir, role, key
        self._tell, self._sleep = tell, sleep
        self._counted = counted(role)
        self._latest = start == "now"
        self.place = start if isinstance(start, Place) else None
        self.lost = 0

    def events(self) -> Iterator[Arrival]:
        """Without end; each is yielded when the one before is done with.

        Raises `NotRunning` and `NoAnswer` when there is no sandbox at the beginning, `ApiError`
        when it refuses; later ones are waited for.
        """
        was_there, is_away, wait_s = False, False, FIRST_WAIT_S
        while True:
            try:
                with closing(self._running()) as running:
                    for message in self._messages(running):
                        # The first one has no data: it says where the stream stands.
                        if not message.data and (place := Place.parse(message.id)) is not None:
                            self._stand(place)
                        if not was_there or is_away:
                            self._connected(running, is_away)
                            was_there, is_away, wait_s = True, False, FIRST_WAIT_S
                        if message.data:
                            yield from self._read(running, message)
                why = "the stream ended"
            except (NotRunning, NoAnswer) as error:
                if not was_there:
                    raise
                why = error.detail
            except ApiError as error:
                if error.status < 500 and error.status != 429:
                    raise
                why = error.detail
            except GaveUp as error:
                why = error.detail
            except httpx2.TransportError as error:
                why = f"{type(error).__name__}: {error}"
            if not is_away:
                is_away = True
                self._note("away", "the sandbox is away; waiting until it is back", why=why)
            self._sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    def _running(self) -> Running:
        """Looked up each time: a sandbox that comes back may have other ports."""
        return Running.for_caller(self._data_dir, self._key)

    def _messages(self, running: Running) -> Iterator[httpx2.ServerSentEvent]:
        if self.place is not None and self.place.number >= 0:
            return _stream(running, self._role, {"Last-Event-ID": str(self.place)})
        if self.place is None and self._latest:
            return _stream(running, self._role, {}, after=LATEST)
        return _stream(running, self._role, {})

    def _read(self, running: Running, message: httpx2.ServerSentEvent) -> Iterator[Arrival]:
        event: JsonObject = json.loads(message.data)
        if message.event == "resend":
            yield Arrival(event, None)
            return
        place = Place.parse(message.id)
        assert place is not None, message.id
        # Positions begin at 0, a merchant's sequence at 1.
        before = Place(place.epoch, 0 if event["position"] is None else -1)
        if self.place is None and self._latest:
            before = Place(place.epoch, place.number - 1)
        self._stand(before)
        assert self.place is not None
        if place.number <= self.place.number:
            return
        if place.number > self.place.number + 1:
            yield from self._fill(running, place)
        self.place = place
        yield Arrival(event, place)

    def _stand(self, place: Place) -> None:
        """Where the stream begins to tell; another epoch than before is another world."""
        if self.place is None:
            self.place = place
        elif self.place.epoch != place.epoch:
            self._note(
                "restored",
                f"the world was restored: epoch {self.place.epoch} ended for us after"
                f" {self._counted} {self.place.number}, epoch {place.epoch} counts anew",
                before=str(self.place),
                epoch=place.epoch,
            )
            self.place = place

    def _fill(self, running: Running, next_: Place) -> Iterator[Arrival]:
        """What the stream passed over, read from the list; what is not there either is lost."""
        assert self.place is not None
        first, last = self.place.number + 1, next_.number - 1
        self._note(
            "gap",
            f"GAP: {self._counted}s {first} to {last} of epoch {next_.epoch} did not come over the"
            " stream; reading them from /v1/events",
            epoch=next_.epoch,
            first=first,
            last=last,
        )
        missing = 0
        while self.place.number < last:
            page = self._page(running)
            inside = [one for one in page if number(one) <= last and one["epoch"] == next_.epoch]
            for event in inside:
                missing += number(event) - self.place.number - 1
                self.place = Place(next_.epoch, number(event))
                yield Arrival(event, self.place, filled=True)
            if len(inside) < PAGE:
                missing += last - self.place.number
                break
        values = {"epoch": next_.epoch, "first": first, "last": last, "missing": missing}
        span = f"{self._counted}s {first} to {last}"
        if missing:
            self.lost += missing
            text = f"LOST: {missing} of {span} are not in /v1/events either"
            self._note("lost", f"{text}: run `sandbox log verify`", **values)
        else:
            self._note("filled", f"{span} are here now", **values)

    def _page(self, running: Running) -> list[JsonObject]:
        assert self.place is not None
        after = {"after": str(self.place)} if self.place.number >= 0 else {}
        found: list[JsonObject] = running.get("/v1/events", self._role, limit=PAGE, **after)["data"]
        return found

    def _connected(self, running: Running, was_away: bool) -> None:
        api = running.endpoints["api"]
        if was_away:
            self._note("back", f"the sandbox is back at {api}", api=api)
        else:
            self._note("listening", f"listening to {api}", api=api)

    def _note(self, kind: Any, text: str, **values: Any) -> None:
        self._tell(Note(kind, text, values))


def counted(role: Role) -> str:
    """What the numbers of events are to a role (CONTRACT 4)."""
    return "sequence" if role == "merchant" else "position"


def number(event: JsonObject) -> int:
    """Where an event stands for who reads it: its position, or a merchant's own sequence."""
    position = event["position"]
    return int(event["sequence"] if position is None else position)


def _stream(
    running: Running, role: Role, headers: dict[str, str], **asked: str
) -> Generator[httpx2.ServerSentEvent]:
    """What the stream says, to its end. Raises `NoAnswer`, `ApiError`, `NotAStream`."""
    api = running.endpoints["api"]
    headers |= {"Authorization": f"Bearer {running.key(role)}"}
    timeout = httpx2.Timeout(SILENCE_S, connect=5)
    with httpx2.Client(base_url=api, timeout=timeout, trust_env=False) as http:
        try:
            with http.sse(STREAM, params=asked, headers=headers) as source:
                _check(source.response, api)
                yield from source
        except httpx2.ConnectError:
            raise NoAnswer(api) from None


def _check(answer: httpx2.Response, api: str) -> None:
    """Raises `ApiError` for a refusal and `NotAStream` for what no sandbox answers."""
    kind = answer.headers.get("content-type", "nothing").partition(";")[0]
    if answer.is_error:
        answer.read()
        try:
            raise ApiError(answer.json())
        except ValueError:
            raise NotAStream(api, f"{answer.status_code}, {kind}") from None
    if kind != "text/event-stream":
        raise NotAStream(api, f"{answer.status_code}, {kind}")
