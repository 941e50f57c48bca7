"""A customer's wallet on Solana, for the cli, the demo and tests: pays what the URL says.

It knows nothing of the sandbox but the node's address, as an ordinary wallet would.
"""

import asyncio
import base64
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import SanitizeError, Transaction

from sandbox.chains.customers import Keys
from sandbox.chains.errors import BadPaymentUrl, PaymentRefused
from sandbox.chains.json_rpc import NodeRefused
from sandbox.chains.port import ChainUnavailable
from sandbox.chains.solana import tx
from sandbox.chains.solana.errors import reason
from sandbox.chains.solana.rpc import Rpc
from sandbox.chains.solana.state import account_data, token_amount
from sandbox.core import chance

WAIT_S = 60
_POLL_S = 0.05
_CONFIRMED: dict[str, Any] = {"commitment": "confirmed"}


@dataclass(frozen=True, slots=True)
class PaymentRequest:
    """A Solana Pay transfer request (its specification, 1.1). `amount` is in user units."""

    recipient: Pubkey
    mint: Pubkey
    amount: str | None
    references: tuple[Pubkey, ...]
    memo: str | None


def parse_url(url: str) -> PaymentRequest:
    """Raises `BadPaymentUrl`."""
    parts = urlsplit(url)
    if parts.scheme != "solana":
        raise BadPaymentUrl("not a solana: URL")
    try:
        fields = parse_qs(parts.query, strict_parsing=True, max_num_fields=50)
        return PaymentRequest(
            Pubkey.from_string(parts.path),
            Pubkey.from_string(fields["spl-token"][0]),
            fields["amount"][0] if "amount" in fields else None,
            tuple(Pubkey.from_string(reference) for reference in fields.get("reference", ())),
            fields["memo"][0] if "memo" in fields else None,
        )
    except (KeyError, ValueError) as error:
        raise BadPaymentUrl(f"not a transfer request: {error}") from error


def units_from_text(amount: str, decimals: int) -> int:
    """A decimal number of user units as base units; raises `BadPaymentUrl` when not exact."""
    whole, _, rest = amount.partition(".")
    digits = whole + rest
    if not whole or not digits.isascii() or not digits.isdecimal() or len(rest) > decimals:
        raise BadPaymentUrl(f"the amount {amount} is not a number with {decimals} places at most")
    return int(digits + "0" * (decimals - len(rest)))


