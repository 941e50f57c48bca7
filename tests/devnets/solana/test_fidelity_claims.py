"""What the fidelity statement says and nothing else shows."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.system_program import CreateAccountParams, create_account

from tests.devnets.solana.chain import SOL
from tests.devnets.solana.inside import InsideChain
from tests.devnets.solana.test_programs import deploy, say
from tests.devnets.solana.tokens import TOKEN_2022


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


async def test_extensions_that_no_parser_knows_are_named_so(chain: InsideChain) -> None:
    owner, mint = await chain.wallet(SOL), Keypair()
    me, made = owner.pubkey(), mint.pubkey()
    writes = [AccountMeta(made, False, True)]
    await chain.do(
        create_account(
            CreateAccountParams(
                from_pubkey=me, to_pubkey=made, lamports=SOL // 100, space=202, owner=TOKEN_2022
            )
        ),
        Instruction(TOKEN_2022, b"\x19\x01" + bytes(me), writes),  # who may close the mint
        Instruction(TOKEN_2022, b"\x14\x02" + bytes(me) + b"\0", writes),
        signers=[owner, mint],
    )
    options = {"encoding": "jsonParsed", "commitment": "processed"}
    shown = await chain.value("getAccountInfo", str(made), options)
    assert shown["data"]["parsed"]["info"]["extensions"] == [{"extension": "unparseableExtension"}]
