"""RFC 6962 Merkle trees over SHA-256: hashes, roots, proofs and their verification. Pure.

A complete subtree is named (level, index): it stands over the 2^level leaves from
index * 2^level on.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence

HASH_SIZE = 32
TILE_WIDTH = 256
TILE_HEIGHT = 8
EMPTY_ROOT = hashlib.sha256(b"").digest()

Subtree = tuple[int, int]
"""(level, index) of a complete subtree; level 0 is a leaf hash."""


def leaf_hash(entry: bytes) -> bytes:
    """The hash of one entry (RFC 9162, section 2.1.1)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node (RFC 9162, section 2.1.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def complete_root(hashes: Sequence[bytes]) -> bytes:
    """The root over 2^k hashes of equal height."""
    assert len(hashes) & (len(hashes) - 1) == 0
    assert hashes
    row = list(hashes)
    while len(row) > 1:
        row = [node_hash(row[i], row[i + 1]) for i in range(0, len(row), 2)]
    return row[0]


def fold(hashes: Sequence[bytes]) -> bytes:
    """The root over neighbouring complete subtrees, highest first, as they stand in one tree."""
    assert hashes
    root = hashes[-1]
    for left in reversed(hashes[:-1]):
        root = node_hash(left, root)
    return root


def subtrees(start: int, end: int) -> list[Subtree]:
    """The complete subtrees that make up leaves [start, end), as RFC 6962 splits them."""
    assert 0 <= start < end
    found = []
    while start < end:
        level = (end - start).bit_length() - 1
        assert start & ((1 << level) - 1) == 0
        found.append((level, start >> level))
        start += 1 << level
    return found


def _split(count: int) -> int:
    """The largest power of two strictly below `count`."""
    return 1 << ((count - 1).bit_length() - 1)


def inclusion_plan(position: int, size: int) -> list[list[Subtree]]:
    """What each hash of the inclusion proof is folded from, leaf to root (RFC 9162, 2.1.3.1)."""
    assert 0 <= position < size
    plan: list[list[Subtree]] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if position < middle:
            plan.append(subtrees(middle, end))
            end = middle
        else:
            plan.append(subtrees(start, middle))
            start = middle
    return plan[::-1]


def consistency_plan(old: int, new: int) -> list[list[Subtree]]:
    """What each hash of the proof between two sizes is folded from (RFC 9162, 2.1.4.1)."""
    assert 0 < old <= new
    plan: list[list[Subtree]] = []
    start, end = 0, new
    while end != old:
        middle = start + _split(end - start)
        if old <= middle:
            plan.append(subtrees(middle, end))
            end = middle
        else:
            plan.append(subtrees(start, middle))
            start = middle
    if start > 0:
        plan.append(subtrees(start, end))
    return plan[::-1]


def carry_out(plan: Iterable[Sequence[Subtree]], read: Callable[[Subtree], bytes]) -> list[bytes]:
    """The proof that `plan` describes, with hashes of complete subtrees from `read`."""
    return [fold([read(subtree) for subtree in group]) for group in plan]


def verify_inclusion(
    leaf: bytes, position: int, size: int, proof: Sequence[bytes], root: bytes
) -> bool:
    """Whether `proof` shows the leaf hash at `position` of the tree (RFC 9162, 2.1.3.2)."""
    if not 0 <= position < size:
        return False
    node, last, found = position, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            found = node_hash(sibling, found)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and found == root


def verify_consistency(
    old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes
) -> bool:
    """Whether `proof` shows that the old tree is a prefix of the new one (RFC 9162, 2.1.4.2)."""
    if not 0 <= old <= new:
        return False
    if old == 0:
        return not proof and old_root == EMPTY_ROOT
    if old == new:
        return not proof and old_root == new_root
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    node, last = old - 1, new - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    found_old = found_new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            found_old = node_hash(sibling, found_old)
            found_new = node_hash(sibling, found_new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            found_new = node_hash(found_new, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and found_old == old_root and found_new == new_root


class Tree:
    """A tree that grows at its right edge and remembers no more than the open tile of each level.

    Level L of `edge` holds the hashes that stand in the partial tile of level L (C2SP tlog-tiles);
    a tile that fills up becomes one hash of the level above.
    """

    def __init__(self, size: int = 0, edge: Sequence[Sequence[bytes]] = ()) -> None:
        self.size = size
        self.edge = [list(hashes) for hashes in edge] or [[]]
        rest = size
        for hashes in self.edge:
            assert len(hashes) == rest % TILE_WIDTH
            rest //= TILE_WIDTH
        assert rest == 0

    def extend(self, leaf_hashes: Iterable[bytes]) -> list[tuple[int, int, bytes]]:
        """Append leaf hashes; returns the new (tile level >= 1, index, hash), lowest first."""
        self.edge[0] += leaf_hashes
        added: list[tuple[int, int, bytes]] = []
        level = 0
        first = self.size // TILE_WIDTH
        self.size = first * TILE_WIDTH + len(self.edge[0])
        while len(self.edge[level]) >= TILE_WIDTH:
            row = self.edge[level]
            full = len(row) // TILE_WIDTH
            roots = [complete_root(row[i * TILE_WIDTH : (i + 1) * TILE_WIDTH]) for i in range(full)]
            del row[: full * TILE_WIDTH]
            level += 1
            added += [(level, first + i, root) for i, root in enumerate(roots)]
            if level == len(self.edge):
                self.edge.append([])
            self.edge[level] += roots
            first //= TILE_WIDTH
        return added

    def root(self) -> bytes:
        """The root over everything appended so far."""
        if self.size == 0:
            return EMPTY_ROOT
        found: bytes | None = None
        for row in self.edge:
            end = len(row)
            while end:
                width = end & -end
                left = complete_root(row[end - width : end])
                found = left if found is None else node_hash(left, found)
                end -= width
        assert found is not None
        return found


def root_of(leaf_hashes: Iterable[bytes]) -> bytes:
    """The root over a whole sequence of leaf hashes."""
    tree = Tree()
    tree.extend(leaf_hashes)
    return tree.root()
