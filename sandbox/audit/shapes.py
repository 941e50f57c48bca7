"""What the API shows of an audit."""

from typing_extensions import TypedDict


class AuditCheck(TypedDict):
    """One invariant, with the two figures that were compared."""

    id: str
    ok: bool
    left: int | str | None
    right: int | str | None
    detail: str


class Audit(TypedDict):
    """Every invariant, recomputed."""

    ok: bool
    checks: list[AuditCheck]
