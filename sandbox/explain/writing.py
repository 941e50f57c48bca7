"""An explanation as JSON and as text, in one language."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from sandbox.core import texts
from sandbox.core.clock import iso
from sandbox.core.texts import UNKNOWN, Language
from sandbox.explain.words import Explanation, Link, Rule, Step, Wait

DOMAIN: Final = "explain"
BY_STATUS: Final = (
    "payout", "issuance", "redemption", "bridge_move", "faucet_grant", "webhook_delivery", "event",
)  # fmt: skip
"""Objects whose summary is one text with the word of their status in it."""
MARKS: Final = {"pass": "✓", "fail": "✗", "waiting": "…", "not_needed": "–"}
PASSED: Final = {"pass": True, "fail": False, "waiting": None, "not_needed": None}


class Writer:
    """Fills the texts of the catalog `explain`."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._known = texts.catalog(DOMAIN, language)

    def say(self, key: str, values: Mapping[str, Any] | None = None) -> str:
        """The text of a key; moments, words and what is not known are written for people."""
        filled = {name: self._written(name, value) for name, value in (values or {}).items()}
        return texts.text(DOMAIN, key, self.language, filled)

    def word(self, value: str) -> str:
        """A state or the like in this language, as far as it is one of ours."""
        return self._known.get(f"word.{value}", value)

    def _written(self, name: str, value: Any) -> Any:
        if value is None:
            return UNKNOWN
        if isinstance(value, list | tuple):
            return ", ".join(map(str, value)) or UNKNOWN
        if isinstance(value, str) and name.endswith("_at"):
            return moment(datetime.fromisoformat(value))
        if isinstance(value, str) and f"word.{value}" in self._known:
            return self.word(value)
        return value

    # The parts.

    def summary(self, one: Explanation) -> str:
        """What it came to, in a sentence for each reason."""
        head, _, state = one.summary.partition(".")
        key = f"summary.{head}" if head in BY_STATUS else f"summary.{one.summary}"
        said = [self.say(key, {"status": state, **one.values})]
        said += [self.say(f"reason.{reason}") for reason in one.reasons]
        return " ".join(said)

    def step(self, step: Step) -> str:
        """What happened, in a sentence."""
        code = step.code
        if code == "event.logged" and step.values["position"] is None:
            code = "event.logged.own"
        return self.say(f"step.{code}", self._with_why(step.values))

    def rule(self, rule: Rule) -> str:
        """The rule's name, and what was compared."""
        result = "not_needed" if rule.result == "not_needed" else f"{rule.code}.{rule.result}"
        return f"{self.say(f'rule.{rule.code}')}: {self.say(f'rule.{result}', rule.values)}"

    def wait(self, wait: Wait) -> str:
        until = None if wait.until is None else moment(wait.until)
        return self.say(f"wait.{wait.code}", {**self._with_why(wait.values), "until": until})

    def _with_why(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """What a receiver answered, as people say it."""
        if "status" in values and "endpoint" in values:
            status = values["status"]
            why = f"HTTP {status}" if status is not None else values.get("error")
            return {**values, "why": why or self.say("no_answer")}
        return dict(values)


def moment(at: datetime) -> str:
    """A moment for people; UTC, because receipts and blocks are compared with it."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


# JSON.


def as_json(one: Explanation, language: Language) -> dict[str, Any]:
    """The whole explanation; `text` members are in `language`, everything else is not."""
    writer = Writer(language)
    return {
        "object": "explanation",
        "of": {"object": one.object, "id": one.id},
        "now": iso(one.now),
        "language": language,
        "summary": {
            "code": one.summary,
            "reasons": list(one.reasons),
            "text": writer.summary(one),
            "values": one.values,
        },
        "steps": [_step(writer, step) for step in one.ordered()],
        "waits": [_wait(writer, wait) for wait in one.waits],
        "links": [_link(link) for link in one.links],
        "notes": [
            {"code": note.code, "text": writer.say(f"note.{note.code}", note.values),
             "values": dict(note.values)}
            for note in one.notes
        ],
    }  # fmt: skip


def _step(writer: Writer, step: Step) -> dict[str, Any]:
    return {
        "at": iso(step.at),
        "who": step.who,
        "to": step.to,
        "kind": step.kind,
        "code": step.code,
        "fault": step.is_fault,
        "text": writer.step(step),
        "values": dict(step.values),
        "rules": [
            {
                "code": rule.code,
                "result": rule.result,
                "passed": PASSED[rule.result],
                "text": writer.rule(rule),
                "values": dict(rule.values),
            }
            for rule in step.rules
        ],
        "links": [_link(link) for link in step.links],
    }


def _wait(writer: Writer, wait: Wait) -> dict[str, Any]:
    return {
        "code": wait.code,
        "whose": wait.whose,
        "since": None if wait.since is None else iso(wait.since),
        "until": None if wait.until is None else iso(wait.until),
        "text": writer.wait(wait),
        "values": dict(wait.values),
    }


def _link(link: Link) -> dict[str, Any]:
    return {"object": link.object, "id": link.id, "url": link.url or None}


# Text.


def as_text(one: Explanation, language: Language) -> str:
    """The same for people: one numbered line per step, its rules and legs below it."""
    return "\n".join(map(one_line, _lines(one, Writer(language)))) + "\n"


def _lines(one: Explanation, writer: Writer) -> Iterator[str]:
    about = {"object": writer.say(f"object.{one.object}"), "id": one.id, "now_at": iso(one.now)}
    yield writer.say("title", about)
    yield ""
    yield writer.summary(one)
    yield ""
    yield f"{writer.say('heading.steps')}:"
    for number, step in enumerate(one.ordered(), 1):
        who, to = writer.say(f"lane.{step.who}"), writer.say(f"lane.{step.to}")
        mark = "✗ " if step.is_fault else ""
        yield f"{number:3}. {moment(step.at)}  {who} → {to}: {mark}{writer.step(step)}"
        yield from (f"       {line}" for line in _details(step, writer))
    yield ""
    yield f"{writer.say('heading.waits')}:"
    for wait in one.waits:
        whose = writer.say(f"whose.{wait.whose}")
        since = "" if wait.since is None else f" [{moment(wait.since)}]"
        yield f"  • {whose}{since}: {writer.wait(wait)}"
    if not one.waits:
        yield f"  {writer.say('nothing_waits')}"
    if one.notes:
        yield ""
        yield f"{writer.say('heading.notes')}:"
        for note in one.notes:
            yield f"  • {writer.say(f'note.{note.code}', note.values)}"


def one_line(text: str) -> str:
    """Strangers write memos: no line breaks and no control characters of theirs."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in
                   text.replace("\N{NO-BREAK SPACE}", " "))  # fmt: skip


def _details(step: Step, writer: Writer) -> Iterator[str]:
    for rule in step.rules:
        yield f"{MARKS[rule.result]} {writer.rule(rule)}"
    for leg in step.values.get("legs", ()):
        side = writer.word("debit" if leg["side"] == "D" else "credit")
        yield f"{side} {leg['code']} {leg['amount']} ({leg['asset']})"
    if hidden := step.values.get("legs_hidden"):
        yield f"+ {writer.say('legs_hidden', {'count': hidden})}"
    transaction = step.values.get("transaction")
    if transaction is not None:
        yield from _acts(transaction, writer)


def _acts(transaction: Mapping[str, Any], writer: Writer) -> Iterator[str]:
    for act in transaction["acts"]:
        indent = "  " if act["inner"] else ""
        said = [f"{account['role']} {account['address']}" for account in act["accounts"]]
        said += [f"{name} {value}" for name, value in act["values"].items()]
        program = f" [{act['program']}]" if act["program"] else ""
        yield f"{indent}· {act['name']}{program}: {', '.join(said)}"
    if left_out := transaction["acts_left_out"]:
        yield f"+ {writer.say('acts_left_out', {'count': left_out})}"
