"""`python -m sandbox.devnets.evm`: the devnet as a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import json
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import uvicorn
import uvloop

from sandbox.devnets.evm.anvil import AnvilMissing, find_program
from sandbox.devnets.evm.control import Control
from sandbox.devnets.evm.doors import Doors, PortTaken, listen
from sandbox.devnets.evm.errors import AnvilGone
from sandbox.devnets.evm.journal import Journal, JournalCorrupt
from sandbox.devnets.evm.node import Node
from sandbox.devnets.evm.opening import ChainDiffers, Options
from sandbox.devnets.evm.producer import AnvilKeepsEnding, Pace, Producer
from sandbox.devnets.evm.replay import JournalMismatch
from sandbox.devnets.evm.rpc import Rpc
from sandbox.devnets.evm.server import Server
from sandbox.devnets.evm.subscriptions import Hub

EXIT_CANNOT_START = 2
EXIT_DATA = 3
EXIT_ANVIL = 4


class Refused(Exception):
    """The process cannot start or go on; the text is the one line for whoever started it."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Web(uvicorn.Server):
    """Uvicorn without its signal handling: it raises the signal again after a clean stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _address(text: str) -> str:
    if not re.fullmatch("0x[0-9a-fA-F]{40}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not an address (0x and 40 hex digits)")
    return text


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="sandbox devnet evm", description=__doc__)
    add = parser.add_argument
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=8545, help="HTTP and WebSocket; 0 = any free one")
    add("--data-dir", type=Path, required=True)
    add("--chain-id", type=int, default=31337)
    add("--gas-limit", type=int, default=100_000_000, help="of a block")
    add("--block-ms", type=int, default=200, help="a transaction is mined within")
    add("--final-delay-ms", type=int, default=1_000, help="two more blocks follow after")
    add("--heartbeat-ms", type=int, default=12_000, help="between blocks of an idle chain")
    add("--history", type=int, default=64, help="blocks whose state can be asked")
    add("--anvil", type=Path, help="the program; default: the one that npm installed")
    add("--anvil-memory-mb", type=int, default=400, help="restart anvil above it")
    add("--control", action="store_true", help="serve sandbox_*, anvil_*, evm_*, hardhat_*")
    add("--dev-accounts", action="store_true", help="ten funded accounts with public keys")
    add("--fund", action="append", default=[], type=_address, help="native coin for an address")
    add("--allow-host", action="append", default=[], help="a further Host name")
    add("--cors-origin", action="append", default=[], help="a further Origin")
    found = parser.parse_args(argv)
    if min(found.block_ms, found.final_delay_ms) < 0 or found.heartbeat_ms < 1:
        parser.error("--block-ms, --final-delay-ms and --heartbeat-ms cannot be negative")
    if found.history < 16:
        parser.error("--history must be at least 16 blocks")
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


def prepare(found: argparse.Namespace) -> tuple[Options, socket.socket]:
    """Lock, program, socket, in this order: what can be refused cheaply is refused first."""
    lock(found.data_dir)
    try:
        program = find_program(found.anvil)
        listening = listen(found.host, found.port)
    except (AnvilMissing, PortTaken) as error:
        raise Refused(EXIT_CANNOT_START, str(error)) from None
    options = Options(
        chain_id=found.chain_id,
        gas_limit=found.gas_limit,
        dev_accounts=found.dev_accounts,
        first_stamp=int(time.time()),
        program=program,
        data_dir=found.data_dir.resolve(),
        history=found.history,
        fund=tuple(found.fund),
    )
    return options, listening


async def opened(options: Options) -> Node:
    """The chain of the data directory, ready to be asked."""
    remedy = f"restore {options.data_dir} from a snapshot, or choose an empty --data-dir"
    try:
        node = Node(options, Journal(options.data_dir / "journal.bin"))
        await node.open()
    except ChainDiffers as error:
        raise Refused(EXIT_CANNOT_START, str(error)) from None
    except (JournalCorrupt, JournalMismatch) as error:
        raise Refused(EXIT_DATA, f"{error}: {remedy}") from None
    except AnvilGone as error:
        log = options.data_dir / "anvil.log"
        raise Refused(EXIT_ANVIL, f"{error}: see {log}") from None
    return node


async def serve(found: argparse.Namespace, options: Options, listening: socket.socket) -> None:
    """Run until SIGTERM or SIGINT, or until there is no chain any more (Refused)."""
    node = await opened(options)
    producer = Producer(node, Pace(found.block_ms, found.final_delay_ms, found.heartbeat_ms))
    hub = Hub(node)
    node.observer = hub
    rpc = Rpc(
        node,
        Control(node, producer, found.history),
        has_control=found.control,
        has_keys=found.dev_accounts,
    )
    web = Web(
        uvicorn.Config(
            Server(node, rpc, hub, Doors(found.allow_host, found.cors_origin)),
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
    working = [
        asyncio.create_task(producer.run()),
        asyncio.create_task(producer.keep_alive(found.anvil_memory_mb)),
        asyncio.create_task(hub.run()),
    ]
    node.unwritable.add_done_callback(lambda _error: setattr(web, "should_exit", True))
    for task in working:
        task.add_done_callback(lambda _ended: setattr(web, "should_exit", True))
    serving = asyncio.create_task(web.serve(sockets=[listening]))
    while not web.started and not serving.done():  # noqa: ASYNC110 - uvicorn has no event
        await asyncio.sleep(0.001)
    if web.started:
        _say_ready(found.host, listening.getsockname()[1], node)
    await serving
    for task in working:
        task.cancel()
    ends = await asyncio.gather(*working, return_exceptions=True)
    await node.close()
    if node.unwritable.done():
        raise node.unwritable.result()
    for end in ends:
        if isinstance(end, Exception):
            raise end


def _say_ready(host: str, port: int, node: Node) -> None:
    place = f"{f'[{host}]' if ':' in host else host}:{port}"
    ready = {
        "ready": True,
        "rpc": f"http://{place}",
        "ws": f"ws://{place}",
        "chain_id": node.genesis.chain_id,
        "genesis": node.genesis.hash,
    }
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()


def main(argv: list[str] | None = None) -> int:
    found = arguments(sys.argv[1:] if argv is None else argv)
    try:
        options, listening = prepare(found)
        uvloop.run(serve(found, options, listening))
    except Refused as error:
        sys.stderr.write(f"{error}\n")
        return error.code
    except (JournalCorrupt, JournalMismatch) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_DATA
    except AnvilKeepsEnding as error:
        sys.stderr.write(f"{error}: see {options.data_dir / 'anvil.log'}\n")
        return EXIT_ANVIL
    except OSError as error:
        # What cannot be written must not be shown: there is nothing to go on with.
        sys.stderr.write(f"the chain in {found.data_dir} cannot be written: {error}\n")
        return EXIT_DATA
    return 0


if __name__ == "__main__":
    sys.exit(main())
