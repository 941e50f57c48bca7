"""Listening sockets: the RPC port and, one above it, the WebSocket port that clients assume."""

from __future__ import annotations

import errno
import socket

_TRIES = 50


class PortTaken(Exception):
    """A port is in use; the text says which, and what to do."""


def listen(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """Two listening sockets on `port` and `port + 1`; port 0 takes any free pair."""
    for _ in range(_TRIES if port == 0 else 1):
        first = _bind(host, port)
        above = first.getsockname()[1] + 1
        try:
            return first, _bind(host, above)
        except PortTaken:
            first.close()
            if port != 0:
                raise
        except BaseException:
            first.close()
            raise
    raise PortTaken(f"no pair of free ports was found on {host}: close something that listens")


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if port > 65_535:
            raise PortTaken(f"port {port} does not exist: choose an RPC port below 65535")
        made.bind((host, port))
        made.listen(1024)
    except OSError as error:
        made.close()
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise PortTaken(
                f"port {port} on {host} is in use or not allowed: stop what listens there,"
                " or choose another with --port (0 takes any free pair)"
            ) from None
        raise
    except BaseException:
        made.close()
        raise
    return made
