"""Loopback ports: whether one is free, a free one, and those that a data directory had before."""

import json
import random
import socket
from pathlib import Path
from typing import Final

from sandbox.devnets.datadir import read_json, write_private
from sandbox.devnets.errors import DevnetError

LOOPBACK: Final = "127.0.0.1"


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


def any_pair() -> int:
    """The first of two neighbours, which may be free.

    Below the ports that a system lends to outgoing connections (Linux from 32768, RFC 6335 from
    49152): of two neighbours among those, Linux lends one to the next connection of anybody.
    """
    return random.randrange(10_240, 32_766)  # noqa: S311 - no secret


class Ports:
    """The ports of one stack, kept over restarts so that addresses stay the same if they can."""

    def __init__(self, data_dir: Path) -> None:
        self._file = data_dir / "ports.json"
        former = read_json(self._file)
        self._former = former if isinstance(former, dict) else {}
        self._chosen: dict[str, int] = {}

    def get(self, name: str, wanted: int = 0) -> int:
        """The port called `name`, the same for the whole run; 0 asks for the former or a free one.

        Raises PortInUse for a wanted one. Free now does not mean free when the child binds it: the
        child's own failure to bind is the last word.
        """
        if name not in self._chosen:
            self._chosen[name] = self._choose(name, wanted)
            write_private(self._file, json.dumps({**self._former, **self._chosen}) + "\n")
        return self._chosen[name]

    def pair(self, name: str, beside: str, wanted: int = 0) -> int:
        """The port called `name`, with the next one, called `beside`, for the same program.

        As `get`: 0 asks for the former pair or a free one. Raises PortInUse for a wanted one.
        """
        if name not in self._chosen and not wanted:
            wanted = self._free_pair(self._former.get(name))
        first = self.get(name, wanted)
        self.get(beside, first + 1)
        return first

    def _free_pair(self, former: object) -> int:
        taken = set(self._chosen.values())
        first = former if isinstance(former, int) and 0 < former < 65535 else any_pair()
        while {first, first + 1} & taken or not (is_free(first) and is_free(first + 1)):
            first = any_pair()
        return first

    def _choose(self, name: str, wanted: int) -> int:
        taken = set(self._chosen.values())
        if wanted:
            if wanted in taken or not is_free(wanted):
                raise PortInUse(wanted, name)
            return wanted
        former = self._former.get(name, 0)
        usable = isinstance(former, int) and 0 < former < 65536 and former not in taken
        if usable and is_free(former):
            return int(former)
        while (port := any_free()) in taken:
            pass
        return port
