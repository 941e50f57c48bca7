"""An EVM chain as a scenario's ground: wallets and raw transactions, blocks made by hand."""

import re
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak

from contracts import evm as artifacts
from contracts import token as spec
from contracts.evm_addresses import created_address
from sandbox.chains import service
from sandbox.chains.evm import calls, wallet
from sandbox.chains.evm.chain import EvmChain
from sandbox.chains.evm.deploy import creation_code, deploy
from sandbox.chains.evm.rpc import Node
from sandbox.chains.evm.tx import WEI_PER_COIN, call_data
from sandbox.chains.evm.wallet import EvmWallet
from sandbox.chains.port import Chain, Command
from sandbox.core.db import Database
from tests.scenarios.ground import Option

OTHER_UNITS = 10**6
TRANSFER, APPROVE = calls.TRANSFER, "approve(address,uint256)"
TRANSFER_FROM = "transferFrom(address,address,uint256)"
PLENTY_OF_GAS = 8_000_000

# ERC-681, its grammar as the EIP writes it; no ENS names, which nobody here resolves.
_ADDRESS = "0x[0-9a-fA-F]{40}"
_NUMBER = r"[-+]?[0-9]*(?:\.[0-9]+)?(?:[eE][0-9]*)?"
_URL = re.compile(
    rf"ethereum:(?:pay-)?(?P<target>{_ADDRESS})(?:@(?P<chain>[0-9]+))?"
    rf"(?:/(?P<function>[A-Za-z_][A-Za-z0-9_]*))?"
    rf"(?:\?(?P<parameters>[a-zA-Z0-9]+=[^&]+(?:&[a-zA-Z0-9]+=[^&]+)*))?"
)


