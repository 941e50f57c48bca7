"""The list of event types that consumers read, against the code that appends them."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from sandbox.reserve.replay import RULES

ROOT = Path(__file__).parents[2]
TYPE = re.compile(r"[a-z_]+(?:\.[a-z_]+)+")
# What these are given as an argument is the type of an event.
TELLERS = {"NewEvent", "tell", "tell_payment", "tell_session", "tell_stray", "tell_refund", "_tell"}
BOTH_AIMS = "event"


def listed() -> list[str]:
    """The types in the first column of the page's tables."""
    rows = re.findall(r"^\| (`.*?) \|", (ROOT / "docs/events.md").read_text(), re.MULTILINE)
    return [type_ for row in rows for type_ in re.findall(r"`(.*?)`", row)]


def calls() -> Iterator[tuple[str, list[str]]]:
    """Functions called outside of benches, with the texts that stand among their arguments."""
    for file in (ROOT / "sandbox").rglob("*.py"):
        if "benches" in file.parts:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                texts = [
                    part.value
                    for argument in node.args
                    if isinstance(argument, ast.Constant | ast.IfExp)
                    for part in ast.walk(argument)
                    if isinstance(part, ast.Constant) and isinstance(part.value, str)
                ]
                yield name, texts


def test_no_event_is_listed_twice() -> None:
    types = listed()
    assert len(types) > 90
    assert sorted(set(types)) == sorted(types)


def test_every_type_that_the_code_names_is_listed() -> None:
    named = {
        text for name, texts in calls() if name in TELLERS for text in texts if TYPE.fullmatch(text)
    }
    assert len(named) > 40
    assert named | set(RULES) <= set(listed())


def test_every_step_of_redemptions_and_moves_is_listed() -> None:
    steps = {text for name, texts in calls() if name == BOTH_AIMS for text in texts}
    assert {"requested", "burned", "mint_waits"} <= steps
    types = set(listed())
    missing = [
        step for step in steps if not types & {f"reserve.redemption_{step}", f"reserve.move_{step}"}
    ]
    assert missing == []
