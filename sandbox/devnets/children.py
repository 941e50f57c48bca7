"""One child process of the supervisor: what it is, how it starts, is ready, ends; and its log."""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

from sandbox.core import line
from sandbox.devnets.errors import DevnetError
from sandbox.devnets.ports import Ports
from sandbox.devnets.processes import Identity, kill_group, leashed

LOG_CAP_BYTES: Final = 10_000_000
_LAST_LINES: Final = 5
_POLL_S: Final = 0.05
_KILLED_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Context:
    """What children know of each other: the directory, the ports, and facts left on the way."""

    data_dir: Path
    ports: Ports
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """A command of the stack.

    `command` may be a function: it is asked before every start, so it must give the same port each
    time (`context.ports.get`); one that answers later may be cancelled meanwhile. `ports` are those
    that the child listens on: while it is not ready for the first time, it gets others for those
    that it found taken. `ready` is asked until it says True; OSError and TimeoutError mean
    not yet, another DevnetError ends the stack. A `one_shot` is ready when it has ended with 0.
    With `on_line`, each process of the child has a control line; it is called with our end.
    `on_ready` is awaited when it is ready for the first time.
    """

    name: str
    command: Sequence[str] | Callable[[Context], Sequence[str] | Awaitable[Sequence[str]]]
    ready: Callable[[Context], Awaitable[bool]] | None = None
    one_shot: bool = False
    env: Mapping[str, str] | Callable[[Context], Mapping[str, str]] = field(default_factory=dict)
    timeout_s: float = 30.0
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_s: float = 10.0
    death_signal: signal.Signals = signal.SIGKILL
    identity: Callable[[Context], Identity] | None = None
    on_line: Callable[[socket.socket], Awaitable[None]] | None = None
    on_ready: Callable[[], Awaitable[None]] | None = None
    ports: Sequence[str] = ()


class ChildFailed(DevnetError):
    code = "child_failed"

    def __init__(self, name: str, how: str, last_lines: str, log: Path) -> None:
        self.name, self.last_lines = name, last_lines
        said = f": {last_lines}" if last_lines else " and said nothing"
        super().__init__(f"{name} {how}{said}", f"see {log}")


class Child:
    """A running (or ended) child; `start` may be called again after its end."""

    def __init__(self, spec: ChildSpec, context: Context) -> None:
        self.spec, self._context = spec, context
        self.log = context.data_dir / "logs" / f"{spec.name}.log"
        self._log_start = 0
        self._process: asyncio.subprocess.Process | None = None
        self._lines: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def spawn(self) -> None:
        """Start the process in a session of its own; must run in the main thread's event loop."""
        argv = await self._command()
        identity = self.spec.identity(self._context) if self.spec.identity else "same"
        env = self.spec.env(self._context) if callable(self.spec.env) else self.spec.env
        with self._opened_log() as log, contextlib.ExitStack() as theirs:
            self._log_start = log.tell()
            end = self._line_of_its_own()
            passed = [] if end is None else [theirs.enter_context(end).fileno()]
            told = {line.FD: str(passed[0])} if passed else {}
            self._process = await asyncio.create_subprocess_exec(
                *leashed(argv, self.spec.death_signal, identity),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **env, **told},
                start_new_session=True,
                pass_fds=passed,
            )

    async def _command(self) -> list[str]:
        command = self.spec.command
        answer = command(self._context) if callable(command) else command
        return list(await answer if isinstance(answer, Awaitable) else answer)

    def _line_of_its_own(self) -> socket.socket | None:
        """The child's end of a control line whose other end is served until the child has ended."""
        if self.spec.on_line is None:
            return None
        ours, theirs = socket.socketpair()
        served = asyncio.ensure_future(self.spec.on_line(ours))
        self._lines.add(served)
        served.add_done_callback(self._lines.discard)
        return theirs

    def _opened_log(self) -> BinaryIO:
        return open(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")

    async def become_ready(self) -> None:
        """Wait for health (or, for a one-shot, its good end). Raises ChildFailed."""
        deadline = time.monotonic() + self.spec.timeout_s
        if self.spec.one_shot:
            with contextlib.suppress(TimeoutError):
                if await asyncio.wait_for(self.ended(), self.spec.timeout_s) == 0:
                    return
                raise self.failed(self.how_it_ended())
            raise self.failed(f"did not finish within {self.spec.timeout_s:g} s")
        while self.running():
            if await self._answers(deadline):
                return
            if time.monotonic() > deadline:
                raise self.failed(f"was not ready within {self.spec.timeout_s:g} s")
            await asyncio.sleep(_POLL_S)
        raise self.failed(self.how_it_ended())

    async def _answers(self, deadline: float) -> bool:
        if self.spec.ready is None:
            return True
        with contextlib.suppress(OSError, TimeoutError):
            left_s = max(deadline - time.monotonic(), _POLL_S)
            return await asyncio.wait_for(self.spec.ready(self._context), left_s) and self.running()
        return False

    async def ended(self) -> int:
        """Wait for the end; whatever it left in its session is ended too."""
        assert self._process is not None
        status = await self._process.wait()
        kill_group(self._process.pid)
        return status

    async def stop(self) -> None:
        """Ask it to end, then make it; bounded by `stop_timeout_s` and a little."""
        if self._process is None or not self.running():
            return
        # One that still waits for our word may not look at signals before it has it.
        for served in self._lines:
            served.cancel()
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(self.spec.stop_signal)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.ended(), self.spec.stop_timeout_s)
            return
        await self.kill()

    async def kill(self) -> None:
        if self._process is None or not self.running():
            return
        kill_group(self._process.pid)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.ended(), _KILLED_S)

    def failed(self, how: str) -> ChildFailed:
        return ChildFailed(self.name, how, self.last_lines(), self.log)

    def how_it_ended(self) -> str:
        status = self._process.returncode if self._process else None
        if status is None:
            return "did not start"
        if status < 0:
            return f"was ended by {signal.Signals(-status).name}"
        return f"ended with status {status}"

    def last_lines(self) -> str:
        """The last lines of the log since the last start, in one line."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(self._log_start, self.log.stat().st_size - 8192))
                said = log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        return " / ".join(lines[-_LAST_LINES:])


def rotate(log: Path) -> None:
    """Keep one former log once the file is above the cap; done at the start of a stack only."""
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > LOG_CAP_BYTES:
            log.replace(log.with_suffix(".log.1"))


def http_answers(url: Callable[[Context], str]) -> Callable[[Context], Awaitable[bool]]:
    """A health check: a GET of the loopback `http://` URL is answered with 200."""

    async def ready(context: Context) -> bool:
        address, _, path = url(context).removeprefix("http://").partition("/")
        host, _, port = address.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port or 80))
        try:
            request = f"GET /{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
            writer.write(request.encode())
            await writer.drain()
            return (await reader.readline()).split()[1:2] == [b"200"]
        finally:
            writer.close()

    return ready
