"""Where two recordings part."""

from typing import Any

import pytest

from sandbox.cassette import tape
from sandbox.cassette.comparing import MASKS, compare
from sandbox.cassette.tape import Cassette

ONE, TWO = "cs_01m838z2g0000002hayhsh0pde", "cs_01m838z2g000009mpfe3mw64dp"


def exchange(path: str, answer: Any, **more: Any) -> dict[str, Any]:
    asked = {"kind": "exchange", "method": "GET", "path": path, "request": None, "status": 200}
    return {**asked, "answer": {"json": answer}, **more}


def event(type_: str, **data: Any) -> dict[str, Any]:
    return {"kind": "event", "type": type_, "data": data}


def run(*steps: dict[str, Any], events: Any = (), api: str = "http://127.0.0.1:1") -> Cassette:
    return Cassette(tape.header(api=api), list(steps), list(events))


def sorts(first: Cassette, second: Cassette, **how: Any) -> list[str]:
    return [one.sort for one in compare(first, second, **how).differences]


@pytest.mark.parametrize(
    ("one", "other", "sort"),
    [
        ({"id": ONE}, {"id": TWO}, "ids"),
        ({"created_at": "2026-11-23"}, {"created_at": "2026-11-24"}, "times"),
        ({"recipient": "A"}, {"recipient": "B"}, "addresses"),
        ({"tx": "A"}, {"tx": "B"}, "transactions"),
        ({"height": 1}, {"height": 2}, "transactions"),
        ({"amount_tiyn": 1}, {"amount_tiyn": 2}, "values"),
        ({"ok": True}, {"ok": 1}, "values"),
        ({"tx": "A"}, {}, "transactions"),
        ({"lines": [1]}, {"lines": [1, 2]}, "values"),
    ],
)
def test_a_difference_is_of_a_sort(one: Any, other: Any, sort: str) -> None:
    assert sorts(run(exchange("/a", one)), run(exchange("/a", other))) == [sort]
    assert sorts(run(events=[event("a", **one)]), run(events=[event("a", **other)])) == [sort]


def test_another_status_is_named_with_its_request_and_what_came_before() -> None:
    before = [exchange(f"/{n}", n) for n in range(5)]
    found = compare(
        run(*before, exchange("/v1/x", {}, status=200)),
        run(*before, exchange("/v1/x", {}, status=409)),
    )
    [first] = found.differences
    assert (first.sort, first.where) == ("statuses", "step 6, GET /v1/x: status")
    assert (first.first, first.second) == (200, 409)
    assert found.context == ["GET /2", "GET /3", "GET /4"]


def test_a_step_that_one_run_lacks_is_one_difference() -> None:
    steps = [exchange(f"/{n}", n) for n in range(4)]
    found = compare(run(*steps), run(steps[0], *steps[2:]))
    assert [(one.sort, one.first, one.second) for one in found.differences] == [
        ("requests", "GET /1", None)
    ]


def test_events_in_another_order_differ() -> None:
    here = run(events=[event("a"), event("b")])
    assert set(sorts(here, run(events=[event("b"), event("a")]))) == {"events"}


def test_only_what_is_named_is_left_out() -> None:
    for name in MASKS:
        assert sorts(run(exchange("/a", {name: 1})), run(exchange("/a", {name: 2}))) == []
    pair = run(exchange("/a", {"x": {"y": 1}})), run(exchange("/a", {"x": {"y": 2}}))
    assert sorts(*pair) == ["values"]
    assert sorts(*pair, masks=["y"]) == []


def test_the_logs_root_counts_where_the_address_is_the_same() -> None:
    here, there = (run(events=[event("a", root=root)]) for root in "ab")
    assert sorts(here, there) == ["values"]
    elsewhere = run(events=[event("a", root="b")], api="http://127.0.0.1:2")
    assert sorts(here, elsewhere) == []


def test_a_get_that_is_repeated_counts_once_with_its_last_answer() -> None:
    polled = run(*(exchange("/a", state) for state in ("open", "open", "complete")))
    assert sorts(polled, run(exchange("/a", "complete"))) == []
    assert sorts(polled, run(exchange("/a", "open"))) == ["values"]


def test_renamed_ids_compare_by_their_order() -> None:
    here = run(exchange(f"/{ONE}", {"id": ONE}), exchange(f"/{TWO}", {"id": TWO, "of": ONE}))
    there = run(exchange(f"/{TWO}", {"id": TWO}), exchange(f"/{ONE}", {"id": ONE, "of": TWO}))
    assert sorts(here, there) != []
    assert sorts(here, there, rename=True) == []
    crossed = run(exchange(f"/{TWO}", {"id": TWO}), exchange(f"/{ONE}", {"id": ONE, "of": ONE}))
    assert sorts(here, crossed, rename=True) == ["ids"]
