"""The signatures of transactions whose blockhash is valid, or can be again: none may run twice."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable


class RecentSignatures:
    """By the height of their block, lowest first."""

    def __init__(self) -> None:
        self._known: set[bytes] = set()
        self._by_height: deque[tuple[int, list[bytes]]] = deque()

    def __contains__(self, signature: bytes) -> bool:
        return signature in self._known

    def __len__(self) -> int:
        return len(self._known)

    def landed(self, signature: bytes) -> None:
        """In the open slot; `sealed` or `dropped` says what became of it."""
        self._known.add(signature)

    def sealed(self, height: int, signatures: Collection[bytes]) -> None:
        """In a block, whose height is that of the newest one or above it."""
        if not self._by_height or self._by_height[-1][0] != height:
            self._by_height.append((height, []))
        self._by_height[-1][1].extend(signatures)
        self._known.update(signatures)

    def forget_below(self, height: int) -> None:
        """Blocks below it are too old for their hash ever to be valid again."""
        while self._by_height and self._by_height[0][0] < height:
            self._known.difference_update(self._by_height.popleft()[1])

    def roll_back(self, height: int, dropped: Iterable[bytes]) -> None:
        """Blocks above it are gone, and with them these signatures."""
        self._known.difference_update(dropped)
        while self._by_height and self._by_height[-1][0] > height:
            self._by_height.pop()