class EvmGround:
    """`deploy` makes it usable."""

    name, native = "evm", "native"
    chain: EvmChain

    def __init__(self, rpc_url: str) -> None:
        self.rpc_url, self.node = rpc_url, Node(rpc_url)
        self.accounts: dict[str, LocalAccount] = {}
        self._wallets: dict[str, EvmWallet] = {}
        self._node = ""
        self._closing = AsyncExitStack()
        self._closing.push_async_callback(self.node.aclose)

    @property
    def treasury(self) -> str:
        [found] = self.chain.own_addresses()
        return found

    async def deploy(self, database: Database, keys_dir: Path, node: str) -> None:
        deployment, keys = await deploy(database, self.rpc_url, keys_dir, spec.load())
        self.chain, self._node = EvmChain(node, deployment, keys), node
        self._closing.push_async_callback(self.chain.aclose)
        self.token, self.factory = deployment.config["token"], deployment.config["deposits"]

    async def check_deployment(self, database: Database, keys_dir: Path, node: str) -> None:
        await deploy(database, node, keys_dir, spec.load())

    async def restarted(self, database: Database) -> Chain:
        async with database.transaction() as db:
            return EvmChain(self._node, await service.deployment(db, self.name))

    async def aclose(self) -> None:
        await self._closing.aclose()

    async def run(self) -> None:
        await self.node.call("sandbox_resume")

    async def stand_still(self) -> None:
        await self.node.call("sandbox_pause")

    async def mine(self, blocks: int = 1) -> None:
        await self.node.call("sandbox_mine", {"blocks": blocks})

    async def reorg(self, blocks: int, mode: Literal["drop", "reinclude"]) -> None:
        await self.node.call("sandbox_reorg", {"blocks": blocks, "mode": mode})

    async def payer(self) -> str:
        account = Account.create()
        one = EvmWallet(self.rpc_url, account)
        self._wallets[one.address], self.accounts[one.address] = one, account
        self._closing.push_async_callback(one.aclose)
        await self.node.call("anvil_setBalance", one.address, hex(10 * WEI_PER_COIN))
        return one.address

    async def pay(self, payer: str, option: Option, units: int) -> str:
        return await self._wallets[payer].pay(option["url"], amount_units=units, wait=False)

    async def pay_together(self, payer: str, parts: Sequence[tuple[Option, int]]) -> str:
        """As contracts that batch do: a constructor that spends what the payer approved."""
        by_hand = self._wallets[payer]
        nonce = int(await self.node.call("eth_getTransactionCount", payer, "pending"), 16)
        spender = created_address(payer, nonce + 1)
        total = sum(units for _, units in parts)
        approval = call_data(APPROVE, spender, total)
        await by_hand.send(self.token, approval, gas=200_000, wait=False)
        asked = [
            call_data(TRANSFER_FROM, payer, option["address"], units) for option, units in parts
        ]
        code = _calling(self.token, asked)
        return await by_hand.send("", code, gas=PLENTY_OF_GAS, wait=False)

    async def pay_by_hand(self, payer: str, url: str) -> str:
        found = _URL.fullmatch(url)
        assert found is not None, url
        here = int(await self.node.call("eth_chainId"), 16)
        assert found["chain"] is not None, "without it the payment is for chain 1"
        assert int(found["chain"]) == here
        pairs = [part.split("=", 1) for part in found["parameters"].split("&")]
        # Keys are the types of the call's arguments, in order.
        types = [key for key, _ in pairs if key not in ("value", "gas", "gasLimit", "gasPrice")]
        assert len(types) == len(pairs), "a token transfer carries no coin and no gas"
        selector = keccak(text=f"{found['function']}({','.join(types)})")[:4]
        words = b""
        for kind, value in pairs:
            if kind == "address":
                assert re.fullmatch(_ADDRESS, value)
                words += bytes(12) + bytes.fromhex(value[2:])
            else:
                assert kind == "uint256"
                assert re.fullmatch(_NUMBER, value)
                assert value.isdecimal(), "no point and no exponent: wallets misread them"
                words += int(value).to_bytes(32, "big")
        return await self._wallets[payer].send(found["target"], selector + words, wait=False)

    async def force(self, payer: str, to: str, units: int) -> str:
        data = call_data(TRANSFER, to, units)
        return await self._wallets[payer].send(self.token, data, gas=200_000, wait=False)

    async def call(self, payer: str, contract: str, data: bytes) -> str:
        """Anything that anybody may do with a contract, whatever comes of it."""
        return await self._wallets[payer].send(contract, data, gas=PLENTY_OF_GAS, wait=False)

    async def ask(self, payer: str, contract: str, data: bytes) -> str:
        """The same as wallets do it: tried as a call first; raises `PaymentRefused`."""
        return await self._wallets[payer].send(contract, data, wait=False)

    async def send_coin(self, payer: str, to: str, amount: int) -> str:
        return await self._wallets[payer].send(to, value_wei=amount, wait=False)

    async def other_token(self, payer: str) -> str:
        master = await self.payer()
        holders = [await self.payer() for _ in range(5)]
        names = spec.load().evm.roles
        roles = (names.admin, names.pauser, names.freezer, names.confiscator, names.rescuer)
        by_name = {**dict(zip(roles, holders, strict=True)), names.master_minter: master}
        about = replace(spec.load(), name="Another token", symbol="OTHER")
        code = creation_code("kzte", artifacts.token_arguments(about, by_name))
        await self._wallets[master].send("", code, gas=PLENTY_OF_GAS, wait=False)
        other = created_address(master, 0).lower()
        minter = call_data(calls.CONFIGURE_MINTER, payer, OTHER_UNITS)
        await self._wallets[master].send(other, minter, gas=200_000, wait=False)
        await self.mine()
        minted = call_data(calls.MINT, payer, OTHER_UNITS, b"\1" * 32)
        await self._wallets[payer].send(other, minted, wait=False)
        await self.mine()
        return other

    async def send_other(self, payer: str, token: str, option: Option, amount: int) -> str:
        data = call_data(TRANSFER, option["address"], amount)
        return await self.ask(payer, token, data)

    async def order(self, command: Command) -> str:
        signed = await self.chain.prepare(command)
        await self.chain.broadcast(signed)
        return signed.tx_id

    async def raw(self, tx: str) -> Any:
        return await self.node.call("eth_getRawTransactionByHash", tx)

    async def resend(self, raw: Any) -> None:
        await self.node.call("eth_sendRawTransaction", raw)

    async def units(self, address: str) -> int:
        return await wallet.balance(self.rpc_url, address, self.token)

    async def coin(self, address: str) -> int:
        return int(await self.node.call("eth_getBalance", address, "latest"), 16)


def _calling(contract: str, datas: Sequence[bytes]) -> bytes:
    """Creation code that makes these calls of one contract, all or none, and leaves no code."""
    size = 48 * len(datas) + 11
    fail, at, code = size - 6, size, b""
    for data in datas:
        length = len(data).to_bytes(2, "big")
        code += b"\x61" + length + b"\x61" + at.to_bytes(2, "big") + b"\x60\0\x39"  # CODECOPY
        code += b"\x60\0\x60\0\x61" + length + b"\x60\0\x60\0"
        code += b"\x73" + bytes.fromhex(contract[2:]) + b"\x5a\xf1"  # GAS CALL
        code += b"\x15\x61" + fail.to_bytes(2, "big") + b"\x57"  # ISZERO JUMPI
        at += len(data)
    code += b"\x60\0\x60\0\xf3" + b"\x5b\x60\0\x60\0\xfd"  # RETURN, JUMPDEST REVERT
    assert len(code) == size
    return code + b"".join(datas)
