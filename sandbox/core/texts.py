"""Texts for people in Kazakh, Russian and English: message catalogs, and which language is asked.

A text stands in `sandbox/locale/<language>/LC_MESSAGES/<domain>.po` under a stable key (`msgid`)
and is filled by name:

    texts.text("errors", "refund_exceeds_payment", "kk", {"left_tiyn": 500})
    texts.each("errors", "refund_exceeds_payment", {"left_tiyn": 500})  # {"kk": …, "ru": …, …}

In a text `{left_tiyn:tenge}` writes an amount in tiyn as money, `{count:number}` groups digits,
and `{count:plural:block|blocks}` picks a form by the language's rule (Russian has three; one form
alone stands for all).
"""

import string
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal, get_args

from babel import Locale
from babel.messages.pofile import read_po
from babel.numbers import format_decimal

Language = Literal["kk", "ru", "en"]
LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)
DEFAULT: Final[Language] = "kk"
UNKNOWN: Final = "…"
"""Stands where a text names a value that was not given."""

# In the order in which a text gives its forms; Kazakh nouns stay as they are after a number.
_FORMS: Final[Mapping[Language, tuple[str, ...]]] = {
    "kk": ("one", "other"),
    "ru": ("one", "few", "many"),
    "en": ("one", "other"),
}


class TextMissing(KeyError):
    """A catalog has no text for this key: a bug, which a test finds."""


def text(domain: str, key: str, language: Language, values: Mapping[str, Any] | None = None) -> str:
    """The text of `key` in one language, filled with `values`. Raises `TextMissing`."""
    found = catalog(domain, language).get(key)
    if not found:
        raise TextMissing(f"{domain}/{language}: {key}")
    return _Filler(language).vformat(found, (), _Given(values or {}))


def each(domain: str, key: str, values: Mapping[str, Any] | None = None) -> dict[Language, str]:
    """The text of `key` in every language. Raises `TextMissing`."""
    return {language: text(domain, key, language, values) for language in LANGUAGES}


@cache
def catalog(domain: str, language: Language) -> Mapping[str, str]:
    """Every key of a catalog with its unfilled text, read once per process."""
    path = files("sandbox") / "locale" / language / "LC_MESSAGES" / f"{domain}.po"
    with path.open("rb") as file:
        # As a translator's tool reads it; the parts are small, so nothing is compiled ahead.
        messages = read_po(file, locale=language, abort_invalid=True)
    return {str(one.id): str(one.string) for one in messages if one.id}


def names_in(found: str) -> Iterator[str]:
    """The names of the values that a text is filled with."""
    return (name for _, name, _, _ in string.Formatter().parse(found) if name is not None)


def preferred(asked: str | None, accept_language: str | None) -> Language:
    """`?lang=` if it is one of ours, else the best of `Accept-Language` (RFC 9110, 12.5.4)."""
    for language in LANGUAGES:
        if asked == language:
            return language
    wanted: list[tuple[float, int, Language]] = []
    for place, part in enumerate((accept_language or "").split(",")[:20]):
        tag, _, rest = part.partition(";")
        name = tag.strip().lower().split("-")[0]
        quality = _quality(rest)
        wanted += [(-quality, place, one) for one in LANGUAGES if one == name and quality > 0]
    return min(wanted)[2] if wanted else DEFAULT


def _quality(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    try:
        return float(value) if name == "q" else 1.0
    except ValueError:
        return 0.0


class _Given(dict[str, Any]):
    def __missing__(self, name: str) -> str:
        return UNKNOWN


class _Filler(string.Formatter):
    """Names only: a text can reach no attribute and no item of a value."""

    def __init__(self, language: Language) -> None:
        self._language = language

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> tuple[Any, str]:
        return kwargs[field_name], field_name

    def format_field(self, value: Any, format_spec: str) -> str:
        kind, _, rest = format_spec.partition(":")
        if not kind or value == UNKNOWN:
            return str(value)
        if kind == "tenge":
            amount = Decimal(int(value)).scaleb(-2)
            # The sign after the amount in every language, as prices are written in Kazakhstan.
            return f"{format_decimal(amount, '#,##0.00', locale=self._language)}\N{NO-BREAK SPACE}₸"
        if kind == "number":
            return str(format_decimal(int(value), locale=self._language))
        if kind == "plural":
            return self._plural(int(value), rest.split("|"))
        raise ValueError(f"a text cannot be filled with {format_spec!r}")

    def _plural(self, count: int, forms: list[str]) -> str:
        if len(forms) == 1:
            return forms[0]
        form = Locale.parse(self._language).plural_form(abs(count))
        return forms[_FORMS[self._language].index(form)]
