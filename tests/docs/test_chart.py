"""The chart of accounts that an auditor reads, against the one that the ledger holds."""

import inspect
import re
from pathlib import Path

from sandbox.ledger import accounts
from sandbox.ledger.chart import CHART

PAGE = Path(__file__).parents[2] / "docs/reserve.md"


def listed() -> dict[str, str]:
    """Number to code, as the page has them."""
    rows = re.findall(r"^\| (\d{4}) \| `(.*?)` \|", PAGE.read_text(), re.MULTILINE)
    return dict(rows)


def test_every_numbered_account_is_on_the_page_with_its_code() -> None:
    found = {}
    for _, make in inspect.getmembers(accounts, inspect.isfunction):
        number = re.match(r"(\d{4}): ", make.__doc__ or "")
        if number is not None:
            names = [
                name
                for name, parameter in inspect.signature(make).parameters.items()
                if parameter.default is inspect.Parameter.empty
            ]
            found[number[1]] = make(*("x" for _ in names)).code
    assert len(found) > 15
    assert {number: re.sub("<.*?>", "x", code) for number, code in listed().items()} == found


def test_every_code_on_the_page_is_in_the_chart() -> None:
    for code in listed().values():
        example = re.sub("<.*?>", "x", code)
        assert [rule for rule in CHART if re.fullmatch(rule.pattern, example)], code
