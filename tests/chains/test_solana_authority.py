"""Who may do what with a mint: keys of their own, changed while others use them, never lost."""

import asyncio
import json
import threading
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, create_account
from solders.transaction import Transaction
from sqlalchemy import text

from contracts import token
from contracts.solana_mint import TOKEN_2022
from sandbox.chains import service
from sandbox.chains.errors import KeyFileDamaged, KeyNotHeld, RoleGivenUp
from sandbox.chains.port import Command, Signed
from sandbox.chains.solana import tx
from sandbox.chains.solana.chain import SolanaChain
from sandbox.chains.solana.commands import MAX_SEIZED, Held
from sandbox.chains.solana.deploy import WrongKeys, deploy
from sandbox.chains.solana.keys import AUTHORITIES, FILE, SolanaKeys, load, load_or_create
from sandbox.chains.solana.rpc import Rpc
from sandbox.core.db import Database
from tests.chains.conftest import Follower
from tests.chains.suite.worlds import SolanaWorld, carry_out, funded

SPEC = token.load()
# A token account of a pausable mint without the associated account's immutable owner.
ACCOUNT_SIZE = 165 + 1 + 4


async def final(world: SolanaWorld, *commands: Command) -> None:
    for command in commands:
        done = await carry_out(world, command)
        assert done not in (await world.final(done)).tx_errors


async def holders(chain: SolanaChain) -> dict[str, str]:
    return dict((await chain.token_truth()).authorities)


async def made(database: Database, rpc: str, folder: Path) -> tuple[SolanaWorld, SolanaChain]:
    deployment, keys = await deploy(database, rpc, folder, SPEC)
    chain = SolanaChain(rpc, deployment, keys)
    mint = Pubkey.from_string(deployment.config["mint"])
    return SolanaWorld(rpc, chain, tx.Token(mint, chain.decimals)), chain


async def closed(world: SolanaWorld, chain: SolanaChain) -> None:
    await world.aclose()
    await chain.aclose()


async def test_every_role_has_a_key_of_its_own(solana_world: SolanaWorld, tmp_path: Path) -> None:
    await final(solana_world, Command("mint", "iss_1", await solana_world.holder(), 1))
    told = (await solana_world.chain.token_truth()).authorities
    keys = load(tmp_path / "keys", SPEC)
    assert told["metadata_pointer"] == told["metadata_authority"]
    assert len({told[role] for role in AUTHORITIES}) == len(AUTHORITIES)
    assert {role: keys.names()[told[role]] for role in AUTHORITIES} == {
        "mint_authority": "issuer",
        "metadata_authority": "admin",
        "freeze_authority": "compliance",
        "permanent_delegate": "bailiff",
        "pause_authority": "guardian",
    }


# Seizing.


async def test_units_are_seized_from_wherever_their_holder_has_them(
    solana_world: SolanaWorld, solana_rpc: str
) -> None:
    world = solana_world
    holder, bailiff = await funded(world, 100), await world.holder()
    owner, hidden, rpc = Pubkey.from_string(holder), Keypair(), Rpc(solana_rpc)
    rent = await rpc.call("getMinimumBalanceForRentExemption", ACCOUNT_SIZE)
    await rpc.aclose()
    params = CreateAccountParams(
        from_pubkey=owner,
        to_pubkey=hidden.pubkey(),
        lamports=rent,
        space=ACCOUNT_SIZE,
        owner=TOKEN_2022,
    )
    to, mint = (
        AccountMeta(hidden.pubkey(), False, True),
        AccountMeta(world.token.mint, False, False),
    )
    moved = tx.transfer_units(world.token, owner, owner, 70)
    source, _, _, signer = moved.accounts
    acts = [
        create_account(params),
        Instruction(TOKEN_2022, bytes([18]) + bytes(owner), [to, mint]),
        Instruction(TOKEN_2022, moved.data, [source, mint, to, signer]),
    ]
    sent = await world.send(holder, acts, hidden)
    assert sent not in (await world.confirmed(sent)).tx_errors
    await final(world, Command("freeze", "case_1", holder))
    seizure = Command("seize", "case_1:seize", bailiff, 90, holder=holder)
    block = await world.final(await carry_out(world, seizure))
    parts = [(one.source, one.destination, one.amount_units) for one in block.transfers]
    assert sorted(parts) == [(holder, bailiff, 30), (holder, bailiff, 60)]
    assert (await world.chain.balance(holder)).units == 10
    assert await world.chain.is_frozen(holder)


