"""Failure switches of webhooks: each strikes the next attempts, whoever they go to."""

from typing import Final

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.webhooks.models import WebhookFault
from sandbox.webhooks.sending import Attempt

REQUEST_LOST: Final = "webhook.request_lost"
ANSWER_LOST: Final = "webhook.answer_lost"

MEANINGS: Final = {
    REQUEST_LOST: "the next attempt at a webhook is lost on its way: no receiver sees it",
    ANSWER_LOST: "the receiver takes the next attempt at a webhook, and its answer is lost",
}

_TAKE = text(
    """
    UPDATE webhook_fault SET "left" = webhook_fault."left" - due.times FROM (
        SELECT name, least("left", :most) AS times FROM webhook_fault
        WHERE name = :name AND "left" > 0 FOR UPDATE
    ) AS due WHERE webhook_fault.name = due.name RETURNING due.times
    """
)


async def switch(db: AsyncSession, name: str, times: int) -> None:
    """Let a failure strike the next `times` attempts; 0: no more."""
    assert name in MEANINGS
    made = insert(WebhookFault).values({"name": name, "left": times})
    await db.execute(made.on_conflict_do_update(index_elements=["name"], set_={"left": times}))


async def state(db: AsyncSession) -> dict[str, int]:
    """How many more attempts each failure strikes, by name."""
    rows = await db.execute(text('SELECT name, "left" AS times FROM webhook_fault'))
    return dict.fromkeys(MEANINGS, 0) | {row.name: row.times for row in rows}


async def take(db: AsyncSession, attempts: int) -> list[str]:
    """What strikes the next attempts, at most one failure each, counted as some of its times."""
    struck: list[str] = []
    for name in MEANINGS:
        asked = {"name": name, "most": attempts - len(struck)}
        struck += [name] * (await db.scalar(_TAKE, asked) or 0)
    return struck


def lost(name: str, duration_ms: int = 0) -> Attempt:
    """The attempt as the sandbox sees it that a failure struck."""
    return Attempt(None, f"simulated: {name}", None, 0, duration_ms)
