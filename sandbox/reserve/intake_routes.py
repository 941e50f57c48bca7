"""`/v1/reserve/redemptions` and `/v1/reserve/moves`."""

from collections.abc import Mapping
from typing import Annotated, Any, cast

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field, StrictInt

from sandbox.chains.port import Chain
from sandbox.core.db import SessionDep
from sandbox.core.errors import NotFound
from sandbox.core.http import IdempotentRoute, PageDep, PrincipalDep, listing
from sandbox.core.http.answers import answers
from sandbox.core.money import DepositTiyn
from sandbox.ledger import service as ledger
from sandbox.ledger.journal import Changes
from sandbox.reserve import burns, intakes, moves, queues, redemptions, shapes
from sandbox.reserve.models import Intake
from sandbox.reserve.shapes import MoveStatus, RedemptionStatus

router = APIRouter(prefix="/v1/reserve", route_class=IdempotentRoute, tags=["reserve"])

Iban = Annotated[str, Field(max_length=40, examples=["KZ31601A000000000001"])]
Knp = Annotated[str, Field(pattern=r"^[0-9]{3}$", description="purpose of the payment")]
Kbe = Annotated[str, Field(pattern=r"^[12][1-9]$", description="residency and sector of the payee")]
ExpiresInS = Annotated[StrictInt, Field(ge=1, le=86_400)]
MinAgeS = Annotated[int, Query(ge=0, le=10**9)]


class PayeeIn(BaseModel):
    """To whose account tenge go, and as what."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "iban": "KZ31601A000000000001",
                    "payee_name": "Book shop",
                    "tax_number": "260340000002",
                    "knp": "859",
                    "kbe": "17",
                }
            ]
        },
    )

    iban: Iban
    payee_name: Annotated[str, Field(min_length=1, max_length=140, pattern=r"^[^\x00-\x1f\x7f]+$")]
    tax_number: Annotated[str, Field(max_length=32, description="BIN or IIN of the payee")]
    knp: Knp
    kbe: Kbe


class RedemptionIn(PayeeIn):
    """How much is redeemed on which chain, and to whose account its tenge go."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "chain": "solana",
                    "amount_tiyn": 250000,
                    "iban": "KZ31601A000000000001",
                    "payee_name": "Book shop",
                    "tax_number": "260340000002",
                    "knp": "859",
                    "kbe": "17",
                }
            ]
        },
    )

    chain: Annotated[str, Field(max_length=32)]
    amount_tiyn: DepositTiyn
    expires_in_s: ExpiresInS = 3600


class RetryIn(BaseModel):
    """What changes for the next try; nothing has to."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"iban": "KZ41722C000000000001"}]}
    )

    iban: Iban | None = None
    knp: Knp | None = None
    kbe: Kbe | None = None


class MoveIn(BaseModel):
    """How much goes from one chain to whom on another."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "from_chain": "evm",
                    "to_chain": "solana",
                    "amount_tiyn": 250000,
                    "recipient": "8ahSXy9xvDXycp9ER9dJGYScQafMEchQ3fUrjNUPHVBs",
                }
            ]
        },
    )

    from_chain: Annotated[str, Field(max_length=32)]
    to_chain: Annotated[str, Field(max_length=32)]
    amount_tiyn: DepositTiyn
    recipient: Annotated[str, Field(max_length=128)]
    expires_in_s: ExpiresInS = 3600


class EmptyIn(BaseModel):
    """Nothing is asked but the act itself."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{}]})


class GiveBackIn(BaseModel):
    """Who gets the units of a stuck move anew, on the chain that they were burned on."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"recipient": "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"}]
        },
    )

    recipient: Annotated[str, Field(max_length=128)]


class SendBackIn(BaseModel):
    """How much of what nobody redeems goes to whom; by default all, to its newest sender."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"amount_units": 250000}]}
    )

    amount_units: Annotated[StrictInt, Field(ge=1, le=9 * 10**18)] | None = None
    recipient: Annotated[str, Field(max_length=128)] | None = None


def _chains(request: Request) -> Mapping[str, Chain]:
    return cast(Mapping[str, Chain], request.app.state.chains)


async def _any(db: SessionDep, kind: str, id_: str) -> Intake:
    prefix, name = _KINDS[kind]
    row = await db.get(Intake, id_) if id_.startswith(f"{prefix}_") else None
    if row is None:
        raise NotFound(name, id_)
    return row


_KINDS = {
    "redemptions": (redemptions.PREFIX, "redemption"),
    "moves": (moves.PREFIX, "move"),
}


# Redemptions.


@router.post("/redemptions", status_code=201, summary="Redeem units at par")
@answers(shapes.Redemption)
async def create_redemption(
    body: RedemptionIn, request: Request, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """Answers how the units are sent; once burned, the tenge go out on the next value date."""
    intake, event = await redemptions.request(db, _chains(request), **body.model_dump())
    await ledger.record(db, Changes(events=[event]))
    return await queues.shown(db, intake)


@router.get("/redemptions", summary="Redemptions with ages and totals")
@answers(shapes.RedemptionList)
async def read_redemptions(
    page: PageDep,
    db: SessionDep,
    caller: PrincipalDep,
    status: RedemptionStatus | None = None,
    min_age_s: MinAgeS = 0,
) -> dict[str, Any]:
    """Newest first; `totals` count all of them by status, whatever the page shows."""
    rows = await queues.listed(db, "redemption", page, status=status, min_age_s=min_age_s)
    return listing(page, rows) | {"totals": await queues.totals(db, "redemption")}


@router.get("/redemptions/{redemption_id}", summary="One redemption")
@answers(shapes.Redemption)
async def read_redemption(
    redemption_id: str, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """The redemption with its age."""
    return await queues.shown(db, await _any(db, "redemptions", redemption_id))


@router.post("/redemptions/{redemption_id}/retry", summary="Try a stuck redemption again")
@answers(shapes.Redemption)
async def retry_redemption(
    redemption_id: str, body: RetryIn, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """A rejected or returned payout goes out again; a stuck burn is asked for again."""
    intake = await redemptions.lock(db, redemption_id)
    changes = await redemptions.retry(db, intake, iban=body.iban, knp=body.knp, kbe=body.kbe)
    await ledger.record(db, changes)
    return await queues.shown(db, intake)


@router.post("/burns/{stray_id}/redeem", status_code=201, summary="Pay what a holder burned")
@answers(shapes.Redemption)
async def redeem_burn(
    stray_id: str, body: PayeeIn, request: Request, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """For a stray transfer that proposes `holder_burn`: its tenge go out as a redemption's do."""
    decimals = {name: chain.decimals for name, chain in _chains(request).items()}
    intake, changes = await burns.redeem(db, stray_id, decimals, **body.model_dump())
    await ledger.record(db, changes)
    return await queues.shown(db, intake)


