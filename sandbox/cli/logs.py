"""`sandbox logs tail` and `sandbox logs show`: requests to the API, as it logged them."""

import json
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from rich.markup import escape

from sandbox.cli import show
from sandbox.cli.endpoints import (
    ApiError,
    GaveUp,
    JsonObject,
    NoAnswer,
    NotRunning,
    Role,
    Running,
)
from sandbox.cli.interrupts import until_stopped

LIST: Final = "/v1/request_logs"
PAGE: Final = 100
POLL_S: Final = 0.5


def tail(
    data_dir: Path,
    asked: Mapping[str, str],
    limit: int,
    follow: bool,
    role: Role,
    key: str | None,
    as_json: bool,
) -> int:
    """The newest `limit` requests, then each as it is answered, until Ctrl-C."""
    reader, timeline = _Reader(data_dir, asked, role, key), show.Timeline()
    with closing(reader), suppress(KeyboardInterrupt), until_stopped():
        # One is read also when none is shown: what comes behind it is new.
        first = reader.newest(max(limit, 1))
        for one in first[-limit:] if limit else ():
            _print(one, timeline, as_json)
        if not first and not as_json:
            everybodys = "; --role operator shows everybody's" if role == "merchant" else ""
            show.err.print(f"[dim]no requests{everybodys}[/]")
        while follow:
            for one in reader.newer():
                _print(one, timeline, as_json)
            time.sleep(POLL_S)
    return 0


def show_one(data_dir: Path, request: str, role: Role, key: str | None, as_json: bool) -> int:
    """One request whole."""
    with closing(Running.for_caller(data_dir, key)) as running:
        found = running.get(f"{LIST}/{request}", role)
    print(json.dumps(found, ensure_ascii=False, indent=None if as_json else 2), flush=True)
    return 0


class _Reader:
    """Pages of the log behind a cursor; a sandbox that goes away is waited for."""

    def __init__(
        self, data_dir: Path, asked: Mapping[str, str], role: Role, key: str | None
    ) -> None:
        self._data_dir, self._asked, self._role, self._key = data_dir, asked, role, key
        self._running = Running.for_caller(data_dir, key)
        self._last: str | None = None
        self._is_away = False

    def close(self) -> None:
        self._running.close()

    def newest(self, limit: int) -> list[JsonObject]:
        """Oldest first. Raises what a call to the API raises."""
        return self._took(self._running.get(LIST, self._role, limit=limit, **self._asked)["data"])

    def newer(self) -> list[JsonObject]:
        """What was answered since, oldest first; nothing while the sandbox is away."""
        cursor = {} if self._last is None else {"ending_before": self._last}
        try:
            if self._is_away:
                self._running.close()
                self._running = Running.for_caller(self._data_dir, self._key)
            found = self._running.get(LIST, self._role, limit=PAGE, **cursor, **self._asked)
        except ApiError as error:
            if error.status < 500 and error.status != 429:
                raise
            return []
        except (NotRunning, NoAnswer, GaveUp):
            self._say_away(True)
            return []
        self._say_away(False)
        return self._took(found["data"])

    def _took(self, page: list[JsonObject]) -> list[JsonObject]:
        if page:
            self._last = page[0]["id"]
        return page[::-1]

    def _say_away(self, is_away: bool) -> None:
        if is_away != self._is_away:
            self._is_away = is_away
            said = "away; waiting until it is back" if is_away else "back"
            show.err.print(f"[dim]the sandbox is {said}[/]")


def _print(one: JsonObject, timeline: show.Timeline, as_json: bool) -> None:
    if as_json:
        print(json.dumps(one, ensure_ascii=False), flush=True)
        return
    status = int(one["status"])
    colour = "green" if status < 400 else "yellow" if status < 500 else "red"
    query = f"?{one['query']}" if one.get("query") else ""
    marks = f" [bold]{escape(one['code'])}[/]" if one.get("code") else ""
    marks += " [cyan]replayed[/]" if one.get("replayed") else ""
    timeline.line(
        one["created_at"],
        f"[{colour}]{status}[/] {one['method']:<6} {escape(one['path'] + query)}"
        f" [dim]{one['duration_ms']} ms {one['id']}[/]{marks}",
    )
