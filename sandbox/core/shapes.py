"""The words that shapes are written with: ids, moments, amounts, states.

A shape is a TypedDict beside the functions that make its objects. It costs nothing at run time:
mypy holds those functions to it, and the schemas of answers and of events are made from it
(ADR 0032).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, cast, get_args

from pydantic import WithJsonSchema
from sqlalchemy import CheckConstraint
from sqlmodel import SQLModel

_QUOTED = re.compile(r"'([^']*)'")
_INTEGER = WithJsonSchema({"type": "integer", "format": "int64"})

Time = Annotated[
    str,
    WithJsonSchema(
        {
            "type": "string",
            "format": "date-time",
            "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$",
        }
    ),
]
"""A moment as `core.clock.iso` writes it (RFC 3339, UTC, with milliseconds)."""
Day = Annotated[str, WithJsonSchema({"type": "string", "format": "date"})]
"""A day in Almaty (RFC 3339 full-date)."""
Tiyn = Annotated[int, _INTEGER]
"""Money off chain."""
Units = Annotated[int, _INTEGER]
"""Base units of a token on chain."""
Height = Annotated[int, _INTEGER]
"""Of a block: its slot, where a chain counts slots (CONTRACT 3)."""
FreeText = Annotated[str, WithJsonSchema({"type": "string", "x-private": True})]
"""What somebody wrote: events tell it to their owner only, whatever its name (CONTRACT 4)."""
Sha256 = Annotated[str, WithJsonSchema({"type": "string", "pattern": "^[0-9a-f]{64}$"})]


def id_of(*prefixes: str) -> WithJsonSchema:
    """An id that begins with one of these prefixes (CONTRACT 1)."""
    either = prefixes[0] if len(prefixes) == 1 else f"(?:{'|'.join(prefixes)})"
    return WithJsonSchema({"type": "string", "pattern": f"^{either}_"})


SessionId = Annotated[str, id_of("cs")]
PaymentId = Annotated[str, id_of("pay")]
RefundId = Annotated[str, id_of("re")]
StrayId = Annotated[str, id_of("str")]
SettlementId = Annotated[str, id_of("stl")]
PayoutId = Annotated[str, id_of("po")]
SweepId = Annotated[str, id_of("swp")]
MerchantId = Annotated[str, id_of("mch")]
DepositId = Annotated[str, id_of("dep")]
IssuanceId = Annotated[str, id_of("iss")]
RedemptionId = Annotated[str, id_of("red")]
MoveId = Annotated[str, id_of("mov")]
IntakeId = Annotated[str, id_of("red", "mov")]
EntryId = Annotated[str, id_of("ent")]
EventId = Annotated[str, id_of("evt")]
EndpointId = Annotated[str, id_of("we")]
DeliveryId = Annotated[str, id_of("wd")]
RequestId = Annotated[str, id_of("req")]


def states(model: type[SQLModel], column: str) -> WithJsonSchema:
    """The values that the table's own check lets into the column: nobody lists them twice."""
    table = model.__table__  # type: ignore[attr-defined]  # set by SQLModel's metaclass
    for constraint in table.constraints:
        if isinstance(constraint, CheckConstraint):
            found = re.search(rf"\b{column} IN \(([^)]*)\)", str(constraint.sqltext))
            if found:
                return _enum(_QUOTED.findall(found[1]))
    raise LookupError(f"no check of {table.name} lists the values of {column}")


def one_of(*literals: Any) -> WithJsonSchema:
    """The values of these `Literal` types."""
    return _enum(dict.fromkeys(value for literal in literals for value in _values(literal)))


def _values(literal: Any) -> Iterator[str]:
    for one in get_args(literal):
        if isinstance(one, str):
            yield one
        else:
            yield from _values(one)


def _enum(values: Iterable[str]) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "enum": list(values)})


def plain(shown: Mapping[str, Any]) -> dict[str, Any]:
    """An object that mypy has held to its shape, as what carries it knows it: any JSON object."""
    return cast(dict[str, Any], shown)
