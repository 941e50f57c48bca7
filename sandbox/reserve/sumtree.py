"""Merkle trees whose nodes carry a sum: proof of liabilities to each holder (L16). Pure.

Shaped as RFC 6962 trees are. A node's hash commits to the sums of both children, so a root says
what all leaves add up to, and a branch that leads there cannot hide a negative one.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MAX_SUM: Final = (1 << 63) - 1
SALT_SIZE: Final = 32
_SUM_SIZE = 8


class BadSum(ValueError):
    """A sum below zero or above what a ledger column holds."""


@dataclass(frozen=True, slots=True)
class Node:
    """A hash, and the units below it. Raises `BadSum` for a sum outside 0 … 2^63 - 1."""

    hash: bytes
    units: int

    def __post_init__(self) -> None:
        if not 0 <= self.units <= MAX_SUM:
            raise BadSum(f"{self.units} units")

    @property
    def _bytes(self) -> bytes:
        return self.units.to_bytes(_SUM_SIZE, "big") + self.hash


EMPTY: Final = Node(hashlib.sha256(b"").digest(), 0)


def leaf(holder: str, units: int, salt: bytes) -> Node:
    """What one holder is owed; without the salt nobody can find out whose leaf it is."""
    assert len(salt) == SALT_SIZE
    if not 0 <= units <= MAX_SUM:
        raise BadSum(f"{units} units")
    data = b"\x00" + salt + units.to_bytes(_SUM_SIZE, "big") + holder.encode()
    return Node(hashlib.sha256(data).digest(), units)


def parent(left: Node, right: Node) -> Node:
    """The node over two others. Raises `BadSum` when their sum is too large."""
    data = b"\x01" + left._bytes + right._bytes
    return Node(hashlib.sha256(data).digest(), left.units + right.units)


def root_of(leaves: Sequence[Node]) -> Node:
    """The root over all leaves. Raises `BadSum`."""
    if not leaves:
        return EMPTY
    if len(leaves) == 1:
        return leaves[0]
    middle = _split(len(leaves))
    return parent(root_of(leaves[:middle]), root_of(leaves[middle:]))


def branch_of(leaves: Sequence[Node], index: int) -> list[Node]:
    """The siblings from the leaf at `index` up to the root."""
    assert 0 <= index < len(leaves)
    if len(leaves) == 1:
        return []
    middle = _split(len(leaves))
    if index < middle:
        return [*branch_of(leaves[:middle], index), root_of(leaves[middle:])]
    return [*branch_of(leaves[middle:], index - middle), root_of(leaves[:middle])]


def verify_branch(found: Node, index: int, size: int, branch: Sequence[Node], root: Node) -> bool:
    """Whether `branch` leads from the leaf at `index` of `size` to hash and sum of the root."""
    if not 0 <= index < size:
        return False
    node, last = index, size - 1
    try:
        for sibling in branch:
            if last == 0:
                return False
            if node & 1 or node == last:
                found = parent(sibling, found)
                while not node & 1 and node:
                    node, last = node >> 1, last >> 1
            else:
                found = parent(found, sibling)
            node, last = node >> 1, last >> 1
    except BadSum:
        return False
    return last == 0 and found == root


def _split(count: int) -> int:
    """The largest power of two strictly below `count`."""
    return 1 << ((count - 1).bit_length() - 1)
