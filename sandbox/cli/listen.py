"""`sandbox listen`: what happens in the sandbox, live, on the terminal and at a local receiver."""

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from rich.markup import escape

from sandbox.cli import show
from sandbox.cli.endpoints import JsonObject, NotRunning, Role, Running
from sandbox.cli.following import Arrival, Follower, Note, Start, counted, number
from sandbox.cli.forwarding import Attempt, Forwarder
from sandbox.cli.interrupts import until_stopped
from sandbox.cli.listeners import Listener, Place, default_name
from sandbox.core.errors import SandboxError
from sandbox.devnets import datadir

_OURS: Final = ("content-length", "content-type", "host", "transfer-encoding")
_LOUD: Final = ("gap", "lost", "restored")


class BadForwardUrl(SandboxError):
    """The receiver's address cannot be one."""

    code = "bad_forward_url"

    def __init__(self, url: str) -> None:
        super().__init__(
            f"{url!r} is no address to forward to: write localhost:3000/hooks or a full http:// or"
            " https:// URL"
        )


class BadHeader(SandboxError):
    """A header that cannot be added."""

    code = "bad_header"


class NoSuchEvent(SandboxError):
    """`--since` names nothing that has happened."""

    code = "no_such_event"

    def __init__(self, since: str) -> None:
        super().__init__(
            f"there is no event {since} (yet): --since takes evt_…, a sequence (with --role"
            " operator or regulator a position), beginning or now"
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """What `sandbox listen` was asked for."""

    data_dir: Path
    forward_to: str | None
    events: Sequence[str]
    headers: Mapping[str, str]
    since: str | None
    name: str | None
    role: Role
    key: str | None
    as_json: bool
    skip_refused: bool
    skip_verify: bool


def receiver(text: str) -> str:
    """`3000/hooks` and `localhost:3000/hooks` as URLs, too. Raises `BadForwardUrl`."""
    url = text
    if re.match(r"\d+(/|$)", url):
        url = f"localhost:{url}"
    if "://" not in url:
        url = f"http://{url}"
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        fits = False
    if not fits or not url.isprintable() or " " in url or parts.fragment:
        raise BadForwardUrl(text)
    return url


def added(headers: Sequence[str]) -> dict[str, str]:
    """`Name: value` lines as headers. Raises `BadHeader`."""
    found: dict[str, str] = {}
    for line in headers:
        name, colon, value = (part.strip() for part in line.partition(":"))
        if not colon or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            raise BadHeader(f"{line!r} is no header: write 'Name: value'")
        if not value.isascii() or not value.isprintable():
            raise BadHeader(f"{line!r}: a value has printable ASCII characters only")
        if name.lower() in _OURS or name.lower().startswith("webhook-"):
            raise BadHeader(f"{name} is part of the webhook itself: it cannot be given")
        found[name] = value
    return found


def print_secret(asked: Asked) -> int:
    """The secret that this listener signs with, and nothing else; the sandbox need not be up."""
    if not datadir.has_data(asked.data_dir):
        raise NotRunning(asked.data_dir)
    secret = _listener(asked).secret()
    print(json.dumps({"secret": secret}) if asked.as_json else secret, flush=True)
    return 0


def run(asked: Asked) -> int:
    """Listen until Ctrl-C or a termination signal; 1 when events are lost for good."""
    with ExitStack() as stack, until_stopped():
        listening = _Listening(asked, stack)
        try:
            listening.go()
        except KeyboardInterrupt:
            listening.end()
        return 1 if listening.follower.lost else 0


class _Listening:
    """One run: reads, prints, forwards, and keeps the cursor of a listener that has a name."""

    def __init__(self, asked: Asked, stack: ExitStack) -> None:
        self._asked = asked
        self._listener: Listener | None = None
        self._forwarder: Forwarder | None = None
        self._dealt_with: Place | None = None
        self._timeline = show.Timeline()
        start: Start = "now"
        if asked.forward_to is not None or asked.name is not None:
            self._listener = _listener(asked)
            stack.enter_context(self._listener.held())
            start = self._listener.place() or start
        if asked.since is not None:
            start = _since(asked, asked.since)
        if asked.forward_to is not None:
            assert self._listener is not None
            self._forwarder = Forwarder(
                asked.forward_to,
                self._listener.secret(),
                asked.headers,
                skip_refused=asked.skip_refused,
                skip_verify=asked.skip_verify,
            )
            stack.callback(self._forwarder.close)
        self.follower = Follower(asked.data_dir, asked.role, asked.key, start, self._tell)

    def go(self) -> None:
        """Until it is interrupted."""
        for arrival in self.follower.events():
            if any(fnmatchcase(arrival.event["type"], one) for one in self._asked.events):
                self._handle(arrival)
            else:
                self._settle(arrival.place)

    def end(self) -> None:
        """Say where it stands; the next run goes on from there."""
        place = self._dealt_with
        again = "" if self._listener is None else "; the next run goes on from there"
        at = "before the first event"
        if place is not None:
            at = f"at {counted(self._asked.role)} {place.number}"
        self._tell(Note("stopped", f"stopped {at}{again}", {"place": place and str(place)}))

    def _handle(self, arrival: Arrival) -> None:
        if self._forwarder is None:
            self._print(arrival, None)
            self._settle(arrival.place)
            return
        for attempt in self._forwarder.deliver(arrival.event):
            if attempt.again_s is None:
                # At once: what is lost between the answer and here comes a second time.
                self._settle(arrival.place)
            self._print(arrival, attempt)

    def _settle(self, place: Place | None) -> None:
        """One that was sent again has no place: everything stays where it was."""
        if place is None or place.number < 0:
            return
        self._dealt_with = place
        if self._listener is not None:
            self._listener.stand_at(place)

    def _tell(self, note: Note) -> None:
        if note.kind == "listening":
            # Nothing that happened before concerns a new listener; what comes is its own.
            self._settle(self.follower.place)
        if self._asked.as_json:
            print(json.dumps({"object": note.kind, **note.values}, ensure_ascii=False), flush=True)
        if not self._asked.as_json or note.kind in _LOUD:
            colour = "bold red" if note.kind in _LOUD else "dim"
            show.err.print(f"[{colour}]{escape(note.text)}[/]")
        if note.kind == "listening" and self._forwarder is not None and not self._asked.as_json:
            show.err.print(f"[dim]forwarding to {escape(self._asked.forward_to or '')}[/]")
            show.err.print(f"[dim]signed with[/] {_listener(self._asked).secret()}")
            show.err.print("[dim]Ctrl-C ends it, the next run goes on[/]")

    def _print(self, arrival: Arrival, attempt: Attempt | None) -> None:
        if self._asked.as_json:
            print(json.dumps(_for_programs(arrival, attempt), ensure_ascii=False), flush=True)
        else:
            self._timeline.line(arrival.event["created"], _line(arrival, attempt))


def _for_programs(arrival: Arrival, attempt: Attempt | None) -> JsonObject:
    if attempt is None:
        return arrival.event
    marks = {"resent": arrival.place is None, "filled": arrival.filled}
    return {"object": "forwarded", **asdict(attempt), **marks, "event": arrival.event}


def _line(arrival: Arrival, attempt: Attempt | None) -> str:
    """Type, object, what the receiver answered: with the time 80 columns for the usual event."""
    event = arrival.event
    about = str(event["data"].get("id") or event["id"])
    marks = (" [cyan]resent[/]" if arrival.place is None else "") + (
        " [yellow]filled[/]" if arrival.filled else ""
    )
    said = ""
    if attempt is not None:
        said = f" → {_answer(attempt)} [dim]{attempt.duration_ms} ms[/]"
        if attempt.again_s is not None:
            said += f", again in {attempt.again_s:g} s"
        if attempt.error:
            said += f" [dim]{escape(attempt.error)}[/]"
        elif not attempt.delivered and attempt.response_head.strip():
            said += f" [dim]{escape(' '.join(attempt.response_head.split())[:100])}[/]"
    return f"{event['type']:<26} {about:<30}{said}{marks}"


def _answer(attempt: Attempt) -> str:
    if attempt.status is None:
        return "[red]no answer[/]"
    return f"[{'green' if attempt.delivered else 'red'}]{attempt.status}[/]"


def _listener(asked: Asked) -> Listener:
    if asked.name is not None:
        return Listener(asked.data_dir, asked.name)
    assert asked.forward_to is not None
    return Listener(asked.data_dir, default_name(asked.forward_to, asked.key or asked.role))


def _since(asked: Asked, since: str) -> Start:
    """Before which event to begin. Raises `NoSuchEvent`, and what a call to the API raises."""
    if since in ("now", "beginning"):
        return "now" if since == "now" else "beginning"
    running = Running.for_caller(asked.data_dir, asked.key)
    if since.startswith("evt_"):
        event = running.get(f"/v1/events/{since}", asked.role)
    elif since.isascii() and since.isdecimal() and len(since) < 18:
        before = {"after": int(since) - 1} if int(since) else {}
        found = running.get("/v1/events", asked.role, limit=1, **before)["data"]
        if not found:
            raise NoSuchEvent(since)
        event = found[0]
    else:
        raise NoSuchEvent(since)
    running.close()
    return Place(event["epoch"], number(event) - 1)