async def test_as_many_accounts_as_one_seizure_takes_fit_into_a_transaction(
    database: Database, solana_rpc: str, tmp_path: Path
) -> None:
    world, chain = await made(database, solana_rpc, tmp_path)
    holder, bailiff = await world.holder(), await world.holder()

    async def held(_: Pubkey) -> list[Held]:
        return [Held(Keypair().pubkey(), 10 + n, True) for n in range(2 * MAX_SEIZED)]

    command = Command("seize", "ord_" + "0" * 26, bailiff, 60, holder=holder)
    with patch.object(chain._commands, "_held", held):
        signed = await chain.prepare(command)
    assert len(signed.raw) <= 1_232
    transaction = Transaction.from_bytes(signed.raw)
    taken = [one for one in transaction.message.instructions if bytes(one.data)[0] == 12]
    # The fullest are enough: 21, 20 and 19.
    assert len(taken) == 3
    many = Command("seize", "ord_" + "0" * 26, bailiff, 1_000, holder=holder)
    with patch.object(chain._commands, "_held", held):
        signed = await chain.prepare(many)
    assert len(signed.raw) <= 1_232
    transaction = Transaction.from_bytes(signed.raw)
    taken = [one for one in transaction.message.instructions if bytes(one.data)[0] == 12]
    assert len(taken) == MAX_SEIZED
    assert sum(int.from_bytes(bytes(one.data)[1:9], "little") for one in taken) == 1_000
    await closed(world, chain)


async def test_nothing_is_seized_while_the_token_is_paused(solana_world: SolanaWorld) -> None:
    world = solana_world
    holder, bailiff = await funded(world, 100), await world.holder()
    await final(world, Command("freeze", "case_1", holder), Command("pause", "case_2"))
    seizure = await carry_out(world, Command("seize", "case_1:s", bailiff, 90, holder=holder))
    assert (await world.confirmed(seizure)).tx_errors[seizure] == "paused"
    assert await world.chain.is_frozen(holder)


async def test_who_never_held_units_has_none_to_seize(solana_world: SolanaWorld) -> None:
    holder, bailiff = await solana_world.holder(), await solana_world.holder()
    seizure = Command("seize", "case_1", bailiff, 1, holder=holder)
    sent = await carry_out(solana_world, seizure)
    assert (await solana_world.confirmed(sent)).tx_errors[sent] == "insufficient funds"


# Changing keys.


async def test_the_text_of_the_token_and_where_it_stands_change_hands_together(
    solana_world: SolanaWorld,
) -> None:
    await final(solana_world, Command("rotate", "rot_1", role="metadata_authority"))
    first = (await solana_world.chain.token_truth()).authorities
    assert first["metadata_pointer"] == first["metadata_authority"]
    await final(solana_world, Command("rotate", "rot_2", role="metadata_authority"))
    second = (await solana_world.chain.token_truth()).authorities
    assert second["metadata_pointer"] == second["metadata_authority"] != first["metadata_pointer"]


async def test_a_process_that_runs_meanwhile_signs_with_the_new_key(
    database: Database, solana_rpc: str, tmp_path: Path
) -> None:
    world, chain = await made(database, solana_rpc, tmp_path)
    deployment, keys = await deploy(database, solana_rpc, tmp_path, SPEC)
    other = SolanaChain(solana_rpc, deployment, keys)
    holder = await world.holder()
    await final(world, Command("mint", "iss_1", holder, 5))
    signed = await other.prepare(Command("rotate", "rot_1", role="mint_authority"))
    await other.broadcast(signed)
    await world.final(signed.tx_id)
    await final(world, Command("mint", "iss_2", holder, 5))
    assert (await chain.balance(holder)).units == 10
    await other.aclose()
    await closed(world, chain)


