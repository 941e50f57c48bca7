"""What the API shows of an explanation."""

from typing import Annotated, Any, Literal

from typing_extensions import TypedDict

from sandbox.core.shapes import Time, one_of
from sandbox.core.texts import Language
from sandbox.explain.words import Kind, Lane
from sandbox.payments.grounds import Result

Who = Annotated[str, one_of(Lane)]


class Explained(TypedDict):
    """The object that is explained."""

    object: str
    id: str


class ExplanationLink(TypedDict):
    """Another object, and where it is read; null for whoever may not."""

    object: str
    id: str
    url: str | None


class ExplanationSummary(TypedDict):
    """Why the object is as it is, in one sentence."""

    code: str
    reasons: list[str]
    text: str
    values: dict[str, Any]


class ExplanationRule(TypedDict):
    """A rule that was asked, with what it compared."""

    code: str
    result: Annotated[str, one_of(Result)]
    passed: bool | None
    text: str
    values: dict[str, Any]


class ExplanationStep(TypedDict):
    """Something that happened."""

    at: Time
    who: Who
    to: Who
    kind: Annotated[str, one_of(Kind)]
    code: str
    fault: bool
    text: str
    values: dict[str, Any]
    rules: list[ExplanationRule]
    links: list[ExplanationLink]


class ExplanationWait(TypedDict):
    """What has not happened yet, and who has to do something about it."""

    code: str
    whose: str
    since: Time | None
    until: Time | None
    text: str
    values: dict[str, Any]


class ExplanationNote(TypedDict):
    """What the explanation leaves out, or could not find out."""

    code: str
    text: str
    values: dict[str, Any]


class Explanation(TypedDict):
    """How an object came to be as it is: steps with what they rest on, and what is waited for."""

    object: Literal["explanation"]
    of: Explained
    now: Time
    language: Annotated[str, one_of(Language)]
    summary: ExplanationSummary
    steps: list[ExplanationStep]
    waits: list[ExplanationWait]
    links: list[ExplanationLink]
    notes: list[ExplanationNote]
