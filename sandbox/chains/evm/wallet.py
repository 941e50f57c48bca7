"""A customer's wallet on an EVM chain, for the cli, the demo and tests: pays what the URL says.

It knows nothing of the sandbox but the node's address, as an ordinary wallet would.
"""

import asyncio
import re
import time
from dataclasses import dataclass
from urllib.parse import parse_qsl

from eth_utils.address import is_checksum_address, is_checksum_formatted_address

from sandbox.chains.customers import Keys
from sandbox.chains.errors import BadPaymentUrl, PaymentRefused
from sandbox.chains.evm import tx
from sandbox.chains.evm.accounts import Account, LocalAccount
from sandbox.chains.evm.errors import reason, revert_text
from sandbox.chains.evm.rpc import Node
from sandbox.chains.json_rpc import NodeRefused
from sandbox.chains.port import ChainUnavailable
from sandbox.core import chance

WAIT_S = 60
_POLL_S = 0.05
_GAS_MARGIN = 2
_FEE_FACTOR, _TIP_WEI = 2, 10**9
_BALANCE_OF, _TRANSFER = "balanceOf(address)", "transfer(address,uint256)"
# ERC-681; `pay-` may stand before the address.
_URL = re.compile(r"ethereum:(?:pay-)?(0x[0-9a-fA-F]{40})(?:@([0-9]{1,18}))?/transfer\?(.+)")
_NUMBER = re.compile(r"([0-9]+)(?:\.([0-9]+))?(?:[eE]\+?([0-9]{1,3}))?")


@dataclass(frozen=True, slots=True)
class PaymentRequest:
    """An ERC-681 request for a token transfer. No `amount_units`: the payer chooses."""

    token: str
    chain_id: int
    recipient: str
    amount_units: int | None


def parse_url(url: str) -> PaymentRequest:
    """Raises `BadPaymentUrl`. Without a chain id it is for chain 1 (ERC-681)."""
    found = _URL.fullmatch(url)
    if found is None:
        raise BadPaymentUrl("not a request for a token transfer on an EVM chain (ERC-681)")
    token, chain_id, query = found.groups()
    try:
        pairs = parse_qsl(query, strict_parsing=True, max_num_fields=10)
    except ValueError as error:
        raise BadPaymentUrl(f"not a transfer request: {error}") from error
    # The order of the parameters is the order of the arguments.
    if [name for name, _ in pairs][:1] != ["address"] or len(dict(pairs)) != len(pairs):
        raise BadPaymentUrl("a transfer needs one address, and it comes first")
    fields = dict(pairs)
    if unknown := sorted(set(fields) - {"address", "uint256"}):
        raise BadPaymentUrl(f"a transfer has no {', '.join(unknown)}")
    amount = units_from_text(fields["uint256"]) if "uint256" in fields else None
    return PaymentRequest(_address(token), int(chain_id or 1), _address(fields["address"]), amount)


def units_from_text(number: str) -> int:
    """A number of base units as ERC-681 writes it (`1500`, `1.5e3`); raises `BadPaymentUrl`."""
    found = _NUMBER.fullmatch(number)
    if found is None:
        raise BadPaymentUrl(f"{number} is not a number")
    whole, rest, exponent = found[1], found[2] or "", int(found[3] or 0)
    if exponent < len(rest):
        raise BadPaymentUrl(f"{number} is not a whole number of units")
    units: int = int(whole + rest) * 10 ** (exponent - len(rest))
    if units >= 1 << 256:
        raise BadPaymentUrl(f"{number} is more than a token can hold")
    return units


def _address(text: str) -> str:
    if not re.fullmatch(r"0x[0-9a-fA-F]{40}", text):
        raise BadPaymentUrl(f"{text} is not an address")
    if is_checksum_formatted_address(text) and not is_checksum_address(text):
        raise BadPaymentUrl(f"{text} has a typing error: its checksum is wrong")
    return text.lower()