# Moves.


@router.post("/moves", status_code=201, summary="Move units between chains")
@answers(shapes.Move)
async def create_move(
    body: MoveIn, request: Request, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """Answers how the units are sent; they are burned, then made on the other chain."""
    intake, event = await moves.request(db, _chains(request), **body.model_dump())
    await ledger.record(db, Changes(events=[event]))
    return await queues.shown(db, intake)


@router.get("/moves", summary="Moves with ages and totals")
@answers(shapes.MoveList)
async def read_moves(
    page: PageDep,
    db: SessionDep,
    caller: PrincipalDep,
    status: MoveStatus | None = None,
    min_age_s: MinAgeS = 0,
) -> dict[str, Any]:
    """Newest first; one that is burned and not minted shows for how long (`owed_for_s`)."""
    rows = await queues.listed(db, "bridge_move", page, status=status, min_age_s=min_age_s)
    return listing(page, rows) | {"totals": await queues.totals(db, "bridge_move")}


@router.get("/moves/{move_id}", summary="One move")
@answers(shapes.Move)
async def read_move(move_id: str, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """The move with its age."""
    return await queues.shown(db, await _any(db, "moves", move_id))


@router.post("/moves/{move_id}/retry", summary="Try a stuck move again")
@answers(shapes.Move)
async def retry_move(
    move_id: str, body: EmptyIn, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """The half that is stuck, burn or mint, is asked for again under the same id."""
    intake = await moves.lock(db, move_id)
    await ledger.record(db, Changes(events=[await moves.retry(db, intake)]))
    return await queues.shown(db, intake)


@router.post("/moves/{move_id}/give_back", summary="Undo a burned move")
@answers(shapes.Move)
async def give_back_move(
    move_id: str, body: GiveBackIn, request: Request, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """The burned units are made anew on their own chain, by the same id, and never on both."""
    intake = await moves.lock(db, move_id)
    port = intakes.port_of(_chains(request), intake.chain)
    event = await moves.give_back(db, intake, port, body.recipient)
    await ledger.record(db, Changes(events=[event]))
    return await queues.shown(db, intake)


# Both: what was sent and is not burned.


async def _cancel(db: SessionDep, intake: Intake) -> dict[str, Any]:
    await ledger.record(db, Changes(events=[await intakes.cancel(db, intake)]))
    return await queues.shown(db, intake)


async def _send_back(
    request: Request, db: SessionDep, intake: Intake, body: SendBackIn
) -> dict[str, Any]:
    port = intakes.port_of(_chains(request), intake.chain)
    row, event = await intakes.send_back(
        db, intake, port, amount_units=body.amount_units, recipient=body.recipient
    )
    await ledger.record(db, Changes(events=[event]))
    return intakes.send_back_object(row)


@router.post("/redemptions/{redemption_id}/cancel", summary="Give a redemption up")
@answers(shapes.Redemption)
async def cancel_redemption(
    redemption_id: str, body: EmptyIn, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """Possible until its burn is asked for; what came can be sent back then."""
    return await _cancel(db, await redemptions.lock(db, redemption_id))


@router.post("/moves/{move_id}/cancel", summary="Give a move up")
@answers(shapes.Move)
async def cancel_move(
    move_id: str, body: EmptyIn, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """Possible until its burn is asked for; what came can be sent back then."""
    return await _cancel(db, await moves.lock(db, move_id))


@router.post(
    "/redemptions/{redemption_id}/send_back", status_code=201, summary="Send a remainder back"
)
@answers(shapes.SendBack)
async def send_back_redemption(
    redemption_id: str, body: SendBackIn, request: Request, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """Units that nobody redeems: too few, too many, too late, or canceled."""
    return await _send_back(request, db, await redemptions.lock(db, redemption_id), body)


@router.post("/moves/{move_id}/send_back", status_code=201, summary="Send a remainder back")
@answers(shapes.SendBack)
async def send_back_move(
    move_id: str, body: SendBackIn, request: Request, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """Units that are not moved: too few, too many, too late, or canceled."""
    return await _send_back(request, db, await moves.lock(db, move_id), body)
