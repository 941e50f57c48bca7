"""`GET /v1/{object}/{id}/explain`: the causal chain as JSON, as text, or as a diagram."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import JSONResponse

from sandbox.chains.port import Chain
from sandbox.core.db import Database
from sandbox.core.http import Principal, PrincipalDep
from sandbox.core.http.answers import answers
from sandbox.core.http.language import LanguageDep
from sandbox.core.texts import Language
from sandbox.explain import diagram, service, shapes, writing
from sandbox.explain.service import KINDS, Kind
from sandbox.explain.words import Explanation

router = APIRouter(prefix="/v1", tags=["explain"])

Format = Literal["json", "text", "svg"]
_TYPES: Mapping[str, Format] = {
    "application/json": "json",
    "text/plain": "text",
    "image/svg+xml": "svg",
}
SVG_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
"""What strangers wrote stands in the picture as text; and even if it did not, nothing would run."""


class Asked:
    """How the explanation is wanted: `format`, else what Accept names first; and the language."""

    def __init__(
        self,
        request: Request,
        caller: PrincipalDep,
        language: LanguageDep,
        format_: Annotated[
            Format | None, Query(alias="format", description="else the first that Accept names")
        ] = None,
        accept: Annotated[str | None, Header()] = None,
    ) -> None:
        self.request, self.caller, self.language = request, caller, language
        self.format = format_ or accepted(accept)

    async def answer(self, kind: Kind, id_: str) -> Response:
        """The object's explanation in that form."""
        state = self.request.app.state
        chains = cast(Mapping[str, Chain], state.chains)
        database = cast(Database, state.database)
        found = await service.explain(database, chains, kind, id_, _viewer(self.caller))
        return written(found, self.format, self.language)


def _viewer(caller: Principal) -> str | None:
    """The merchant as which the caller looks; None for who sees everything."""
    is_merchant = caller.role in ("merchant", "developer")
    return caller.party if is_merchant else caller.merchant


def accepted(accept: str | None) -> Format:
    """The first of ours that an Accept header names; JSON if none."""
    for one in (accept or "").split(","):
        found = _TYPES.get(one.partition(";")[0].strip().lower())
        if found is not None:
            return found
    return "json"


def written(found: Explanation, form: Format, language: Language) -> Response:
    """The explanation as an answer."""
    headers = {"Content-Language": language, "Vary": "Accept, Accept-Language"}
    if form == "text":
        body = writing.as_text(found, language)
        return Response(body, media_type="text/plain; charset=utf-8", headers=headers)
    if form == "svg":
        headers["Content-Security-Policy"] = SVG_POLICY
        return Response(
            diagram.as_svg(found, language), media_type="image/svg+xml", headers=headers
        )
    return JSONResponse(writing.as_json(found, language), headers=headers)


AskedDep = Annotated[Asked, Depends()]


@router.get("/checkout/sessions/{session_id}/explain", summary="Explain a session")
@answers(shapes.Explanation)
async def explain_session(
    session_id: str,
    asked: AskedDep,
    tx: Annotated[
        str | None,
        Query(min_length=1, max_length=200, description="why this transaction paid it, or not"),
    ] = None,
) -> Response:
    """From the request over the QR codes, the transactions and each rule to books and webhooks."""
    kind = KINDS["checkout_session"] if tx is None else service.transaction_for(tx)
    return await asked.answer(kind, session_id)


@router.get("/payments/{payment_id}/explain", summary="Explain a payment")
@answers(shapes.Explanation)
async def explain_payment(payment_id: str, asked: AskedDep) -> Response:
    """Its transaction decoded, every rule with what was compared, and what came of it."""
    return await asked.answer(KINDS["payment"], payment_id)


@router.get("/refunds/{refund_id}/explain", summary="Explain a refund")
@answers(shapes.Explanation)
async def explain_refund(refund_id: str, asked: AskedDep) -> Response:
    """Where the money came from, and how far it is on its way back."""
    return await asked.answer(KINDS["refund"], refund_id)


@router.get("/stray_transfers/{stray_id}/explain", summary="Explain a stray transfer")
@answers(shapes.Explanation)
async def explain_stray(stray_id: str, asked: AskedDep) -> Response:
    """The rule that it fails, and what can be done with it."""
    return await asked.answer(KINDS["stray_transfer"], stray_id)


@router.get("/settlements/{settlement_id}/explain", summary="Explain a settlement")
@answers(shapes.Explanation)
async def explain_settlement(settlement_id: str, asked: AskedDep) -> Response:
    """Sweeps, burns, the bank's answers, and what the batch still waits for."""
    return await asked.answer(KINDS["settlement"], settlement_id)


@router.get("/payouts/{payout_id}/explain", summary="Explain a payout")
@answers(shapes.Explanation)
async def explain_payout(payout_id: str, asked: AskedDep) -> Response:
    """What the bank was told, and what it answered."""
    return await asked.answer(KINDS["payout"], payout_id)


@router.get("/reserve/deposits/{deposit_id}/explain", summary="Explain a deposit")
@answers(shapes.Explanation)
async def explain_deposit(deposit_id: str, asked: AskedDep) -> Response:
    """Tenge that came in, and what was minted of them."""
    return await asked.answer(KINDS["deposit"], deposit_id)


@router.get("/reserve/issuances/{issuance_id}/explain", summary="Explain an issuance")
@answers(shapes.Explanation)
async def explain_issuance(issuance_id: str, asked: AskedDep) -> Response:
    """The mint's transactions, entries and events."""
    return await asked.answer(KINDS["issuance"], issuance_id)


@router.get("/reserve/redemptions/{redemption_id}/explain", summary="Explain a redemption")
@answers(shapes.Explanation)
async def explain_redemption(redemption_id: str, asked: AskedDep) -> Response:
    """Units that came, their burn, and the tenge for them."""
    return await asked.answer(KINDS["redemption"], redemption_id)


@router.get("/reserve/moves/{move_id}/explain", summary="Explain a move between chains")
@answers(shapes.Explanation)
async def explain_move(move_id: str, asked: AskedDep) -> Response:
    """Units that came, their burn, and the mint on the other chain."""
    return await asked.answer(KINDS["bridge_move"], move_id)


@router.get("/events/{event_id}/explain", summary="Explain an event")
@answers(shapes.Explanation)
async def explain_event(event_id: str, asked: AskedDep) -> Response:
    """What caused it, which entries it posts, and who was told."""
    return await asked.answer(KINDS["event"], event_id)


@router.get("/webhook_deliveries/{delivery_id}/explain", summary="Explain a delivery")
@answers(shapes.Explanation)
async def explain_delivery(delivery_id: str, asked: AskedDep) -> Response:
    """Every attempt, what the receiver said, and when the next one is made."""
    return await asked.answer(KINDS["webhook_delivery"], delivery_id)


@router.get("/sandbox/faucet/{grant_id}/explain", summary="Explain a faucet grant")
@answers(shapes.Explanation)
async def explain_grant(grant_id: str, asked: AskedDep) -> Response:
    """The grant's transactions, entries and events."""
    grants: Any = asked.request.app.state.grants
    return await asked.answer(service.grants_by(grants), grant_id)
