"""`/v1/sandbox/triggers`: scenarios that anybody who tests may have played."""

from typing import Annotated, Any, cast

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from sandbox.core.http import IdempotentRoute, PrincipalDep
from sandbox.core.http.answers import ListOf, answers
from sandbox.core.money import SessionTiyn
from sandbox.lab import shapes, triggering
from sandbox.lab.stage import House

router = APIRouter(prefix="/v1/sandbox", route_class=IdempotentRoute, tags=["sandbox"])


class TriggerIn(BaseModel):
    """Which scenario, and with what; what is left out is chosen."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"scenario": "checkout.session.completed"}]},
    )

    scenario: Annotated[
        str, Field(max_length=64, description="a scenario's name, or an event's type")
    ]
    session: Annotated[
        str | None, Field(max_length=64, description="payers: the session to pay")
    ] = None
    chain: Annotated[str | None, Field(max_length=32)] = None
    amount_tiyn: Annotated[SessionTiyn | None, Field(description="of the session that is made")] = (
        None
    )


def house_of(request: Request) -> House:
    """What wiring put together for scenarios."""
    return cast(House, request.app.state.house)


@router.get("/triggers", summary="What can be triggered")
@answers(ListOf(shapes.Scenario))
async def list_triggers(caller: PrincipalDep) -> dict[str, Any]:
    """Each scenario: what it does, which events follow, and whether it moves the clock."""
    return triggering.table()


@router.post("/triggers", summary="Play a scenario")
@answers(shapes.Trigger)
async def create_trigger(body: TriggerIn, request: Request, caller: PrincipalDep) -> dict[str, Any]:
    """Real acts against this sandbox; the answer comes when its events were told.

    A refusal that the scenario is about is in `refused`; others are refusals of this request.
    """
    return await triggering.trigger(
        house_of(request),
        triggering.find(body.scenario),
        merchant=caller.party if caller.role in ("merchant", "developer") else None,
        chain=body.chain,
        session_id=body.session,
        amount_tiyn=body.amount_tiyn,
    )
