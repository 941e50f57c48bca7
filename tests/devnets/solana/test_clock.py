"""Chain time: moved, frozen, never falling, and kept over a restart."""

import base64
import struct
import time
from typing import Any

import pytest

from tests.devnets.solana.chain import Chain, Refused

CLOCK_SYSVAR = "SysvarC1ock11111111111111111111111111111111"
CONFIRMED = {"commitment": "confirmed"}
DAY_MS = 86_400_000


async def sysvar(chain: Chain) -> tuple[int, int]:
    """Slot and Unix time as programs see them."""
    options = {"commitment": "processed", "encoding": "base64"}
    value = await chain.value("getAccountInfo", CLOCK_SYSVAR, options)
    slot, _, _, _, unix_time = struct.unpack("<QqQQq", base64.b64decode(value["data"][0]))
    return slot, unix_time


async def block_time(chain: Chain) -> int:
    slot = await chain.advance(1) - 1
    return int((await chain.call("getBlock", slot, CONFIRMED))["blockTime"])


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"offsetMs": "1"},
        {"offsetMs": 1.5},
        {"offsetMs": True},
        {"offsetMs": 10**18},
        {"offsetMs": 0, "frozenAtMs": -1},
        {"offsetMs": 0, "frozenAtMs": "now"},
    ],
)
async def test_a_clock_that_is_no_number_is_refused(chain: Chain, asked: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        await chain.call("sandbox_setClock", asked)
    assert refused.value.code == -32602


async def test_time_moves_forward_without_burning_slots(chain: Chain) -> None:
    slot = await chain.advance(1)
    answer = await chain.call("sandbox_setClock", {"offsetMs": 3 * DAY_MS})
    assert abs(answer["unixTimeMs"] - (time.time() * 1000 + 3 * DAY_MS)) < 5_000
    assert answer["unixTime"] == answer["unixTimeMs"] // 1000
    assert await chain.call("getSlot", {"commitment": "processed"}) == slot
    seen_slot, seen_time = await sysvar(chain)
    assert seen_slot == slot
    assert abs(seen_time - answer["unixTime"]) <= 2
    assert abs(await block_time(chain) - answer["unixTime"]) <= 2


async def test_time_stands_still_when_frozen(chain: Chain) -> None:
    at = (int(time.time()) + 1_000) * 1_000
    await chain.call("sandbox_setClock", {"offsetMs": 5, "frozenAtMs": at})
    assert [await block_time(chain) for _ in range(3)] == [at // 1000] * 3
    assert (await sysvar(chain))[1] == at // 1000
    clock = await chain.call("sandbox_getClock")
    assert (clock["offsetMs"], clock["frozenAtMs"], clock["unixTimeMs"]) == (5, at, at)


async def test_block_time_never_falls(chain: Chain) -> None:
    await chain.call("sandbox_setClock", {"offsetMs": DAY_MS})
    late = await block_time(chain)
    answer = await chain.call("sandbox_setClock", {"offsetMs": 0})
    assert answer["unixTime"] < late - 80_000
    assert await block_time(chain) == late
    assert (await sysvar(chain))[1] == late


async def test_the_clock_is_kept_over_a_kill_and_a_checkpoint(chain: Chain) -> None:
    at = (int(time.time()) + 1_000) * 1_000
    await chain.call("sandbox_setClock", {"offsetMs": 77, "frozenAtMs": at})
    await chain.kill()
    await chain.start()
    clock = await chain.call("sandbox_getClock")
    assert (clock["offsetMs"], clock["frozenAtMs"]) == (77, at)
    await chain.advance(1_100)
    await chain.kill()
    await chain.start()
    clock = await chain.call("sandbox_getClock")
    assert (clock["offsetMs"], clock["frozenAtMs"]) == (77, at)


@pytest.mark.parametrize("kill", [False, True])
async def test_time_falls_neither_for_blocks_nor_for_programs_over_a_restart(
    chain: Chain, kill: bool
) -> None:
    """What was moved ahead and back again stands still until the clock has caught up."""
    await chain.call("sandbox_setClock", {"offsetMs": DAY_MS})
    late = await block_time(chain)
    await chain.call("sandbox_setClock", {"offsetMs": -DAY_MS})
    await (chain.kill() if kill else chain.stop())
    await chain.start()
    assert (await sysvar(chain))[1] == late
    assert await block_time(chain) == late
    await chain.call("sandbox_reorg", {"slots": 1})
    assert (await sysvar(chain))[1] == late
    answer = await chain.call("sandbox_setClock", {"offsetMs": 2 * DAY_MS})
    assert abs((await sysvar(chain))[1] - answer["unixTime"]) <= 2
    assert await block_time(chain) >= answer["unixTime"]
