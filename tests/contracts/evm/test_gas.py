"""The table in `docs/gas.md` is what the node says today."""

import re
from pathlib import Path

import pytest

from contracts.evm_gas import ANVIL, BATCH, Row, gas_table, markdown

PAGE = Path(__file__).parents[3] / "docs/gas.md"
TABLE = re.compile(r"^\| Call .*?(?=^(?!\|))", re.DOTALL | re.MULTILINE)

pytestmark = pytest.mark.skipif(
    not ANVIL.exists(), reason="without Node there is no anvil to measure on"
)


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return gas_table()


def test_the_page_says_what_the_node_says(rows: list[Row]) -> None:
    assert TABLE.findall(PAGE.read_text()) == [markdown(rows)]


def test_a_batch_of_fifty_costs_each_session_less_than_a_sweep_of_its_own(rows: list[Row]) -> None:
    gas = {row.call: row.each for row in rows}
    for state in ("new", "existing", "empty"):
        alone = gas[f"sweep of one {state} address"]
        assert gas[f"sweepMany of {BATCH} {state} addresses"] < alone * 2 // 3