class EvmWallet:
    """One customer with its key. Close it with `aclose`."""

    def __init__(self, rpc_url: str, account: LocalAccount) -> None:
        self._node, self._account = Node(rpc_url), account

    @property
    def address(self) -> str:
        return self._account.address.lower()

    async def aclose(self) -> None:
        await self._node.aclose()

    async def pay(self, url: str, *, amount_units: int | None = None, wait: bool = True) -> str:
        """Pay the request, `amount_units` instead of its amount if given; returns the tx id.

        Waits until it is in a block unless told otherwise. Raises `BadPaymentUrl` (another chain
        too), `PaymentRefused`, `ChainUnavailable`.
        """
        request = parse_url(url)
        here = int(await self._node.call("eth_chainId"), 16)
        if request.chain_id != here:
            raise BadPaymentUrl(f"the request is for chain {request.chain_id}, this is {here}")
        if await self._node.call("eth_getCode", request.token, "latest") == "0x":
            raise BadPaymentUrl(f"no such token: {request.token}")
        if amount_units is None:
            if request.amount_units is None:
                raise BadPaymentUrl("the request names no amount, and none was given")
            amount_units = request.amount_units
        data = tx.call_data(_TRANSFER, request.recipient, amount_units)
        return await self.send(request.token, data, wait=wait)

    async def send(
        self,
        to: str,
        data: bytes = b"",
        *,
        value_wei: int = 0,
        gas: int | None = None,
        wait: bool = True,
    ) -> str:
        """Send any transaction; returns its id. Tried as a call first unless `gas` is given."""
        if gas is None:
            gas = await self._estimate(to, data, value_wei)
        chain_id, nonce, head = await self._node.batch(
            [
                ("eth_chainId", []),
                ("eth_getTransactionCount", [self.address, "pending"]),
                ("eth_getBlockByNumber", ["latest", False]),
            ]
        )
        base = int(head["baseFeePerGas"], 16)
        fees = tx.Fees(base * _FEE_FACTOR + _TIP_WEI, _TIP_WEI)
        act = tx.Act(to, data, gas, value_wei)
        id_, raw = tx.sign(self._account, int(chain_id, 16), int(nonce, 16), act, fees)
        try:
            await self._node.call("eth_sendRawTransaction", "0x" + raw.hex())
        except NodeRefused as refused:
            raise PaymentRefused(refused.message) from refused
        if wait:
            await self._wait(id_)
        return id_

    async def units(self, token: str) -> int:
        """Units of `token` held, in the newest block."""
        return await _units(self._node, self.address, token)

    async def wei(self) -> int:
        """Native coin held, in the newest block."""
        return int(await self._node.call("eth_getBalance", self.address, "latest"), 16)

    async def _estimate(self, to: str, data: bytes, value_wei: int) -> int:
        call = {"from": self.address, "to": to, "data": "0x" + data.hex(), "value": hex(value_wei)}
        try:
            return int(await self._node.call("eth_estimateGas", call), 16) * _GAS_MARGIN
        except NodeRefused as refused:
            words = reason(revert_text(refused.data) or refused.message)
            raise PaymentRefused(words) from refused

    async def _wait(self, id_: str) -> None:
        until = time.monotonic() + WAIT_S
        while time.monotonic() < until:
            receipt = await self._node.call("eth_getTransactionReceipt", id_)
            if receipt is not None and int(receipt["status"], 16) == 0:
                raise PaymentRefused("failed on chain", tx=id_)
            if receipt is not None:
                return
            await asyncio.sleep(_POLL_S)
        raise ChainUnavailable(f"evm ({id_} was not in a block within {WAIT_S} s)")


async def pay(
    rpc_url: str, account: LocalAccount, url: str, *, amount_units: int | None = None
) -> str:
    """Pay one ERC-681 URL and wait until it is in a block; returns the tx id."""
    wallet = EvmWallet(rpc_url, account)
    try:
        return await wallet.pay(url, amount_units=amount_units)
    finally:
        await wallet.aclose()


async def balance(rpc_url: str, address: str, token: str) -> int:
    """Units of `token` that `address` holds, in the newest block."""
    node = Node(rpc_url)
    try:
        return await _units(node, address, token)
    finally:
        await node.aclose()


async def _units(node: Node, owner: str, token: str) -> int:
    data = "0x" + tx.call_data(_BALANCE_OF, owner).hex()
    answer: str = await node.call("eth_call", {"to": token, "data": data}, "latest")
    if len(answer) <= 2:
        raise BadPaymentUrl(f"no such token: {token}")
    return int(answer, 16)


def kept_key(keys: Keys, name: str, *, seed: int | None = None) -> LocalAccount:
    """The key of a test wallet, made on first use (ADR 0030): a file with the key in hex."""

    def new() -> str:
        return "0x" + chance.key_bytes("evm wallet", name, seed=seed).hex()

    key: LocalAccount = Account.from_key(keys.text(f"{name}.evm", new).strip())
    return key
