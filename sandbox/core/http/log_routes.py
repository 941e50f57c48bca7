"""`/v1/request_logs`: what a party asked, and what it was answered."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request

from sandbox.core import clock
from sandbox.core.db import SessionDep
from sandbox.core.driver import Statement
from sandbox.core.errors import NotFound
from sandbox.core.http import shapes
from sandbox.core.http.answers import ListOf, answers
from sandbox.core.http.auth import PrincipalDep
from sandbox.core.http.paging import PageDep, listing
from sandbox.core.http.request_log import RequestLog

router = APIRouter(tags=["requests"])

_HEAD = (
    "id, method, path, query, status, code, duration_ms, role, api_key, api_version,"
    " idempotency_key, replayed, created_at"
)
# A cursor is an id, the order is that of writing; an unknown cursor finds nothing.
_PART = f"""
    SELECT {_HEAD} FROM request_log
    WHERE (CAST(:tenant AS text) IS NULL OR tenant = :tenant)
        AND (CAST(:method AS text) IS NULL OR method = :method)
        AND status BETWEEN :least AND :most
        AND starts_with(path, :path)
        AND (CAST(:key AS text) IS NULL OR api_key = :key)
        AND (CAST(:older AS text) IS NULL
            OR number < (SELECT number FROM request_log WHERE id = :older))
        AND (CAST(:newer AS text) IS NULL
            OR number > (SELECT number FROM request_log WHERE id = :newer))
    """  # noqa: S608 - names of our own columns
_NEWEST_FIRST = Statement(f"{_PART} ORDER BY number DESC LIMIT CAST(:limit AS int)")
_OLDEST_FIRST = Statement(f"{_PART} ORDER BY number LIMIT CAST(:limit AS int)")
_ONE = Statement(
    f"SELECT {_HEAD}, request_body, response_body FROM request_log"  # noqa: S608 - as above
    " WHERE id = :id AND (CAST(:tenant AS text) IS NULL OR tenant = :tenant)"
)

Status = Annotated[
    str | None,
    Query(pattern=r"^[1-5](?:[0-9]{2}|xx)$", description="one status, or a class such as 4xx"),
]
Method = Annotated[str | None, Query(pattern=r"^[A-Z]{1,16}$")]
Path = Annotated[str, Query(max_length=200, description="how the address begins")]
Key = Annotated[str | None, Query(max_length=64, description="the id of an API key")]


async def _written(request: Request) -> None:
    """What this process answered before is in the list."""
    requests: RequestLog = request.app.state.request_log
    await requests.flush()


@router.get("/v1/request_logs", summary="List requests")
@answers(ListOf(shapes.LoggedRequest))
async def list_requests(
    request: Request,
    page: PageDep,
    db: SessionDep,
    caller: PrincipalDep,
    method: Method = None,
    status: Status = None,
    path: Path = "",
    key: Key = None,
) -> dict[str, Any]:
    """What the caller's party asked, newest first; the operator and the regulator see everybody's.

    Requests that read the log are not in it. Only the newest are kept.
    """
    await _written(request)
    least, most = _range(status)
    values = {
        "tenant": caller.merchant,
        "method": method,
        "least": least,
        "most": most,
        "path": path,
        "key": key,
        "older": page.starting_after if page.ending_before is None else None,
        "newer": page.ending_before,
        "limit": page.limit + 1,
    }
    part = _NEWEST_FIRST if page.ending_before is None else _OLDEST_FIRST
    return listing(page, [_head(row) for row in await part.fetch(db, values)])


@router.get("/v1/request_logs/{request_id}", summary="Read a request")
@answers(shapes.LoggedRequestWithBodies)
async def get_request(
    request_id: str, request: Request, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """One request with what was sent and answered, secrets taken out, each cut off at 16 KiB.

    A body that is JSON stands as JSON, another or one that was cut off as text.
    """
    await _written(request)
    found = await _ONE.fetch(db, {"id": request_id, "tenant": caller.merchant})
    if not found:
        raise NotFound("request_log", request_id)
    [row] = found
    bodies = {name: _body(row[name]) for name in ("request_body", "response_body")}
    return _head(row) | bodies


def _range(status: str | None) -> tuple[int, int]:
    if status is None:
        return 0, 999
    if status.endswith("xx"):
        return int(status[0]) * 100, int(status[0]) * 100 + 99
    return int(status), int(status)


def _head(row: Any) -> dict[str, Any]:
    names = [name.strip() for name in _HEAD.split(",")]
    found = {"object": "request_log", **{name: row[name] for name in names}}
    return found | {"created_at": clock.iso(row["created_at"])}


def _body(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return orjson.loads(text)
    except ValueError:
        return text
