"""Simulated customers on an EVM chain, and the ways in which their wallets shape a payment."""

import contextlib
from collections.abc import Collection, Sequence
from pathlib import Path

from eth_utils.crypto import keccak

from contracts.evm_addresses import created_address
from sandbox.chains.customers import Keys, Manner, MannerUnknown, Option
from sandbox.chains.errors import NotSponsored
from sandbox.chains.evm import tx
from sandbox.chains.evm.accounts import LocalAccount
from sandbox.chains.evm.rpc import Node
from sandbox.chains.evm.wallet import EvmWallet, kept_key, parse_url
from sandbox.chains.json_rpc import NodeRefused

_TRANSFER, _APPROVE = "transfer(address,uint256)", "approve(address,uint256)"
_TRANSFER_FROM = "transferFrom(address,address,uint256)"
_LOGGED = keccak(text="Transfer(address,address,uint256)")
_CALL_GAS, _CREATE_GAS, _TOGETHER_GAS = 200_000, 1_000_000, 8_000_000
_COIN_WEI = 10**12
_SIGNATURE_OF_A_WALLET = keccak(text="a wallet's own data")


class EvmCustomers:
    """Private keys in hex, in `folder`. Close it with `aclose`."""

    manners: Collection[Manner] = (
        *("plain", "extra", "token_contract", "other_token", "native_coin"),
    )

    def __init__(self, rpc_url: str, folder: Path, *, chain: str = "evm") -> None:
        self.chain, self._url, self._keys = chain, rpc_url, Keys(folder)
        self._node = Node(rpc_url, chain)
        self._wallets: dict[str, EvmWallet] = {}

    async def aclose(self) -> None:
        await self._node.aclose()
        for one in self._wallets.values():
            await one.aclose()

    def address(self, name: str) -> str:
        return self._wallet(name).address

    async def units(self, name: str, option: Option) -> int:
        return await self._wallet(name).units(option["token"])

    async def pay(
        self, name: str, option: Option, units: int, manner: Manner = "plain"
    ) -> Sequence[str]:
        wallet = self._wallet(name)
        asked = parse_url(option["url"])
        data = tx.call_data(_TRANSFER, asked.recipient, units)
        match manner:
            case "plain":
                return [await wallet.pay(option["url"], amount_units=units)]
            case "extra":
                return [await wallet.send(asked.token, data + _SIGNATURE_OF_A_WALLET)]
            case "token_contract":
                to_token = tx.call_data(_TRANSFER, asked.token, units)
                return [await wallet.send(asked.token, to_token)]
            case "native_coin":
                return [await wallet.send(asked.recipient, value_wei=_COIN_WEI)]
            case "other_token":
                other = created_address(wallet.address, await self._nonce(wallet.address))
                await wallet.send("", _creating(_boastful_token()), gas=_CREATE_GAS)
                return [await wallet.send(other, data)]
            case _:
                raise MannerUnknown(self.chain, manner)

    async def pay_together(self, name: str, parts: Sequence[tuple[Option, int]]) -> str:
        """As contracts that batch do: a constructor that spends what the payer approved."""
        wallet = self._wallet(name)
        token, total = parts[0][0]["token"], sum(units for _, units in parts)
        spender = created_address(wallet.address, await self._nonce(wallet.address) + 1)
        await wallet.send(token, tx.call_data(_APPROVE, spender, total), gas=_CALL_GAS)
        calls = [
            tx.call_data(_TRANSFER_FROM, wallet.address, option["address"], units)
            for option, units in parts
        ]
        return await wallet.send("", _calling(token, calls), gas=_TOGETHER_GAS)

    async def pay_sponsored(self, name: str, option: Option, units: int, offered: str) -> str:
        raise NotSponsored(self.chain)

    async def give(self, name: str, to: str, option: Option, units: int) -> str:
        return await self._wallet(name).send(option["token"], tx.call_data(_TRANSFER, to, units))

    async def resend(self, tx: str) -> None:
        raw = await self._node.call("eth_getRawTransactionByHash", tx)
        with contextlib.suppress(NodeRefused):
            await self._node.call("eth_sendRawTransaction", raw)

    # Inside.

    def _key(self, name: str) -> LocalAccount:
        return kept_key(self._keys, name)

    def _wallet(self, name: str) -> EvmWallet:
        if name not in self._wallets:
            self._wallets[name] = EvmWallet(self._url, self._key(name))
        return self._wallets[name]

    async def _nonce(self, address: str) -> int:
        return int(await self._node.call("eth_getTransactionCount", address, "pending"), 16)


def _boastful_token() -> bytes:
    """A contract whose every `transfer` logs one and moves nothing: anybody has any amount."""
    code = b"\x60\x20\x60\x24\x60\0\x37"  # the amount into memory
    code += b"\x60\x04\x35\x33\x7f" + _LOGGED + b"\x60\x20\x60\0\xa3"  # LOG3 to, caller
    return code + b"\x60\x01\x60\0\x52\x60\x20\x60\0\xf3"  # true


def _creating(code: bytes) -> bytes:
    """Creation code that leaves `code`."""
    size = len(code).to_bytes(2, "big")
    head = b"\x61" + size + b"\x60\x0e\x60\0\x39\x61" + size + b"\x60\0\xf3"
    assert len(head) == 0x0E
    return head + code


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
