"""Deployment on a real devnet: once, with keys nobody else reads, on one chain only."""

import secrets
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import text

from contracts import token
from sandbox.chains import service
from sandbox.chains.checks import await_final_cursor
from sandbox.chains.errors import NoKeys, NotDeployed, WrongChain
from sandbox.chains.port import ChainUnavailable, Command, Signed
from sandbox.chains.solana import tx
from sandbox.chains.solana.chain import SolanaChain
from sandbox.chains.solana.deploy import SponsorKeyDamaged, WrongKeys, deploy
from sandbox.chains.solana.keys import (
    FILE,
    SPONSOR_FILE,
    load,
    load_or_create,
    load_sponsor,
)
from sandbox.chains.solana.rpc import Rpc
from sandbox.core import chance
from sandbox.core.db import Database
from tests.chains import solana_node
from tests.chains.conftest import Follower


async def test_a_world_refuses_another_chain_by_name(
    database: Database, solana_rpc: str, tmp_path: Path
) -> None:
    await deploy(database, solana_rpc, tmp_path / "keys", token.load())
    with (
        solana_node.running(tmp_path / "other") as other,
        pytest.raises(WrongChain) as refused,
    ):
        await deploy(database, other, tmp_path / "keys", token.load())
    assert refused.value.values["chain"] == "solana"


async def test_no_node_is_an_outcome_of_its_own(database: Database, tmp_path: Path) -> None:
    with pytest.raises(ChainUnavailable):
        await deploy(database, "http://127.0.0.1:9", tmp_path / "keys", token.load())
    async with database.transaction() as db:
        with pytest.raises(NotDeployed):
            await service.deployment(db, "solana")


async def test_a_process_without_keys_reads_and_cannot_sign(
    database: Database, solana_rpc: str, tmp_path: Path
) -> None:
    deployment, keys = await deploy(database, solana_rpc, tmp_path / "keys", token.load())
    async with database.transaction() as db:
        public = await service.deployment(db, "solana")
    chain = SolanaChain(solana_rpc, public)
    assert (await chain.supply()).units == 0
    with pytest.raises(NoKeys):
        await chain.prepare(Command("burn", "stl_1", amount_units=5))
    secret = str(list(bytes(keys.treasury))[:8])[1:-1]
    assert secret not in str(deployment.config)
    assert secret not in repr(keys)
    await chain.aclose()


async def test_keys_are_for_the_owner_of_the_world_only(
    database: Database, solana_rpc: str, tmp_path: Path
) -> None:
    await deploy(database, solana_rpc, tmp_path / "keys", token.load())
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "keys" / FILE).stat().st_mode) == 0o600


@pytest.mark.parametrize("left", [None, "{}", "no JSON", "others"])
async def test_keys_that_did_not_make_the_token_are_refused_and_left_as_they_are(
    database: Database, solana_rpc: str, tmp_path: Path, left: str | None
) -> None:
    await deploy(database, solana_rpc, tmp_path / "keys", token.load())
    path = tmp_path / "keys" / FILE
    if left is None:
        path.unlink()
    elif left == "others":
        path.unlink()
        load_or_create(tmp_path / "keys", token.load())
    else:
        path.write_text(left)
    before = path.read_bytes() if path.exists() else None
    with pytest.raises(WrongKeys, match="put them back"):
        await deploy(database, solana_rpc, tmp_path / "keys", token.load())
    assert (path.read_bytes() if path.exists() else None) == before


async def test_with_a_seed_whoever_is_slow_the_fee_payer_is_funded_before_the_sponsor(
    database: Database, solana_rpc: str, tmp_path: Path
) -> None:
    # Another one in each run: others deploy their tokens on this chain.
    rpc = Rpc(solana_rpc, "solana")
    chance.sow(secrets.randbelow(chance.MAX_SEED))
    try:
        late = {"kind": "lag", "ms": 300, "method": "getBalance", "calls": 1}
        await rpc.call("sandbox_setRpcFault", late)
        _, keys = await deploy(database, solana_rpc, tmp_path / "keys", token.load())
    finally:
        chance.sow(None)
    both = [str(key.pubkey()) for key in (keys.fee_payer, load_sponsor(tmp_path / "keys"))]
    options = {"commitment": "confirmed"}
    funded = [
        (await rpc.call("getSignaturesForAddress", address, options))[-1]["slot"]
        for address in both
    ]
    await rpc.aclose()
    assert funded[0] < funded[1]


