"""Prefixed, sortable ids: 26 lower-case Crockford base32 characters of a ULID (CONTRACT 1)."""

import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime

from sandbox.core import chance

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RANDOM_BITS = 80
_COUNT_BITS = 24  # of a drawn id: its place in its stream


def encode_ulid(milliseconds: int, randomness: int) -> str:
    """26 characters for 48 bits of time and 80 bits of randomness (ULID specification)."""
    assert 0 <= milliseconds < 1 << 48
    assert 0 <= randomness < 1 << _RANDOM_BITS
    value = milliseconds << _RANDOM_BITS | randomness
    return "".join(_ALPHABET[value >> shift & 31] for shift in range(125, -1, -5))


class IdSource:
    """Makes ids that sort by sandbox time, and within one millisecond by order of making."""

    def __init__(self, bits: Callable[[int], int]) -> None:
        self._bits = bits
        self._lock = threading.Lock()
        self._last = (-1, 0)

    def new(self, prefix: str, at: datetime) -> str:
        """`<prefix>_<ulid>` for an aware sandbox time `at`."""
        milliseconds = int((at - _EPOCH).total_seconds() * 1000)
        with self._lock:
            last_ms, last_random = self._last
            if milliseconds == last_ms and last_random + 1 < 1 << _RANDOM_BITS:
                randomness = last_random + 1
            else:
                randomness = self._bits(_RANDOM_BITS)
            self._last = (milliseconds, randomness)
        return f"{prefix}_{encode_ulid(milliseconds, randomness)}"


_source = IdSource(random.SystemRandom().getrandbits)


def new_id(prefix: str, at: datetime) -> str:
    """A new id of the kind `prefix` (CONTRACT 1) at the sandbox time `at`.

    In a seeded world it is drawn: ids of one stream sort by order of making there, too.
    """
    draws = chance.draws()
    if draws is None:
        return _source.new(prefix, at)
    before, bits = draws.next(prefix)
    milliseconds = int((at - _EPOCH).total_seconds() * 1000)
    count = before % (1 << _COUNT_BITS) << _RANDOM_BITS - _COUNT_BITS
    few = int.from_bytes(bits[: (_RANDOM_BITS - _COUNT_BITS) // 8])
    return f"{prefix}_{encode_ulid(milliseconds, count | few)}"
