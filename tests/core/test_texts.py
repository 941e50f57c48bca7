"""Message catalogs and the choice of a language."""

import pytest

from sandbox.core import texts
from sandbox.core.texts import LANGUAGES, Language, TextMissing, preferred


@pytest.fixture
def catalog(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What every catalog holds instead of its file."""
    held: dict[str, str] = {}
    monkeypatch.setattr(texts, "catalog", lambda domain, language: held)
    return held


def test_a_text_that_no_catalog_has_is_a_bug_and_no_empty_answer(catalog: dict[str, str]) -> None:
    catalog["untranslated"] = ""
    for key in ("untranslated", "unheard_of"):
        with pytest.raises(TextMissing):
            texts.text("errors", key, "kk")


def test_a_value_that_is_not_given_is_left_open(catalog: dict[str, str]) -> None:
    catalog["left"] = "{left_tiyn:tenge} of {all}"
    assert texts.text("errors", "left", "en") == "… of …"


@pytest.mark.parametrize("reach", ["{key.__class__}", "{key[0]}", "{}", "{0}"])
def test_a_text_reaches_into_no_value(catalog: dict[str, str], reach: str) -> None:
    catalog["reach"] = reach
    assert texts.text("errors", "reach", "en", {"key": "secret"}) == "…"


def test_an_unknown_way_to_write_a_value_is_a_bug(catalog: dict[str, str]) -> None:
    catalog["odd"] = "{key:hex}"
    with pytest.raises(ValueError, match="hex"):
        texts.text("errors", "odd", "en", {"key": 1})


def test_money_is_written_as_the_language_writes_it_to_the_last_tiyn(
    catalog: dict[str, str],
) -> None:
    catalog["sum"] = "{a:tenge}"
    big = {"a": 900_719_925_474_099_31}  # a float would round it
    found = {one: " ".join(texts.text("errors", "sum", one, big).split()) for one in LANGUAGES}
    assert found["ru"] == "900 719 925 474 099,31 ₸"
    assert found["kk"] == "900 719 925 474 099,31 ₸"
    assert found["en"] == "900,719,925,474,099.31 ₸"


@pytest.mark.parametrize(
    ("language", "text", "said"),
    [
        ("ru", "{n:plural:блок|блока|блоков}", ["блок", "блока", "блоков", "блоков", "блок"]),
        ("en", "{n:plural:block|blocks}", ["block", "blocks", "blocks", "blocks", "blocks"]),
        ("kk", "{n:plural:блок}", ["блок"] * 5),
    ],
)
def test_what_is_counted_has_the_form_of_the_language(
    catalog: dict[str, str], language: Language, text: str, said: list[str]
) -> None:
    catalog["n"] = text
    found = [texts.text("errors", "n", language, {"n": n}) for n in (1, 2, 5, 11, 21)]
    assert found == said


@pytest.mark.parametrize(
    ("asked", "accepted", "language"),
    [
        (None, None, "kk"),
        ("fr", None, "kk"),
        (None, "fr, de;q=0.9", "kk"),
        (None, "en;q=x, ru;q=0", "kk"),
        ("en", "ru", "en"),
        (None, "ru", "ru"),
        (None, "en;q=0.5, ru-KZ;q=0.9, *;q=0.1", "ru"),
        (None, "ru;q=0.8, en;q=0.8", "ru"),
    ],
)
def test_the_address_chooses_the_language_before_the_browser_does(
    asked: str | None, accepted: str | None, language: Language
) -> None:
    assert preferred(asked, accepted) == language
