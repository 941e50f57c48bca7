"""`/pay/{session}/{chain}/transaction`: a payment whose fee we pay, for wallets without coin.

A transaction request as wallets know it: GET says who asks, POST gives a transaction that lacks
only the payer's signature. Public, as the payment page is: who knows the session may pay it.
"""

import math
from collections import OrderedDict, deque
from collections.abc import Callable, Coroutine, Mapping
from typing import Annotated, Any, cast

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field

from sandbox.chains.errors import NotSponsored
from sandbox.chains.port import Chain
from sandbox.core import clock
from sandbox.core.db import Database, SessionDep
from sandbox.core.errors import NotFound, SandboxError
from sandbox.core.http import problem, refusal
from sandbox.core.http.answers import answers
from sandbox.core.money import format_tenge, units_from_tiyn
from sandbox.parties import service as parties
from sandbox.payments import service as payments
from sandbox.payments.errors import SessionNotOpen
from sandbox.web import page, shapes

MAX_PER_MINUTE, MINUTE_S = 10, 60.0
MAX_SESSIONS = 10_000


class SponsoredTooOften(SandboxError):
    """Each of these may cost us a fee without paying anything."""

    status, code = 429, "sponsored_too_often"

    def __init__(self, session: str, wait_s: float) -> None:
        super().__init__(
            f"at most {MAX_PER_MINUTE} transactions a minute for one session",
            session=session,
            retry_after_s=math.ceil(wait_s),
        )


class NothingLeft(SandboxError):
    """The session has all its money; what else is sent waits for a decision."""

    status, code = 409, "nothing_left_to_pay"

    def __init__(self, session: str) -> None:
        super().__init__("nothing is left to pay", session=session)


class Turns:
    """How often a session was served in the last minute, by this process; the oldest are let go."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._served: OrderedDict[str, deque[float]] = OrderedDict()

    def take(self, session: str) -> None:
        """Raises `SponsoredTooOften`."""
        now = self._now()
        served = self._served.setdefault(session, deque())
        self._served.move_to_end(session)
        while served and served[0] <= now - MINUTE_S:
            served.popleft()
        if len(served) >= MAX_PER_MINUTE:
            raise SponsoredTooOften(session, served[0] + MINUTE_S - now)
        served.append(now)
        while len(self._served) > MAX_SESSIONS:
            self._served.popitem(last=False)


class WalletRoute(APIRoute):
    """Wallets show their users the member `message` of a refusal, and look at nothing else."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def told(request: Request) -> Response:
            try:
                return await handle(request)
            except SandboxError as refused:
                refused.values = {**refused.values, "message": refused.detail}
                return refusal(request, refused)
            except RequestValidationError:
                detail = 'send the account that pays, as JSON: {"account": "…"}'
                return problem(request, 422, "invalid_request", detail, {"message": detail})

        return told


router = APIRouter(route_class=WalletRoute, tags=["checkout"])


class PayerIn(BaseModel):
    """Who pays. Wallets may send more, which is nobody's business here."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={
            "examples": [{"account": "EFbVm5QVEWBCaKD2ot4dfHaKd2r5624GxDGN2SQkRgnU"}]
        },
    )

    account: Annotated[str, Field(max_length=128)]


@router.get("/pay/{session_id}/{chain}/transaction", summary="Who asks for a sponsored payment")
@answers(shapes.TransactionAsker)
async def who_asks(session_id: str, chain: str, request: Request, db: SessionDep) -> dict[str, str]:
    """The merchant's name and a picture, for the wallet to show."""
    _sponsoring(request, chain)
    session, _ = await payments.session_with_payments(db, session_id)
    merchant = await parties.merchant(db, session.merchant)
    base_url: str = request.app.state.settings.base_url
    return {"label": merchant.name, "icon": f"{base_url}/pay/assets/icon.svg"}


@router.post(
    "/pay/{session_id}/{chain}/transaction", summary="A payment whose fee the sandbox pays"
)
@answers(shapes.SponsoredTransaction)
async def offer(session_id: str, chain: str, body: PayerIn, request: Request) -> dict[str, str]:
    """A transaction for an open session, for the payer to sign and send; nothing else is in it."""
    port = _sponsoring(request, chain)
    database = cast(Database, request.app.state.database)
    async with database.transaction() as db:
        session, paid = await payments.session_with_payments(db, session_id)
        merchant = await parties.merchant(db, session.merchant)
        now = await clock.now(db)
    if session.status != "open":
        raise SessionNotOpen(session.id, session.status)
    if now >= session.expires_at:
        raise SessionNotOpen(session.id, "expired")
    left = page.left_tiyn(session, paid)
    if left == 0:
        raise NothingLeft(session.id)
    option = next((one for one in session.options if one["chain"] == chain), None)
    if option is None:
        raise NotFound("option", chain)
    cast(Turns, request.app.state.sponsored_turns).take(session.id)
    units = units_from_tiyn(left, port.decimals)
    transaction = await port.sponsored_payment(option, body.account, units)
    return {
        "transaction": transaction,
        "message": f"{format_tenge(left)} for {merchant.name}; the fee is paid for you",
    }


def _sponsoring(request: Request, name: str) -> Chain:
    found = cast(Mapping[str, Chain], request.app.state.chains).get(name)
    if found is None:
        raise NotFound("option", name)
    if not found.sponsors:
        raise NotSponsored(name)
    return found
