"""An explanation as a sequence diagram: SVG with text, no script, for light, dark and paper.

The geometry is computed from widths that no common sans-serif font exceeds, so that texts stay
inside their lanes whatever font a viewer has.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from xml.sax.saxutils import escape

from sandbox.core.texts import Language
from sandbox.explain.facts import ends
from sandbox.explain.words import LANES, Explanation, Lane, Rule, Step
from sandbox.explain.writing import MARKS, Writer, moment, one_line

LANE_WIDTH = 190
MARGIN = 24
TIME_WIDTH = 158
HEAD_HEIGHT = 40
LINE_HEIGHT = 15
FONT_SIZE, SMALL = 12, 11
# Of the font's size: an upper bound for the letters of Latin and Cyrillic; marks are wider.
LETTER, WIDE_LETTER = 0.64, 1.1
MOST_LINES = 4
MOST_STEPS = 120
MOST_ACTS = 4
LONG_WORD, HEAD, TAIL = 34, 12, 8
"""Ids of transactions and addresses are shortened in the middle; the text has them whole."""

STYLE = """
  svg { color-scheme: light dark; --paper: #fff; --ink: #1b1f24; --soft: #5b6571; --line: #b8c0c8;
        --box: #eef2f6; --fault: #b00020; --pass: #17692f; background: var(--paper); }
  @media (prefers-color-scheme: dark) { svg { --paper: #14181d; --ink: #e8ecf0; --soft: #a5b0bb;
        --line: #4b5660; --box: #222a33; --fault: #ff8a95; --pass: #7bd99a; } }
  @media print { svg { --paper: #fff; --ink: #000; --soft: #333; --line: #888; --box: #eee;
        --fault: #900; --pass: #050; } }
  text { font-family: system-ui, 'Noto Sans', 'DejaVu Sans', sans-serif; fill: var(--ink); }
  .paper { fill: var(--paper); } .box { fill: var(--box); stroke: var(--line); }
  .life { stroke: var(--line); stroke-dasharray: 3 4; }
  .way { stroke: var(--ink); fill: none; } .tip { fill: var(--ink); }
  .fault .way { stroke: var(--fault); } .fault .tip, .fault text { fill: var(--fault); }
  text.soft { fill: var(--soft); } text.pass { fill: var(--pass); }
  text.fail { fill: var(--fault); font-weight: 600; }
  @media print { svg { width: 100%; height: auto; } }
"""


@dataclass(frozen=True, slots=True)
class Label:
    """A line of text and where it stands: `x` is its left end or, centred, its middle."""

    x: float
    y: float
    text: str
    size: int
    anchor: str = "start"
    role: str = ""

    @property
    def box(self) -> tuple[float, float, float, float]:
        """(left, top, right, bottom) that no common font passes."""
        width = width_of(self.text, self.size)
        left = self.x - width / 2 if self.anchor == "middle" else self.x
        return left, self.y - self.size, left + width, self.y + self.size * 0.25


@dataclass(frozen=True, slots=True)
class Row:
    """A step as it is drawn."""

    top: float
    height: float
    start: float
    end: float
    arrow_y: float
    labels: tuple[Label, ...]
    step: Step


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything with its place."""

    width: float
    height: float
    lanes: Sequence[tuple[Lane, float]]
    heads: Sequence[Label]
    title: Sequence[Label]
    rows: Sequence[Row]
    gaps: Sequence[Label]
    feet: Sequence[Label]


def width_of(text: str, size: int) -> float:
    """An upper bound of the text's width."""
    return sum(
        size * (WIDE_LETTER if unicodedata.category(letter)[0] in "SC" or
                unicodedata.east_asian_width(letter) in "WF" or letter in "mwMWЖШЩЮМФжшщюмф@%"
                else LETTER)
        for letter in text
    )  # fmt: skip


def wrapped(text: str, width: float, size: int, most: int = MOST_LINES) -> list[str]:
    """The text in lines that fit; long words are broken, what is too much ends in an ellipsis."""
    lines: list[str] = [""]
    for word in one_line(text).split():
        for part in _parts(word, width, size):
            longer = f"{lines[-1]} {part}".strip()
            if not lines[-1] or width_of(longer, size) <= width:
                lines[-1] = longer
            else:
                lines.append(part)
    if len(lines) <= most:
        return lines
    last = lines[most - 1]
    while last and width_of(f"{last}…", size) > width:
        last = last[:-1]
    return [*lines[: most - 1], f"{last}…"]


def _parts(word: str, width: float, size: int) -> Iterator[str]:
    part = ""
    for letter in word:
        if part and width_of(part + letter, size) > width:
            yield part
            part = ""
        part += letter
    if part:
        yield part


def plan(one: Explanation, language: Language) -> Plan:
    """Where everything stands."""
    writer = Writer(language)
    parts = drawn(one)
    steps = [step for part in parts if not isinstance(part, int) for step in part]
    used: set[Lane] = {lane for step in steps for lane in (step.who, step.to)}
    shown = [lane for lane in LANES if lane in used] or ["api"]
    first = MARGIN + TIME_WIDTH + LANE_WIDTH / 2
    lanes = [(lane, first + n * LANE_WIDTH) for n, lane in enumerate(shown)]
    places = dict(lanes)
    width = MARGIN * 2 + TIME_WIDTH + LANE_WIDTH * max(len(lanes), 3)
    title = f"{writer.say(f'object.{one.object}')} {one.id}"
    y = float(MARGIN + 18)
    labels = [Label(MARGIN, y, line, 16) for line in wrapped(title, width - 2 * MARGIN, 16, 2)]
    y += 22 * len(labels)
    for line in wrapped(writer.summary(one), width - 2 * MARGIN, FONT_SIZE, 6):
        labels.append(Label(MARGIN, y, line, FONT_SIZE))
        y += LINE_HEIGHT + 2
    y += 8
    heads = []
    for lane, x in lanes:
        lines = wrapped(writer.say(f"lane.{lane}"), LANE_WIDTH - 24, FONT_SIZE, 2)
        for n, line in enumerate(lines):
            middle = y + HEAD_HEIGHT / 2 + (n - (len(lines) - 1) / 2) * LINE_HEIGHT + 4
            heads.append(Label(x, middle, line, FONT_SIZE, "middle", lane))
    y += HEAD_HEIGHT + 12
    rows, gaps = list[Row](), list[Label]()
    for part in parts:
        if isinstance(part, int):
            said = f"⋮ {writer.say('steps_left_out', {'count': part})}"
            gaps.append(Label(MARGIN, y + LINE_HEIGHT, said, FONT_SIZE, role="soft"))
            y += 2 * LINE_HEIGHT
            continue
        for step in part:
            rows.append(_row(step, writer, places, y, width))
            y += rows[-1].height
    y += 10
    feet = []
    for line in _foot(one, writer, width - 2 * MARGIN):
        feet.append(Label(MARGIN, y + LINE_HEIGHT, line, FONT_SIZE))
        y += LINE_HEIGHT + 2
    return Plan(width, y + MARGIN, lanes, heads, labels, rows, gaps, feet)


def drawn(one: Explanation) -> list[list[Step] | int]:
    """The steps that fit, and between them how many are left out.

    Of too many the first and the last are drawn, and between them what went wrong and what the
    log tells of the object itself. Deliveries are the most, and say the least: few are drawn.
    """
    steps = one.ordered()
    if len(steps) <= MOST_STEPS:
        return [list(steps)]
    delivered = [n for n, step in enumerate(steps) if step.kind == "delivery"]
    others = [n for n, step in enumerate(steps) if step.kind != "delivery"]
    wrong = [n for n in others if steps[n].is_fault]
    own = [n for n in others if steps[n].kind == "event" and steps[n].values["about"] == one.id]
    kept = {n for some in (delivered, wrong, own) for n in ends(some, MOST_STEPS // 6)}
    kept |= {*ends(others, MOST_STEPS - len(kept))}
    parts = list[list[Step] | int]()
    for is_kept, run in groupby(range(len(steps)), kept.__contains__):
        places = list(run)
        parts.append([steps[n] for n in places] if is_kept else len(places))
    return parts


def _row(step: Step, writer: Writer, places: dict[Lane, float], top: float, width: float) -> Row:
    start, end = places[step.who], places[step.to]
    # The text stands right of the left lane, over the whole way and at least two lanes wide.
    left = min(start, end) + 8
    room = max(abs(end - start), 2 * LANE_WIDTH) - 16
    left = min(left, width - MARGIN - room)
    labels = [Label(MARGIN, top + FONT_SIZE, moment(step.at)[:19], SMALL, role="soft")]
    y = top + FONT_SIZE
    for line in wrapped(shortened(writer.step(step)), room, FONT_SIZE):
        labels.append(Label(left, y, line, FONT_SIZE))
        y += LINE_HEIGHT
    arrow_y = y - LINE_HEIGHT + 8
    y += 12
    for act in _acts(step):
        for line in wrapped(f"· {shortened(act)}", room, SMALL, 2):
            labels.append(Label(left, y, line, SMALL, role="soft"))
            y += LINE_HEIGHT - 1
    for rule in step.rules:
        said = wrapped(f"{MARKS[rule.result]} {shortened(_rule(rule, writer))}", room, SMALL, 3)
        for n, line in enumerate(said):
            role = {"pass": "pass", "fail": "fail"}.get(rule.result, "soft") if n == 0 else "soft"
            labels.append(Label(left if n == 0 else left + 14, y, line, SMALL, role=role))
            y += LINE_HEIGHT - 1
    return Row(top, y - top + 4, start, end, arrow_y, tuple(labels), step)


def shortened(text: str) -> str:
    """The text with its long words shortened in the middle."""
    return " ".join(
        word if len(word) <= LONG_WORD else f"{word[:HEAD]}…{word[-TAIL:]}"
        for word in one_line(text).split()
    )


def _acts(step: Step) -> list[str]:
    """What the outer acts of a decoded transaction are called, and what they move or say."""
    transaction = step.values.get("transaction") or {"acts": ()}
    outer = [act for act in transaction["acts"] if not act["inner"]]
    return [
        " ".join([act["name"], *(f"{name} {value}" for name, value in act["values"].items())])
        for act in outer[:MOST_ACTS]
    ]


def _rule(rule: Rule, writer: Writer) -> str:
    if rule.result in ("pass", "not_needed"):
        return writer.say(f"rule.{rule.code}")
    return writer.rule(rule)


def _foot(one: Explanation, writer: Writer, width: float) -> list[str]:
    lines = []
    for wait in one.waits:
        said = f"• {writer.say(f'whose.{wait.whose}')}: {writer.wait(wait)}"
        lines += wrapped(said, width, FONT_SIZE)
    notes = [writer.say(f"note.{note.code}", note.values) for note in one.notes]
    if len(one.steps) > MOST_STEPS:
        notes.append(writer.say("steps_elsewhere"))
    for note in notes:
        lines += wrapped(f"– {note}", width, FONT_SIZE)
    return [f"{writer.say('heading.waits')}:", *(lines or [writer.say("nothing_waits")])]


def as_svg(one: Explanation, language: Language) -> str:
    """The diagram; `title` and `desc` tell a screen reader what it shows."""
    return "\n".join(_drawn(plan(one, language), one, language)) + "\n"


def _drawn(made: Plan, one: Explanation, language: Language) -> Iterator[str]:
    writer = Writer(language)
    title = f"{writer.say(f'object.{one.object}')} {one.id}"
    told = _told(one, writer)
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {made.width:g} {made.height:g}"'
        f' width="{made.width:g}" height="{made.height:g}" xml:lang="{language}" role="img"'
        ' aria-labelledby="title desc">'
    )
    yield f'<title id="title">{clean(title)}</title>'
    yield f'<desc id="desc">{clean(" ".join([writer.summary(one), *told]))}</desc>'
    yield f"<style>{STYLE}</style>"
    yield f'<rect class="paper" width="{made.width:g}" height="{made.height:g}"/>'
    for label in made.title:
        yield _text(label)
    head_top = min((label.y for label in made.heads), default=0.0) - 26
    last = made.rows[-1] if made.rows else None
    bottom = head_top + HEAD_HEIGHT + 12 if last is None else last.top + last.height
    for lane, x in made.lanes:
        head = min(label.y for label in made.heads if label.role == lane)
        top = min(head_top, head - 20)
        yield (
            f'<line class="life" x1="{x:g}" x2="{x:g}" y1="{top + HEAD_HEIGHT:g}" y2="{bottom:g}"/>'
        )
        left = x - LANE_WIDTH / 2 + 8
        yield (
            f'<rect class="box" x="{left:g}" y="{top:g}" width="{LANE_WIDTH - 16}"'
            f' height="{HEAD_HEIGHT}" rx="5"/>'
        )
    for label in made.heads:
        yield _text(label)
    for row in made.rows:
        yield from _row_drawn(row)
    for label in (*made.gaps, *made.feet):
        yield _text(label)
    yield "</svg>"


def _told(one: Explanation, writer: Writer) -> list[str]:
    """What is drawn, numbered as the text numbers it."""
    said, number = list[str](), 1
    for part in drawn(one):
        if isinstance(part, int):
            said.append(f"… {writer.say('steps_left_out', {'count': part})}.")
            number += part
            continue
        for step in part:
            said.append(f"{number}. {writer.step(step)}")
            number += 1
    return said


def _row_drawn(row: Row) -> Iterator[str]:
    role = "row fault" if row.step.is_fault else "row"
    yield f'<g class="{role}" data-code="{row.step.code}">'
    way = 1 if row.end > row.start else -1
    tip = row.end - way * 7
    yield (
        f'<line class="way" x1="{row.start:g}" x2="{tip:g}" y1="{row.arrow_y:g}"'
        f' y2="{row.arrow_y:g}"/>'
    )
    yield (f'<path class="tip" d="M {row.end:g} {row.arrow_y:g} l {-8 * way} -4 l 0 8 z"/>')
    # Text over life lines stays readable: each line has the paper behind it.
    for label in row.labels:
        left, top, right, bottom = label.box
        yield (
            f'<rect class="paper" x="{left - 1:g}" y="{top:g}" width="{right - left + 2:g}"'
            f' height="{bottom - top:g}"/>'
        )
    for label in row.labels:
        yield _text(label)
    yield "</g>"


def _text(label: Label) -> str:
    role = f' class="{label.role}"' if label.role in ("soft", "pass", "fail") else ""
    anchor = ' text-anchor="middle"' if label.anchor == "middle" else ""
    return (
        f'<text x="{label.x:g}" y="{label.y:g}" font-size="{label.size}"{anchor}{role}>'
        f"{clean(label.text)}</text>"
    )


def clean(text: str) -> str:
    """Text as XML may hold it: strangers' markup is text, control characters are shown as such."""
    return escape(one_line(text), {'"': "&quot;", "'": "&#39;"})
