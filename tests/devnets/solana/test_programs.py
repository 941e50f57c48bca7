"""Programs of one's own: deployed as every tool does it, called, upgraded, rolled back, kept.

Layouts: loader v3 (`UpgradeableLoaderInstruction`). The ELF is the memo program's own.
"""

import struct
from pathlib import Path

import pytest
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, create_account

from tests.devnets.solana.chain import SOL, Chain, Refused, move
from tests.devnets.solana.inside import InsideChain

LOADER = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")
MEMO = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")
SYSTEM = Pubkey.default()
RENT = Pubkey.from_string("SysvarRent111111111111111111111111111111111")
CLOCK = Pubkey.from_string("SysvarC1ock11111111111111111111111111111111")
BUFFER_HEAD, PROGRAM_SIZE, PIECE = 37, 36, 900


def elf() -> bytes:
    found = LiteSVM().get_account(MEMO)
    assert found is not None
    return bytes(found.data)


def other_elf() -> bytes:
    """The same program, but that it begins its log with another word."""
    code = elf()
    found = code.replace(b"Memo", b"Nemo", 1)
    assert found != code
    return found


def uses(*accounts: tuple[Pubkey, str]) -> list[AccountMeta]:
    return [AccountMeta(key, "s" in how, "w" in how) for key, how in accounts]


async def filled_buffer(chain: Chain, owner: Keypair, code: bytes) -> Keypair:
    """A buffer account that holds `code`, written piece by piece."""
    buffer, size = Keypair(), BUFFER_HEAD + len(code)
    rent = await chain.call("getMinimumBalanceForRentExemption", size)
    me = owner.pubkey()
    await chain.do(
        create_account(
            CreateAccountParams(
                from_pubkey=me, to_pubkey=buffer.pubkey(), lamports=rent, space=size, owner=LOADER
            )
        ),
        Instruction(LOADER, struct.pack("<I", 0), uses((buffer.pubkey(), "w"), (me, ""))),
        signers=[owner, buffer],
    )
    for at in range(0, len(code), PIECE):
        piece = code[at : at + PIECE]
        data = struct.pack("<IIQ", 1, at, len(piece)) + piece
        write = Instruction(LOADER, data, uses((buffer.pubkey(), "w"), (me, "s")))
        await chain.do(write, signers=[owner])
    return buffer


def data_of(program: Pubkey) -> Pubkey:
    return Pubkey.find_program_address([bytes(program)], LOADER)[0]


async def deploy(chain: Chain, owner: Keypair) -> Pubkey:
    code = elf()
    buffer, program = await filled_buffer(chain, owner, code), Keypair()
    rent = await chain.call("getMinimumBalanceForRentExemption", PROGRAM_SIZE)
    me, made = owner.pubkey(), program.pubkey()
    opened = create_account(
        CreateAccountParams(
            from_pubkey=me, to_pubkey=made, lamports=rent, space=PROGRAM_SIZE, owner=LOADER
        )
    )
    accounts = uses(
        *((me, "ws"), (data_of(made), "w"), (made, "w"), (buffer.pubkey(), "w")),
        *((RENT, ""), (CLOCK, ""), (SYSTEM, ""), (me, "s")),
    )
    done = Instruction(LOADER, struct.pack("<IQ", 2, 2 * len(code)), accounts)
    await chain.do(opened, done, signers=[owner, program])
    return made


async def upgrade(chain: Chain, owner: Keypair, program: Pubkey, code: bytes) -> None:
    buffer, me = await filled_buffer(chain, owner, code), owner.pubkey()
    accounts = uses(
        *((data_of(program), "w"), (program, "w"), (buffer.pubkey(), "w"), (me, "w")),
        *((RENT, ""), (CLOCK, ""), (me, "s")),
    )
    await chain.do(Instruction(LOADER, struct.pack("<I", 3), accounts), signers=[owner])


async def say(chain: Chain, program: Pubkey, payer: Keypair, text: str) -> list[str]:
    """Call the program; gives its log."""
    signature = await chain.do(Instruction(program, text.encode(), []), signers=[payer])
    await chain.advance(1)
    found = await chain.call("getTransaction", signature, {"commitment": "confirmed"})
    assert found["meta"]["err"] is None
    logs: list[str] = found["meta"]["logMessages"]
    return logs


async def test_a_program_that_is_not_there_cannot_be_called(chain: Chain) -> None:
    payer = await chain.wallet()
    with pytest.raises(Refused, match="Attempt to load a program that does not exist"):
        await say(chain, Keypair().pubkey(), payer, "nobody hears")


