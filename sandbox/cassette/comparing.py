"""Where two recordings part: the first difference, and how many there are of each sort."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any, Final

from sandbox.cassette import tape
from sandbox.cassette.tape import Cassette, JsonObject

MASKS: Final = {
    "request_id": "the machine's: random for each request, in problem documents",
    "first_request_id": "the same, of the request that a key belongs to",
    "request_log_url": "the same, as an address",
    "idempotency_key": "the caller's own choice, mostly random",
    "waited_ms": "how long `quiesce` waited",
    "waited_for": "what `quiesce` saw, which depends on when it looked",
    "took_ms": "how long something took",
    "duration_ms": "the same",
}
"""Member name → why it differs between equal runs. Nothing else is left out."""
OF_THE_ADDRESS: Final = {
    "root": "of the log, whose leaves commit to payment links: left out where addresses differ",
}

_ID: Final = re.compile(r"\b([a-z]{1,4})_[0-9a-hjkmnp-tv-z]{26}\b")
_ANY_ID: Final = re.compile(rf"{_ID.pattern}|[a-z]{{1,4}}_#\d+")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d+)?Z)?")
_ADDRESSES: Final = frozenset({
    "address", "recipient", "mint", "token", "reference", "from_address", "memo", "url", "wallet",
    "account", "deposits", "treasury", "iban",
})  # fmt: skip
_TRANSACTIONS: Final = frozenset({"tx", "height", "block_hash"})
_CONTEXT: Final = 3

Sort = str
"""`requests`, `statuses`, `events`, `ids`, `addresses`, `times`, `transactions` or `values`."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One place: `where` names line and member; what the first and the second run have there."""

    sort: Sort
    where: str
    first: Any
    second: Any

    def as_json(self) -> JsonObject:
        return {
            "sort": self.sort, "where": self.where, "first": self.first, "second": self.second,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Comparison:
    """All differences in order, and the lines of the first run before the first of them; `seeds`
    of the two worlds, None where one has none."""

    differences: list[Difference]
    context: list[str]
    compared: dict[str, int] = field(default_factory=dict)
    seeds: tuple[int | None, int | None] = (None, None)

    @property
    def is_same(self) -> bool:
        return not self.differences

    def as_json(self) -> JsonObject:
        counts = Counter(one.sort for one in self.differences)
        return {
            "object": "comparison",
            "same": self.is_same,
            "seeds": list(self.seeds),
            "compared": self.compared,
            "differences": dict(sorted(counts.items())),
            "first": None if self.is_same else self.differences[0].as_json(),
            "context": self.context,
        }


def compare(
    first: Cassette, second: Cassette, masks: Collection[str] = (), *, rename: bool = False
) -> Comparison:
    """Members named in `MASKS` or `masks` are left out; a GET that is repeated counts once.

    With `rename`, ids count by their order of appearance: for worlds without a seed.
    """
    left_out = {*MASKS, *masks}
    if first.header["api"] != second.header["api"]:
        left_out |= OF_THE_ADDRESS.keys()
    pairs = [
        ("requests", _folded(first.steps), _folded(second.steps)),
        ("events", first.events, second.events),
        ("transactions", first.transactions, second.transactions),
    ]
    if rename:
        here, there = _Names(), _Names()
        pairs = [(sort, here.of(one), there.of(other)) for sort, one, other in pairs]
    found, context, compared = list[Difference](), list[str](), dict[str, int]()
    for sort, one, other in pairs:
        for number, (a, b) in enumerate(_paired(one, other), 1):
            parted = list(_line(sort, number, a, b, left_out))
            if parted and not found:
                context = [_title(line) for line in one[max(0, number - 1 - _CONTEXT) : number - 1]]
            found += parted
        compared[sort] = max(len(one), len(other))
    seeds = first.header.get("seed"), second.header.get("seed")
    return Comparison(found, context, compared, seeds)


def _paired(
    one: Sequence[JsonObject], other: Sequence[JsonObject]
) -> Iterator[tuple[JsonObject | None, JsonObject | None]]:
    """Lines that are about the same, in order; what one has between them alone, with None."""
    ours, theirs = ([_title(line) for line in lines] for lines in (one, other))
    matched = SequenceMatcher(a=ours, b=theirs, autojunk=False)
    for what, first, end, there, there_end in matched.get_opcodes():
        if what == "equal":
            yield from zip(one[first:end], other[there:there_end], strict=True)
        else:
            yield from ((line, None) for line in one[first:end])
            yield from ((None, line) for line in other[there:there_end])


def _line(
    sort: Sort,
    number: int,
    a: JsonObject | None,
    b: JsonObject | None,
    left_out: Collection[str],
) -> Iterator[Difference]:
    where = f"{_NOUNS[sort]} {number}"
    if a is None or b is None:
        yield Difference(sort, where, a and _title(a), b and _title(b))
        return
    yield from _values(f"{where}, {_title(a)}", "", a, b, left_out)


_NOUNS: Final = {"requests": "step", "events": "event", "transactions": "transaction"}


def _title(line: JsonObject) -> str:
    """What a line is about, without what the world gave out: ids in a path are its own."""
    match line["kind"]:
        case tape.EXCHANGE:
            return f"{line['method']} " + _ID.sub(r"\1_…", line["path"])
        case tape.ACT:
            return str(line["act"])
        case tape.EVENT:
            return str(line["type"])
    return f"on {line['chain']}"


def _values(
    line: str, member: str, a: Any, b: Any, left_out: Collection[str]
) -> Iterator[Difference]:
    if isinstance(a, dict) and isinstance(b, dict):
        for name in sorted((a.keys() | b.keys()) - set(left_out)):
            inner = f"{member}.{name}" if member else name
            yield from _values(line, inner, a.get(name), b.get(name), left_out)
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for at, (one, other) in enumerate(zip(a, b, strict=True)):
            yield from _values(line, f"{member}[{at}]", one, other, left_out)
    elif a != b or type(a) is not type(b):
        yield Difference(_sort(member, a, b), f"{line}: {member}", a, b)


def _sort(member: str, a: Any, b: Any) -> Sort:
    name = re.sub(r"\[\d+\]$", "", member).rpartition(".")[2]
    texts = [value for value in (a, b) if isinstance(value, str)]
    if member == "status":
        return "statuses"
    if name in _TRANSACTIONS:
        return "transactions"
    if texts and all(_ANY_ID.fullmatch(text) for text in texts):
        return "ids"
    if texts and all(_TIME.fullmatch(text) for text in texts):
        return "times"
    return "addresses" if name in _ADDRESSES else "values"


def _folded(steps: Sequence[JsonObject]) -> list[JsonObject]:
    """Of a GET that is asked again and again the last answer: how often depends on the machine."""
    kept = list[JsonObject]()
    for step in steps:
        is_again = (
            kept
            and step["kind"] == kept[-1]["kind"] == tape.EXCHANGE
            and step["method"] == kept[-1]["method"] == "GET"
            and step["path"] == kept[-1]["path"]
        )
        if is_again:
            kept[-1] = step
        else:
            kept.append(step)
    return kept


class _Names:
    """Ids by kind and order of appearance."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._counts: Counter[str] = Counter()

    def of(self, value: Any) -> Any:
        if isinstance(value, str):
            return _ID.sub(lambda found: self._name(found[0], found[1]), value)
        if isinstance(value, list):
            return [self.of(one) for one in value]
        if isinstance(value, dict):
            return {name: self.of(value[name]) for name in sorted(value)}
        return value

    def _name(self, id_: str, kind: str) -> str:
        if id_ not in self._known:
            self._counts[kind] += 1
            self._known[id_] = f"{kind}_#{self._counts[kind]}"
        return self._known[id_]
