"""What of a part is real, what is simulated and what is absent, line by line, with its test."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

Truth = Literal["real", "simulated", "absent"]
_WIDTH: Final = 96


@dataclass(frozen=True, slots=True)
class Line:
    """One statement. `differs` is empty where nothing does; `test` is `file::function`."""

    subject: str
    truth: Truth
    differs: str
    test: str


@dataclass(frozen=True, slots=True)
class Part:
    """Statements that belong together."""

    title: str
    lines: Sequence[Line]


def as_text(parts: Sequence[Part]) -> str:
    """For a terminal."""
    out = []
    for part in parts:
        out += [part.title, ""]
        for line in part.lines:
            out.append(f"  {line.truth:<11}{line.subject}")
            out += textwrap.wrap(
                line.differs, _WIDTH, initial_indent=" " * 13, subsequent_indent=" " * 13
            )
            out.append(" " * 13 + line.test)
        out.append("")
    return "\n".join(out)


def as_markdown(parts: Sequence[Part]) -> str:
    """For a page: a table per part."""
    out = []
    for part in parts:
        out += [f"### {part.title}", "", "| | | What differs | Shown by |", "|---|---|---|---|"]
        for line in part.lines:
            subject = line.subject
            if subject[0].islower():  # names of methods
                subject = ", ".join(f"`{name}`" for name in subject.split(", "))
            out.append(f"| {subject} | {line.truth} | {line.differs} | `{line.test}` |")
        out.append("")
    return "\n".join(out)
