"""`python -m sandbox.devnets.evm`: the devnet as a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import uvloop

from sandbox.core.chance import START
from sandbox.core.doors import WALLET_SCHEMES, Doors
from sandbox.core.fidelity import as_text
from sandbox.devnets import serving
from sandbox.devnets.doors import PortTaken, listen
from sandbox.devnets.evm.anvil import Anvil, AnvilDiffers, AnvilMissing, find_program
from sandbox.devnets.evm.backend import Backend
from sandbox.devnets.evm.control import Control
from sandbox.devnets.evm.errors import AnvilGone
from sandbox.devnets.evm.fidelity import PARTS
from sandbox.devnets.evm.front import Front, Sending
from sandbox.devnets.evm.journal import Genesis, Journal
from sandbox.devnets.evm.keeper import AnvilKeepsEnding, Keeper
from sandbox.devnets.evm.node import Node
from sandbox.devnets.evm.opening import ChainDiffers, Options, engine_of
from sandbox.devnets.evm.producer import Pace, Producer
from sandbox.devnets.evm.replay import JournalMismatch
from sandbox.devnets.evm.rpc import Rpc
from sandbox.devnets.evm.snapshots import JOURNAL, folder_of
from sandbox.devnets.evm.subscriptions import Hub
from sandbox.devnets.faults import Faults
from sandbox.devnets.journal_file import JournalCorrupt
from sandbox.devnets.serving import EXIT_CANNOT_START, EXIT_DATA, Refused
from sandbox.devnets.snapshot_folder import SnapshotRefused
from sandbox.devnets.transport import Transport

EXIT_ANVIL: Final = 4
ANVIL, TESTER = "anvil", "eth-tester"
_ABOUT: Final = (
    "An EVM chain on this machine: anvil behind a front that gives it a pace, finality and a"
    " journal, from which it goes on after a restart."
)


def _address(text: str) -> str:
    if not re.fullmatch("0x[0-9a-fA-F]{40}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not an address (0x and 40 hex digits)")
    return text


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = serving.flags("evm", _ABOUT, 8545, "HTTP and WebSocket; 0 = any free one")
    add = parser.add_argument
    add("--chain-id", type=int, default=31337, help="EIP-155 (%(default)s)")
    add("--gas-limit", type=int, default=100_000_000, help="of a block (%(default)s)")
    add("--block-ms", type=int, default=200, help="a transaction is mined within (%(default)s)")
    add(
        "--final-delay-ms",
        type=int,
        default=1_000,
        help="two more blocks follow after (%(default)s)",
    )
    add(
        "--heartbeat-ms",
        type=int,
        default=12_000,
        help="between blocks of an idle chain (%(default)s)",
    )
    add("--history", type=int, default=64, help="blocks whose state can be asked (%(default)s)")
    add(
        "--engine",
        choices=("auto", ANVIL, TESTER),
        default="auto",
        help="auto: anvil if it is there",
    )
    add("--anvil", type=Path, help="the program; default: the one that npm installed")
    add("--anvil-memory-mb", type=int, default=400, help="restart anvil above it (%(default)s)")
    add(
        "--pool-seconds",
        type=float,
        default=30,
        help="a transaction that waits longer is said (%(default)s)",
    )
    served = "serve sandbox_*, anvil_*, evm_*, hardhat_*"
    add("--faults", dest="control", action="store_true", help=served)
    serving.add_seed(parser)
    add("--dev-accounts", action="store_true", help="ten funded accounts with public keys")
    add("--fidelity", action="store_true", help="say what is real in it and what is not, and end")
    add("--fund", action="append", default=[], type=_address, help="native coin for an address")
    found = parser.parse_args(argv)
    if min(found.block_ms, found.final_delay_ms) < 0 or found.heartbeat_ms < 1:
        parser.error("--block-ms, --final-delay-ms and --heartbeat-ms cannot be negative")
    if found.anvil_memory_mb < 1 or found.pool_seconds <= 0:
        parser.error("--anvil-memory-mb and --pool-seconds must be above 0")
    if found.history < 16:
        parser.error("--history must be at least 16 blocks")
    return found


def prepare(found: argparse.Namespace) -> tuple[Options, socket.socket]:
    """Lock, engine, socket, in this order: what can be refused cheaply is refused first."""
    serving.lock(found.data_dir)
    data_dir = found.data_dir.resolve()
    snapshots = folder_of(data_dir)
    snapshots.tidy()
    restored = data_dir
    if found.restore is not None:
        try:
            restored = snapshots.existing(found.restore)
        except SnapshotRefused as error:
            raise serving.refused_snapshot(error, data_dir, _names(data_dir)) from None
    engine, start = choose(found, restored)
    try:
        listening = listen(found.host, found.port)
    except PortTaken as error:
        raise Refused(EXIT_CANNOT_START, str(error)) from None
    options = Options(
        chain_id=found.chain_id,
        gas_limit=found.gas_limit,
        dev_accounts=found.dev_accounts,
        first_stamp=int(time.time() if found.seed is None else START.timestamp()),
        data_dir=data_dir,
        engine=engine,
        history=found.history,
        start=start,
        fund=tuple(found.fund),
        seed=found.seed,
    )
    return options, listening


def choose(
    found: argparse.Namespace, folder: Path
) -> tuple[str, Callable[[Genesis], Awaitable[Backend]]]:
    """The engine that made the chain in a folder; for a new one anvil where it is installed, else
    the fallback, which is said in one line.
    """
    wanted, why = found.engine, "as asked"
    if wanted == "auto" and (made := made_with(folder)) is not None:
        wanted, why = made, f"which made the chain in {folder}"
    if wanted != TESTER:
        try:
            program = find_program(found.anvil)
        except AnvilMissing as error:
            if wanted == ANVIL or found.anvil is not None:
                raise Refused(EXIT_CANNOT_START, str(error)) from None
            why = str(error)
        else:
            runs_in = found.data_dir.resolve()
            return ANVIL, lambda genesis: Anvil.start(program, runs_in, genesis, found.history)
    if found.dev_accounts:
        raise Refused(EXIT_CANNOT_START, f"--dev-accounts needs anvil, not eth-tester ({why})")
    # Imported where it runs: it takes half a second and is seldom needed.
    from sandbox.devnets.evm.tester import LIMITS, Tester

    sys.stderr.write(f"this EVM chain runs on eth-tester instead of anvil ({why}): {LIMITS}\n")
    return TESTER, Tester.start


def made_with(folder: Path) -> str | None:
    """The engine of the chain that is there; what cannot be read is refused when it is opened."""
    file = folder / JOURNAL
    if not file.exists():
        return None
    with contextlib.suppress(JournalCorrupt), Journal(file) as journal:
        genesis = journal.genesis()
        return None if genesis is None else engine_of(genesis)
    return None


def _names(data_dir: Path) -> list[str]:
    return [about.name for about in folder_of(data_dir).listed()]


async def opened(options: Options, restore: str | None) -> Node:
    """The chain of the data directory, ready to be asked."""
    try:
        node = Node(options)
        await node.open(restore)
    except SnapshotRefused as error:
        raise serving.refused_snapshot(error, options.data_dir, _names(options.data_dir)) from None
    except (ChainDiffers, AnvilDiffers) as error:
        raise Refused(EXIT_CANNOT_START, str(error)) from None
    except (JournalCorrupt, JournalMismatch) as error:
        raise serving.unusable_data(error, options.data_dir, _names(options.data_dir)) from None
    except AnvilGone as error:
        log = options.data_dir / "anvil.log"
        raise Refused(EXIT_ANVIL, f"{error}: see {log}") from None
    return node


async def serve(found: argparse.Namespace, options: Options, listening: socket.socket) -> None:
    """Run until SIGTERM or SIGINT, or until there is no chain any more (Refused)."""
    node = await opened(options, found.restore)
    pace = Pace(found.block_ms, found.final_delay_ms, found.heartbeat_ms)
    producer = Producer(node, pace, in_step=found.seed is not None)
    keeper = Keeper(node, producer, memory_mb=found.anvil_memory_mb, pool_s=found.pool_seconds)
    hub = Hub(node)
    node.observer = hub
    faults = Faults(Sending())
    rpc = Rpc(
        node,
        Control(node, producer, keeper, found.history, faults),
        has_control=found.control,
        has_keys=found.dev_accounts,
    )
    facts = {
        "rpc": serving.url("http", found.host, listening),
        "ws": serving.url("ws", found.host, listening),
        "chain_id": node.genesis.chain_id,
        "genesis": node.genesis.hash,
    }
    front = Front(node, rpc, hub, faults, has_keys=found.dev_accounts)
    app = Transport(front, Doors(found.allow_host, found.cors_origin, WALLET_SCHEMES))
    title = f"An EVM devnet on this machine: chain {node.genesis.chain_id}, run by {options.engine}"
    hint = "Nobody has native coin: --dev-accounts makes ten accounts with public keys."
    if found.dev_accounts:
        hint = "Ten accounts have native coin and keys that everybody knows: eth_accounts."
    ready = serving.greeting(found, title, facts, hint)
    working = [
        asyncio.create_task(node.unwritable()),  # first: it is the cause of what else ends
        asyncio.create_task(producer.run()),
        asyncio.create_task(keeper.run()),
        asyncio.create_task(hub.run()),
    ]
    try:
        await serving.serve(app, [listening], ready, working)
    finally:
        await node.close()


def main(argv: list[str] | None = None) -> int:
    found = arguments(sys.argv[1:] if argv is None else argv)
    if found.fidelity:
        sys.stdout.write(as_text(PARTS))
        return 0
    try:
        options, listening = prepare(found)
        uvloop.run(serve(found, options, listening))
    except Refused as error:
        sys.stderr.write(f"{error}\n")
        return error.code
    except (JournalCorrupt, JournalMismatch) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_DATA
    except AnvilDiffers as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_ANVIL
    except AnvilKeepsEnding as error:
        sys.stderr.write(f"{error}: see {options.data_dir / 'anvil.log'}\n")
        return EXIT_ANVIL
    except OSError as error:
        # What cannot be written must not be shown: there is nothing to go on with.
        sys.stderr.write(f"the chain in {found.data_dir} cannot be written: {error}\n")
        return EXIT_DATA
    return 0


if __name__ == "__main__":
    serving.outlive_a_full_log()
    sys.exit(main())
