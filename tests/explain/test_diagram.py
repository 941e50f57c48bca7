"""The diagram: well-formed, harmless, and nothing in it stands on anything else."""

import itertools
import re

import pytest
from lxml import etree

from sandbox.core.texts import LANGUAGES, Language
from sandbox.explain import diagram
from sandbox.explain.diagram import LANE_WIDTH, MOST_STEPS, Label, Plan, plan, width_of, wrapped
from tests.explain.made import HOSTILE, explanation

SVG = "{http://www.w3.org/2000/svg}"


def parsed(text: str) -> etree._Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    return etree.fromstring(text.encode(), parser)


def overlap(one: Label, other: Label) -> bool:
    left, top, right, bottom = one.box
    left2, top2, right2, bottom2 = other.box
    return left < right2 and left2 < right and top < bottom2 and top2 < bottom


def labels_of(made: Plan) -> list[Label]:
    return [
        *made.title, *made.heads, *itertools.chain(*(row.labels for row in made.rows)), *made.feet,
    ]  # fmt: skip


def test_what_a_stranger_wrote_is_text_and_never_markup() -> None:
    drawn = diagram.as_svg(explanation(HOSTILE), "en")
    root = parsed(drawn)
    allowed = {"svg", "title", "desc", "style", "rect", "text", "line", "path", "g"}
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= allowed
    for element in root.iter():
        assert not [name for name in element.attrib if name.startswith("on") or "href" in name]
    assert "<script" not in drawn
    assert "alert(1)" in "".join(root.itertext())
    assert "\x07" not in drawn
    assert "\u202e" not in drawn


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("memo", ["cs_1", HOSTILE, "W" * 400, "Ж" * 90 + " щ" * 90])
def test_no_text_stands_on_another_and_all_of_it_is_in_the_picture(
    language: Language, memo: str
) -> None:
    made = plan(explanation(memo, repeat=2), language)
    labels = labels_of(made)
    assert [pair for pair in itertools.combinations(labels, 2) if overlap(*pair)] == []
    for label in labels:
        left, top, right, bottom = label.box
        assert (left >= 0, right <= made.width) == (True, True), label
        assert (top >= 0, bottom <= made.height) == (True, True), label
    for head in made.heads:
        left, _, right, _ = head.box
        assert right - left <= LANE_WIDTH - 16


def test_an_arrow_goes_between_two_lanes_below_its_text() -> None:
    made = plan(explanation(), "en")
    places = {x for _, x in made.lanes}
    for row in made.rows:
        assert {row.start, row.end} <= places
        assert row.start != row.end
        assert row.top < row.arrow_y < row.top + row.height
    tops = [row.top for row in made.rows]
    assert tops == sorted(tops)


def test_only_lanes_that_take_part_are_drawn_in_the_order_of_the_house() -> None:
    made = plan(explanation(), "en")
    assert [lane for lane, _ in made.lanes] == [
        "merchant", "api", "wallet", "chain", "watcher", "ledger", "log", "receiver",
    ]  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_screen_reader_is_told_title_and_every_step(language: Language) -> None:
    root = parsed(diagram.as_svg(explanation(), language))
    assert root.get("role") == "img"
    assert root.get("{http://www.w3.org/XML/1998/namespace}lang") == language
    assert root.get("aria-labelledby") == "title desc"
    [title], [desc] = root.findall(f"{SVG}title"), root.findall(f"{SVG}desc")
    assert "cs_01m7zzhx474653wqqjcgnj4zp3" in (title.text or "")
    assert all(f"{n}. " in (desc.text or "") for n in range(1, 7))


def test_colours_follow_dark_mode_and_paper() -> None:
    [style] = parsed(diagram.as_svg(explanation(), "en")).findall(f"{SVG}style")
    text = style.text or ""
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    # Nothing is fetched from anywhere.
    assert not re.search(r"url\(|@import|http", text)


def test_of_a_long_history_both_ends_and_what_went_wrong_are_drawn_and_the_rest_counted() -> None:
    long = explanation(repeat=40)
    [*_, wrong] = [step for step in long.ordered()[:120] if step.code == "stray.unmatched"]
    long.steps = [step for step in long.steps if step.code != wrong.code or step is wrong]
    steps, made = long.ordered(), plan(long, "en")
    assert len(made.rows) <= MOST_STEPS < len(steps)
    assert [made.rows[0].step, made.rows[-1].step] == [steps[0], steps[-1]]
    # A transfer that names no session, deep in the middle.
    assert any(row.step is wrong for row in made.rows)
    left_out = [int(re.findall(r"⋮ (\d+) more step", gap.text)[0]) for gap in made.gaps]
    assert sum(left_out) == len(steps) - len(made.rows)
    places = sorted([*(row.top for row in made.rows), *(gap.y for gap in made.gaps)])
    assert len(set(places)) == len(places)
    [desc] = parsed(diagram.as_svg(long, "en")).findall(f"{SVG}desc")
    assert f" {len(steps)}. " in (desc.text or "")
    assert f"… {left_out[0]} more step" in (desc.text or "")
    assert any("Text and JSON have every step" in label.text for label in made.feet)


def test_a_history_that_fits_is_drawn_whole() -> None:
    made = plan(explanation(repeat=20), "en")
    assert (len(made.rows), made.gaps) == (MOST_STEPS, [])


def test_long_words_are_broken_and_too_long_texts_end_in_an_ellipsis() -> None:
    lines = wrapped("a" * 300, 100, 12, 3)
    assert len(lines) == 3
    assert lines[-1].endswith("…")
    assert all(width_of(line, 12) <= 100 for line in lines)
    assert wrapped("short", 100, 12) == ["short"]
