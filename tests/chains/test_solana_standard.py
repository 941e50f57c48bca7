"""The sandbox asks a Solana node for nothing that a validator does not have.

A devnet without its control methods stands in for `solana-test-validator`, which is not here.
"""

import ast
import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from sqlalchemy import text

from contracts import token
from sandbox.chains import service, solana
from sandbox.chains.json_rpc import METHOD_NOT_FOUND, NodeRefused
from sandbox.chains.port import Command, Outcome
from sandbox.chains.solana.chain import SolanaChain
from sandbox.chains.solana.deploy import deploy
from sandbox.chains.solana.keys import AUTHORITIES, load_sponsor
from sandbox.chains.solana.rpc import Rpc
from sandbox.chains.solana.wallet import SolanaWallet
from sandbox.core.db import Database
from tests.chains import solana_node
from tests.chains.conftest import Follower
from tests.chains.suite.worlds import SolanaWorld

CLOCK = "sandbox_setClock"
# The part of the table in SOLANA.md, section 4, that validators and public clusters serve alike.
STANDARD = frozenset(
    [
        "getHealth",
        "getVersion",
        "getGenesisHash",
        "getIdentity",
        "getSlot",
        "getBlockHeight",
        "getEpochInfo",
        "getTransactionCount",
        "getEpochSchedule",
        "getLatestBlockhash",
        "isBlockhashValid",
        "getFeeForMessage",
        "getRecentPrioritizationFees",
        "getMinimumBalanceForRentExemption",
        "requestAirdrop",
        "getBalance",
        "getAccountInfo",
        "getMultipleAccounts",
        "getProgramAccounts",
        "getTokenAccountBalance",
        "getTokenSupply",
        "getTokenLargestAccounts",
        "getTokenAccountsByOwner",
        "getTokenAccountsByDelegate",
        "getSignatureStatuses",
        "getSignaturesForAddress",
        "getTransaction",
        "getBlock",
        "getBlocks",
        "getBlocksWithLimit",
        "getBlockTime",
        "getFirstAvailableBlock",
        "minimumLedgerSlot",
        "sendTransaction",
        "simulateTransaction",
    ]
)
PACKAGE = Path(solana.__file__).parent


def called() -> Iterator[tuple[str, str]]:
    """(where, method): the first text of each call, and of each pair of a batch, in the package."""
    for path in sorted(PACKAGE.glob("*.py")):
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for node in ast.walk(function):
                if isinstance(node, ast.Call):
                    parts = node.args[:1]
                    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                    if name not in ("call", "_figure"):
                        continue
                elif isinstance(node, ast.Tuple) and len(node.elts) == 2:
                    parts = node.elts[:1]
                    if not isinstance(node.elts[1], ast.List):
                        continue
                else:
                    continue
                for part in parts:
                    if isinstance(part, ast.Constant) and isinstance(part.value, str):
                        yield f"{path.stem}.{function.name}", part.value


def test_the_code_names_no_other_methods() -> None:
    found = set(called())
    assert {where for where, method in found if method == CLOCK} == {"chain.set_clock"}
    assert {method for _, method in found} - {CLOCK} <= STANDARD
    # No name of a control method stands anywhere else either.
    for path in PACKAGE.glob("*.py"):
        if path.name == "drills.py":
            continue  # fault tools, which only our own devnet has
        assert path.read_text().count("sandbox_") == (1 if path.name == "chain.py" else 0), path


class Recorded:
    """Every method that the sandbox asked this node for."""

    def __init__(self) -> None:
        self.methods: set[str] = set()
        self._post = Rpc._post

    async def post(self, rpc: Rpc, body: Any) -> Any:
        for call in body if isinstance(body, list) else [body]:
            self.methods.add(call["method"])
        return await self._post(rpc, body)


