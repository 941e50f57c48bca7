"""Simulated payers from the payment page, and the table of magic values."""

from typing import Any
from urllib.parse import parse_qsl

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from sandbox.core import chance
from sandbox.core.errors import NotFound
from sandbox.core.http import PrincipalDep
from sandbox.core.http.answers import answers
from sandbox.core.http.limits import Unreadable, check_json
from sandbox.lab import magic, shapes, triggering
from sandbox.lab.errors import PanelOff
from sandbox.lab.scenarios import PAYERS, payer_for
from sandbox.lab.trigger_routes import house_of
from sandbox.payments import sessions

router = APIRouter(tags=["sandbox"])

_FORM = "application/x-www-form-urlencoded"
_FIELDS = ("profile", "chain")
_MAX_FIELDS = 10


@router.get("/v1/sandbox/magic_values", summary="Values that make something happen")
@answers(shapes.MagicValues)
async def read_magic_values(caller: PrincipalDep) -> dict[str, Any]:
    """Amount endings, payers, bank accounts and headers: the one table of them."""
    return magic.table()


@router.post("/pay/{session_id}/simulate", include_in_schema=False)
async def simulate(session_id: str, request: Request) -> Response:
    """Have a simulated payer pay this session: the button of the payment page's test panel.

    `profile` left out: the one that the amount asks for. A form is sent back to its page.
    """
    if not request.app.state.settings.shows_test_panel:
        raise PanelOff
    body, is_form = await request.body(), request.headers.get("content-type", "").startswith(_FORM)
    asked = _fields(body, is_form=is_form)
    house = house_of(request)
    async with house.database.transaction() as db:
        session, _ = await sessions.one(db, session_id)
    name = asked.get("profile") or payer_for(session.amount_tiyn).name
    chain = asked.get("chain") or None
    if chain is not None and chain not in house.customers:
        raise NotFound("option", chain)
    with chance.within(f"simulate {session_id}"):
        done = await triggering.trigger(
            house,
            triggering.find(name, PAYERS),
            merchant=None,
            chain=chain,
            session_id=session_id,
            waits=False,
        )
    if is_form:
        return RedirectResponse(f"/pay/{session_id}?{request.url.query}", 303)
    return JSONResponse(done)


def _fields(body: bytes, *, is_form: bool) -> dict[str, str]:
    """Raises `Unreadable`."""
    if is_form:
        try:
            found = dict(parse_qsl(body.decode("ascii"), max_num_fields=_MAX_FIELDS))
        except ValueError as error:
            raise Unreadable("/body", "must be the page's form") from error
    else:
        check_json(body)
        found = orjson.loads(body) if body else {}
    if not isinstance(found, dict) or set(found) - set(_FIELDS):
        raise Unreadable("/body", f"takes {' and '.join(_FIELDS)}")
    if not all(isinstance(value, str | None) for value in found.values()):
        raise Unreadable("/body", "must hold texts")
    return found
