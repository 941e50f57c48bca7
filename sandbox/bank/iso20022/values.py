"""Single values of messages: amounts, moments, dates, references, and the codes of Kazakhstan."""

import hashlib
import re
import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

from sandbox.bank.iso20022 import errors
from sandbox.bank.iso20022.schema import need, take
from sandbox.core import clock

KZT: Final = "KZT"
MAX_REFERENCE: Final = 35
"""ISO 20022, Max35Text."""

_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def is_text(value: str) -> bool:
    """Whether XML can carry it unchanged; it has no way to write most control characters."""
    return _NOT_IN_XML.search(value) is None and "\r" not in value


def written(name: str) -> str:
    """A name as a message can carry it: Max140Text, without control characters."""
    return _NOT_IN_XML.sub(" ", name.replace("\r", " "))[:140]


def amount(tiyn: int) -> dict[str, str]:
    """Tiyn as tenge with two decimals, in digits only."""
    return {"@Ccy": KZT, "": decimal(tiyn)}


def decimal(tiyn: int) -> str:
    """The same as bare text."""
    assert tiyn >= 0
    return f"{tiyn // 100}.{tiyn % 100:02d}"


def tiyn(node: Any, path: str, *, may_be_zero: bool = False) -> int:
    """The amount at `path` in tiyn: tenge, at most two decimals, above zero."""
    found = need(node, path)
    if found.ccy != KZT:
        raise errors.CurrencyNotTenge(path, found.ccy)
    return whole_tiyn(found.value, path, may_be_zero=may_be_zero)


def whole_tiyn(value: Decimal, path: str, *, may_be_zero: bool = False) -> int:
    """Tenge as tiyn; refuses a third decimal that is not 0."""
    # Scaled by the exponent: multiplying would round to the precision of the context.
    scaled = value.scaleb(2)
    if not value.is_finite() or scaled != scaled.to_integral_value() or scaled < (not may_be_zero):
        raise errors.AmountNotTiyn(path, str(value))
    return int(scaled)


def moment(node: Any, path: str) -> str:
    """The moment at `path` as the sandbox writes it; one without a zone is refused."""
    found = need(node, path)
    if found.offset is None:
        raise errors.TagInvalid(path, "names no time zone")
    return clock.iso(found.to_datetime().astimezone(UTC))


def as_moment(at: datetime) -> str:
    """The way back: XML has the same form."""
    return clock.iso(at)


def day(node: Any, path: str) -> str:
    """The date at `path`, in ISO form."""
    found: date = need(node, path).to_date()
    return found.isoformat()


def reference(node: Any, path: str) -> str:
    """A reference that says something: not empty, no spaces around it."""
    found: str = need(node, path)
    if found != found.strip() or not found:
        raise errors.TagInvalid(path, "is no reference")
    return found


def uetr(end_to_end_id: str) -> str:
    """The payment's UETR, a version 4 UUID (journal ids are version 7 and not allowed there).

    Made from the end-to-end id, which is unique: every message of a payment names the same one.
    """
    digest = hashlib.sha256(b"uetr:" + end_to_end_id.encode()).digest()
    return str(uuid.UUID(bytes=digest[:16], version=4))


def taken_uetr(node: Any, path: str) -> str | None:
    """The UETR at `path`, if there; refuses another version than 4."""
    found: str | None = take(node, path)
    if found is not None and (uuid.UUID(found).version != 4 or found != found.lower()):
        raise errors.TagInvalid(path, "is no UUID of version 4")
    return found


def message_id(*parts: str) -> str:
    """An MsgId of 32 characters that the same message always gets."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
