"""`/log` (C2SP tlog-tiles) and `/v1/events`."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import PlainTextResponse, Response
from pydantic import AwareDatetime, Field

from sandbox.core.db import Database, SessionDep
from sandbox.core.http import PrincipalDep
from sandbox.core.http.answers import ListOf, answers
from sandbox.core.http.auth import asking_again
from sandbox.eventlog import catalog, cursor, proofs, publication, service, shapes
from sandbox.eventlog.errors import BadSpan
from sandbox.eventlog.feed import EventStream, Feed

router = APIRouter()

# A restored world opens a new log under these paths (CONTRACT 7): nothing here is immutable.
_BRIEFLY = {"Cache-Control": "public, max-age=5"}
_NEVER = {"Cache-Control": "no-store"}
_BYTES = "application/octet-stream"

Types = Annotated[list[str] | None, Query(alias="type", max_length=50)]
After = Annotated[str | None, Query(max_length=40)]
Before = Annotated[str | None, Query(max_length=40)]
Moment = Annotated[
    AwareDatetime,
    Field(ge=datetime(2000, 1, 1, tzinfo=UTC), lt=datetime(2200, 1, 1, tzinfo=UTC)),
]


@router.get(
    "/log/checkpoint",
    response_class=PlainTextResponse,
    tags=["log"],
    summary="The newest signed checkpoint",
)
async def checkpoint(db: SessionDep) -> PlainTextResponse:
    """The newest signed checkpoint: origin, size and root of everything that happened."""
    return PlainTextResponse(await publication.newest_checkpoint(db), headers=_NEVER)


@router.get(
    "/log/vkey", response_class=PlainTextResponse, tags=["log"], summary="The log's public key"
)
async def vkey(db: SessionDep) -> PlainTextResponse:
    """The verifier key of the log. Who verifies for real takes it from elsewhere."""
    return PlainTextResponse(f"{await publication.verifier_key(db)}\n", headers=_NEVER)


@router.get(
    "/log/tile/entries/{path:path}",
    response_class=Response,
    tags=["log"],
    summary="A bundle of entries",
)
async def entries(path: str, db: SessionDep, caller: PrincipalDep) -> Response:
    """An entry bundle: up to 256 leaves, each behind its length (for the regulator)."""
    bundle = await publication.entry_bundle(db, publication.tile_at("0", path))
    return Response(bundle, media_type=_BYTES, headers=_NEVER)


@router.get(
    "/log/tile/{level}/{path:path}",
    response_class=Response,
    tags=["log"],
    summary="A tile of hashes",
)
async def tile(level: str, path: str, db: SessionDep) -> Response:
    """A hash tile: up to 256 hashes of one level of the tree."""
    hashes = await publication.hash_tile(db, publication.tile_at(level, path))
    return Response(hashes, media_type=_BYTES, headers=_BRIEFLY)


@router.get("/v1/events", tags=["events"], summary="List events")
@answers(ListOf(shapes.Event))
async def events(
    db: SessionDep,
    caller: PrincipalDep,
    after: After = None,
    before: Before = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 100,
    types: Types = None,
    object_id: Annotated[str | None, Query(alias="object", max_length=64)] = None,
    since: Annotated[Moment | None, Query(alias="from")] = None,
    until: Annotated[Moment | None, Query(alias="to")] = None,
) -> dict[str, Any]:
    """Events oldest first, behind `after`: a position, or a merchant's own sequence.

    With `before` alone, the newest ones in front of it, oldest first; `has_more` then says whether
    there are older ones. `object` is the id of the object that the event tells of; `from` and `to`
    bound `created`, `to` exclusive.
    """
    if since is not None and until is not None and since > until:
        raise BadSpan
    patterns = [service.like_pattern(pattern) for pattern in types or ()]
    chosen = service.Chosen(patterns, since, until, object_id)
    epoch = await service.current_epoch(db)
    start = cursor.parse(after, epoch, caller.merchant)
    end = cursor.parse(before, epoch, caller.merchant).number if before else None
    backward = before is not None and after is None
    rows = await service.after(
        db,
        epoch,
        start.number,
        limit + 1,
        caller.merchant,
        chosen,
        before=end,
        newest_first=backward,
    )
    shown = rows[:limit]
    if backward:
        shown.reverse()
    return {
        "object": "list",
        "data": [service.api_event(row, viewer=caller.merchant) for row in shown],
        "has_more": len(rows) > limit,
    }


@router.get("/v1/event_types", tags=["events"], summary="List event types")
@answers(ListOf(shapes.EventType))
async def event_types(_: PrincipalDep) -> dict[str, Any]:
    """Every type of event: when it happens and whom it concerns."""
    return {"object": "list", "data": catalog.listed(), "has_more": False}


@router.get("/v1/event_types/{type_}", tags=["events"], summary="Read an event type")
@answers(shapes.EventTypeWithSchema)
async def event_type(type_: str, request: Request, _: PrincipalDep) -> dict[str, Any]:
    """One type of event with a JSON Schema and an example. More members may come at any time."""
    return catalog.described(type_, request.app.state.told)


@router.get(
    "/v1/events/stream", response_class=Response, tags=["events"], summary="Follow events live"
)
async def stream(
    request: Request,
    caller: PrincipalDep,
    after: After = None,
    types: Types = None,
    last_event_id: Annotated[str | None, Header(max_length=40)] = None,
) -> Response:
    """Server-sent events from `Last-Event-ID` or `after` on; without either, from the start.

    `after=latest` begins with what happens next. An event's SSE id is `<epoch>:<position>`, for
    merchants `<epoch>:<sequence>`. What was sent again comes as `event: resend`, without an id; an
    id without data says where the stream begins. It ends when its key does.
    """
    feed: Feed = request.app.state.feed
    database: Database = request.app.state.database
    for pattern in types or ():
        service.like_pattern(pattern)
    asked = last_event_id or after
    async with database.transaction() as db:
        epoch = await service.current_epoch(db)
        if asked == cursor.LATEST:
            newest = await service.newest(db, epoch, caller.merchant)
            start = cursor.Cursor(epoch, newest)
        else:
            start = cursor.parse(asked, epoch, caller.merchant)
    key, is_good = asking_again(request, database)
    return EventStream(feed, start, caller.merchant, types or (), lambda: feed.holds(key, is_good))


@router.get("/v1/events/{event_id}", tags=["events"], summary="Read an event")
@answers(shapes.Event)
async def event(event_id: str, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """One event; another merchant's answers 404."""
    row = await service.one(db, event_id, caller.merchant)
    return service.api_event(row, viewer=caller.merchant)


@router.get("/v1/events/{event_id}/proof", tags=["events"], summary="The proof of an event")
@answers(shapes.EventProof)
async def proof(event_id: str, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """The event's leaf, its inclusion proof and the checkpoint: verifies offline.

    An event of an epoch that a restored world goes on from has `continued` too: the proofs of the
    `world.restored` of each later epoch, the newest first.
    """
    return await proofs.receipt(db, event_id, caller.merchant)
