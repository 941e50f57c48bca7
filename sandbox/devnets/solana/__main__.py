"""`python -m sandbox.devnets.solana`: the devnet as a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import uvicorn
import uvloop

from sandbox.devnets.solana import server
from sandbox.devnets.solana.archive import ArchiveUnusable
from sandbox.devnets.solana.bank import Bank, Depths
from sandbox.devnets.solana.encode import key_text
from sandbox.devnets.solana.journal import JournalCorrupt
from sandbox.devnets.solana.node import Node
from sandbox.devnets.solana.ports import PortTaken, listen
from sandbox.devnets.solana.producer import Producer
from sandbox.devnets.solana.subscriptions import Hub

EXIT_CANNOT_START = 2
EXIT_DATA = 3


class Refused(Exception):
    """The process cannot start; the text is the one line for the person who started it."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Server(uvicorn.Server):
    """Uvicorn without its signal handling: it raises the signal again after a clean stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="sandbox devnet solana", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8899, help="RPC; WebSocket is one above; 0=any")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--slot-ms", type=int, default=400, help="0 = as fast as possible")
    parser.add_argument("--finality", type=int, default=32, help="blocks until final")
    parser.add_argument("--confirmed-depth", type=int, default=1, help="blocks until confirmed")
    parser.add_argument("--control", action="store_true", help="serve the sandbox_* methods")
    parser.add_argument("--max-memory-records", type=int, default=2_000)
    parser.add_argument("--allow-host", action="append", default=[], help="a further Host name")
    parser.add_argument("--cors-origin", action="append", default=[], help="a further Origin")
    found = parser.parse_args(argv)
    if not 0 < found.confirmed_depth < found.finality:
        parser.error("--confirmed-depth must be at least 1 and below --finality")
    if found.slot_ms < 0 or found.max_memory_records < 1:
        parser.error("--slot-ms and --max-memory-records cannot be negative")
    return found


def lock(data_dir: Path) -> int:
    """Hold the data directory until the process ends."""
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    fd = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise Refused(
            EXIT_CANNOT_START,
            f"{data_dir} is in use by another devnet: stop it, or choose another --data-dir",
        ) from None
    return fd


def start(options: argparse.Namespace) -> tuple[Bank, tuple[socket.socket, socket.socket]]:
    """Lock, sockets, chain, in this order: what can be refused cheaply is refused first."""
    lock(options.data_dir)
    try:
        sockets = listen(options.host, options.port)
    except PortTaken as error:
        raise Refused(EXIT_CANNOT_START, str(error)) from None
    depths = Depths(confirmed=options.confirmed_depth, finality=options.finality)
    try:
        bank = Bank.open(options.data_dir, depths, max_memory_records=options.max_memory_records)
    except (JournalCorrupt, ArchiveUnusable) as error:
        remedy = f"restore {options.data_dir} from a snapshot, or choose an empty --data-dir"
        raise Refused(EXIT_DATA, f"{error}: {remedy}") from None
    return bank, sockets


async def serve(
    options: argparse.Namespace, bank: Bank, sockets: tuple[socket.socket, socket.socket]
) -> None:
    """Run until SIGTERM or SIGINT, then seal what was processed."""
    producer = Producer(bank, options.slot_ms)
    node = Node(bank, producer, options.control)
    hub = Hub(node)
    bank.observer = hub
    app = server.create(node, hub, server.Doors(options.allow_host, options.cors_origin))
    web = Server(
        uvicorn.Config(
            app,
            lifespan="off",
            log_config=None,
            log_level="error",  # a warning is what some client did, not what we did
            access_log=False,
            http="httptools",
            ws_max_size=1024 * 1024,
            timeout_graceful_shutdown=2,
            server_header=False,
            date_header=False,
        )
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: setattr(web, "should_exit", True))
    making = asyncio.create_task(producer.run())
    making.add_done_callback(lambda _task: setattr(web, "should_exit", True))
    rpc_port, ws_port = (made.getsockname()[1] for made in sockets)
    host = f"[{options.host}]" if ":" in options.host else options.host
    ready = {
        "ready": True,
        "rpc": f"http://{host}:{rpc_port}",
        "ws": f"ws://{host}:{ws_port}",
        "genesis": key_text(bank.genesis_hash),
    }
    serving = asyncio.create_task(web.serve(sockets=list(sockets)))
    while not web.started and not serving.done():  # noqa: ASYNC110 - uvicorn has no event
        await asyncio.sleep(0.001)
    if web.started:
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
    await serving
    making.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await making
    bank.close()


def main(argv: list[str] | None = None) -> int:
    options = arguments(sys.argv[1:] if argv is None else argv)
    try:
        bank, sockets = start(options)
    except Refused as error:
        sys.stderr.write(f"{error}\n")
        return error.code
    try:
        uvloop.run(serve(options, bank, sockets))
    except OSError as error:
        # A slot that cannot be written must not be shown: there is nothing to go on with.
        sys.stderr.write(f"the chain in {options.data_dir} cannot be written: {error}\n")
        return EXIT_DATA
    return 0


if __name__ == "__main__":
    sys.exit(main())
