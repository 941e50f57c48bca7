"""What the fidelity statement says and nothing else shows."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from solders.instruction import Instruction
from solders.keypair import Keypair

from tests.devnets.solana.chain import SOL
from tests.devnets.solana.inside import InsideChain
from tests.devnets.solana.test_programs import LOADER, deploy, say


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[InsideChain]:
    made = InsideChain(tmp_path / "chain")
    yield made
    await made.close()


async def test_a_transaction_that_cannot_be_loaded_pays_nothing(chain: InsideChain) -> None:
    payer = await chain.wallet(SOL)
    nobody = Instruction(Keypair().pubkey(), b"", [])
    raw = await chain.sign(nobody, signers=[payer])
    signature = await chain.send(raw, skipPreflight=True)
    await chain.advance(2)
    assert await chain.status(signature) is None
    assert await chain.balance(payer.pubkey()) == SOL


async def test_a_program_can_be_called_in_the_slot_of_its_deployment(chain: InsideChain) -> None:
    owner = await chain.wallet(100 * SOL)
    slot = await chain.call("getSlot", {"commitment": "processed"})
    program = await deploy(chain, owner)
    assert await chain.call("getSlot", {"commitment": "processed"}) == slot
    assert any("already" in line for line in await say(chain, program, owner, "already"))


@pytest.mark.parametrize(
    ("size", "lamports"), [(0, 890_880), (82, 1_461_600), (165, 2_039_280), (174, 2_101_920)]
)
async def test_rent_is_that_of_a_cluster(chain: InsideChain, size: int, lamports: int) -> None:
    assert await chain.call("getMinimumBalanceForRentExemption", size) == lamports


async def test_what_a_loader_does_is_shown_undecoded(chain: InsideChain) -> None:
    owner = await chain.wallet(100 * SOL)
    program = await deploy(chain, owner)
    await chain.advance(1)
    parsed = {"commitment": "confirmed", "encoding": "jsonParsed"}
    (last,) = await chain.call("getSignaturesForAddress", str(program), {"commitment": "confirmed"})
    found = await chain.call("getTransaction", last["signature"], parsed)
    opened, done = found["transaction"]["message"]["instructions"]
    assert opened["parsed"]["type"] == "createAccount"
    assert done["programId"] == str(LOADER)
    assert set(done) == {"programId", "accounts", "data", "stackHeight"}
