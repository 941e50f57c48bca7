"""Puts the token on an EVM node, once; later starts only make sure that it is the same chain."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eth_abi.abi import encode
from sqlalchemy.dialects.postgresql import insert as upsert

from contracts import evm as artifacts
from contracts.evm_addresses import DepositAddresses, created_address
from contracts.token import TokenSpec
from sandbox.chains.errors import WrongChain
from sandbox.chains.evm import calls, tx
from sandbox.chains.evm.accounts import LocalAccount
from sandbox.chains.evm.keys import EvmKeys, load_or_create
from sandbox.chains.evm.rpc import Node
from sandbox.chains.json_rpc import METHOD_NOT_FOUND, NodeRefused
from sandbox.chains.models import ChainDeployment
from sandbox.chains.port import ChainUnavailable
from sandbox.chains.service import Deployment
from sandbox.core import clock
from sandbox.core.db import Database

CHAIN = "evm"
OPERATOR_COINS, LEAST_COINS = 1_000_000, 100_000
DEPLOY_GAS = 12_000_000
WAIT_S = 60
# The whole supply is bounded by the reserve, not by this.
ENDLESS = 2**256 - 1
_POLL_S = 0.02
_TOKEN_NONCE, _DEPOSITS_NONCE = 0, 1


class DeploymentFailed(Exception):
    """The node refused a part of the deployment; the text says which, and why."""


async def deploy(
    database: Database, rpc_url: str, keys_dir: Path, spec: TokenSpec, *, chain: str = CHAIN
) -> tuple[Deployment, EvmKeys]:
    """The token on the node at `rpc_url`, made there if it is not yet; may be called at each start.

    Makes the keys in `keys_dir` on the first call. Raises `WrongChain` when this world was
    deployed on another chain, `ChainUnavailable`, `DeploymentFailed`.
    """
    node = Node(rpc_url, chain)
    try:
        chain_id = int(await node.call("eth_chainId"), 16)
        first = await node.call("eth_getBlockByNumber", "0x0", False)
        async with database.transaction() as db:
            row = await db.get(ChainDeployment, chain)
        if row is not None and row.config["chain_id"] != chain_id:
            raise WrongChain(chain, str(row.config["chain_id"]), str(chain_id), "chain id")
        if row is not None and row.genesis != first["hash"]:
            raise WrongChain(chain, row.genesis, first["hash"])
        keys = load_or_create(keys_dir, spec)
        await _fund(node, keys)
        if row is not None:
            return Deployment(chain, row.genesis, row.config), keys
        config = await _Deployer(node, chain_id, keys, spec).put()
    except NodeRefused as refused:
        raise DeploymentFailed(str(refused)) from refused
    finally:
        await node.aclose()
    async with database.transaction() as db:
        await db.execute(
            upsert(ChainDeployment)
            .values(
                chain=chain,
                genesis=first["hash"],
                config=config,
                created_at=await clock.now(db),
            )
            .on_conflict_do_nothing()
        )
        row = await db.get(ChainDeployment, chain)
        assert row is not None
    return Deployment(chain, row.genesis, row.config), keys


async def _fund(node: Node, keys: EvmKeys) -> None:
    """Fill every signer up with native coin when it runs low; a devnet gives it by control."""
    addresses = keys.addresses()
    balances = await node.batch([("eth_getBalance", [a, "latest"]) for a in addresses.values()])
    for (role, address), balance in zip(addresses.items(), balances, strict=True):
        if int(balance, 16) >= LEAST_COINS * tx.WEI_PER_COIN:
            continue
        try:
            wei = hex(OPERATOR_COINS * tx.WEI_PER_COIN)
            await node.call("anvil_setBalance", address, wei)
        except NodeRefused as refused:
            if refused.code != METHOD_NOT_FOUND:
                raise
            if int(balance, 16) == 0:
                raise DeploymentFailed(
                    f"the {role} {address} has no native coin, and this node gives none"
                ) from refused


class _Deployer:
    """One deployment; each part is left as it is when it is there."""

    def __init__(self, node: Node, chain_id: int, keys: EvmKeys, spec: TokenSpec) -> None:
        self._node, self._chain_id, self._keys, self._spec = node, chain_id, keys, spec

    async def put(self) -> dict[str, Any]:
        """Token, factory, minters; returns the deployment's public facts."""
        relayer = self._keys.relayer.address
        token = created_address(relayer, _TOKEN_NONCE)
        factory = created_address(relayer, _DEPOSITS_NONCE)
        treasury = self._keys.treasury.address
        was_there = await self._has_code(token)
        # A token that was here before this database: all of the chain must be read.
        start = await self._block("0x0" if was_there else "finalized")
        by_name = {
            getattr(self._spec.evm.roles, role): account.address
            for role, account in self._keys.accounts().items()
        }
        arguments = artifacts.token_arguments(self._spec, by_name)
        await self._create("the token", "kzte", arguments, _TOKEN_NONCE, token)
        forwarder = artifacts.load("forwarder")
        arguments = artifacts.deposits_arguments(token, treasury, forwarder)
        await self._create("the deposit factory", "deposits", arguments, _DEPOSITS_NONCE, factory)
        # Zero: the treasury only burns.
        for minter, allowance in ((self._keys.minter.address, ENDLESS), (treasury, 0)):
            if not await self._view(token, calls.IS_MINTER, minter):
                data = tx.call_data(calls.CONFIGURE_MINTER, minter, allowance)
                act = tx.Act(token, data, calls.CALL_GAS)
                await self._send(f"the minter {minter}", self._keys.master_minter, act)
        implementation = DepositAddresses.of_factory(factory).forwarder
        # Neither can send tokens on: what somebody sent there would be lost, so it is refused.
        for contract in (factory, implementation):
            if not await self._view(token, calls.IS_FROZEN, contract):
                act = tx.Act(token, tx.call_data(calls.FREEZE, contract), calls.CALL_GAS)
                await self._send(f"the freeze of {contract}", self._keys.freezer, act)
        return {
            "chain_id": self._chain_id,
            "token": token.lower(),
            "deposits": factory.lower(),
            "implementation": implementation.lower(),
            "treasury": treasury.lower(),
            "decimals": self._spec.decimals,
            "name": self._spec.name,
            "symbol": self._spec.symbol,
            "operators": self._keys.addresses(),
            "start": {"height": int(start["number"], 16), "hash": start["hash"]},
        }

    async def _create(
        self, what: str, name: str, arguments: Sequence[Any], nonce: int, address: str
    ) -> None:
        if await self._has_code(address):
            return
        data = creation_code(name, arguments)
        await self._send(what, self._keys.relayer, tx.Act("", data, DEPLOY_GAS), nonce)
        if not await self._has_code(address):
            raise DeploymentFailed(f"{what} is not at {address}")

    async def _send(
        self, what: str, key: LocalAccount, act: tx.Act, nonce: int | None = None
    ) -> None:
        """Send one transaction and wait until it is in a block; a part that waits is waited for."""
        used = int(await self._node.call("eth_getTransactionCount", key.address, "latest"), 16)
        if nonce is not None and nonce < used:
            raise DeploymentFailed(f"{what}: nonce {nonce} of {key.address} was used otherwise")
        head = await self._block("latest")
        fees = tx.Fees(int(head["baseFeePerGas"], 16) * 10 + 10**9, 10**9)
        id_, raw = tx.sign(key, self._chain_id, used if nonce is None else nonce, act, fees)
        try:
            await self._node.call("eth_sendRawTransaction", "0x" + raw.hex())
        except NodeRefused as refused:
            raise DeploymentFailed(f"{what}: {refused.message}") from refused
        until = time.monotonic() + WAIT_S
        while time.monotonic() < until:
            receipt = await self._node.call("eth_getTransactionReceipt", id_)
            if receipt is not None and int(receipt["status"], 16) == 0:
                raise DeploymentFailed(f"{what}: failed on chain in {id_}")
            if receipt is not None:
                return
            await asyncio.sleep(_POLL_S)
        raise ChainUnavailable(f"evm ({what} was not in a block within {WAIT_S} s)")

    async def _block(self, tag: str) -> Any:
        return await self._node.call("eth_getBlockByNumber", tag, False)

    async def _has_code(self, address: str) -> bool:
        code: str = await self._node.call("eth_getCode", address, "latest")
        return len(code) > 2

    async def _view(self, to: str, signature: str, *arguments: Any) -> int:
        data = "0x" + tx.call_data(signature, *arguments).hex()
        return int(await self._node.call("eth_call", {"to": to, "data": data}, "latest"), 16)


def creation_code(name: str, arguments: Sequence[Any]) -> bytes:
    """What a transaction to nobody carries to deploy the contract `name` with its arguments."""
    artifact = artifacts.load(name)
    [constructor] = [part for part in artifact.abi if part["type"] == "constructor"]
    types = [_type(part) for part in constructor["inputs"]]
    return artifact.bytecode + encode(types, arguments)


def _type(part: Any) -> str:
    """The ABI type of an argument, structures written out."""
    kind: str = part["type"]
    if not kind.startswith("tuple"):
        return kind
    inside = ",".join(_type(one) for one in part["components"])
    return f"({inside})" + kind.removeprefix("tuple")
