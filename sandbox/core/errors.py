"""The base of every named refusal. What has no name is a bug and stays a 500."""

from collections.abc import Iterator
from typing import ClassVar, Literal

Retryable = bool | Literal["unknown"]
"""Whether the same request may be sent again as it is, with the same Idempotency-Key.

True: it may succeed then, and nothing of this refusal is kept. False: the same answer comes again,
so change what is wrong and use a new key. "unknown": nobody can say; a repeat does no harm.
"""

_TRY_AGAIN = frozenset({429, 503, 504})


class SandboxError(Exception):
    """A refusal with a stable code, an HTTP status and the values that explain it.

    Subclasses set `status` and `code`; `values` become extra members of the problem
    document (RFC 9457, section 3.2), so they never hold secrets. `fields` names what may be at
    fault, the first one that the route takes is the document's `param`. One that makes its code up
    from its values names all of them in `codes`. Each code has a text in every language in
    `sandbox/locale`, domain `errors`.
    """

    status = 400
    code = "bad_request"
    codes: ClassVar[tuple[str, ...]] = ()
    fields: ClassVar[tuple[str, ...]] = ()
    again: ClassVar[Retryable | None] = None

    def __init__(self, detail: str, **values: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.values = values

    @property
    def retryable(self) -> Retryable:
        """As the value of that name says, or `again` for every one, else by the status."""
        said = self.values.get("retryable", self.again)
        return said if isinstance(said, bool) else retryable_by_status(self.status)

    def at_fault(self) -> tuple[str, ...]:
        """Names of fields, or whole pointers such as `/header/idempotency-key`."""
        return self.fields


def retryable_by_status(status: int) -> Retryable:
    """What a status alone says: others than 429, 503, 504 and bugs are decided for good."""
    if status in _TRY_AGAIN:
        return True
    return "unknown" if status >= 500 else False


def kinds() -> Iterator[type[SandboxError]]:
    """Every kind of refusal that this process has loaded."""
    waiting: list[type[SandboxError]] = [SandboxError]
    while waiting:
        found = waiting.pop()
        yield found
        waiting += found.__subclasses__()


class NotFound(SandboxError):
    """The object does not exist, or is somebody else's: the answer is the same for both."""

    status, code = 404, "not_found"

    def __init__(self, kind: str, id_: str) -> None:
        super().__init__(f"no {kind} {id_}", kind=kind, id=id_)
        self._kind = kind

    def at_fault(self) -> tuple[str, ...]:
        """The field that holds the id."""
        return (self._kind, f"{self._kind}_id")


class Unavailable(SandboxError):
    """A part the sandbox depends on does not answer; the same request may be sent again."""

    status, code = 503, "unavailable"

    def __init__(self, part: str) -> None:
        super().__init__(f"{part} does not answer; try again", part=part)
