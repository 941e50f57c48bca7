"""`/pay/{session}`: the payment page. Server-rendered; works without scripts, better with them."""

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Annotated, Any, Protocol, cast

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from sandbox.chains.port import Chain
from sandbox.core import clock
from sandbox.core.db import SessionDep
from sandbox.core.errors import NotFound
from sandbox.core.http.language import LanguageDep
from sandbox.core.money import format_tenge
from sandbox.core.texts import DEFAULT, Language
from sandbox.parties import service as parties
from sandbox.payments import service as payments
from sandbox.web import page, texts

router = APIRouter(include_in_schema=False)

templates = Environment(
    loader=PackageLoader("sandbox.web"),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_SCRIPT = "text/javascript; charset=utf-8"
_MEDIA = {
    "pay.css": "text/css; charset=utf-8",
    "pay.js": _SCRIPT,
    "wallet.js": _SCRIPT,
    "icon.svg": "image/svg+xml",
}
_ASSETS = {name: (resources.files("sandbox.web") / "assets" / name).read_bytes() for name in _MEDIA}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self';"
        " img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

# A form's request must say that it is ours: browsers take the origin from one without a referrer.
_WITH_FORM = {
    "Content-Security-Policy": HEADERS["Content-Security-Policy"].replace(
        "form-action 'none'", "form-action 'self'"
    ),
    "Referrer-Policy": "same-origin",
}

Network = Annotated[str | None, Query(max_length=32)]


@router.get("/pay/assets/{name}")
async def asset(name: str) -> Response:
    """What the page loads."""
    if name not in _ASSETS:
        raise NotFound("asset", name)
    headers = {"Cache-Control": "max-age=300", "X-Content-Type-Options": "nosniff"}
    return Response(_ASSETS[name], media_type=_MEDIA[name], headers=headers)


@router.get("/pay/{session_id}/state")
async def state(
    session_id: str, request: Request, db: SessionDep, language: LanguageDep
) -> Response:
    """What the page polls: nothing here that a passer-by may not know."""
    session, paid = await payments.session_with_payments(db, session_id)
    now = await clock.now(db)
    key = page.state_of(session, paid, now)
    return JSONResponse(
        {
            "status": session.status,
            "reason": session.reason,
            "state": key,
            "message": texts.MESSAGES[key][language],
            "expires_at": clock.iso(session.expires_at),
            "seconds_left": page.seconds_left(session, now) if key in page.OPEN_STATES else 0,
            "left": format_tenge(page.left_tiyn(session, paid)),
            "pending": page.may_change(session, paid, key, now),
        },
        headers={"Cache-Control": "no-store"},
    )


@router.get("/pay/{session_id}/{chain}.svg")
async def qr(session_id: str, chain: str, request: Request, db: SessionDep) -> Response:
    """The QR code of one way to pay, for print and for tills."""
    session, paid = await payments.session_with_payments(db, session_id)
    for way in page.ways(session, paid, _chains(request), "", DEFAULT):
        if way.chain == chain:
            svg = way.svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
            return Response(svg, media_type="image/svg+xml", headers=HEADERS)
    raise NotFound("option", chain)


@router.get("/pay/{session_id}")
async def pay(
    session_id: str,
    request: Request,
    db: SessionDep,
    language: LanguageDep,
    network: Network = None,
) -> HTMLResponse:
    """The payment page in Kazakh, Russian or English, showing how to pay on one of the chains."""
    shown: dict[str, Any] = {
        "language": language,
        "languages": texts.NAMES,
        "words": texts.words(language),
        "chosen": "",
    }
    try:
        session, paid = await payments.session_with_payments(db, session_id)
    except NotFound:
        message = texts.MESSAGES["not_found"][language]
        return _html("missing.html", shown | {"message": message}, 404)
    merchant = (await parties.merchant(db, session.merchant)).name
    now = await clock.now(db)
    key = page.state_of(session, paid, now)
    left, seconds = page.left_tiyn(session, paid), page.seconds_left(session, now)
    payable = key in ("waiting", "partial", "reverted")
    base_url = request.app.state.settings.base_url
    ways = (
        page.ways(session, paid, _chains(request), merchant, language, base_url) if payable else []
    )
    names = [way.chain for way in ways]
    shown |= {
        "session": session,
        "merchant": merchant,
        "state": key,
        "message": texts.MESSAGES[key][language],
        "amount": format_tenge(session.amount_tiyn),
        "left": format_tenge(left),
        "received": format_tenge(session.amount_tiyn - left),
        "running": page.may_change(session, paid, key, now),
        "payable": payable,
        "ways": ways,
        "chosen": network if network in names else "".join(names[:1]),
        "wallet_texts": json.dumps(texts.wallet(language), ensure_ascii=False),
        "expires_at": clock.iso(session.expires_at),
        "seconds": seconds,
        "countdown": page.clock_face(seconds),
        "until": texts.WORDS["until"][language].format(time=page.in_almaty(session.expires_at)),
        "transactions": [p.tx for p in paid if p.chain_state != "reverted"][:10],
        "panel": _panel(request, language),
        "chains": list(_chains(request)),
    }
    return _html("pay.html", shown, 200)


def _chains(request: Request) -> Mapping[str, Chain]:
    return cast(Mapping[str, Chain], request.app.state.chains)


class Simulated(Protocol):
    """A payer that the test panel has a button for; wiring hands them over."""

    @property
    def name(self) -> str: ...

    @property
    def label(self) -> Mapping[str, str]: ...


def _panel(request: Request, language: Language) -> list[tuple[str, str]]:
    """Each button: the payer's name and what the button says. Empty: no panel."""
    payers: Sequence[Simulated] = getattr(request.app.state, "test_panel", ())
    return [(payer.name, payer.label[language]) for payer in payers]


def _html(template: str, values: dict[str, Any], status: int) -> HTMLResponse:
    html = templates.get_template(template).render(values)
    headers = (HEADERS | _WITH_FORM if values.get("panel") else HEADERS) | {
        "Content-Language": values["language"],
        "Vary": "Accept-Language",
    }
    return HTMLResponse(html, status, headers)
