"""Named points on the money path at which a test build can be killed, to see what that loses.

Off, a point does nothing. Set by environment only, and only where that also says that it is
a test build: nobody gets a process that ends itself by accident.
"""

import contextlib
import os
import signal
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

POINTS: Final = "SANDBOX_FAILPOINTS"
"""`name:count,…` ends the process that passes `name` the count-th time, after every start anew.
The path of a folder (it begins with a slash) lets a runner say that while everything runs: the
file `name` in it holds `count`, or `count pid` to end another process there; used once."""

TEST_BUILD: Final = "SANDBOX_TEST_BUILD"


class NotATestBuild(Exception):
    """Failpoints were asked for, but not by somebody who knows what they do."""

    def __init__(self) -> None:
        super().__init__(f"{POINTS} kills processes: it needs {TEST_BUILD}=1 beside it")


class BadFailpoints(Exception):
    """What the environment asks for cannot be read."""

    def __init__(self, asked: str) -> None:
        super().__init__(f"{POINTS} is name:count,… or the path of a folder, not {asked!r}")


class _Points(Protocol):
    def passed(self, name: str) -> None: ...


class _Fixed:
    def __init__(self, counts: Mapping[str, int]) -> None:
        self._left = dict(counts)

    def passed(self, name: str) -> None:
        if name in self._left:
            self._left[name] -= 1
            if not self._left[name]:
                os.kill(os.getpid(), signal.SIGKILL)


class _Folder:
    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._passed: Counter[str] = Counter()

    def passed(self, name: str) -> None:
        armed = f"{self._folder}/{name}"
        try:
            with open(armed, encoding="ascii") as file:
                count, _, victim = file.read().partition(" ")
        except FileNotFoundError:
            self._passed.pop(name, None)
            return
        self._passed[name] += 1
        if self._passed[name] < int(count):
            return
        try:
            os.unlink(armed)
        except FileNotFoundError:
            return  # another process was here first
        with contextlib.suppress(ProcessLookupError):  # it is gone already
            os.kill(int(victim or os.getpid()), signal.SIGKILL)


def from_environment(environment: Mapping[str, str]) -> _Points | None:
    """What the environment asks for; None when it asks for nothing.

    Raises `NotATestBuild`, `BadFailpoints`.
    """
    asked = environment.get(POINTS, "")
    if not asked:
        return None
    if not is_test_build(environment):
        raise NotATestBuild
    if asked.startswith("/"):
        return _Folder(Path(asked))
    counts = {}
    for each in asked.split(","):
        name, _, count = each.partition(":")
        if not name or not count.isdecimal() or not int(count):
            raise BadFailpoints(asked)
        counts[name] = int(count)
    return _Fixed(counts)


def is_test_build(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether whoever started this process wants it to be killed."""
    return environment.get(TEST_BUILD) == "1"


def _of_this_process() -> _Points | None:
    try:
        return from_environment(os.environ)
    except (NotATestBuild, BadFailpoints) as error:
        sys.exit(str(error))


_points: Final = _of_this_process()


def passed(name: str, *of: str) -> None:
    """This process has come to the point `name`, and to `name.<each of>`; maybe no further."""
    if _points is not None:
        for each in ("", *(f".{one}" for one in of)):
            _points.passed(name + each)
