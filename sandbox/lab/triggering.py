"""Playing one scenario from its name to its events."""

import asyncio
import time
from collections.abc import Collection
from typing import Any

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core.errors import SandboxError
from sandbox.lab import payers, plays
from sandbox.lab.errors import NotAPayer, ScenarioUnknown
from sandbox.lab.scenarios import ALL, BY_EVENT, BY_NAME, Scenario, named
from sandbox.lab.stage import LOOK_AGAIN_S, WAIT_S, House, Stage, told
from sandbox.payments import sessions
from sandbox.reserve.errors import ChainUnknown

DEFAULT_TIYN = 250_000


def scenario_object(one: Scenario) -> dict[str, Any]:
    """A line of the table of scenarios as the API shows it."""
    return {
        "object": "scenario",
        "name": one.name,
        "does": one.does,
        "events": list(one.events),
        "triggered_by": sorted(type_ for type_, name in BY_EVENT.items() if name == one.name),
        "is_payer": one.is_payer,
        "amount_ending": None if one.ending is None else f"{one.ending:02d}",
        "refused_with": list(one.refused),
        "moves_clock": one.moves_clock,
        "note": one.note or None,
    }


def find(name: str, among: Collection[Scenario] = ALL) -> Scenario:
    """By its name or an event type. Raises `ScenarioUnknown`."""
    found = named(name)
    if found is None or found not in among:
        names = {one.name for one in among}
        types = {type_ for type_, of in BY_EVENT.items() if of in names}
        raise ScenarioUnknown(name, sorted(names | types))
    return found


async def seeded_merchant(db: AsyncSession) -> str:
    """Whose sessions are played with when nobody else is named."""
    found: str = await db.scalar(
        text("SELECT party FROM api_key WHERE seeded AND role = 'merchant' ORDER BY id LIMIT 1")
    )
    return found


async def trigger(
    house: House,
    scenario: Scenario,
    *,
    merchant: str | None,
    chain: str | None = None,
    session_id: str | None = None,
    amount_tiyn: int | None = None,
    waits: bool = True,
) -> dict[str, Any]:
    """Play it; the answer says what was done and which of its events were told.

    `merchant` None: the session's, or the seeded one. Raises `ChainUnknown`, `NotFound` (session),
    `NotAPayer`, `ScenarioStuck`, and what the acts themselves refuse with but for what is meant.
    """
    if session_id is not None and not scenario.is_payer:
        raise NotAPayer(scenario.name)
    chain = chain or next(iter(house.customers))
    if chain not in house.customers:
        raise ChainUnknown(chain, sorted(house.customers))
    async with house.database.transaction() as db:
        if session_id is not None:
            merchant = (await sessions.one(db, session_id, merchant))[0].merchant
        owner = merchant or await seeded_merchant(db)
    stage = Stage(house, owner, chain, amount_tiyn or DEFAULT_TIYN, session_id)
    began, refused = await stage.now(), None
    try:
        if scenario.is_payer:
            await payers.pay(stage, scenario.name)
        else:
            await plays.PLAYS[scenario.name](stage)
    except SandboxError as error:
        if error.code not in scenario.refused:
            raise
        refused = {"code": error.code, "detail": error.detail}
        stage.say(f"refused: {error.detail}")
    promised = () if refused else scenario.events
    seen = await _seen(stage, promised, began, WAIT_S if waits else 0)
    kinds = {one["type"] for one in seen}
    return {
        "object": "trigger",
        "scenario": scenario.name,
        "chain": chain,
        "session": stage.session_id,
        "did": stage.did,
        "transactions": stage.txs,
        "refused": refused,
        "events": seen,
        "waiting_for": [type_ for type_ in promised if type_ not in kinds],
        "moved_clock": any(line.startswith("moved the clock") for line in stage.did),
    }


async def _seen(
    stage: Stage, promised: Collection[str], since: Any, patience_s: float
) -> list[dict[str, str]]:
    """The promised events that were told; all of them, unless patience ends."""
    end = time.monotonic() + patience_s
    while True:
        seen = await told(stage.database, sorted(promised), stage.merchant, since)
        if {one["type"] for one in seen} >= set(promised) or time.monotonic() >= end:
            return seen
        await asyncio.sleep(LOOK_AGAIN_S)


def table() -> dict[str, Any]:
    """Every scenario, payers first."""
    return {"object": "list", "data": [scenario_object(one) for one in ALL], "has_more": False}


assert payers.ACTS.keys() | plays.PLAYS.keys() == BY_NAME.keys(), "a scenario without its play"
