"""`python -m sandbox.devnets.solana`: the devnet as a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import gc
import socket
import sys

import uvloop

from sandbox.core.doors import WALLET_SCHEMES, Doors
from sandbox.core.fidelity import as_text
from sandbox.devnets import serving
from sandbox.devnets.doors import PortTaken
from sandbox.devnets.faults import Faults
from sandbox.devnets.journal_file import JournalCorrupt
from sandbox.devnets.serving import EXIT_CANNOT_START, EXIT_DATA, Refused
from sandbox.devnets.snapshot_folder import SnapshotRefused
from sandbox.devnets.solana.archive import ArchiveUnusable
from sandbox.devnets.solana.bank import Bank, Depths
from sandbox.devnets.solana.encode import key_text
from sandbox.devnets.solana.fidelity import PARTS
from sandbox.devnets.solana.front import Front, Sending
from sandbox.devnets.solana.node import Node
from sandbox.devnets.solana.ports import listen_pair
from sandbox.devnets.solana.producer import Producer
from sandbox.devnets.solana.snapshots import Snapshots
from sandbox.devnets.solana.subscriptions import Hub
from sandbox.devnets.transport import Transport

_ABOUT = (
    "A Solana chain on this machine: programs run in LiteSVM, one producer makes the slots. It"
    " serves what ordinary clients ask over HTTP and WebSocket, and goes on after a restart."
)
# The thread of checkpoints may hold up an answer by no more; Python's own 5 ms can be felt.
_SWITCH_S = 0.0005


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = serving.flags(
        "solana", _ABOUT, 8899, "of the RPC; WebSocket is one above; 0 = any free"
    )
    add = parser.add_argument
    add(
        "--slot-ms",
        type=int,
        default=400,
        help="length of a slot; 0 = as fast as possible (%(default)s)",
    )
    add("--finality", type=int, default=32, help="blocks until a block is final (%(default)s)")
    add(
        "--confirmed-depth",
        type=int,
        default=1,
        help="blocks until a block is confirmed (%(default)s)",
    )
    add(
        "--faults",
        dest="control",
        action="store_true",
        help="serve the sandbox_* methods: faults, time and snapshots on command",
    )
    add(
        "--max-memory-records",
        metavar="N",
        type=int,
        default=2_000,
        help="final transactions kept in memory before they go to disk (%(default)s)",
    )
    serving.add_seed(parser)
    add("--fidelity", action="store_true", help="say what is real in it and what is not, and end")
    found = parser.parse_args(argv)
    if not 0 < found.confirmed_depth < found.finality:
        parser.error("--confirmed-depth must be at least 1 and below --finality")
    if found.slot_ms < 0 or found.max_memory_records < 1:
        parser.error("--slot-ms is at least 0, --max-memory-records at least 1")
    return found


def opened(options: argparse.Namespace) -> tuple[Bank, list[socket.socket]]:
    """Lock, sockets, chain, in this order: what can be refused cheaply is refused first."""
    serving.lock(options.data_dir)
    try:
        sockets = listen_pair(options.host, options.port)
    except PortTaken as error:
        raise Refused(EXIT_CANNOT_START, str(error)) from None
    is_sown = options.seed is not None
    depths = Depths(options.confirmed_depth, options.finality, in_step=is_sown)
    snapshots, records = Snapshots(options.data_dir), options.max_memory_records
    snapshots.tidy()
    try:
        if options.restore is None:
            bank = Bank.open(
                options.data_dir, depths, max_memory_records=records, seed=options.seed
            )
        else:
            bank = snapshots.restore(options.restore, None, depths, records)
    except SnapshotRefused as error:
        raise serving.refused_snapshot(error, options.data_dir, _names(snapshots)) from None
    except (JournalCorrupt, ArchiveUnusable) as error:
        raise serving.unusable_data(error, options.data_dir, _names(snapshots)) from None
    return bank, list(sockets)


def _names(snapshots: Snapshots) -> list[str]:
    return [about.name for about in snapshots.listed()]


async def serve(options: argparse.Namespace, bank: Bank, sockets: list[socket.socket]) -> None:
    """Run until SIGTERM or SIGINT, then seal what was processed."""
    producer = Producer(bank, options.slot_ms)
    faults, snapshots = Faults(Sending()), Snapshots(options.data_dir)
    faults.on_loss = producer.let_expire
    node = Node(bank, producer, options.control, faults, snapshots)
    hub = Hub(node)
    bank.observer = hub
    facts = {
        "rpc": serving.url("http", options.host, sockets[0]),
        "ws": serving.url("ws", options.host, sockets[1]),
        "genesis": key_text(bank.genesis_hash),
    }
    doors = Doors(options.allow_host, options.cors_origin, WALLET_SCHEMES)
    app = Transport(Front(node, hub), doors)
    title = (
        f"A Solana devnet on this machine: slots of {options.slot_ms} ms,"
        f" final after {options.finality} blocks{', faults on command' * options.control}"
    )
    ready = serving.greeting(options, title, facts, f"SOL to try it with:\n{_airdrop(facts)}")
    await serving.serve(app, sockets, ready, [asyncio.create_task(producer.run())])
    node.bank.close()


def _airdrop(facts: dict[str, str]) -> str:
    asked = '{"jsonrpc":"2.0","id":1,"method":"requestAirdrop","params":["<address>",1000000000]}'
    return f"  curl {facts['rpc']} -H 'content-type: application/json' -d '{asked}'"


def main(argv: list[str] | None = None) -> int:
    options = arguments(sys.argv[1:] if argv is None else argv)
    if options.fidelity:
        sys.stdout.write(as_text(PARTS))
        return 0
    sys.setswitchinterval(_SWITCH_S)
    try:
        bank, sockets = opened(options)
        gc.freeze()  # all that was loaded stays: no collection need look at it again
        uvloop.run(serve(options, bank, sockets))
    except Refused as error:
        sys.stderr.write(f"{error}\n")
        return error.code
    except ArchiveUnusable as error:
        sys.stderr.write(f"{serving.unusable_data(error, options.data_dir)}\n")
        return EXIT_DATA
    except OSError as error:
        # A slot that cannot be written must not be shown: there is nothing to go on with.
        sys.stderr.write(f"the chain in {options.data_dir} cannot be written: {error}\n")
        return EXIT_DATA
    return 0


if __name__ == "__main__":
    serving.outlive_a_full_log()
    sys.exit(main())
