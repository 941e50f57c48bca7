"""Every refusal that the API may answer with, as its documentation lists them."""

from dataclasses import dataclass
from typing import Final

from sandbox.core import texts
from sandbox.core.errors import Retryable, SandboxError, kinds, retryable_by_status
from sandbox.core.texts import LANGUAGES, Language

FRAMEWORKS: Final = {"bad_request": 400, "not_found": 404, "method_not_allowed": 405}
"""What is refused before a route of ours is found."""
_BUG: Final = {"internal_error": 500}
# Commands, what they verify offline, and local chains have refusals that no request meets.
_ELSEWHERE: Final = ("sandbox.cli.", "sandbox.devnets.", "sandbox.settlement.verification")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A code with its statuses, whether to try again, and its text in each language, unfilled."""

    code: str
    statuses: tuple[int, ...]
    retryable: Retryable
    texts: dict[Language, str]


def answered_by_the_api(kind: type[SandboxError]) -> bool:
    """Whether a request may meet this kind of refusal."""
    return kind.__module__.startswith("sandbox.") and not kind.__module__.startswith(_ELSEWHERE)


def codes() -> dict[str, dict[int, Retryable]]:
    """code → status → whether to try again, as the kinds that this process has loaded say.

    Some depend on what the refusal is about: then what the document says counts.
    """
    found: dict[str, dict[int, Retryable]] = {}
    for code, status in (*FRAMEWORKS.items(), *_BUG.items()):
        found.setdefault(code, {})[status] = retryable_by_status(status)
    for kind in filter(answered_by_the_api, kinds()):
        again = retryable_by_status(kind.status) if kind.again is None else kind.again
        for code in kind.codes or (kind.code,):
            found.setdefault(code, {})[kind.status] = again
    return found


def listed() -> list[Refusal]:
    """Every refusal by its code. Raises `KeyError` for one without a text."""
    return [
        Refusal(
            code,
            tuple(sorted(statuses)),
            next(iter(statuses.values())),
            {language: texts.catalog("errors", language)[code] for language in LANGUAGES},
        )
        for code, statuses in sorted(codes().items())
    ]
