"""`/v1/sandbox`: faucet, clock, quiesce."""

from collections.abc import Mapping
from typing import Annotated, Any, Self, cast

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, model_validator

from sandbox.chains import service as chains_service
from sandbox.chains.drills import Drills
from sandbox.chains.port import Chain
from sandbox.core.clock import MAX_ADVANCE_S
from sandbox.core.db import Database, SessionDep
from sandbox.core.http import IdempotentRoute, PrincipalDep
from sandbox.core.http.answers import ListOf, answers
from sandbox.core.http.fidelity import Fidelity
from sandbox.core.http.simulating import Armed
from sandbox.core.money import DepositTiyn
from sandbox.core.switches import MAX_TIMES
from sandbox.lab import clockwork, faucet, faults, fidelity, quiescence, shapes
from sandbox.lab.stage import House
from sandbox.ledger import service as ledger
from sandbox.ledger.journal import Changes

router = APIRouter(prefix="/v1/sandbox", route_class=IdempotentRoute, tags=["sandbox"])

DEFAULT_TIMEOUT_S, MAX_TIMEOUT_S, STOP_TIMEOUT_S = 30, 300, 60


class FaucetIn(BaseModel):
    """Who gets how much, on which chain."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "chain": "solana",
                    "address": "EFbVm5QVEWBCaKD2ot4dfHaKd2r5624GxDGN2SQkRgnU",
                    "amount_tiyn": 5000000,
                }
            ]
        },
    )

    chain: Annotated[str, Field(max_length=32)]
    address: Annotated[str, Field(max_length=128)]
    amount_tiyn: DepositTiyn


class ClockIn(BaseModel):
    """How far time moves, or until when, or whether it stands still: one of them."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"advance_s": 86400}]}
    )

    advance_s: Annotated[StrictInt, Field(ge=0, le=MAX_ADVANCE_S)] | None = None
    until: Annotated[
        str | None,
        Field(max_length=64, description="an instant with its offset, or next_cut_off"),
    ] = None
    freeze: StrictBool | None = None
    step: Annotated[
        StrictBool,
        Field(description="stop wherever something is due, and wait for rest there"),
    ] = False

    @model_validator(mode="after")
    def one_of_them(self) -> Self:
        if sum(one is not None for one in (self.advance_s, self.until, self.freeze)) != 1:
            raise ValueError("send one of advance_s, until and freeze")
        if self.step and self.freeze is not None:
            raise ValueError("step goes with advance_s and until")
        return self


class QuiesceIn(BaseModel):
    """How long to wait for rest."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"timeout_s": 30}]})

    timeout_s: Annotated[StrictInt, Field(ge=0, le=MAX_TIMEOUT_S)] = DEFAULT_TIMEOUT_S


class FaultIn(BaseModel):
    """Which failure strikes, and how many times; 0 turns it off and has it mended."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"fault": "bank.reject", "times": 1}]}
    )

    fault: Annotated[str, Field(max_length=64)]
    times: Annotated[StrictInt, Field(ge=0, le=MAX_TIMES)] = 1
    chain: Annotated[
        str | None, Field(max_length=32, description="of chain.*: default all that can")
    ] = None


def _chains(request: Request) -> Mapping[str, Chain]:
    return cast(Mapping[str, Chain], request.app.state.chains)


def _database(request: Request) -> Database:
    return cast(Database, request.app.state.database)


@router.post("/faucet", status_code=201, summary="Tokens and gas for a test wallet")
@answers(shapes.FaucetGrant)
async def create_grant(
    body: FaucetIn, request: Request, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """Promise tokens; they have arrived when the grant is `sent`."""
    row = await faucet.grant(
        db,
        _database(request),
        _chains(request),
        chain=body.chain,
        address=body.address,
        amount_tiyn=body.amount_tiyn,
    )
    return faucet.grant_object(row)


@router.get("/faucet/{grant_id}", summary="One faucet grant")
@answers(shapes.FaucetGrant)
async def read_grant(grant_id: str, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """The grant: `pending`, `sent` or `failed`."""
    return faucet.grant_object(await faucet.find(db, grant_id))


@router.get("/clock", summary="The sandbox clock")
@answers(shapes.Clock)
async def read_clock(db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """Sandbox time, how far it is from wall time, and whether it stands still."""
    return await clockwork.state(db)


@router.post("/clock", summary="Move or stop time")
@answers(shapes.MovedClock)
async def move_clock(body: ClockIn, request: Request, caller: PrincipalDep) -> dict[str, Any]:
    """Move sandbox and chain time forward, or stop them; `fired` is what that made due, in order.

    Without `step` time jumps: what becomes due because of what fired counts from the later
    instant. With it, everything fires in its own turn.
    """
    database, chains = _database(request), _chains(request)
    if body.freeze is not None:
        return await clockwork.freeze(database, chains, body.freeze)
    timers = getattr(request.app.state, "timers", ())
    seconds = body.advance_s
    if seconds is None:
        assert body.until is not None
        async with database.transaction() as db:
            seconds = await clockwork.seconds_until(db, body.until)
    if not body.step:
        return await clockwork.advance(database, chains, timers, seconds)
    probes = getattr(request.app.state, "busy_probes", ())

    async def rest() -> None:
        await quiescence.wait(database, chains, probes, STOP_TIMEOUT_S)

    return await clockwork.advance_in_steps(database, chains, timers, rest, seconds)


@router.post("/quiesce", summary="Wait until nothing is left to do")
@answers(shapes.Rest)
async def quiesce(
    request: Request, caller: PrincipalDep, body: QuiesceIn | None = None
) -> dict[str, Any]:
    """Answers once everything is final, delivered and logged; 504 names what is left."""
    probes = getattr(request.app.state, "busy_probes", ())
    timeout_s = (body or QuiesceIn()).timeout_s
    return await quiescence.wait(_database(request), _chains(request), probes, timeout_s)


@router.post("/chains/{chain}/resume", summary="Follow a halted chain again")
@answers(shapes.FollowedChain)
async def resume_chain(chain: str, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """The watcher goes on at the block where it stopped; minting stays off until it is resumed."""
    event = await chains_service.resume(db, chain)
    await ledger.record(db, Changes(events=[event]))
    return {"object": "chain", **event.data}


def _drills(request: Request) -> Mapping[str, Drills]:
    house: House | None = getattr(request.app.state, "house", None)
    return {} if house is None else house.drills


def _armed(request: Request) -> Armed:
    found: Armed = getattr(request.app.state, "armed", None) or Armed()
    return found


@router.get("/faults", summary="Failure switches")
@answers(shapes.Faults)
async def read_faults(request: Request, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """What can go wrong between which parts, what comes of it, and how many more times it will."""
    return await faults.table(db, _drills(request), _armed(request))


@router.post("/faults", summary="Switch a failure")
@answers(shapes.Faults)
async def switch_fault(
    body: FaultIn, request: Request, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """Let a failure strike the next `times` times; 0 turns it off, and the bank mends its own."""
    drills, armed = _drills(request), _armed(request)
    await faults.switch(db, drills, armed, body.fault, body.times, body.chain)
    return await faults.table(db, drills, armed)


@router.get("/fidelity", summary="What of the sandbox is real, and what is simulated")
@answers(ListOf(shapes.FidelityPart))
async def read_fidelity(request: Request, caller: PrincipalDep) -> dict[str, Any]:
    """The parts that `Sandbox-Fidelity` names on answers, each with the test that shows it."""
    known: Fidelity = request.app.state.fidelity
    data = fidelity.described(known.levels, known.chains)
    return {"object": "list", "data": data, "has_more": False}
