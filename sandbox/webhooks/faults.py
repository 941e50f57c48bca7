"""Failures of webhooks: each strikes the next attempts, whoever they go to."""

from typing import Final

from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core import switches
from sandbox.webhooks.sending import Attempt

REQUEST_LOST: Final = "webhook.request_lost"
ANSWER_LOST: Final = "webhook.answer_lost"

MEANINGS: Final = {
    REQUEST_LOST: "the next attempt at a webhook is lost on its way: no receiver sees it",
    ANSWER_LOST: "the receiver takes the next attempt at a webhook, and its answer is lost",
}

IS_ARMED: Final = switches.is_armed(MEANINGS)
"""SQL: an attempt may be struck."""


async def take(db: AsyncSession, attempts: int) -> list[str]:
    """What strikes the next attempts, at most one failure each, counted as some of its times."""
    struck: list[str] = []
    for name in MEANINGS:
        struck += [name] * await switches.strike(db, name, attempts - len(struck))
    return struck


def lost(name: str, duration_ms: int = 0) -> Attempt:
    """The attempt as the sandbox sees it that a failure struck."""
    return Attempt(None, f"simulated: {name}", None, 0, duration_ms)