class SolanaWallet:
    """One customer with its key. Close it with `aclose`."""

    def __init__(self, rpc_url: str, keypair: Keypair) -> None:
        self._rpc, self._keypair = Rpc(rpc_url), keypair

    @property
    def address(self) -> str:
        return str(self._keypair.pubkey())

    async def aclose(self) -> None:
        await self._rpc.aclose()

    async def pay(self, url: str, *, amount_units: int | None = None, wait: bool = True) -> str:
        """Pay the request, `amount_units` instead of its amount if given; returns the tx id.

        Memo first, transfer last, references after its four accounts. Waits until confirmed
        unless told otherwise. Raises `BadPaymentUrl`, `PaymentRefused`, `ChainUnavailable`.
        """
        return await self.send(await self._asked(url, amount_units), wait=wait)

    async def pay_sponsored(
        self, url: str, offered: str, *, amount_units: int | None = None, wait: bool = True
    ) -> str:
        """Pay the same with a transaction in base64 whose fee somebody else pays.

        Signed only when it is, byte for byte, the payment of `pay` with another fee payer, whose
        signature is good. Raises as `pay` does.
        """
        asked = await self._asked(url, amount_units)
        try:
            transaction = Transaction.from_bytes(base64.b64decode(offered, validate=True))
            transaction.sanitize()
        except (ValueError, SanitizeError) as error:
            raise PaymentRefused(f"this is no transaction: {error}") from error
        message = transaction.message
        sponsor = message.account_keys[0]
        expected = Message.new_with_blockhash(asked, sponsor, message.recent_blockhash)
        mine = self._keypair.pubkey()
        if sponsor == mine or bytes(message) != bytes(expected):
            raise PaymentRefused("this is not the payment that was asked for")
        transaction.partial_sign([self._keypair], message.recent_blockhash)
        if not all(transaction.verify_with_results()):
            raise PaymentRefused("the sponsor did not sign it")
        raw = base64.b64encode(bytes(transaction)).decode()
        return await self._sent(raw, str(transaction.signatures[0]), asked, wait)

    async def _asked(self, url: str, amount_units: int | None) -> list[Instruction]:
        request = parse_url(url)
        try:
            supply = (await self._rpc.call("getTokenSupply", str(request.mint), _CONFIRMED))[
                "value"
            ]
        except NodeRefused as refused:
            raise BadPaymentUrl(f"no such token: {request.mint}") from refused
        token = tx.Token(request.mint, supply["decimals"])
        if amount_units is None:
            if request.amount is None:
                raise BadPaymentUrl("the request names no amount, and none was given")
            amount_units = units_from_text(request.amount, token.decimals)
        payer = self._keypair.pubkey()
        transfer = tx.transfer_units(
            token, payer, request.recipient, amount_units, request.references
        )
        memo = [tx.memo(request.memo)] if request.memo is not None else []
        return [*memo, transfer]

    async def send(
        self,
        instructions: list[Instruction],
        *,
        signers: Sequence[Keypair] = (),
        wait: bool = True,
    ) -> str:
        """Send any transaction of this wallet with preflight; returns its id.

        `signers` sign beside it.

        Raises `PaymentRefused` in the words that every chain uses, `ChainUnavailable`.
        """
        answer = (await self._rpc.call("getLatestBlockhash", _CONFIRMED))["value"]
        signed = tx.sign(
            instructions,
            [self._keypair, *signers],
            Hash.from_string(answer["blockhash"]),
            answer["lastValidBlockHeight"],
        )
        raw = base64.b64encode(signed.raw).decode()
        return await self._sent(raw, signed.tx_id, instructions, wait)

    async def _sent(
        self, raw: str, tx_id: str, instructions: Sequence[Instruction], wait: bool
    ) -> str:
        options = {"encoding": "base64", "preflightCommitment": "confirmed"}
        try:
            await self._rpc.call("sendTransaction", raw, options)
        except NodeRefused as refused:
            failed = refused.data.get("err") if isinstance(refused.data, dict) else None
            words = str(refused) if failed is None else _why(failed, instructions)
            raise PaymentRefused(words) from refused
        if wait:
            await self._wait(tx_id, instructions)
        return tx_id

    async def units(self, mint: str) -> int:
        """Units of `mint` held, at confirmed."""
        try:
            return await _units(self._rpc, self.address, mint)
        except NodeRefused as refused:
            raise BadPaymentUrl(f"no such token: {mint}") from refused

    async def lamports(self) -> int:
        """Native coin held, at confirmed."""
        return int((await self._rpc.call("getBalance", self.address, _CONFIRMED))["value"])

    async def _wait(self, signature: str, instructions: Sequence[Instruction]) -> None:
        until = time.monotonic() + WAIT_S
        while time.monotonic() < until:
            [status] = (await self._rpc.call("getSignatureStatuses", [signature]))["value"]
            if status is not None and status["err"] is not None:
                words = _why(status["err"], instructions)
                raise PaymentRefused(f"failed on chain: {words}", tx=signature)
            if status is not None and status["confirmationStatus"] in ("confirmed", "finalized"):
                return
            await asyncio.sleep(_POLL_S)
        raise ChainUnavailable(f"solana ({signature} was not confirmed within {WAIT_S} s)")


def _why(error: Any, instructions: Sequence[Instruction]) -> str:
    return reason(error, [str(one.program_id) for one in instructions])


async def pay(rpc_url: str, keypair: Keypair, url: str, *, amount_units: int | None = None) -> str:
    """Pay one Solana Pay URL and wait until it is confirmed; returns the tx id."""
    wallet = SolanaWallet(rpc_url, keypair)
    try:
        return await wallet.pay(url, amount_units=amount_units)
    finally:
        await wallet.aclose()


async def pay_sponsored(
    rpc_url: str, keypair: Keypair, url: str, offered: str, *, amount_units: int | None = None
) -> str:
    """The same with a transaction whose fee somebody else pays."""
    wallet = SolanaWallet(rpc_url, keypair)
    try:
        return await wallet.pay_sponsored(url, offered, amount_units=amount_units)
    finally:
        await wallet.aclose()


async def lamports(rpc_url: str, address: str) -> int:
    """Native coin that `address` holds, at confirmed."""
    rpc = Rpc(rpc_url)
    try:
        return int((await rpc.call("getBalance", address, _CONFIRMED))["value"])
    finally:
        await rpc.aclose()


async def balance(rpc_url: str, address: str, mint: str) -> int:
    """Units of `mint` that the owner `address` holds, at confirmed."""
    rpc = Rpc(rpc_url)
    try:
        return await _units(rpc, address, mint)
    finally:
        await rpc.aclose()


async def _units(rpc: Rpc, owner: str, mint: str) -> int:
    options = {**_CONFIRMED, "encoding": "base64"}
    answer = await rpc.call("getTokenAccountsByOwner", owner, {"mint": mint}, options)
    datas = [account_data(held["account"]) for held in answer["value"]]
    return sum(token_amount(data) for data in datas)


def kept_key(keys: Keys, name: str, *, seed: int | None = None) -> Keypair:
    """The key of a test wallet, made on first use (ADR 0030): a file as `solana-keygen` writes."""

    def new() -> str:
        drawn = chance.key_bytes("solana wallet", name, seed=seed)
        return json.dumps(list(bytes(Keypair.from_seed(drawn))))

    return Keypair.from_bytes(bytes(json.loads(keys.text(f"{name}.json", new))))
