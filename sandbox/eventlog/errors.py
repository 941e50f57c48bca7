"""Refusals of the event log."""

from sandbox.core.errors import SandboxError, Unavailable
from sandbox.eventlog.tiles import MAX_ENTRY_BYTES


class EventTooLong(SandboxError):
    """The fact does not fit a leaf of the log (C2SP tlog-tiles: a length of 16 bits)."""

    status, code = 422, "event_too_long"

    def __init__(self, type_: str, length: int) -> None:
        super().__init__(
            f"this would be an event of {length} bytes; the log holds {MAX_ENTRY_BYTES}",
            type=type_,
            length=length,
            max_length=MAX_ENTRY_BYTES,
        )


class NotSequenced(SandboxError):
    """The event is written and has no position yet; it gets one within a second."""

    status, code = 409, "event_not_in_log_yet"
    again = True

    def __init__(self, event_id: str) -> None:
        super().__init__(f"{event_id} has no position yet; ask again", event=event_id)


class BadReceipt(SandboxError):
    """A receipt that does not prove what it says."""

    status, code = 422, "bad_receipt"

    def __init__(self, reason: str) -> None:
        super().__init__(f"the receipt proves nothing: {reason}")


class BadTypePattern(SandboxError):
    """Event types are named in full, as `payment.*`, or as `*`."""

    status, code = 422, "bad_event_type"
    fields = ("types", "type")

    def __init__(self, pattern: str) -> None:
        super().__init__(
            "name an event type in full, as a group (payment.*), or all (*)", type=pattern[:64]
        )


class UnknownEventType(SandboxError):
    """No event has this type, and none is in this group: nothing would ever come."""

    status, code = 422, "unknown_event_type"

    def __init__(self, pattern: str) -> None:
        super().__init__("no event has this type: GET /v1/event_types has all", type=pattern[:64])


class BadSpan(SandboxError):
    """A span of time ends before it begins."""

    status, code = 422, "bad_span"

    def __init__(self) -> None:
        super().__init__("`from` lies behind `to`")


class BadCursor(SandboxError):
    """`after` and `Last-Event-ID` are a position, `<epoch>:<position>` or `latest`; in a merchant's
    there are sequences.
    """

    status, code = 422, "bad_cursor"
    fields = ("after",)

    def __init__(self, cursor: str) -> None:
        super().__init__(
            "a cursor is a position (a merchant's: a sequence), <epoch>:<position> or latest",
            cursor=cursor[:64],
        )


class LogNotOpen(Unavailable):
    """The sequencer has not opened the log yet."""

    code = "log_not_open"

    def __init__(self) -> None:
        super().__init__("the log")


class TooManyStreams(Unavailable):
    """This process holds as many live streams as it may."""

    code = "too_many_streams"

    def __init__(self) -> None:
        super().__init__("the event stream")


class WrongLogKey(SandboxError):
    """The key at hand is not the one that signed this epoch: two keys would fork the log."""

    status, code = 409, "wrong_log_key"
