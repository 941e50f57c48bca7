"""Deployment on a real devnet: once, with keys nobody else reads, on one chain only."""

import stat
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from contracts import evm as artifacts
from contracts import token
from sandbox.chains import service
from sandbox.chains.errors import NoKeys, NotDeployed, NothingToSweep, WrongChain
from sandbox.chains.evm import calls
from sandbox.chains.evm.chain import EvmChain
from sandbox.chains.evm.deploy import DeploymentFailed, deploy
from sandbox.chains.evm.keys import FILE, load
from sandbox.chains.evm.rpc import Node
from sandbox.chains.evm.tx import call_data
from sandbox.chains.port import ChainUnavailable, Command
from sandbox.core.db import Database
from tests.chains import evm_node
from tests.chains.conftest import Follower
from tests.chains.evm_followed import ask, until_done
from tests.chains.suite.worlds import EvmWorld


async def test_a_world_refuses_another_genesis_and_another_chain_id_by_name(
    database: Database, evm_rpc: str, tmp_path: Path
) -> None:
    await deploy(database, evm_rpc, tmp_path / "keys", token.load())
    with evm_node.running(tmp_path / "other") as other, pytest.raises(WrongChain) as refused:
        await deploy(database, other, tmp_path / "keys", token.load())
    assert refused.value.values["chain"] == "evm"
    assert "genesis" in refused.value.detail
    with (
        evm_node.running(tmp_path / "third", chain_id=31338) as third,
        pytest.raises(WrongChain) as refused,
    ):
        await deploy(database, third, tmp_path / "keys", token.load())
    assert refused.value.values["found"] == "31338"
    assert "chain id" in refused.value.detail


async def test_no_node_is_an_outcome_of_its_own(database: Database, tmp_path: Path) -> None:
    with pytest.raises(ChainUnavailable):
        await deploy(database, "http://127.0.0.1:9", tmp_path / "keys", token.load())
    async with database.transaction() as db:
        with pytest.raises(NotDeployed):
            await service.deployment(db, "evm")


async def test_a_node_that_gives_no_coin_says_whom_to_fund(
    database: Database, tmp_path: Path
) -> None:
    with (
        evm_node.running(tmp_path / "closed", control=False) as closed,
        pytest.raises(DeploymentFailed, match="has no native coin"),
    ):
        await deploy(database, closed, tmp_path / "keys", token.load())


async def test_a_process_without_keys_reads_and_cannot_sign(
    database: Database, evm_rpc: str, tmp_path: Path
) -> None:
    deployment, keys = await deploy(database, evm_rpc, tmp_path / "keys", token.load())
    async with database.transaction() as db:
        public = await service.deployment(db, "evm")
    chain = EvmChain(evm_rpc, public)
    assert (await chain.supply()).units == 0
    with pytest.raises(NoKeys):
        await chain.prepare(Command("burn", "stl_1", amount_units=5))
    secret = keys.treasury.key.hex().removeprefix("0x")
    assert secret not in str(deployment.config)
    assert secret not in repr(keys)
    await chain.aclose()


async def test_a_sweep_of_nothing_is_refused_before_it_is_signed(evm_world: EvmWorld) -> None:
    with pytest.raises(NothingToSweep):
        await evm_world.chain.prepare(Command("sweep", "stl_1:sweep:evm:1"))


async def test_keys_are_for_the_owner_of_the_world_only(
    database: Database, evm_rpc: str, tmp_path: Path
) -> None:
    _, keys = await deploy(database, evm_rpc, tmp_path / "keys", token.load())
    path = tmp_path / "keys" / FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load(tmp_path / "keys", token.load()).addresses() == keys.addresses()
    assert len(set(keys.addresses().values())) == len(keys.addresses())


async def test_a_second_start_and_a_half_done_deployment_leave_what_is_there(
    database: Database, evm_rpc: str, tmp_path: Path
) -> None:
    first, _ = await deploy(database, evm_rpc, tmp_path / "keys", token.load())
    again, _ = await deploy(database, evm_rpc, tmp_path / "keys", token.load())
    assert again == first


