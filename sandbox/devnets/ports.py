"""Loopback ports: whether one is free, a free one, and those that a data directory had before."""

import json
import random
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sandbox.devnets.datadir import read_json, write_private
from sandbox.devnets.errors import DevnetError

LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A port that somebody named: `what` listens there, `option` asks for another one."""

    what: str
    port: int
    option: str = ""


class PortInUse(DevnetError):
    """One or several wanted ports that cannot be had."""

    code = "port_in_use"

    def __init__(self, *taken: Wanted) -> None:
        self.taken = taken
        options = " and ".join(dict.fromkeys(one.option for one in taken if one.option))
        if len(taken) == 1:
            told = f"port {taken[0].port} for {taken[0].what} is in use by another program"
            remedy = f"stop that program, or give {taken[0].what} another port"
        else:
            *most, last = [f"{one.port} for {one.what}" for one in taken]
            told = f"ports {', '.join(most)} and {last} are in use by other programs"
            remedy = "stop those programs, or choose other ports"
        super().__init__(told, f"{remedy}{options and f' with {options}'} (0 = any free one)")


class PortWantedTwice(DevnetError):
    """Two parts of one sandbox cannot share a port."""

    code = "port_wanted_twice"

    def __init__(self, first: Wanted, second: Wanted) -> None:
        options = " or ".join(dict.fromkeys([first.option, second.option]))
        super().__init__(
            f"port {first.port} is wanted for {first.what} and for {second.what}",
            f"choose another one with {options} (0 = any free one)",
        )


def check(wanted: Sequence[Wanted]) -> None:
    """Whether all wanted ports can be had. Raises PortInUse, PortWantedTwice."""
    known: dict[int, Wanted] = {}
    for one in wanted:
        if one.port in known:
            raise PortWantedTwice(known[one.port], one)
        known[one.port] = one
    if taken := [one for one in wanted if not is_free(one.port)]:
        raise PortInUse(*taken)


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
    """The ports of one stack: those that are `wanted`, and others, which are kept over restarts so
    that addresses stay the same if they can.
    """

    def __init__(self, data_dir: Path, wanted: Sequence[Wanted] = ()) -> None:
        self._file = data_dir / "ports.json"
        former = read_json(self._file)
        self._former = former if isinstance(former, dict) else {}
        self._wanted = {one.what: one for one in wanted}
        self._chosen: dict[str, int] = {}
        self._pairs: dict[str, str] = {}

    def check(self) -> None:
        """Whether all wanted ports can be had. Raises PortInUse, PortWantedTwice."""
        check(list(self._wanted.values()))

    def get(self, name: str) -> int:
        """The port called `name`: the wanted one, or else the former or a free one.

        The same for the whole run, unless `choose_again`. Free now does not mean free when the
        child binds it: the child's own failure to bind is the last word.
        """
        if name not in self._chosen:
            wanted = self._wanted.get(name)
            self._choose({name: wanted.port if wanted else self._free(self._former.get(name))})
        return self._chosen[name]

    def pair(self, name: str, beside: str) -> int:
        """The port called `name`, with the next one, called `beside`, for the same program.

        As `get`: wanted, or else the former pair or a free one.
        """
        if name not in self._chosen:
            wanted = self._wanted.get(name)
            first = wanted.port if wanted else self._free_pair(self._former.get(name))
            self._choose({name: first, beside: first + 1})
            self._pairs[name] = beside
        return self._chosen[name]

    def choose_again(self, *names: str) -> bool:
        """Give up those of these ports that another program has taken; true when there was one.

        For a child that is not up and whose address nobody knows yet; the next `get` answers
        another port. Raises PortInUse for wanted ones.
        """
        lost = []
        for name in names:
            group = [each for each in (name, self._pairs.get(name)) if each in self._chosen]
            if not all(is_free(self._chosen[each]) for each in group):
                lost += group
        taken = [self._wanted[name] for name in lost if name in self._wanted]
        if taken := [one for one in taken if not is_free(one.port)]:
            raise PortInUse(*taken)
        for name in lost:
            del self._chosen[name]
        return bool(lost)

    def _choose(self, ports: dict[str, int]) -> None:
        self._chosen |= ports
        write_private(self._file, json.dumps({**self._former, **self._chosen}) + "\n")

    @property
    def _taken(self) -> set[int]:
        """Those that are spoken for, used already or not."""
        return {*self._chosen.values(), *(one.port for one in self._wanted.values())}

    def _free(self, former: Any) -> int:
        usable = isinstance(former, int) and 0 < former < 65536 and former not in self._taken
        if usable and is_free(former):
            return int(former)
        while (port := any_free()) in self._taken:
            pass
        return port

    def _free_pair(self, former: object) -> int:
        first = former if isinstance(former, int) and 0 < former < 65535 else any_pair()
        while {first, first + 1} & self._taken or not (is_free(first) and is_free(first + 1)):
            first = any_pair()
        return first
