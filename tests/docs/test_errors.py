"""Every refusal has a text in each language, and the page lists all of them."""

import ast
import importlib
import inspect
import pkgutil
import textwrap

import pytest

import sandbox
from sandbox.core import texts
from sandbox.core.errors import SandboxError, kinds
from sandbox.core.http import refusals
from sandbox.core.texts import LANGUAGES
from tests.docs import errors


def test_every_code_that_a_request_may_meet_has_a_text_in_each_language_and_no_other_has() -> None:
    codes = set(refusals.codes())
    assert len(codes) > 130
    for language in LANGUAGES:
        found = texts.catalog("errors", language)
        texted = {code for code, text in found.items() if text.strip()}
        assert (codes - texted, texted - codes) == (set(), set()), language


def test_a_refusal_is_listed_whatever_else_the_process_has_loaded() -> None:
    listed = set(refusals.codes())
    for found in pkgutil.walk_packages(sandbox.__path__, "sandbox."):
        if not found.name.endswith("__main__") and ".migrations" not in found.name:
            importlib.import_module(found.name)
    assert set(refusals.codes()) == listed


def test_the_texts_of_a_code_name_the_same_values_in_each_language() -> None:
    for one in refusals.listed():
        named = {frozenset(texts.names_in(text)) for text in one.texts.values()}
        assert len(named) == 1, one.code


def given(kind: type[SandboxError]) -> set[str]:
    """The names of the values that a refusal is made with, as its code says."""
    found: set[str] = set()
    for base in kind.__mro__:
        if issubclass(base, SandboxError) and "__init__" in vars(base):
            tree = ast.parse(textwrap.dedent(inspect.getsource(base.__init__)))
            calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
            found |= {word.arg for call in calls for word in call.keywords if word.arg}
    return found


def test_what_a_text_names_is_given_by_every_refusal_with_its_code() -> None:
    asked = texts.catalog("errors", "en")
    checked = 0
    for kind in filter(refusals.answered_by_the_api, kinds()):
        for code in kind.codes or (kind.code,):
            names = set(texts.names_in(asked[code]))
            assert names <= given(kind), (kind, names - given(kind))
            checked += bool(names)
    assert checked > 40


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_can_be_filled(language: texts.Language) -> None:
    values = {name: 12 for one in refusals.listed() for name in texts.names_in(one.texts["en"])}
    for one in refusals.listed():
        assert "{" not in texts.text("errors", one.code, language, values), one.code


def test_the_page_lists_every_refusal() -> None:
    _, found, _ = errors.parts()
    assert found == errors.table(), "run: python -m tests.docs.errors"