async def test_a_lost_database_finds_its_token_again_and_reads_the_chain_from_the_start(
    evm_rpc: str, database: Database, owner_url: str, tmp_path: Path
) -> None:
    first, _ = await deploy(database, evm_rpc, tmp_path / "keys", token.load())
    owner = Database(owner_url)
    async with owner.transaction() as db:
        await db.execute(text("DELETE FROM chain_deployment"))
    await owner.dispose()
    again, _ = await deploy(database, evm_rpc, tmp_path / "keys", token.load())
    assert again.config["token"] == first.config["token"]
    assert again.config["start"]["height"] == 0


async def test_each_power_has_a_key_of_its_own_on_chain(evm_world: EvmWorld) -> None:
    roles = {"admin": "admin", "masterMinter": "master_minter", "pauser": "pauser"}
    roles |= {"freezer": "freezer", "confiscator": "confiscator", "rescuer": "rescuer"}
    node, addresses = evm_world.node, evm_world.keys.addresses()
    for name, role in roles.items():
        data = "0x" + call_data(f"{name}()").hex()
        answer = await node.call("eth_call", {"to": evm_world.token, "data": data}, "latest")
        assert "0x" + answer[-40:] == addresses[role]
    for role in ("minter", "treasury"):
        data = "0x" + call_data("minterAllowance(address)", addresses[role]).hex()
        answer = await node.call("eth_call", {"to": evm_world.token, "data": data}, "latest")
        assert (int(answer, 16) > 0) == (role == "minter")


def test_every_call_of_the_adapter_is_in_the_shipped_abi() -> None:
    def signatures(name: str) -> set[str]:
        return {
            f"{part['name']}({','.join(given['type'] for given in part['inputs'])})"
            for part in artifacts.load(name).abi
            if part["type"] == "function"
        }

    ours = {value for value in vars(calls).values() if isinstance(value, str) and "(" in value[1:]}
    ours = {value for value in ours if value.endswith(")") and " " not in value}
    of_the_factory = {calls.SWEEP_MANY, calls.HELD}
    assert ours >= {calls.MINT} | of_the_factory
    assert ours - of_the_factory <= signatures("kzte")
    assert of_the_factory <= signatures("deposits")


async def test_contracts_that_could_not_send_tokens_on_take_none(
    database: Database, evm_rpc: str, tmp_path: Path
) -> None:
    deployed, _ = await deploy(database, evm_rpc, tmp_path / "keys", token.load())
    chain = EvmChain(evm_rpc, deployed)
    for contract in ("token", "deposits", "implementation"):
        assert await chain.is_frozen(deployed.config[contract]), contract
    await chain.aclose()


@pytest.mark.parametrize("decimals", [2, 6])
async def test_the_token_has_the_decimals_of_its_specification(
    database: Database, evm_rpc: str, tmp_path: Path, decimals: int
) -> None:
    spec = replace(token.load(), decimals=decimals)
    deployment, keys = await deploy(database, evm_rpc, tmp_path / "keys", spec)
    chain = EvmChain(evm_rpc, deployment, keys)
    follower = Follower(database, chain)
    [treasury] = chain.own_addresses()
    units = 25 * 10 ** (decimals - 1)
    await ask(database, Command("mint", "iss_1", treasury, units))
    async with follower.at_work():
        await until_done(database, "iss_1")
    await follower.leader.release()
    assert (await chain.balance(treasury)).units == units
    node = Node(evm_rpc)
    data = "0x" + call_data("decimals()").hex()
    found = await node.call("eth_call", {"to": deployment.config["token"], "data": data}, "latest")
    assert int(found, 16) == chain.decimals == decimals
    option = chain.receive_option("cs_1", units, "")
    assert str(option.fields["url"]).endswith(f"&uint256={units}")
    await node.aclose()
    await chain.aclose()
