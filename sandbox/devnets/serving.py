"""A devnet as a process: its common flags, its lock, its web server and how it ends."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import io
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NoReturn

import uvicorn

from sandbox.devnets.patience import (
    Patience,
    PatientHttp,
    PatientWebSocket,
    most_connections,
)
from sandbox.devnets.transport import App

EXIT_CANNOT_START: Final = 2
EXIT_DATA: Final = 3


class Refused(Exception):
    """The process cannot start or go on; the text is the one line for whoever started it."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class _Parser(argparse.ArgumentParser):
    """Tells a wrong use to programs as well, in the form of every refusal of `sandbox`."""

    def error(self, message: str) -> NoReturn:
        if "--json" in sys.argv:
            problem = {"object": "error", "code": "wrong_usage", "detail": message}
            sys.stdout.write(json.dumps({**problem, "remedy": f"{self.prog} --help"}) + "\n")
        super().error(message)


class _Lossy(io.RawIOBase):
    """Writes to a descriptor; what finds no room there is lost."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        with contextlib.suppress(OSError):
            os.write(self._descriptor, data)
        return len(data)


def outlive_a_full_log() -> None:
    """Let a message on stderr be lost when its file lies on a full disk.

    Else saying that the disk is full would fail, and end the process with another status.
    """
    sys.stderr = io.TextIOWrapper(_Lossy(2), "utf-8", "backslashreplace", write_through=True)


class _Server(uvicorn.Server):
    """Uvicorn without its signal handling: it raises the signal again after a clean stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def flags(chain: str, about: str | None, port: int, port_help: str) -> argparse.ArgumentParser:
    """A parser that knows what every devnet is asked."""
    parser = _Parser(
        prog=f"sandbox devnet {chain}",
        description=about,
        epilog=f"Example: sandbox devnet {chain} --port 0 --data-dir /tmp/{chain} --json",
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    add("--port", type=int, default=port, help=f"{port_help} (%(default)s)")
    kept = Path(f".sandbox-{chain}")
    add("--data-dir", type=Path, default=kept, help="where the chain is kept (%(default)s)")
    add(
        "--allow-host",
        metavar="NAME",
        action="append",
        default=[],
        help="a further name that clients may reach it by; may be repeated",
    )
    add(
        "--cors-origin",
        metavar="ORIGIN",
        action="append",
        default=[],
        help="a further site whose pages may use it, as https://example.org; may be repeated",
    )
    add("--json", action="store_true", help="say where it listens as one line of JSON")
    add("--restore", metavar="NAME", help="begin with the chain as this snapshot has it")
    return parser


def add_seed(parser: argparse.ArgumentParser) -> None:
    """`--seed`: of no use to a chain that is there, but for its pace."""
    parser.add_argument(
        "--seed",
        metavar="N",
        type=int,
        help="make always the same chain: its time stands until it is moved, and it has blocks"
        " for transactions only, which are final at once",
    )


def lock(data_dir: Path) -> None:
    """Hold the data directory until the process ends. Raises Refused."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Refused(
            EXIT_CANNOT_START,
            f"{data_dir} cannot be used ({error.strerror}): choose another --data-dir",
        ) from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise Refused(
            EXIT_CANNOT_START,
            f"{data_dir} is in use by another devnet: stop it, or choose another --data-dir",
        ) from None


def unusable_data(error: Exception, data_dir: Path, snapshots: list[str] | None = None) -> Refused:
    """The data cannot be trusted, and nothing of it is thrown away."""
    remedy = f"restore {data_dir} from a snapshot"
    if snapshots:
        remedy = f"start it with --restore and one of {', '.join(snapshots)}"
    return Refused(EXIT_DATA, f"{error}: {remedy}, or choose an empty --data-dir")


def refused_snapshot(error: Exception, data_dir: Path, snapshots: list[str]) -> Refused:
    """The one that was named cannot be restored; the chain is as it was."""
    remedy = f"{data_dir} has none; start without --restore"
    if snapshots:
        has = f"{data_dir} has {', '.join(snapshots)}"
        remedy = f"{has}; name another with --restore, or start without"
    return Refused(EXIT_CANNOT_START, f"{error}: {remedy}")


def url(scheme: str, host: str, listening: socket.socket) -> str:
    named = f"[{host}]" if ":" in host else host
    return f"{scheme}://{named}:{listening.getsockname()[1]}"


def greeting(options: argparse.Namespace, title: str, facts: dict[str, Any], hint: str) -> str:
    """What a started devnet says: `facts` as JSON for programs, or the same for people."""
    if options.json:
        return json.dumps({"ready": True, **facts})
    lines = [f"  {name.replace('_', ' '):<10}{value}" for name, value in facts.items()]
    where = f"The chain is kept in {options.data_dir}; Ctrl-C stops it, the next start goes on."
    return "\n".join([title, *lines, where, hint])


def web(
    app: App,
    http: type[PatientHttp] = PatientHttp,
    ws: type[PatientWebSocket] = PatientWebSocket,
    *,
    ping_s: float = 20,
) -> uvicorn.Server:
    """The web server of a devnet, which gives up on clients that stall (see `patience`)."""
    return _Server(
        uvicorn.Config(
            app,
            lifespan="off",
            log_config=None,
            log_level="error",  # a warning is what some client did, not what we did
            access_log=False,
            proxy_headers=False,  # nobody stands before it
            http=http,
            ws=ws,
            ws_max_size=1024 * 1024,
            ws_ping_interval=ping_s,
            ws_ping_timeout=ping_s,
            timeout_keep_alive=75,  # clients drop an idle connection first: no race with a request
            timeout_graceful_shutdown=2,
            server_header=False,
            date_header=False,
        )
    )


async def serve(
    app: App,
    sockets: list[socket.socket],
    ready: str,
    working: list[asyncio.Task[Any]],
) -> None:
    """Until SIGTERM, SIGINT or the end of one of `working`, whose exception is raised.

    `ready` is written to stdout once the sockets are served.
    """
    PatientHttp.patience = Patience(connections=most_connections())
    server = web(app)

    def stop(_why: object = None) -> None:
        server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    for task in working:
        task.add_done_callback(stop)
    serving = asyncio.create_task(server.serve(sockets=sockets))
    while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn has no event
        await asyncio.sleep(0.001)
    if server.started:
        sys.stdout.write(ready + "\n")
        sys.stdout.flush()
    await serving
    for task in working:
        task.cancel()
    for end in await asyncio.gather(*working, return_exceptions=True):
        if isinstance(end, Exception):
            raise end
