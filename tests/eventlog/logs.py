"""A log in memory that serves the same resources as a running sandbox: input for the verifier."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sandbox.eventlog import leaf, tiles
from sandbox.eventlog.checkpoint import Checkpoint, open_checkpoint
from sandbox.eventlog.export import write_export
from sandbox.eventlog.line import epoch_of
from sandbox.eventlog.merkle import Tree, leaf_hash, root_of
from sandbox.eventlog.types import EntryHash, NewEvent
from tests.eventlog import golden

ORIGIN = "log.example/e1"
START = datetime(2026, 11, 20, tzinfo=UTC)


def entry(number: int, note: str = "") -> bytes:
    event = NewEvent(
        f"evt_{number}",
        "payment.final",
        START + timedelta(seconds=number),
        {"object": "payment", "id": f"pay_{number}", "amount_units": number, "tx": note},
        f"mch_{number % 3}",
    )
    return leaf.build(event, [EntryHash(f"ent_{number}", "0f" * 32)], bytes(32)).leaf


class MemoryLog:
    def __init__(self, entries: list[bytes], origin: str = ORIGIN) -> None:
        self.entries = entries
        self.signer = golden.signer(origin)
        self.vkey = self.signer.verifier.vkey

    def checkpoint(self, size: int | None = None) -> bytes:
        size = len(self.entries) if size is None else size
        tree = Tree()
        tree.extend(leaf_hash(entry) for entry in self.entries[:size])
        return Checkpoint(self.signer.name, size, tree.root()).sign(self.signer).encode()

    def checkpoint_root(self) -> str:
        return open_checkpoint(self.checkpoint(), self.signer.verifier).root.hex()

    def files(self) -> dict[str, bytes]:
        found = {"checkpoint": self.checkpoint(), "vkey": f"{self.vkey}\n".encode()}
        levels = [[leaf_hash(entry) for entry in self.entries]]
        tree = Tree()
        for level, _, hash_ in tree.extend(levels[0]):
            while level >= len(levels):
                levels.append([])
            levels[level].append(hash_)
        for tile in tiles.tiles_of(len(self.entries)):
            end = tile.start + tile.width
            found[tile.path] = b"".join(levels[tile.level][tile.start : end])
            if tile.level == 0:
                found[tile.entries_path] = tiles.encode_bundle(self.entries[tile.start : end])
        return found

    def export(self, path: Path) -> Path:
        write_export(self.files().get, path)
        return path


def restored(
    epoch: int, former: MemoryLog, size: int, changed: Mapping[str, object] | None = None
) -> bytes:
    """Leaf 0 of an epoch that goes on from the first `size` entries of `former`."""
    log = former.signer.verifier
    kept = {
        "epoch": epoch_of(log),
        "origin": log.name,
        "size": size,
        "root": base64.b64encode(root_of(map(leaf_hash, former.entries[:size]))).decode(),
    }
    data = {"object": "world", "epoch": epoch, "left": kept, "kept": {**kept, **(changed or {})}}
    event = NewEvent(f"evt_e{epoch}", "world.restored", START, data)
    return leaf.build(event, [], bytes(32)).leaf


class Files:
    """A source over a dictionary, and over those of other epochs."""

    def __init__(
        self, files: dict[str, bytes], former: Mapping[int, dict[str, bytes]] | None = None
    ) -> None:
        self.files, self.former = files, former or {}

    def epoch(self, number: int) -> "Files | None":
        return Files(self.former[number]) if number in self.former else None

    def read(self, path: str) -> bytes | None:
        return self.files.get(path)