@pytest.fixture(scope="module")
def plain_rpc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A node without control methods."""
    with solana_node.running(tmp_path_factory.mktemp("plain"), control=False) as rpc:
        yield rpc


@pytest.fixture
async def recorded() -> AsyncIterator[Recorded]:
    found = Recorded()

    async def post(rpc: Rpc, body: Any) -> Any:
        return await found.post(rpc, body)

    with patch.object(Rpc, "_post", post):
        yield found


async def test_a_node_without_control_methods_says_so(plain_rpc: str) -> None:
    rpc = Rpc(plain_rpc)
    for method in (CLOCK, "sandbox_pause", "sandbox_advanceSlots"):
        with pytest.raises(NodeRefused) as refused:
            await rpc.call(method, {})
        assert refused.value.code == METHOD_NOT_FOUND
    await rpc.aclose()


async def test_a_whole_life_of_the_token_needs_standard_methods_only(
    plain_rpc: str, database: Database, tmp_path: Path, recorded: Recorded
) -> None:
    spec = replace(token.load(), decimals=6)
    deployment, keys = await deploy(database, plain_rpc, tmp_path / "keys", spec)
    # As after a start that died before it wrote down what it had made.
    async with database.transaction() as db:
        assert (await service.deployment(db, "solana")).config == deployment.config
    again = await deploy(database, plain_rpc, tmp_path / "keys", spec, chain="again")
    assert again[0].config["mint"] == deployment.config["mint"]
    sponsor = load_sponsor(tmp_path / "keys")
    chain = SolanaChain(plain_rpc, deployment, keys, sponsor=sponsor)
    assert await chain.set_clock(1_000, None) is False
    world = SolanaWorld(plain_rpc, chain, chain._token)
    follower = Follower(database, chain)
    holder, bailiff, [treasury] = (
        await world.holder(),
        await world.holder(),
        chain.own_addresses(),
    )
    asked = [
        Command("mint", "iss_1", holder, 5_000_000),
        Command("mint", "iss_2", treasury, 5_000_000),
        Command("transfer", "fau_1", bailiff, 1_000_000, gas=True),
        Command("freeze", "case_1", holder),
        Command("seize", "case_1:s", bailiff, 1_000_000, holder=holder),
        Command("thaw", "case_1:t", holder),
        Command("pause", "case_2"),
        Command("resume", "case_2:r"),
        *(Command("rotate", f"ord_{role}", role=role) for role in AUTHORITIES),
        Command("mint", "iss_3", holder, 5),
        Command("burn", "stl_1:burn", amount_units=2_000_000),
    ]
    async with follower.at_work(), asyncio.timeout(120):
        for command in asked:
            intent = service.Intent(command.reference, "issuance", chain.name, command)
            async with database.transaction() as db:
                await service.request(db, [intent])
            while len(follower.listener.of("done")) < asked.index(command) + 1:
                assert follower.listener.of("not_done") == []
                await asyncio.sleep(0.02)
        option = chain.receive_option("cs_1", 250_000, "")
        wallet = SolanaWallet(plain_rpc, world.key(holder))
        assert await wallet.lamports() > 0
        before = await wallet.units(str(option.fields["mint"]))
        paid = await wallet.pay(str(option.fields["url"]))
        await world.final(paid)
        assert await wallet.units(str(option.fields["mint"])) == before - 250_000
        assert await chain.decode(paid) is not None
        offered = await chain.sponsored_payment(option.fields, holder, 250_000)
        await world.final(await wallet.pay_sponsored(str(option.fields["url"]), offered))
        await wallet.aclose()
    assert (await chain.supply()).units == 8_000_005
    assert (await chain.holdings()).by_place == {"treasury": 2_500_000}
    assert not await chain.is_frozen(holder)
    assert not await chain.is_paused()
    assert (await chain.token_truth()).supply_units == 8_000_005
    assert await chain.outcome(await chain.prepare(Command("burn", "x", "", 1))) is Outcome.unknown
    assert await chain.genesis() == deployment.genesis
    await follower.leader.release()
    await world.aclose()
    await chain.aclose()
    assert recorded.methods - {CLOCK} <= STANDARD
    # Nothing that the code may ask was left out of this life.
    assert {method for _, method in called()} <= recorded.methods


@pytest.mark.parametrize("decimals", [2, 6])
async def test_the_same_code_makes_the_same_mint_on_either_node(
    plain_rpc: str, solana_rpc: str, database: Database, tmp_path: Path, decimals: int
) -> None:
    spec = replace(token.load(), decimals=decimals)
    found = []
    for chain, url in (("plain", plain_rpc), ("ours", solana_rpc)):
        deployment, _ = await deploy(database, url, tmp_path / "keys", spec, chain=chain)
        rpc = Rpc(url)
        options = {"commitment": "confirmed", "encoding": "base64"}
        answer = await rpc.call("getAccountInfo", deployment.config["mint"], options)
        account = await rpc.call("getAccountInfo", deployment.config["treasury_account"], options)
        found.append([answer["value"], account["value"]])
        await rpc.aclose()
    assert found[0] == found[1]
    assert found[0][0]["lamports"] > 0


async def test_nothing_of_the_worlds_tables_tells_the_nodes_apart(
    plain_rpc: str, solana_rpc: str, database: Database, tmp_path: Path
) -> None:
    for chain, url in (("plain", plain_rpc), ("ours", solana_rpc)):
        await deploy(database, url, tmp_path / "keys", token.load(), chain=chain)
    async with database.transaction() as db:
        rows = await db.execute(text("SELECT config - 'start' AS config FROM chain_deployment"))
        [one, other] = [row.config for row in rows]
    assert one == other
