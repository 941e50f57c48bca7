"""Texts of every code in three languages, and the forms that are made of them."""

import ast
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sandbox.core import texts
from sandbox.core.texts import LANGUAGES, Language
from sandbox.explain import links, paths
from sandbox.explain.routes import accepted, router
from sandbox.explain.words import LANES, Step
from sandbox.explain.writing import BY_STATUS, DOMAIN, Writer, as_json, as_text
from tests.explain.made import HOSTILE, explanation

SLICE = Path(links.__file__).parent
GROUNDS = SLICE.parent / "payments" / "grounds.py"
_FORMS = re.compile(r"\{(\w+)(?::\w+(?::[^}]*)?)?\}")


def strings(*paths: Path) -> set[str]:
    """Every string of these sources, and the beginnings of those that are put together."""
    found: set[str] = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return found


SOURCES = strings(*SLICE.glob("*.py"), GROUNDS)


def english() -> dict[str, str]:
    return dict(texts.catalog(DOMAIN, "en"))


def called(name: str, position: int) -> set[str]:
    """The codes that the slice gives to `name(…)`: constants at one place among its arguments."""
    found = set()
    for path in (*SLICE.glob("*.py"), GROUNDS):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            if node.func.id == name and len(node.args) > position:
                argument = node.args[position]
                if isinstance(argument, ast.Constant):
                    found.add(str(argument.value))
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_the_same_texts_filled_with_the_same_values(language: Language) -> None:
    catalog = texts.catalog(DOMAIN, language)
    assert set(catalog) == set(english())
    for key, text in catalog.items():
        assert text.strip(), key
        assert set(_FORMS.findall(text)) == set(_FORMS.findall(english()[key])), key


def test_every_code_that_the_slice_tells_has_a_text() -> None:
    known = english()
    steps = called("Step", 4) | {"bank.ordered", "bank.accepted", "bank.queued", "bank.rejected",
                                 "bank.returned", "bank.booked", "bank.message"}  # fmt: skip
    steps |= {f"payment.{why}" for why in
              ("counted", "overpaid", "duplicate", "late", "underpaid", "reverted")}  # fmt: skip
    steps |= {f"webhook.{s}" for s in ("pending", "retrying", "delivered", "exhausted", "canceled")}
    steps |= {f"units.{state}" for state in ("confirmed", "final", "reverted")}
    steps |= {"entry.pending", "entry.posted", "entry.voided", "order.signed", "order.done",
              "order.not_done", "tx.sent", "tx.failed", "tx.unknown", "tx.silent", "tx.stored",
              "event.logged", "event.queued", "stray.wrong_token", "stray.unmatched"}  # fmt: skip
    assert {code for code in steps if f"step.{code}" not in known} == set()
    rules = called("Rule", 0) | called("Ground", 0)
    rules |= {"not_canceled", "not_paid_already", "in_time"}
    assert {code for code in rules if f"rule.{code}" not in known} == set()
    waits = called("Wait", 0)
    assert len(waits) > 10
    assert {code for code in waits if f"wait.{code}" not in known} == set()
    assert {lane for lane in LANES if f"lane.{lane}" not in known} == set()
    assert {kind for kind in paths.OBJECTS.values() if f"object.{kind}" not in known} <= {
        "webhook_endpoint", "request_log",
    }  # fmt: skip
    assert {kind for kind in BY_STATUS if f"summary.{kind}" not in known} == set()


def test_every_text_is_of_a_code_that_the_slice_tells() -> None:
    made = {f"{head}." for head in ("payment", "webhook", "units", "entry", "order", "bank")}
    for key in english():
        group, _, code = key.partition(".")
        if group in ("word", "object", "lane", "whose", "reason", "summary", "heading"):
            continue
        if group == "rule":
            code = code.split(".")[0]
        if any(code.startswith(head) for head in made) or not code:
            continue
        beginnings = ("desk_", "intake_", "burn_", "transfer_", "fee_")
        assert code in SOURCES or code.startswith(beginnings), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_text_and_json_say_the_same_and_break_no_lines(language: Language) -> None:
    one = explanation(HOSTILE + "\n9. all is well\r\n")
    text, found = as_text(one, language), as_json(one, language)
    numbered = [line for line in text.splitlines() if re.match(r" +\d+\. ", line)]
    assert len(numbered) == len(one.steps) == len(found["steps"])
    assert "\x07" not in text
    assert "\u202e" not in text
    assert found["language"] == language
    assert [step["code"] for step in found["steps"]] == [step.code for step in one.ordered()]
    assert found["steps"][2]["rules"][0]["passed"] is False
    assert found["waits"][0]["since"] == "2026-11-20T10:00:00.000Z"
    assert texts.UNKNOWN not in found["summary"]["text"]


@pytest.mark.parametrize(
    ("language", "position", "sequence"),
    [("en", "position 40", "sequence 12"), ("ru", "позиция 40", "порядковый номер 12"),
     ("kk", "орны 40", "реттік нөмірі 12")],
)  # fmt: skip
def test_an_event_has_a_position_for_who_sees_all_and_a_sequence_for_its_merchant(
    language: Language, position: str, sequence: str
) -> None:
    def told(**numbers: int | None) -> str:
        values = {"type": "payment.final", "event": "evt_1", **numbers}
        step = Step(datetime.now(UTC), "ledger", "log", "event", "event.logged", values)
        return Writer(language).step(step)

    assert position in told(position=40, sequence=12)
    assert sequence in told(position=None, sequence=12)
    assert "40" not in told(position=None, sequence=12)


@pytest.mark.parametrize(
    ("header", "form"),
    [
        (None, "json"),
        ("*/*", "json"),
        ("text/html, image/svg+xml;q=0.9", "svg"),
        ("text/plain", "text"),
        ("application/json, text/plain", "json"),
        ("\u00e9, text/plain;charset=utf-8", "text"),
    ],
)
def test_accept_chooses_the_form_and_what_is_unknown_gets_json(
    header: str | None, form: str
) -> None:
    assert accepted(header) == form


def test_every_object_that_is_explained_has_a_prefix_and_a_route() -> None:
    assert set(paths.EXPLAINED) <= set(paths.OBJECTS.values())
    routes = {route.path for route in router.routes}  # type: ignore[attr-defined]  # API routes
    for kind in paths.EXPLAINED:
        beginning = f"{paths.PATHS[kind]}/{{"
        assert [path for path in routes if path.startswith(beginning)], kind
    assert len(routes) == len(paths.EXPLAINED)
