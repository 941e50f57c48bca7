"""The socket that a devnet listens on."""

from __future__ import annotations

import errno
import socket


class PortTaken(Exception):
    """The port is in use, or the host not ours; the text says which, and what to do."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any free one. Raises PortTaken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named in full, asyncio knows it for TCP and answers without waiting for more to send.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
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
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            why = f"{host} is no address of this machine: choose another with --host"
            raise PortTaken(why) from None
        raise
    return made
