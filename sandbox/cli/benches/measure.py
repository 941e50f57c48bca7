"""What processes cost: memory and CPU time from /proc, of a process and all below it."""

import math
import os
from collections.abc import Iterable
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """`pid` and every process below it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        children.setdefault(parent, []).append(int(entry.name))
    found, open_ = [pid], [pid]
    while open_:
        below = children.get(open_.pop(), [])
        found += below
        open_ += below
    return found


def pss_bytes(pids: Iterable[int]) -> int:
    """Proportional set size of the processes together (proc(5), smaps_rollup)."""
    total_kib = 0
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total_kib += next(int(line.split()[1]) for line in text.splitlines() if line[:4] == "Pss:")
    return total_kib * 1024


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time that the processes have used, those that ended below them included."""
    ticks = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        ticks += sum(int(value) for value in fields[11:15])
    return ticks / _TICKS_PER_S


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not pass (nearest rank)."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
