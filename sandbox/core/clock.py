"""The sandbox clock: wall time plus an offset, or frozen. All business time is read here."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core.errors import SandboxError

MAX_ADVANCE_S = 400 * 24 * 3600
# Devnets keep time up to the year 2100; a clock that stands, or goes on a while, stays below it.
END = datetime(2099, 1, 1, tzinfo=UTC)


class ClockMovesForward(SandboxError):
    """Sandbox time never goes back, and not more than `MAX_ADVANCE_S` at once."""

    status, code = 409, "clock_moves_forward_only"
    fields = ("advance_s",)

    def __init__(self, advance_s: int) -> None:
        days = MAX_ADVANCE_S // 86_400
        super().__init__(
            f"the sandbox clock moves forward only, at most {days} days at once",
            advance_s=advance_s,
            most_days=days,
        )


class ClockAtItsEnd(SandboxError):
    """The chains could not follow; nothing has moved."""

    status, code = 409, "clock_at_its_end"
    fields = ("advance_s",)

    def __init__(self) -> None:
        super().__init__(f"sandbox time ends with {iso(END)}", end=iso(END))


INLINE_NOW = (
    "date_trunc('milliseconds', coalesce(clock.frozen_at,"
    " clock_timestamp() + clock.offset_ms * interval '1 millisecond'))"
)
"""SQL: `sandbox_now()` for a statement that joins `clock`: calling it costs 10 µs each time, which
counts where every request asks."""


async def now(db: AsyncSession) -> datetime:
    """Sandbox time, aware, UTC, whole milliseconds."""
    value: datetime = await db.scalar(text("SELECT sandbox_now()"))
    return value.astimezone(UTC)


async def state(db: AsyncSession) -> tuple[int, datetime | None, int]:
    """(offset to wall time in ms, instant at which it stands still or None, epoch)."""
    row = (await db.execute(text("SELECT offset_ms, frozen_at, epoch FROM clock"))).one()
    return row.offset_ms, row.frozen_at, row.epoch


async def advance(db: AsyncSession, seconds: int) -> datetime:
    """Move the clock forward by `seconds`; a frozen clock stays frozen at the later instant.

    Raises `ClockMovesForward`, `ClockAtItsEnd`.
    """
    if not 0 <= seconds <= MAX_ADVANCE_S:
        raise ClockMovesForward(seconds)
    if await now(db) + timedelta(seconds=seconds) > END:
        raise ClockAtItsEnd
    await db.execute(
        text(
            "UPDATE clock SET offset_ms = offset_ms + :ms,"
            " frozen_at = frozen_at + :ms * interval '1 millisecond'"
        ),
        {"ms": seconds * 1000},
    )
    return await now(db)


async def freeze(db: AsyncSession, frozen: bool) -> datetime:
    """Stop the clock, or let it go on from where it stood."""
    if frozen:
        await db.execute(text("UPDATE clock SET frozen_at = coalesce(frozen_at, sandbox_now())"))
    else:
        await db.execute(
            text(
                "UPDATE clock SET frozen_at = NULL, offset_ms = least(offset_ms,"
                " ceil(extract(epoch FROM frozen_at - clock_timestamp()) * 1000))"
                " WHERE frozen_at IS NOT NULL"
            )
        )
    return await now(db)


async def stand(db: AsyncSession, moment: datetime) -> None:
    """Let a new world's time stand at `moment`, which may be before or after wall time."""
    await db.execute(
        text(
            "UPDATE clock SET frozen_at = :at,"
            # Not below it: who lets time go on must not be thrown back to wall time.
            " offset_ms = ceil(extract(epoch FROM :at - clock_timestamp()) * 1000)"
        ),
        {"at": moment},
    )


def iso(moment: datetime) -> str:
    """`YYYY-MM-DDTHH:MM:SS.mmmZ`, the one form in which times leave the sandbox (CONTRACT 4)."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def milliseconds(moment: datetime) -> int:
    """Unix milliseconds of an aware datetime."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
