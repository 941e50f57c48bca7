"""What commands say to people, and what they refuse, without a sandbox."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from sandbox.cli import pay, show
from tests.journeys.stack import command


def said(report: dict[str, object]) -> str:
    console = Console(width=200, soft_wrap=True)
    with console.capture() as captured:
        show.audit(report, console)
    return captured.get().replace("\u00a0", " ")


def check(ok: bool, left: object, right: object) -> dict[str, object]:
    return {"id": "I2", "ok": ok, "left": left, "right": right, "detail": "why"}


@pytest.mark.parametrize(
    ("ok", "left", "right", "figures"),
    [
        (False, 1_000_000, 999_999, "1 000 000 ≠ 999 999"),
        (False, None, 5, "unknown ≠ 5"),
        (True, 7, 7, "7 = 7"),
        (True, 8, 7, "8 ≥ 7"),
        (True, 7, 8, "7 ≤ 8"),
        (True, "15:" + "c" * 64, "15:" + "c" * 64, "15:cccccccc… = 15:cccccccc…"),
    ],
)
def test_an_audit_line_names_the_invariant_and_compares_both_figures(
    ok: bool, left: object, right: object, figures: str
) -> None:
    text = said({"ok": ok, "checks": [check(ok, left, right)]})
    assert f"I2 backing    {figures} " in text
    assert ("BREACH" in text) is not ok


def test_a_receipt_that_is_no_receipt_is_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "receipt.json"
    vkey = "kzte-sandbox.local/log/e1+d9b438aa+AVMe244uhZ/7tcqsFciDukTUZbd0CszopWmvi1+5pIWC"
    for text in ("not JSON", "[]", json.dumps({"leaf": "", "proof": [], "checkpoint": ""})):
        file.write_text(text)
        refused = command("log", "verify", str(file), "--vkey", vkey)
        assert refused.returncode == 1
        assert "the receipt proves nothing" in refused.stderr
        assert "Traceback" not in refused.stderr


def test_the_version_is_told() -> None:
    assert command("--version").stdout.startswith("sandbox ")


def test_a_test_wallet_pays_what_is_left_and_the_whole_when_nothing_is() -> None:
    session = {
        "status": "open",
        "amount_tiyn": 90_000,
        "options": [{"chain": "fine", "amount_units": 90_000 * 10**7}],
        "payments": [{"chain": "fine", "counted_units": 50_000 * 10**7}],
    }
    assert pay._left_tiyn(session) == 40_000
    assert pay._left_tiyn(session | {"status": "complete"}) == 90_000
    assert pay._left_tiyn(session | {"payments": []}) == 90_000


def test_what_strangers_wrote_gives_the_terminal_no_orders() -> None:
    console = show.Terminal(width=200, soft_wrap=True, highlight=False)
    with console.capture() as captured:
        console.print("GET \x1b]0;pwned\x07 \x9b31m \u202eevil төлем\u00a0₸\nnext")
    shown = captured.get()
    assert shown == "GET \ufffd]0;pwned\ufffd \ufffd31m \ufffdevil төлем\u00a0₸\nnext\n"
