"""Every method and subscription that kit and web3.js name, each answer read by the client itself.

solana-py's own tests do the same for its methods: `make solana-py`.
"""

import pytest

from sandbox.devnets.solana.process import Running
from tests.conformance.clients import Failed, run

REFUSED = {"getHighestSnapshotSlot": "No snapshot"}


@pytest.mark.parametrize(
    ("script", "least"), [("kit_methods.mjs", 59), ("web3_methods.mjs", 69)], ids=["kit", "web3.js"]
)
@pytest.mark.asyncio(loop_scope="module")
async def test_every_method_of_a_client_is_answered_in_a_shape_that_it_reads(
    devnet: Running, slot_ms: int, script: str, least: int
) -> None:
    told = await run(script, devnet, slot_ms)
    assert not isinstance(told, Failed), told.said
    refused = {name: said for name, said in told.items() if said != "ok"}
    assert refused == {name: REFUSED[name] for name in REFUSED if name in told}
    assert len(told) >= least
