"""What the first pages of the official guides end with, with nothing but the URL changed."""

import pytest

from sandbox.devnets.solana.process import Running
from tests.conformance.clients import Failed, run

ENDS = {
    "send_sol": [989_995_000, 10_000_000],
    "create_token": ["100000000000", "50"],
    "quick_start": ["1000000000", 3],
}


@pytest.mark.asyncio(loop_scope="module")
async def test_a_newcomer_who_types_from_the_guides_gets_what_they_say(
    devnet: Running, slot_ms: int
) -> None:
    told = await run("tutorials.mjs", devnet, slot_ms)
    assert not isinstance(told, Failed), told.said
    assert told == ENDS