async def test_a_key_file_of_before_the_rotation_is_refused_by_name(
    database: Database, solana_rpc: str, tmp_path: Path
) -> None:
    world, chain = await made(database, solana_rpc, tmp_path)
    before = (tmp_path / FILE).read_bytes()
    await final(world, Command("rotate", "rot_1", role="freeze_authority"))
    after = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(before)
    with pytest.raises(WrongKeys, match="freeze_authority"):
        await deploy(database, solana_rpc, tmp_path, SPEC)
    assert (tmp_path / FILE).read_bytes() == before
    async with database.transaction() as db:
        deployment = await service.deployment(db, "solana")
    old = SolanaChain(solana_rpc, deployment, load(tmp_path, SPEC))
    holder = await world.holder()
    with pytest.raises(KeyNotHeld, match="freeze_authority is "):
        await old.prepare(Command("freeze", "case_1", holder))
    # Only that role is out of reach, and only until the key is back.
    await old.prepare(Command("mint", "iss_1", holder, 5))
    (tmp_path / FILE).write_bytes(after)
    await old.prepare(Command("freeze", "case_1", holder))
    await old.aclose()
    await closed(world, chain)


@pytest.mark.parametrize("left", [b"{", b"[]", b'{"mint": [1]}'])
async def test_a_damaged_key_file_stops_no_key_that_was_read_before(
    database: Database, solana_rpc: str, tmp_path: Path, left: bytes
) -> None:
    world, chain = await made(database, solana_rpc, tmp_path)
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(left)
    with pytest.raises(KeyFileDamaged, match="pause_authority cannot sign"):
        await chain.prepare(Command("rotate", "rot_1", role="pause_authority"))
    assert (tmp_path / FILE).read_bytes() == left
    await final(world, Command("mint", "iss_1", await world.holder(), 5))
    (tmp_path / FILE).write_bytes(whole)
    await final(world, Command("rotate", "rot_2", role="pause_authority"))
    await closed(world, chain)


async def test_an_older_key_file_put_back_while_we_run_loses_no_key(
    database: Database, solana_rpc: str, tmp_path: Path
) -> None:
    world, chain = await made(database, solana_rpc, tmp_path)
    before = (tmp_path / FILE).read_bytes()
    await final(world, Command("rotate", "rot_1", role="pause_authority"))
    (tmp_path / FILE).write_bytes(before)
    await final(world, Command("rotate", "rot_2", role="freeze_authority"))
    await final(world, Command("freeze", "case_1", await world.holder()))
    await final(world, Command("rotate", "rot_3", role="pause_authority"))
    held = load(tmp_path, SPEC).names()
    assert set((await holders(chain)).values()) <= set(held)
    await deploy(database, solana_rpc, tmp_path, SPEC)
    await closed(world, chain)


async def test_a_role_that_was_given_up_is_nobodys(
    database: Database, solana_rpc: str, tmp_path: Path
) -> None:
    world, chain = await made(database, solana_rpc, tmp_path)
    holder, pauser = await world.holder(), load(tmp_path, SPEC).first("pause_authority")
    act = tx.set_authority(world.token, 16, pauser.pubkey(), pauser.pubkey())
    gone = Instruction(act.program_id, bytes([6, 16, 0]), act.accounts)
    await world.final(await world.send(holder, [gone], pauser))
    assert (await holders(chain))["pause_authority"] == ""
    for command in (Command("pause", "case_1"), Command("rotate", "r_1", role="pause_authority")):
        with pytest.raises(RoleGivenUp, match="pause_authority"):
            await chain.prepare(command)
    # That is no reason not to start.
    await deploy(database, solana_rpc, tmp_path, SPEC)
    await closed(world, chain)


async def test_a_world_whose_roles_shared_keys_goes_on_and_can_part_them(
    database: Database, solana_rpc: str, tmp_path: Path
) -> None:
    shared = replace(SPEC.roles, metadata_authority="issuer", permanent_delegate="compliance")
    await deploy(database, solana_rpc, tmp_path, replace(SPEC, roles=shared))
    assert "bailiff" not in json.loads((tmp_path / FILE).read_text())
    world, chain = await made(database, solana_rpc, tmp_path)
    holder, bailiff = await funded(world, 100), await world.holder()
    old = await holders(chain)
    assert old["permanent_delegate"] == old["freeze_authority"]
    take = Command("seize", "case_1:a", bailiff, 10, holder=holder)
    await final(world, Command("freeze", "case_1", holder), take)
    for role in ("permanent_delegate", "metadata_authority"):
        await final(world, Command("rotate", f"rot_{role}", role=role))
    parted = await holders(chain)
    assert len({parted[role] for role in AUTHORITIES}) == len(AUTHORITIES)
    assert parted["freeze_authority"] == old["freeze_authority"]
    await final(world, replace(take, reference="case_1:b"), Command("thaw", "case_1:c", holder))
    assert (await chain.balance(bailiff)).units == 20
    await closed(world, chain)


