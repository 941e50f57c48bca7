"""Block time is the sandbox clock's: forward, frozen, back, and over restarts."""

import asyncio
import time
from typing import Any

import pytest

from tests.devnets.evm.chain import Chain, Refused, until

DAY_MS = 86_400_000


async def stamp(chain: Chain) -> int:
    return int((await chain.head())["timestamp"], 16)


async def test_a_clock_that_is_no_clock_is_refused(chain: Chain) -> None:
    wrong: list[dict[str, Any]] = [
        {},
        {"offsetMs": "1"},
        {"offsetMs": True},
        {"offsetMs": 1.5},
        {"offsetMs": 0, "frozenAtMs": -1},
        {"offsetMs": 10**14},
    ]
    for asked in wrong:
        with pytest.raises(Refused) as refused:
            await chain.call("sandbox_setClock", asked)
        assert refused.value.code == -32602


async def test_the_methods_of_anvils_own_clock_are_refused(chain: Chain) -> None:
    for method in ("evm_increaseTime", "evm_setNextBlockTimestamp", "evm_setTime"):
        with pytest.raises(Refused, match="use sandbox_setClock"):
            await chain.call(method, 10)
    with pytest.raises(Refused, match="use sandbox_setClock"):
        await chain.call("anvil_mine", "0x1", "0xc")


async def test_moving_the_clock_forward_shows_in_a_final_block_soon(chain: Chain) -> None:
    before = int(time.time())
    found = await chain.call("sandbox_setClock", {"offsetMs": 3 * DAY_MS, "frozenAtMs": None})
    assert found["offsetMs"] == 3 * DAY_MS
    assert before <= found["unixTime"] - 3 * 86_400 <= time.time()

    async def is_final() -> bool:
        return int((await chain.head("finalized"))["timestamp"], 16) > time.time() + 250_000

    await until(is_final, "a final block three days ahead")
    # Contracts see it too, also in a call.
    seen = await chain.call("eth_call", {"data": "0x4260005260206000f3"}, "latest")
    assert abs(int(seen, 16) - await stamp(chain)) <= 2


async def test_a_frozen_clock_gives_equal_stamps_and_an_old_one_waits_for_the_wall(
    chain: Chain,
) -> None:
    at_ms = (int(time.time()) + 100) * 1000
    await chain.call("sandbox_setClock", {"offsetMs": 0, "frozenAtMs": at_ms})
    await chain.call("sandbox_mine", {"blocks": 5})
    assert await stamp(chain) == at_ms // 1000
    await asyncio.sleep(1.1)
    await chain.call("sandbox_mine", {"blocks": 1})
    assert await stamp(chain) == at_ms // 1000
    await chain.call("sandbox_setClock", {"offsetMs": 0, "frozenAtMs": None})
    await chain.call("sandbox_mine", {"blocks": 3})
    assert await stamp(chain) == at_ms // 1000  # the parent's, while the clock is behind
    await chain.call("sandbox_setClock", {"offsetMs": 200_000, "frozenAtMs": None})
    await chain.call("sandbox_mine", {"blocks": 1})
    assert await stamp(chain) >= at_ms // 1000 + 99


@pytest.mark.parametrize("frozen", [False, True])
async def test_the_clock_survives_a_kill(stopped_chain: Chain, frozen: bool) -> None:
    chain = stopped_chain
    await chain.start()
    at_ms = int(time.time()) * 1000 + DAY_MS if frozen else None
    await chain.call("sandbox_setClock", {"offsetMs": DAY_MS, "frozenAtMs": at_ms})
    await chain.pay(0)
    before = await stamp(chain)
    await chain.kill()
    await chain.start()
    clock = await chain.call("sandbox_getClock")
    assert (clock["offsetMs"], clock["frozenAtMs"]) == (DAY_MS, at_ms)
    await chain.pay(1)
    after = await stamp(chain)
    assert after == before if frozen else before <= after < before + 20
