"""What the API shows of events, their types and their proofs."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import WithJsonSchema
from typing_extensions import TypedDict

from sandbox.core.shapes import Day, EventId, Time

Base64 = Annotated[str, WithJsonSchema({"type": "string", "contentEncoding": "base64"})]


class Event(TypedDict):
    """Something that happened, with the object as it was then."""

    object: Literal["event"]
    id: EventId
    type: str
    created: Time
    epoch: int
    position: int | None
    sequence: int | None
    api_version: Day
    data: dict[str, Any]


class EventType(TypedDict):
    """A type of event: when it happens and whom it concerns."""

    object: Literal["event_type"]
    type: str
    when: str
    audience: Literal["merchant", "issuer", "sandbox"]
    data: str


class EventTypeWithSchema(EventType):
    """A type with the JSON Schema of its events and an example."""

    schema: dict[str, Any]
    example: Event


class Inclusion(TypedDict):
    """The proof that an event's leaf stands in the log under a signed checkpoint."""

    epoch: int
    position: int
    leaf: Base64
    proof: list[Base64]
    checkpoint: str


class EventProof(Inclusion):
    """An event's proof; of a former epoch with the proofs of each later one's beginning."""

    continued: NotRequired[list[Inclusion]]
