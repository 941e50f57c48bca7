"""What `sandbox token show` says to people."""

from typing import Any

import pytest

from sandbox.cli import show_token
from sandbox.cli.show import out

TOKEN: dict[str, Any] = {
    "symbol": "KZTE",
    "network": "A chain",
    "name": "A token",
    "paused": False,
    "address": "mint1",
    "program": "program1",
    "uri": "",
    "decimals": 2,
    "extensions": ["pausable_config"],
    "authorities": [
        {"role": "mint_authority", "address": "a1", "key": "issuer"},
        {"role": "freeze_authority", "address": "a2", "key": None},
        {"role": "pause_authority", "address": None, "key": None},
    ],
    "height": 7,
    "on_chain": {"supply_units": 123456789, "treasury_units": 100},
    "ledger": {"supply_units": 123456789, "treasury_units": 100, "outstanding_tiyn": 123456789},
    "difference": {"supply_units": 0, "treasury_units": 0},
    "under_way": [],
    "halted": None,
    "agrees": True,
}


def said(**other: Any) -> list[str]:
    with out.capture() as captured:
        show_token.token({**TOKEN, **other})
    text = captured.get().replace("\u00a0", " ")
    return [" ".join(line.split()) for line in text.splitlines()]


def test_books_that_differ_are_shown_with_the_difference() -> None:
    lines = said(difference={"supply_units": -123450, "treasury_units": 0}, agrees=False)
    assert "in existence 1 234 567,89 1 234 567,89 -1 234,5" in lines
    assert lines[-1].startswith("✗ chain and books differ at final block 7")


def test_books_that_are_behind_are_no_agreement() -> None:
    lines = said(ledger=None, difference=None, agrees=False)
    assert "in existence 1 234 567,89 unknown unknown" in lines
    assert lines[-1].startswith("✗ the books have not read as far")


def test_who_may_do_what_is_named_and_a_strangers_key_is_no_name() -> None:
    lines = said()
    assert "mint_authority a1 issuer" in lines
    assert "freeze_authority a2 not ours" in lines
    assert "pause_authority nobody, for good" in lines
    assert lines[-1] == "✓ chain and books agree at final block 7"


def test_a_narrow_terminal_shortens_no_address_and_no_role() -> None:
    address = "HMLzFvo2cVbMxZQVbjDg2h4uavJicqFzHASGPWGzfBhH"
    holder = {"role": "metadata_authority", "address": address, "key": "issuer.ord_01m7zrgdxv6c"}
    lines = said(authorities=[holder], extensions=["metadata_pointer", "permanent_delegate"] * 3)
    assert f"metadata_authority {address} issuer (rotated)" in " ".join(lines)
    assert any(line.startswith("extensions metadata_pointer") for line in lines)
    assert "…" not in "".join(lines)


@pytest.mark.parametrize(("units", "words"), [(5000, " of 50 KZTE"), (0, "")])
def test_what_is_under_way_is_said(units: int, words: str) -> None:
    asked = {"action": "mint", "count": 2, "units": units}
    assert f"under way: 2 × mint{words}" in said(under_way=[asked], paused=True)
    assert said(paused=True)[1].endswith("paused")
