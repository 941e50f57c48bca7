"""`/v1/sandbox`: faucet, clock, quiesce."""

from collections.abc import Mapping
from typing import Annotated, Any, Self, cast

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, model_validator

from sandbox.bank import faults
from sandbox.chains import service as chains_service
from sandbox.chains.port import Chain
from sandbox.core.clock import MAX_ADVANCE_S
from sandbox.core.db import Database, SessionDep
from sandbox.core.http import IdempotentRoute, PrincipalDep
from sandbox.core.http.fidelity import Fidelity
from sandbox.core.money import DepositTiyn
from sandbox.lab import clockwork, faucet, fidelity, quiescence
from sandbox.ledger import service as ledger
from sandbox.ledger.journal import Changes

router = APIRouter(prefix="/v1/sandbox", route_class=IdempotentRoute, tags=["sandbox"])

DEFAULT_TIMEOUT_S, MAX_TIMEOUT_S = 30, 300


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
    """Either how far time moves, or whether it stands still."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"advance_s": 86400}]}
    )

    advance_s: Annotated[StrictInt, Field(ge=0, le=MAX_ADVANCE_S)] | None = None
    freeze: StrictBool | None = None

    @model_validator(mode="after")
    def one_of_both(self) -> Self:
        if (self.advance_s is None) == (self.freeze is None):
            raise ValueError("send advance_s or freeze, not both")
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
    times: Annotated[StrictInt, Field(ge=0, le=faults.MAX_TIMES)] = 1


def _chains(request: Request) -> Mapping[str, Chain]:
    return cast(Mapping[str, Chain], request.app.state.chains)


def _database(request: Request) -> Database:
    return cast(Database, request.app.state.database)


@router.post("/faucet", status_code=201, summary="Tokens and gas for a test wallet")
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
async def read_grant(grant_id: str, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """The grant: `pending`, `sent` or `failed`."""
    return faucet.grant_object(await faucet.find(db, grant_id))


@router.get("/clock", summary="The sandbox clock")
async def read_clock(db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """Sandbox time, how far it is from wall time, and whether it stands still."""
    return await clockwork.state(db)


@router.post("/clock", summary="Move or stop time")
async def move_clock(body: ClockIn, request: Request, caller: PrincipalDep) -> dict[str, Any]:
    """Move sandbox and chain time forward, or stop them; `fired` is what that made due."""
    database, chains = _database(request), _chains(request)
    if body.advance_s is not None:
        timers = getattr(request.app.state, "timers", ())
        return await clockwork.advance(database, chains, timers, body.advance_s)
    assert body.freeze is not None
    return await clockwork.freeze(database, chains, body.freeze)


@router.post("/quiesce", summary="Wait until nothing is left to do")
async def quiesce(
    request: Request, caller: PrincipalDep, body: QuiesceIn | None = None
) -> dict[str, Any]:
    """Answers once everything is final, delivered and logged; 504 names what is left."""
    probes = getattr(request.app.state, "busy_probes", ())
    timeout_s = (body or QuiesceIn()).timeout_s
    return await quiescence.wait(_database(request), _chains(request), probes, timeout_s)


@router.post("/chains/{chain}/resume", summary="Follow a halted chain again")
async def resume_chain(chain: str, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """The watcher goes on at the block where it stopped; minting stays off until it is resumed."""
    event = await chains_service.resume(db, chain)
    await ledger.record(db, Changes(events=[event]))
    return {"object": "chain", **event.data}


@router.get("/faults", summary="Failure switches")
async def read_faults(db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """How many more times each failure strikes."""
    return _faults(await faults.state(db))


@router.post("/faults", summary="Switch a failure")
async def switch_fault(body: FaultIn, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """Let a failure of the bank strike the next `times` times; 0 turns it off and mends it."""
    await faults.switch(db, body.fault, body.times)
    return _faults(await faults.state(db))


def _faults(state: Mapping[str, int]) -> dict[str, Any]:
    rows = [
        {"fault": name, "times": times, "means": faults.MEANINGS[name]}
        for name, times in state.items()
    ]
    return {"object": "faults", "data": rows}


@router.get("/fidelity", summary="What of the sandbox is real, and what is simulated")
async def read_fidelity(request: Request) -> dict[str, Any]:
    """The parts that `Sandbox-Fidelity` names on answers, each with the test that shows it."""
    known: Fidelity = request.app.state.fidelity
    data = fidelity.described(known.levels, known.chains)
    return {"object": "list", "data": data, "has_more": False}
