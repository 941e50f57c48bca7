"""Questions and answers over one line, both ways, and what happens when one side goes."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sandbox.core.errors import NotFound
from sandbox.core.line import Line, LineClosed, Refused, Values


async def echo(what: str, values: Values) -> Values:
    if what == "refuse":
        raise NotFound("snapshot", values["name"])
    if what == "break":
        raise ZeroDivisionError("a bug")
    if what == "never":
        await asyncio.Event().wait()
    return {"what": what, **values}


@asynccontextmanager
async def lines() -> AsyncIterator[tuple[Line, Line, asyncio.Task[None]]]:
    ends = socket.socketpair()
    ours, theirs = [await Line.over(end, echo) for end in ends]
    running = [asyncio.create_task(line.run()) for line in (ours, theirs)]
    try:
        yield ours, theirs, running[1]
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def test_a_refusal_keeps_its_code_status_and_values() -> None:
    async with lines() as (ours, _, _):
        with pytest.raises(Refused) as refused:
            await ours.ask("refuse", name="x")
    assert (refused.value.status, refused.value.code) == (404, "not_found")
    assert refused.value.values == {"kind": "snapshot", "id": "x"}


async def test_a_bug_on_the_other_side_is_an_answer_too() -> None:
    async with lines() as (ours, _, _):
        with pytest.raises(Refused, match="ZeroDivisionError"):
            await ours.ask("break")
        assert await ours.ask("still", there=1) == {"what": "still", "there": 1}


async def test_whoever_waits_is_told_when_the_other_side_is_gone() -> None:
    async with lines() as (ours, _, other):
        waiting = asyncio.create_task(ours.ask("never"))
        await asyncio.sleep(0)
        other.cancel()
        with pytest.raises(LineClosed):
            await waiting
        with pytest.raises(LineClosed):
            await ours.ask("anything")


async def test_both_sides_ask_at_once_and_a_slow_answer_holds_up_none() -> None:
    async with lines() as (ours, theirs, _):
        slow = asyncio.create_task(ours.ask("never"))
        asked = [line.ask("n", n=n) for n in range(50) for line in (ours, theirs)]
        assert [answer["n"] for answer in await asyncio.gather(*asked)] == [
            n for n in range(50) for _ in range(2)
        ]
        assert not slow.done()
        slow.cancel()


async def test_a_long_answer_comes_whole() -> None:
    async with lines() as (ours, _, _):
        assert len((await ours.ask("long", text="x" * 1_000_000))["text"]) == 1_000_000
