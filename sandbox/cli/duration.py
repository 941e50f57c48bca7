"""Durations as people type them."""

import re

from sandbox.core.errors import SandboxError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class NotADuration(SandboxError):
    """The text is no duration."""

    code = "not_a_duration"

    def __init__(self, text: str) -> None:
        super().__init__(f"{text!r} is no duration: write 90s, 15m, 2h, 1d or 1d12h")


def seconds(text: str) -> int:
    """`1d12h` as seconds. Raises `NotADuration`."""
    if not re.fullmatch(r"([0-9]{1,9}[smhd])+", text):
        raise NotADuration(text)
    return sum(int(n) * _UNITS[unit] for n, unit in re.findall(r"(\d+)([smhd])", text))


def milliseconds(text: str) -> int:
    """`500ms`, or what `seconds` reads. Raises `NotADuration`."""
    if found := re.fullmatch(r"([0-9]{1,9})ms", text):
        return int(found[1])
    return seconds(text) * 1000
