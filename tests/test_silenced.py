"""A check that is silenced says which one, and why: else nobody knows when the silence may end."""

import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = [
    file
    for folder in ("sandbox", "merchants", "contracts", "tests")
    for file in sorted((ROOT / folder).rglob("*.py"))
    if "node_modules" not in file.parts
]
SILENCED = re.compile(r"#\s*(?:type:\s*ignore|noqa)")
# One or both of them, each with its codes, and behind the last the reason in words.
REASONED = re.compile(
    r"# (?:type: ignore\[[a-z-]+(?:,[a-z-]+)*\]|noqa: [A-Z]+\d+(?:, [A-Z]+\d+)*)"
    r"(?:  # noqa: [A-Z]+\d+)?(?:  # | - |  )(?!noqa)\w.*"
)


def unreasoned(source: str) -> list[str]:
    """The comments of a source that silence a check without its code or without a reason."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    silencing = (
        one for one in tokens if one.type == tokenize.COMMENT and SILENCED.search(one.string)
    )
    return [
        f"{one.start[0]}: {one.string}" for one in silencing if not REASONED.fullmatch(one.string)
    ]


def test_every_silenced_check_has_a_code_and_a_reason() -> None:
    bare = {file.relative_to(ROOT): unreasoned(file.read_text()) for file in SOURCES}
    assert {file: lines for file, lines in bare.items() if lines} == {}
    assert len(bare) > 500


@pytest.mark.parametrize(
    ("comment", "is_reasoned"),
    [
        ("# noqa", False),
        ("# noqa: S608", False),
        ("# noqa: S608 - SQL of our own", True),
        ("# noqa: S704  it is escaped", True),
        ("# type: ignore", False),
        ("# type: ignore  # everybody does", False),
        ("# type: ignore[misc]", False),
        ("# type: ignore[misc]  # noqa: F401", False),
        ("# type: ignore[misc]  # noqa: F401 - loaded for its effect", True),
        ("# type: ignore[misc,unused-ignore]  # a lambda", True),
        ("# why this is so", True),
    ],
)
def test_a_reason_is_words_behind_the_code(comment: str, is_reasoned: bool) -> None:
    assert (unreasoned(f"x = 1  {comment}\n") == []) is is_reasoned
