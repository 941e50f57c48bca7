"""How long a socket may do nothing: uvicorn's own protocols wait for ever for a request's headers,
for a reader that does not read and for a peer that is gone. Here they do not.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

_KEPT_FILES: Final = 100  # for the chain itself, its sockets and its standard streams
_MOST: Final = 10_000
_NOT_UTF8: Final = 1007
_FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\ncontent-length: 21\r\n"
    b"retry-after: 1\r\nconnection: close\r\n\r\nToo many connections\n"
)


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds, and how many connections there may be at once."""

    request_s: float = 30  # from connecting, or a request's first byte, to its last
    stalled_s: float = 30  # that a client reads nothing of a full buffer
    farewell_s: float = 10  # until a peer that answers no ping is cut off
    connections: int = _MOST


def most_connections() -> int:
    """As many as there may be open files, but for a few; raises the soft limit to the hard one."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = _MOST + _KEPT_FILES
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return max(1, min(_MOST, hard - _KEPT_FILES))


_LATE: Final = (
    b"HTTP/1.1 408 Request Timeout\r\ncontent-type: text/plain\r\ncontent-length: 17\r\n"
    b"connection: close\r\n\r\nRequest too slow\n"
)


class _Alarm:
    """One timer of a connection."""

    def __init__(self) -> None:
        self._handle: asyncio.TimerHandle | None = None

    @property
    def is_set(self) -> bool:
        return self._handle is not None

    def set(self, after_s: float, end: Callable[[], object]) -> None:
        self.clear()
        self._handle = asyncio.get_running_loop().call_later(after_s, end)

    def clear(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None


class PatientHttp(HttpToolsProtocol):
    """HTTP whose clients must say what they want, and read what they get."""

    patience: ClassVar[Patience] = Patience()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._late, self._stalled, self._is_partial = _Alarm(), _Alarm(), False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)
        super().connection_made(transport)
        if len(self.connections) > self.patience.connections:
            transport.write(_FULL)
            transport.close()
        else:
            self._late.set(self.patience.request_s, self._end_late)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # Most requests come whole, in one piece: those set no timer.
        if not self._is_partial:
            self._late.clear()
        elif not self._late.is_set:
            self._late.set(self.patience.request_s, self._end_late)

    def on_message_begin(self) -> None:
        self._is_partial = True
        super().on_message_begin()

    def on_message_complete(self) -> None:
        self._is_partial = False
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        self._is_partial = False  # from here on the socket belongs to another protocol
        super().handle_websocket_upgrade()

    def _end_late(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(_LATE)
            self.transport.close()
            self._stalled.set(self.patience.farewell_s, self.transport.abort)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled.set(self.patience.stalled_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stalled.clear()

    def connection_lost(self, exc: Exception | None) -> None:
        self._late.clear()
        self._stalled.clear()
        super().connection_lost(exc)


class PatientWebSocket(WebSocketsSansIOProtocol):
    """A WebSocket whose client must read what it gets, and answer pings."""

    patience: ClassVar[Patience] = Patience()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stalled, self._farewell = _Alarm(), _Alarm()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled.set(self.patience.stalled_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stalled.clear()

    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text":
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:  # uvicorn would log it as an error of ours
                self.conn.send_close(_NOT_UTF8)
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self._farewell.set(self.patience.farewell_s, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stalled.clear()
        self._farewell.clear()
        super().connection_lost(exc)
