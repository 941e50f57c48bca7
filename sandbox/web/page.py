"""What a buyer sees of a session: a state, a message, how to pay. Pure."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import segno

from sandbox.chains.port import Chain
from sandbox.core.money import format_tenge, format_units, tiyn_from_units, units_from_tiyn
from sandbox.core.texts import Language
from sandbox.core.zone import ALMATY
from sandbox.payments.models import CheckoutSession, Payment
from sandbox.web.texts import WORDS

DETAILS = ("recipient", "address", "memo", "reference", "mint", "token")
GRACE = timedelta(minutes=2)
OPEN_STATES = frozenset({"waiting", "confirming", "partial", "reverted"})


@dataclass(frozen=True, slots=True)
class Way:
    """One way to pay: its link, its QR code as SVG, its details to send by hand.

    `amount` is written as wallets want it typed. `address_svg` is a QR code of the bare address,
    for wallets that misread links; empty where a payment needs more than its address.
    `payment` is what the script asks a wallet in the browser for, as JSON, if such wallets can pay.
    `sponsored` is the link for a wallet without coin for the fee; empty where there is none.
    """

    chain: str
    network: str
    url: str
    svg: str
    alternative: str
    address_svg: str
    amount: str
    warning: str
    details: list[tuple[str, str]]
    payment: str
    sponsored: str


def state_of(session: CheckoutSession, payments: Sequence[Payment], now: datetime) -> str:
    """The key of the message for a buyer (`texts.MESSAGES`)."""
    status, reasons = session.status, session.reasons
    if status == "complete":
        return next((r for r in ("duplicate", "overpaid") if r in reasons), "paid")
    if status == "canceled":
        return "canceled_paid" if session.received_units else "canceled"
    if session.received_units and left_tiyn(session, payments) == 0 and "late" not in reasons:
        return "confirming"
    if status == "expired" or now > session.expires_at:
        if "late" in reasons:
            return "late"
        return "short" if "underpaid" in reasons else "expired"
    if "reverted" in reasons:
        return "reverted"
    if "underpaid" in reasons:
        return "partial"
    return "waiting"


def may_change(
    session: CheckoutSession, payments: Sequence[Payment], key: str, now: datetime
) -> bool:
    """Whether the page may still change by itself.

    Money sent in time is seen a little later, so the page watches on for a while after the end.
    """
    if key in OPEN_STATES or any(payment.chain_state == "confirmed" for payment in payments):
        return True
    return session.status in ("open", "expired") and now < session.expires_at + GRACE


def left_tiyn(session: CheckoutSession, payments: Sequence[Payment]) -> int:
    """What is still to be paid."""
    counted = sum(tiyn_from_units(p.counted_units, p.decimals)[0] for p in payments)
    return max(0, session.amount_tiyn - counted)


def seconds_left(session: CheckoutSession, now: datetime) -> int:
    """Whole seconds until the session expires, 0 when it has."""
    return max(0, (session.expires_at - now) // timedelta(seconds=1))


def clock_face(seconds: int) -> str:
    """`14:59`, or `1:02:03` from an hour on."""
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def in_almaty(moment: datetime) -> str:
    """The time of day in Almaty, `15:04`."""
    return moment.astimezone(ALMATY).strftime("%H:%M")


def with_amount(url: str, units: int, decimals: int) -> str:
    """A payment URL for another amount: what is left after a part was paid.

    `amount` counts in user units, `uint256` in base units (ERC-681).
    """
    url = re.sub(r"(?<=[?&]amount=)[0-9.]+", format_units(units, decimals), url)
    return re.sub(r"(?<=[?&]uint256=)[0-9.e]+", str(units), url)


def qr_svg(url: str) -> str:
    """A QR code black on white with its quiet zone, in dark mode too (USERS 1, row 21)."""
    code = segno.make(url, error="m", micro=False)
    return code.svg_inline(scale=4, border=4, dark="#000", light="#fff", omitsize=True)


def ways(
    session: CheckoutSession,
    payments: Sequence[Payment],
    chains: Mapping[str, Chain],
    merchant: str,
    language: Language,
    base_url: str = "",
) -> list[Way]:
    """Every option of the session for what is left to pay; chains not running are left out.

    `base_url` is what links to this sandbox begin with.
    """
    left = left_tiyn(session, payments)
    page_url = f"{base_url}/pay/{session.id}"
    return [
        _way(option, left, chains[option["chain"]], merchant, language, page_url)
        for option in session.options
        if option["chain"] in chains
    ]


def _way(
    option: Mapping[str, Any],
    left: int,
    chain: Chain,
    merchant: str,
    language: Language,
    page_url: str,
) -> Way:
    units = units_from_tiyn(left, chain.decimals)
    url = with_amount(option["url"], units, chain.decimals)
    alternative = WORDS["qr"][language].format(
        amount=format_tenge(left), merchant=merchant, network=chain.network
    )
    in_browser = chain.browser_payment(option, units)
    details = [
        (WORDS["address" if name == "recipient" else name][language], str(option[name]))
        for name in DETAILS
        if name in option
    ]
    if in_browser is not None:
        details.insert(0, (WORDS["chain_id"][language], str(in_browser.chain_id)))
    return Way(
        chain=chain.name,
        network=chain.network,
        url=url,
        svg=qr_svg(url),
        alternative=alternative,
        address_svg=qr_svg(option["address"]) if "address" in option else "",
        amount=format_units(units, chain.decimals),
        warning=WORDS["exactly_memo" if "memo" in option else "exactly_address"][language],
        details=details,
        payment=json.dumps(asdict(in_browser)) if in_browser is not None else "",
        sponsored=chain.transaction_link(f"{page_url}/{chain.name}/transaction"),
    )
