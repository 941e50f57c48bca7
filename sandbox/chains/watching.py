"""What the watcher tells the slices, and what it expects of them.

Handlers run inside the watcher's transaction, never touch the network, and return what is to be
recorded; the watcher records the answers of all handlers of a block in one call.
"""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar, runtime_checkable

from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.chains.port import ForeignTransfer, Transfer
from sandbox.eventlog.types import NewEvent


@dataclass(frozen=True, slots=True)
class Seen:
    """A stored chain transfer in one of its inclusions.

    `inclusion` counts from 1; a transaction that comes back after a reorg gets the next number.
    `intent` is the id of the intent that caused it, if the sandbox sent it.
    `incoming_place` and `outgoing_place` name the sandbox's own place that it reached or left
    (`treasury`, `unswept`), else empty.
    """

    id: str
    transfer: Transfer
    inclusion: int
    intent: str | None
    incoming_place: str
    outgoing_place: str


@dataclass(frozen=True, slots=True)
class SeenBlock:
    """A block as the handlers get it; `transfers` hold every movement of the token in it."""

    chain: str
    decimals: int
    height: int
    hash: str
    time: datetime
    transfers: tuple[Seen, ...]
    foreign: tuple[ForeignTransfer, ...]


@dataclass(frozen=True, slots=True)
class IntentDone:
    """An intent whose transaction is final."""

    id: str
    chain: str
    tx: str
    height: int
    time: datetime


@dataclass(frozen=True, slots=True)
class IntentFailed:
    """An intent that did not and can no longer happen."""

    id: str
    chain: str
    tx: str | None
    height: int
    time: datetime
    reason: str


C_co = TypeVar("C_co", covariant=True)


class BlockHandler(Protocol[C_co]):
    """A slice that follows the chain. `C_co` is what `record` takes (the ledger's `Changes`)."""

    async def on_block(self, db: AsyncSession, block: SeenBlock) -> C_co: ...

    async def on_final(self, db: AsyncSession, block: SeenBlock) -> C_co: ...

    async def on_reverted(self, db: AsyncSession, block: SeenBlock) -> C_co: ...


class IntentHandler(Protocol[C_co]):
    """A slice that gave an intent."""

    async def on_done(self, db: AsyncSession, done: IntentDone) -> C_co: ...

    async def on_not_done(self, db: AsyncSession, failed: IntentFailed) -> C_co: ...


@runtime_checkable
class HaltHandler(Protocol[C_co]):
    """What a `BlockHandler` may have besides: the chain stopped being followed (DESIGN 4.2)."""

    async def on_halted(self, db: AsyncSession, chain: str, reason: str) -> C_co: ...


KnownKeys = Callable[[AsyncSession, str, list[str]], Awaitable[Collection[str]]]
"""Which of these match keys of a chain belong to sessions; bound by wiring."""


async def no_keys(db: AsyncSession, chain: str, keys: list[str]) -> Collection[str]:
    """Where nobody gives out deposit addresses."""
    return ()


Record = Callable[[AsyncSession, list[Any], list[NewEvent]], Awaitable[None]]
"""Records the answers of all handlers of one step, and the watcher's own events, in one call.

Bound by wiring, which knows what the answers are.
"""