async def test_a_deployed_program_is_called_and_survives_restarts(chain: Chain) -> None:
    owner = await chain.wallet(100 * SOL)
    program = await deploy(chain, owner)
    assert any("hello" in line for line in await say(chain, program, owner, "hello"))
    shown = await chain.value(
        "getAccountInfo", str(program), {"encoding": "base64", "commitment": "confirmed"}
    )
    assert (shown["executable"], shown["owner"]) == (True, str(LOADER))
    await chain.kill()
    await chain.start()
    assert any("again" in line for line in await say(chain, program, owner, "again"))
    await chain.advance(1_100)  # past a checkpoint
    await chain.stop()
    await chain.start()
    assert any("still" in line for line in await say(chain, program, owner, "still"))


async def test_an_upgrade_replaces_the_code_and_only_by_its_authority(chain: Chain) -> None:
    owner, stranger = await chain.wallet(100 * SOL), await chain.wallet(100 * SOL)
    program = await deploy(chain, owner)
    await chain.advance(1)
    for who in (stranger, owner):
        if who is stranger:
            with pytest.raises(Refused, match="Incorrect authority provided"):
                await upgrade(chain, who, program, other_elf())
        else:
            await upgrade(chain, who, program, other_elf())
    await chain.advance(1)
    assert any("Nemo" in line for line in await say(chain, program, owner, "new"))


async def test_an_upgrade_outlives_a_kill_and_a_reorg_takes_it_back(chain: Chain) -> None:
    owner = await chain.wallet(100 * SOL)
    program = await deploy(chain, owner)
    await chain.advance(2)
    await upgrade(chain, owner, program, other_elf())
    await chain.advance(2)
    await chain.kill()
    await chain.start()
    assert any("Nemo" in line for line in await say(chain, program, owner, "upgraded"))
    await chain.call("sandbox_reorg", {"slots": 3, "mode": "drop"})
    assert any("Memo" in line for line in await say(chain, program, owner, "taken back"))


async def test_a_closed_program_stays_closed_after_a_kill_and_a_reorg_opens_it(
    chain: Chain,
) -> None:
    owner = await chain.wallet(100 * SOL)
    program = await deploy(chain, owner)
    await chain.advance(2)
    me = owner.pubkey()
    accounts = uses((data_of(program), "w"), (me, "w"), (me, "s"), (program, "w"))
    await chain.do(Instruction(LOADER, struct.pack("<I", 5), accounts), signers=[owner])
    await chain.advance(2)
    for _ in range(2):
        with pytest.raises(Refused, match="Unsupported program id"):
            await say(chain, program, owner, "closed")
        await chain.kill()
        await chain.start()
    await chain.call("sandbox_reorg", {"slots": 2, "mode": "drop"})
    assert any("open" in line for line in await say(chain, program, owner, "open"))


async def test_what_the_machine_cannot_write_leaves_nothing_behind(tmp_path: Path) -> None:
    """LiteSVM panics, in some orders of its accounts, where a closed program's is funded again."""
    chain = InsideChain(tmp_path / "inside")
    owner = await chain.wallet(100 * SOL)
    me = owner.pubkey()
    for _ in range(4):
        program = await deploy(chain, owner)
        await chain.advance(2)
        before = await chain.balance(me)
        accounts = uses((data_of(program), "w"), (me, "w"), (me, "s"), (program, "w"))
        closed = Instruction(LOADER, struct.pack("<I", 5), accounts)
        raw = await chain.sign(closed, move(owner, data_of(program), SOL), signers=[owner])
        signature = await chain.send(raw, skipPreflight=True)
        await chain.advance(2)
        if await chain.status(signature) is None:
            assert await chain.balance(me) == before
            assert any("still" in line for line in await say(chain, program, owner, "still"))
        else:
            with pytest.raises(Refused, match="Unsupported program id"):
                await say(chain, program, owner, "closed")
    left = await chain.balance(me)
    await chain.close()
    again = InsideChain(tmp_path / "inside")
    assert await again.balance(me) == left
    await again.close()


async def test_a_reorg_takes_a_deployment_back_and_it_can_come_again(chain: Chain) -> None:
    owner = await chain.wallet(100 * SOL)
    await chain.advance(1)
    program = await deploy(chain, owner)
    await chain.advance(1)
    await say(chain, program, owner, "before")
    await chain.call("sandbox_reorg", {"slots": 2, "mode": "drop"})
    with pytest.raises(Refused, match="does not exist"):
        await say(chain, program, owner, "gone")
    again = await deploy(chain, owner)
    assert any("after" in line for line in await say(chain, again, owner, "after"))