# The file.


def test_a_rotation_has_one_key_however_often_it_is_prepared(tmp_path: Path) -> None:
    keys = load_or_create(tmp_path, SPEC)
    first = keys.next("mint_authority", "rot_1")
    assert keys.next("mint_authority", "rot_1") == first
    # After a kill: the key is there, and nothing else came with it.
    assert load(tmp_path, SPEC).next("mint_authority", "rot_1") == first
    assert len(load(tmp_path, SPEC).names()) == len(load_or_create(tmp_path, SPEC).names()) == 9
    assert load(tmp_path, SPEC).of(str(first.pubkey())) == first


def test_keys_that_several_make_at_once_are_all_kept(tmp_path: Path) -> None:
    load_or_create(tmp_path, SPEC)
    rings = [load(tmp_path, SPEC) for _ in range(8)]
    new: list[Keypair] = []

    def turn(ring: SolanaKeys, n: int) -> None:
        new.extend(ring.next("freeze_authority", f"rot_{n}_{m}") for m in range(5))

    threads = [threading.Thread(target=turn, args=(ring, n)) for n, ring in enumerate(rings)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(new) == 40
    for ring in rings:
        assert all(ring.of(str(key.pubkey())) == key for key in new)


def test_keys_are_not_shown(tmp_path: Path) -> None:
    keys = load_or_create(tmp_path, SPEC)
    secret = str(list(bytes(keys.treasury))[:8])[1:-1]
    assert secret not in repr(keys)
    assert not (tmp_path / "solana.new").exists()


# Killed.


@pytest.mark.parametrize("point", ["key stored", "signed", "sent"])
async def test_a_worker_killed_in_a_rotation_leaves_a_world_that_works(
    database: Database, solana_rpc: str, tmp_path: Path, point: str
) -> None:
    world, chain = await made(database, solana_rpc, tmp_path)
    follower = Follower(database, chain)
    async with database.transaction() as db:
        for command in (
            Command("rotate", "ord_1", role="mint_authority"),
            Command("mint", "iss_1", await world.holder(), 500),
        ):
            intent = service.Intent(command.reference, "issuance", chain.name, command)
            await service.request(db, [intent])

    async def killed(*_: object) -> None:
        raise asyncio.CancelledError

    def killed_signing(*_: object) -> None:
        raise asyncio.CancelledError

    broadcast = chain.broadcast

    async def killed_after(signed: Signed) -> None:
        await broadcast(signed)
        raise asyncio.CancelledError

    at: dict[str, tuple[object, str, object]] = {
        "key stored": (tx, "sign", killed_signing),
        "signed": (chain, "broadcast", killed),
        "sent": (chain, "broadcast", killed_after),
    }
    where, name, instead = at[point]
    with patch.object(where, name, instead), pytest.raises(asyncio.CancelledError):
        await follower.runner.step()
    assert len(load(tmp_path, SPEC).names()) == 9
    await chain.aclose()
    async with database.transaction() as db:
        await db.execute(text("UPDATE chain_intent SET lease_until = NULL"))
        deployment = await service.deployment(db, chain.name)
    # Another process: all it knows is on disk and on the chain.
    again = SolanaChain(solana_rpc, deployment, load(tmp_path, SPEC))
    after = Follower(database, again, follower.listener, "worker-2")
    async with after.at_work(), asyncio.timeout(30):
        while len(follower.listener.of("done")) < 2:
            assert follower.listener.of("not_done") == []
            await asyncio.sleep(0.02)
    assert (await again.supply()).units == 500
    assert len(load(tmp_path, SPEC).names()) == 9
    held = (await holders(again))["mint_authority"]
    assert load(tmp_path, SPEC).names()[held] == "issuer.ord_1"
    await after.leader.release()
    await closed(world, again)
