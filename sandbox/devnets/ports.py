"""Loopback ports: whether one is free, and a free one that need not be known before."""

import socket

from sandbox.devnets.errors import DevnetError

LOOPBACK = "127.0.0.1"


class PortInUse(DevnetError):
    code = "port_in_use"

    def __init__(self, port: int, what: str) -> None:
        self.port, self.what = port, what
        super().__init__(
            f"port {port} for {what} is in use by another program",
            f"stop that program, or give {what} another port (0 = any free one)",
        )


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a port whose last connections are still in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def any_free() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
