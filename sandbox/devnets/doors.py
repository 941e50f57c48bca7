"""Who may come in: Host and Origin of a request, and the socket that a devnet listens on."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class PortTaken(Exception):
    """The port is in use; the text says which, and what to do."""


class Doors:
    """Which Host and Origin headers may come in: loopback names, and those given at start.

    With an open door any web page could drive the chain.
    """

    def __init__(self, hosts: Iterable[str] = (), origins: Iterable[str] = ()) -> None:
        self._hosts = _LOOPBACK | set(hosts)
        self._origins = set(origins)

    def admit(self, host: bytes | None, origin: bytes | None) -> bool:
        if host is None or _hostname("//" + host.decode("latin-1")) not in self._hosts:
            return False
        if origin is None:
            return True
        text = origin.decode("latin-1")
        if text in self._origins:
            return True
        return text.startswith(("http://", "https://")) and _hostname(text) in _LOOPBACK


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any free one. Raises PortTaken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(1024)
    except (OSError, OverflowError) as error:
        made.close()
        if isinstance(error, OverflowError) or error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise PortTaken(
                f"port {port} on {host} is in use or not allowed: stop what listens there,"
                " or choose another with --port (0 takes any that is free)"
            ) from None
        raise
    return made
