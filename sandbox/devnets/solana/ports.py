"""Listening sockets: the RPC port and, one above it, the WebSocket port that clients assume."""

from __future__ import annotations

import socket
from typing import Final

from sandbox.devnets.doors import PortTaken, listen

_TRIES: Final = 50


def listen_pair(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """Two listening sockets on `port` and `port + 1`; port 0 takes any free pair.

    Raises PortTaken.
    """
    for _ in range(_TRIES if port == 0 else 1):
        first = listen(host, port)
        try:
            return first, listen(host, first.getsockname()[1] + 1)
        except PortTaken:
            first.close()
            if port != 0:
                raise
        except BaseException:
            first.close()
            raise
    raise PortTaken(f"no pair of free ports was found on {host}: close something that listens")
