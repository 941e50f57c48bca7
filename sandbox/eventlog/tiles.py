"""C2SP tlog-tiles: where hashes and entries of a log stand as static files. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sandbox.eventlog.merkle import HASH_SIZE, TILE_HEIGHT, TILE_WIDTH, Subtree

MAX_ENTRY_BYTES = 65_535
MAX_LEVEL = 63
ENTRIES = "entries"

_INDEX = re.compile(r"((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")


class MalformedTile(ValueError):
    """A path or a bundle that is not what the specification says."""


@dataclass(frozen=True, slots=True)
class Tile:
    """Hashes [index * 256, index * 256 + width) of one level; the bundle of entries if level 0."""

    level: int
    index: int
    width: int

    @property
    def start(self) -> int:
        return self.index * TILE_WIDTH

    @property
    def path(self) -> str:
        return f"tile/{self.level}/{index_path(self.index, self.width)}"

    @property
    def full_path(self) -> str:
        """Where the full tile stands that may have replaced this partial one."""
        return f"tile/{self.level}/{index_path(self.index, TILE_WIDTH)}"

    @property
    def entries_path(self) -> str:
        assert self.level == 0
        return f"tile/{ENTRIES}/{index_path(self.index, self.width)}"

    @property
    def full_entries_path(self) -> str:
        assert self.level == 0
        return f"tile/{ENTRIES}/{index_path(self.index, TILE_WIDTH)}"


def index_path(index: int, width: int) -> str:
    """`x001/x234/067` for 1234067, and `.p/<width>` behind it when the tile is not full."""
    assert index >= 0
    assert 1 <= width <= TILE_WIDTH
    digits = str(index)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    path = "/".join([*("x" + group for group in groups[:-1]), groups[-1]])
    return path if width == TILE_WIDTH else f"{path}.p/{width}"


def parse_index(path: str) -> tuple[int, int]:
    """The reverse of `index_path`: (index, width). Raises `MalformedTile`."""
    match = _INDEX.fullmatch(path)
    if match is None:
        raise MalformedTile(f"not a tile path: {path!r}")
    index = int(match[1].replace("x", "").replace("/", ""))
    width = int(match[2]) if match[2] else TILE_WIDTH
    if width > TILE_WIDTH - 1 and match[2]:
        raise MalformedTile(f"not a partial width: {width}")
    if index_path(index, width) != path:
        raise MalformedTile(f"not the shortest path: {path!r}")
    return index, width


def tiles_of(size: int) -> Iterator[Tile]:
    """Every tile of a log of `size` entries, level by level; the last of a level may be partial."""
    level = 0
    while size:
        full, rest = divmod(size, TILE_WIDTH)
        for index in range(full):
            yield Tile(level, index, TILE_WIDTH)
        if rest:
            yield Tile(level, full, rest)
        level, size = level + 1, full


def hashes_under(subtree: Subtree) -> tuple[int, int, int]:
    """The (tile level, first index, count) of the hashes whose root is this complete subtree."""
    level, index = subtree
    tile_level, height = divmod(level, TILE_HEIGHT)
    return tile_level, index << height, 1 << height


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Entries as an entry bundle: each behind its length, uint16 big-endian."""
    assert all(len(entry) <= MAX_ENTRY_BYTES for entry in entries)
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def decode_bundle(data: bytes, count: int) -> list[bytes]:
    """The `count` entries of a bundle. Raises `MalformedTile` when it holds anything else."""
    entries = []
    offset = 0
    for number in range(count):
        if offset + 2 > len(data):
            raise MalformedTile(f"ends before entry {number} of {count}")
        length = int.from_bytes(data[offset : offset + 2], "big")
        offset += 2
        if offset + length > len(data):
            raise MalformedTile(f"ends within entry {number} of {count}")
        entries.append(data[offset : offset + length])
        offset += length
    if offset != len(data):
        raise MalformedTile(f"{len(data) - offset} bytes behind entry {count - 1}")
    return entries


def decode_hashes(data: bytes, count: int) -> list[bytes]:
    """The `count` hashes of a tile. Raises `MalformedTile` for any other length."""
    if len(data) != count * HASH_SIZE:
        raise MalformedTile(f"{len(data)} bytes instead of {count * HASH_SIZE}")
    return [data[i : i + HASH_SIZE] for i in range(0, len(data), HASH_SIZE)]
