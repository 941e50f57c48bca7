"""What one audit check answers: two figures that must agree, and where they do not."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one invariant (DESIGN 5); `left` and `right` are what was compared."""

    id: str
    ok: bool
    left: int | str | None
    right: int | str | None
    detail: str

    def as_json(self) -> dict[str, object]:
        return asdict(self)


CheckFunction = Callable[[], Awaitable[list[Check]]]
