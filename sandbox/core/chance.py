"""Where ids, keys and salts come from: the system's randomness, or a seed (ADR 0030).

A sown process draws what its streams give: `stream` names who draws (a route and its key, a loop of
the worker), and how much a stream has used up is a row that is locked and moved on in the
transaction that draws. So nothing is drawn twice, whatever is rolled back or killed, and what one
stream draws does not depend on how others run beside it. The rows are in `drawing`: devnets and
commands draw too, and load no database for that.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

MAX_SEED = 2**63 - 1
START = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
"""When a seeded world begins: Monday, 09:00 in Almaty. Its clock stands until it is moved."""

_secret: bytes | None = None


class Draws:
    """What one transaction draws, and where its stream stands."""

    __slots__ = ("_prefix", "drawn", "is_open", "stream")

    def __init__(self, secret: bytes, stream: str, epoch: int, drawn: int) -> None:
        # With the epoch: after a restore the same count must not name another thing.
        self._prefix = secret + f"\n{epoch}\n{stream}\n".encode()
        self.stream, self.drawn, self.is_open = stream, drawn, True

    def next(self, purpose: str) -> tuple[int, bytes]:
        """How many were drawn before, and 64 bytes that no other draw gives."""
        before, self.drawn = self.drawn, self.drawn + 1
        return before, hashlib.sha512(self._prefix + f"{purpose}\n{before}".encode()).digest()


_stream: ContextVar[str | None] = ContextVar("stream", default=None)
_is_turn: ContextVar[bool] = ContextVar("is_turn", default=False)
_draws: ContextVar[Draws | None] = ContextVar("draws", default=None)


def sow(seed: int | None) -> None:
    """From now on this process draws from `seed`; None: from the system, which is the default."""
    global _secret
    _secret = None if seed is None else _sown(seed)


def _sown(seed: int) -> bytes:
    assert 0 <= seed <= MAX_SEED
    return hashlib.sha256(b"kzte-sandbox\n%d" % seed).digest()


def is_sown() -> bool:
    """Whether this process was given a seed."""
    return _secret is not None


def draws() -> Draws | None:
    """The draws of the transaction that is open here; None where the system's randomness counts."""
    found = _draws.get()
    return found if found is not None and found.is_open else None


def is_turn() -> bool:
    """Whether the worker's turn is going on here: then no other loop gets on meanwhile."""
    return _is_turn.get()


@contextmanager
def within(stream: str, *, is_turn: bool = False) -> Iterator[None]:
    """What transactions draw in here belongs to `stream`, also in tasks that are started here.

    They wait for the end of the worker's turn (`turns`), unless they are part of it.
    """
    before = _stream.get(), _is_turn.get()
    _stream.set(stream)
    _is_turn.set(is_turn)
    try:
        yield
    finally:
        _stream.set(before[0])
        _is_turn.set(before[1])


def stream() -> str | None:
    """Who draws here; None where the system's randomness counts."""
    return None if _secret is None else _stream.get()


@contextmanager
def opened(stream: str, epoch: int, drawn: int) -> Iterator[Draws]:
    """What is drawn in here comes from `stream`, of which so much was used up (`drawing`)."""
    assert _secret is not None
    outer = draws()
    mine = Draws(_secret, stream, epoch, drawn)
    _draws.set(mine)
    try:
        yield mine
    finally:
        mine.is_open = False
        _draws.set(outer)


def token_bytes(size: int) -> bytes:
    """As `secrets.token_bytes`, drawn from the stream that is open; up to 64 bytes."""
    assert size <= 64
    mine = draws()
    return secrets.token_bytes(size) if mine is None else mine.next("bytes")[1][:size]


def key_bytes(*name: str, seed: int | None = None) -> bytes:
    """32 bytes for the private key of this name: always the same of one seed, ours or `seed`."""
    sown = _secret if seed is None else _sown(seed)
    if sown is None:
        return secrets.token_bytes(32)
    return hmac.digest(sown, "\n".join(("key", *name)).encode(), "sha256")


def dice(*cause: object) -> Callable[[int], int]:
    """As `secrets.randbelow`; in a seeded world `cause` decides, a different one each time."""
    if _secret is None:
        return secrets.randbelow
    thrown = hmac.digest(_secret, "\n".join(("dice", *map(str, cause))).encode(), "sha512")
    return lambda limit: int.from_bytes(thrown) % limit