async def test_a_second_start_deploys_nothing(
    database: Database, solana_rpc: str, tmp_path: Path
) -> None:
    first, keys = await deploy(database, solana_rpc, tmp_path / "keys", token.load())
    again, same = await deploy(database, solana_rpc, tmp_path / "keys", token.load())
    assert again == first
    assert bytes(same.treasury) == bytes(keys.treasury)
    assert bytes(load(tmp_path / "keys", token.load()).mint) == bytes(keys.mint)


async def test_a_start_that_died_before_it_was_written_down_goes_on_with_the_same_mint(
    database: Database, owner_url: str, solana_rpc: str, tmp_path: Path
) -> None:
    first, _ = await deploy(database, solana_rpc, tmp_path / "keys", token.load())
    owner = Database(owner_url)
    async with owner.transaction() as db:
        await db.execute(text("DELETE FROM chain_deployment"))
    await owner.dispose()
    again, _ = await deploy(database, solana_rpc, tmp_path / "keys", token.load())
    assert again.config["mint"] == first.config["mint"]
    # Nothing of the chain is left out: the mint may have been used meanwhile.
    assert again.config["start"]["height"] <= first.config["start"]["height"]


async def test_a_machine_that_signs_slower_than_a_blockhash_lives_deploys_all_the_same(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign, slow = tx.sign, [True]

    def late(*what: Any) -> Signed:
        signed = sign(*what)
        if slow:
            slow.pop()
            call = {"jsonrpc": "2.0", "id": 1, "method": "sandbox_advanceSlots"}
            answer = httpx2.post(rpc, json={**call, "params": [{"slots": 200}]})
            assert "result" in answer.json()
        return signed

    with solana_node.running(tmp_path / "own") as rpc:
        monkeypatch.setattr(tx, "sign", late)
        deployment, _ = await deploy(database, rpc, tmp_path / "keys", token.load())
    assert not slow
    assert deployment.config["mint"]


@pytest.mark.parametrize("decimals", [2, 6])
async def test_the_watcher_starts_before_the_mint(
    database: Database, solana_rpc: str, tmp_path: Path, decimals: int
) -> None:
    spec = replace(token.load(), decimals=decimals)
    deployment, keys = await deploy(database, solana_rpc, tmp_path / "keys", spec)
    chain = SolanaChain(solana_rpc, deployment, keys)
    assert chain.decimals == decimals
    option = chain.receive_option("cs_1", 25 * 10 ** (decimals - 1), "")
    assert "amount=2.5&spl-token=" in str(option.fields["url"])
    follower = Follower(database, chain)
    await follower.watcher.step()
    async with database.transaction() as db:
        at = await service.cursor(db, "solana", "final")
        assert at is not None
        assert at.height == deployment.config["start"]["height"]
    async with follower.at_work():
        await await_final_cursor(database, "solana", deployment.config["start"]["height"] + 9)
    assert follower.listener.events == []
    await follower.leader.release()
    await chain.aclose()


@pytest.mark.parametrize("left", ["{", "[]", '{"sponsor": [1, 2]}'])
async def test_a_damaged_key_of_the_sponsor_is_refused_by_name_and_a_lost_one_made_anew(
    database: Database, solana_rpc: str, tmp_path: Path, left: str
) -> None:
    path = tmp_path / "keys" / SPONSOR_FILE
    path.parent.mkdir(mode=0o700)
    path.write_text(left)
    with pytest.raises(SponsorKeyDamaged, match="delete it"):
        await deploy(database, solana_rpc, tmp_path / "keys", token.load())
    path.unlink()
    await deploy(database, solana_rpc, tmp_path / "keys", token.load())
    assert path.exists()
