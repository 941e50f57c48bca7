"""JSON log lines on standard error, with the request id and without secrets.

The id of a request goes with what it causes: rows that a worker acts on later keep it, and the
worker binds it again while it does so.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, TextIO, cast

import structlog
from structlog.typing import EventDict, WrappedLogger

_REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)


def request_id() -> str | None:
    """The id of the request that causes what is done now; None when no request does."""
    return _REQUEST_ID.get()


@contextmanager
def caused_by(id_: str | None) -> Iterator[None]:
    """Whatever is done inside is done because of this request."""
    token = _REQUEST_ID.set(id_)
    try:
        yield
    finally:
        _REQUEST_ID.reset(token)


def _with_request_id(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    if (id_ := _REQUEST_ID.get()) is not None:
        line.setdefault("request_id", id_)
    return line


class _Careful:
    """A stream that loses lines where there is no room for them: the work goes on (full disk)."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            return self._stream.write(text)
        return 0

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def configure(level: str = "info", stream: TextIO | None = None) -> None:
    """Set up structlog once per process; every line is one JSON object."""
    structlog.configure(
        processors=[
            _with_request_id,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _Careful(stream or sys.stderr))),
        cache_logger_on_first_use=False,
    )
