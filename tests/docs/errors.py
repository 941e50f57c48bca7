"""The table of refusals in docs/errors.md; run as a module it writes the table anew:

python -m tests.docs.errors
"""

import re
from pathlib import Path

import sandbox.app  # noqa: F401 - loads every kind of refusal of the API
from sandbox.core.http import refusals

PAGE = Path(__file__).parents[2] / "docs/errors.md"
BEGIN, END = "<!-- table -->\n", "<!-- end of the table -->\n"
AGAIN = {True: "yes", False: "no", "unknown": "unknown"}


def table() -> str:
    """A line for each code: statuses, whether to send the same again, and what it says."""
    lines = ["| Code | HTTP | Same again | Says |", "|---|---|---|---|"]
    for one in refusals.listed():
        said = re.sub(r"\{(\w+)[^}]*\}", r"*\1*", one.texts["en"])
        said = said.replace("|", "\\|").replace("<", "&lt;")
        statuses = ", ".join(map(str, one.statuses))
        lines.append(f"| `{one.code}` | {statuses} | {AGAIN[one.retryable]} | {said} |")
    return "\n".join(lines) + "\n"


def parts() -> tuple[str, str, str]:
    """The page before its table, the table, and what follows."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    found, _, after = rest.partition(END)
    return before, found, after


if __name__ == "__main__":
    before, _, after = parts()
    PAGE.write_text(before + BEGIN + table() + END + after)
