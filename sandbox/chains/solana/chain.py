"""The `Chain` port over the JSON-RPC of a Solana node, for the KZTE mint of one deployment."""

import asyncio
import base64
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from solders.hash import Hash
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from contracts.solana_mint import SYSTEM, TOKEN_2022
from sandbox.chains.errors import NoKeys, NothingToSweep, NotSponsored, WrongChain
from sandbox.chains.json_rpc import INVALID_PARAMS, METHOD_NOT_FOUND, Call, NodeRefused
from sandbox.chains.port import (
    AtHeight,
    Block,
    BlockId,
    BrowserPayment,
    Command,
    Decoded,
    Heads,
    Holdings,
    Outcome,
    ReceiveOption,
    Signed,
    TokenTruth,
    UnknownRecipient,
)
from sandbox.chains.seizing import seizure
from sandbox.chains.service import Deployment
from sandbox.chains.solana import tx
from sandbox.chains.solana.blocks import Watched, block_id, parse_block
from sandbox.chains.solana.commands import Commands
from sandbox.chains.solana.decoding import decoded
from sandbox.chains.solana.keys import AUTHORITIES, SolanaKeys
from sandbox.chains.solana.rpc import Rpc
from sandbox.chains.solana.sponsoring import Sponsor
from sandbox.chains.solana.state import (
    account_data,
    is_account_frozen,
    is_mint_paused,
    parse_mint,
    token_amount,
)
from sandbox.core import chance
from sandbox.core.money import format_units

# Many intents that are due at once share a blockhash; an old one would shorten their life.
BLOCKHASH_REUSE_S = 0.2
FULL_BLOCKS_PER_REQUEST = 16
_CONFIRMED: dict[str, Any] = {"commitment": "confirmed"}
_FINAL: dict[str, Any] = {"commitment": "finalized"}


class SolanaChain:
    """Reads with public facts only; signs when it was given keys, fees of others as `sponsor`.

    Raises `ChainUnavailable` when the node does not answer, and `WrongChain`, before anything is
    followed or signed, when it answers for another chain.
    """

    network = "Solana"
    sweep_batch = 0
    rotatable: Collection[str] = AUTHORITIES

    def __init__(
        self,
        rpc_url: str,
        deployment: Deployment,
        keys: SolanaKeys | None = None,
        *,
        name: str = "solana",
        sponsor: Keypair | None = None,
    ) -> None:
        config = deployment.config
        self.name, self.decimals = name, int(config["decimals"])
        self._genesis = deployment.genesis
        self._mint, self._treasury = config["mint"], config["treasury"]
        self._token = tx.Token(Pubkey.from_string(self._mint), self.decimals)
        treasury = Pubkey.from_string(self._treasury)
        self._watched = Watched(self._mint, frozenset({self._treasury}))
        self._keys = keys
        self._rpc = Rpc(rpc_url, name)
        self._commands = None if keys is None else Commands(self._rpc, name, self._token, keys)
        self._sponsor = (
            None if sponsor is None else Sponsor(self._rpc, name, self._token, treasury, sponsor)
        )
        self._blockhash: tuple[float, Hash, int] | None = None
        self._blockhash_lock = asyncio.Lock()

    @property
    def asset(self) -> str:
        return f"KZTE.{self.name}"

    @property
    def sponsors(self) -> bool:
        return self._sponsor is not None

    def own_addresses(self) -> Mapping[str, str]:
        return {self._treasury: "treasury"}

    def deposit_key(self, address: str) -> str:
        """Sessions are paid at the treasury."""
        return ""

    def check_recipient(self, address: str) -> str:
        """An owner's address: 32 bytes in base58, and not the mint or the system program."""
        try:
            key = Pubkey.from_string(address)
        except ValueError as error:
            raise UnknownRecipient(self.name, address) from error
        if str(key) != address or key in (self._token.mint, SYSTEM):
            raise UnknownRecipient(self.name, address)
        return address

    async def aclose(self) -> None:
        """Close the connections to the node."""
        await self._rpc.aclose()

    # Reading.

    async def genesis(self) -> str:
        return str(await self._rpc.call("getGenesisHash"))

    async def heads(self) -> Heads:
        views = (_FINAL, _CONFIRMED, {"commitment": "processed"})
        final, confirmed, newest, genesis = await self._rpc.batch(
            [*(("getSlot", [view]) for view in views), ("getGenesisHash", [])]
        )
        self._check(genesis)
        return Heads(max(confirmed, final), final, newest)

    async def block_ids(self, first: int, last: int) -> list[BlockId]:
        slots, bodies = await self._get_blocks(first, last, "none")
        return [block_id(slot, body) for slot, body in zip(slots, bodies, strict=True)]

    async def blocks(self, first: int, last: int) -> list[Block]:
        slots, bodies = await self._get_blocks(first, last, "full")
        return [
            parse_block(slot, body, self._watched) for slot, body in zip(slots, bodies, strict=True)
        ]

    async def decode(self, tx: str) -> Decoded | None:
        options = {**_CONFIRMED, "encoding": "base64", "maxSupportedTransactionVersion": 0}
        try:
            body, final = await self._rpc.batch(
                [("getTransaction", [tx, options]), ("getSlot", [_FINAL])]
            )
        except NodeRefused:
            return None  # no signature of this chain
        if body is None:
            return None
        return decoded(body, "final" if body["slot"] <= final else "confirmed")

    async def supply(self) -> AtHeight:
        return await self._figure(
            "getTokenSupply",
            [self._mint, _FINAL],
            lambda value: int(value["amount"]),
        )

    async def balance(self, address: str, *, final: bool = True) -> AtHeight:
        """Over all token accounts of the owner, not only the associated one."""
        view = {**(_FINAL if final else _CONFIRMED), "encoding": "base64"}
        return await self._figure(
            "getTokenAccountsByOwner",
            [address, {"mint": self._mint}, view],
            lambda value: sum(token_amount(account_data(held["account"])) for held in value),
        )

    async def is_frozen(self, address: str) -> bool:
        owner = Pubkey.from_string(address)
        data = await self._account(tx.token_account(owner, self._token.mint))
        return data is not None and is_account_frozen(data)

    async def is_paused(self) -> bool:
        data = await self._account(self._token.mint)
        return data is not None and is_mint_paused(data)

    async def token_truth(self) -> TokenTruth:
        """The mint at final; no units and no roles while it is too young for that view."""
        view = {**_FINAL, "encoding": "base64"}
        answer = await self._rpc.call("getAccountInfo", self._mint, view)
        found = parse_mint(account_data(answer["value"]) if answer["value"] else bytes(166))
        return TokenTruth(
            address=self._mint,
            program=str(TOKEN_2022),
            name=found.name,
            symbol=found.symbol,
            uri=found.uri,
            decimals=found.decimals,
            supply_units=found.supply_units,
            height=answer["context"]["slot"],
            is_paused=found.is_paused,
            authorities=found.authorities,
            extensions=found.extensions,
        )

    # Writing.

    async def prepare(self, command: Command, taken: Collection[str] = ()) -> Signed:
        """Raises `NoKeys` in a process that only reads, `UnknownRecipient`, `NotSeizable`,
        `WrongChain`; for what an authority signs also `KeyNotHeld`, `RoleGivenUp`, `NotRotatable`.
        """
        if self._keys is None or self._commands is None:
            raise NoKeys(self.name)
        if command.action == "seize":
            seizure(self, command)
        elif command.action not in ("burn", "pause", "resume", "rotate"):
            self.check_recipient(command.recipient)
        if command.action == "sweep":
            raise NothingToSweep(self.name)
        # The blockhash first: it names the chain, before anything else is believed.
        blockhash, valid_until = await self._recent_blockhash()
        acts = await self._commands.acts(command)
        instructions = [*acts.instructions[:-1], tx.memo(command.reference), acts.instructions[-1]]
        return tx.sign(instructions, [self._keys.fee_payer, *acts.signers], blockhash, valid_until)

    async def broadcast(self, signed: Signed) -> None:
        """Without preflight: what fails, fails on chain and is final there, never unknown."""
        raw = base64.b64encode(signed.raw).decode()
        options = {"encoding": "base64", "skipPreflight": True, "maxRetries": 0}
        await self._rpc.call("sendTransaction", raw, options)

    async def outcome(self, signed: Signed) -> Outcome:
        # The height first: what is not in history afterwards cannot come in any more.
        height, statuses = await self._rpc.batch(
            [
                ("getBlockHeight", [_FINAL]),
                ("getSignatureStatuses", [[signed.tx_id], {"searchTransactionHistory": True}]),
            ]
        )
        status = statuses["value"][0]
        if status is None:
            if height <= signed.valid_until_height:
                return Outcome.unknown
            # Devnets can make 150 blocks in an instant: the next attempt needs a newer blockhash.
            self._blockhash = None
            return Outcome.not_done
        if status["confirmationStatus"] != "finalized":
            return Outcome.unknown
        return Outcome.done if status["err"] is None else Outcome.not_done

    def receive_option(self, session_id: str, amount_units: int, label: str) -> ReceiveOption:
        """A Solana Pay transfer request to the treasury with a reference nobody else has."""
        reference = str(Pubkey(chance.token_bytes(32)))
        url = (
            f"solana:{self._treasury}?amount={format_units(amount_units, self.decimals)}"
            f"&spl-token={self._mint}&reference={reference}&memo={session_id}"
        )
        fields: dict[str, str | int] = {
            "url": url,
            "recipient": self._treasury,
            "mint": self._mint,
            "reference": reference,
            "memo": session_id,
            "amount_units": amount_units,
        }
        return ReceiveOption(fields, (f"ref:{reference}", f"memo:{session_id}"))

    def browser_payment(
        self, option: Mapping[str, Any], amount_units: int
    ) -> BrowserPayment | None:
        """Its links open every wallet; there is no EIP-1193 here."""
        return None

    async def sponsored_payment(
        self, option: Mapping[str, Any], account: str, amount_units: int
    ) -> str:
        if self._sponsor is None:
            raise NotSponsored(self.name)
        self.check_recipient(account)
        found = await self._sponsor.payment(option, account, amount_units)
        self._check(found.genesis)
        return base64.b64encode(found.raw).decode()

    def transaction_link(self, url: str) -> str:
        """A transaction request (Solana Pay 1.1), which wallets follow over https only."""
        return f"solana:{url}" if self.sponsors and url.startswith("https://") else ""

    async def holdings(self, sessions: Sequence[str] = ()) -> Holdings:
        [(treasury, place)] = self.own_addresses().items()
        held = await self.balance(treasury)
        return Holdings({place: held.units}, held.height)

    async def set_clock(self, offset_ms: int, frozen_at_ms: int | None) -> bool:
        to = {"offsetMs": offset_ms, "frozenAtMs": frozen_at_ms}
        try:
            await self._rpc.call("sandbox_setClock", to)
        except NodeRefused as refused:
            if refused.code == METHOD_NOT_FOUND:
                return False
            raise
        return True

    # Inside.

    def _check(self, genesis: str) -> None:
        """Another chain may stand behind the same port, with numbers of its own."""
        if genesis != self._genesis:
            raise WrongChain(self.name, self._genesis, genesis)

    async def _get_blocks(
        self, first: int, last: int, details: str
    ) -> tuple[list[int], list[Mapping[str, Any]]]:
        slots = await self._rpc.call("getBlocks", first, last, _CONFIRMED)
        options = {
            **_CONFIRMED,
            "encoding": "base64",
            "transactionDetails": details,
            "rewards": False,
            "maxSupportedTransactionVersion": 0,
        }
        # Full blocks of a busy chain are megabytes.
        size = None if details == "none" else FULL_BLOCKS_PER_REQUEST
        calls: list[Call] = [("getBlock", [slot, options]) for slot in slots]
        bodies = await self._rpc.batch(calls, size=size)
        return slots, bodies

    async def _figure(self, method: str, params: list[Any], read: Callable[[Any], int]) -> AtHeight:
        """A figure with its slot; 0 while the mint is too young to be known at that view."""
        slot = await self._rpc.call("getSlot", _FINAL)
        try:
            answer = await self._rpc.call(method, *params)
        except NodeRefused as refused:
            if refused.code == INVALID_PARAMS:
                return AtHeight(0, slot)
            raise
        return AtHeight(read(answer["value"]), answer["context"]["slot"])

    async def _account(self, key: Pubkey) -> bytes | None:
        options = {**_CONFIRMED, "encoding": "base64"}
        answer = await self._rpc.call("getAccountInfo", str(key), options)
        return None if answer["value"] is None else account_data(answer["value"])

    async def _recent_blockhash(self) -> tuple[Hash, int]:
        """A final blockhash, so that no reorg can take it away; shared by what is due at once."""
        async with self._blockhash_lock:
            kept = self._blockhash
            # Which hash a seeded world signs with must not depend on how fast this machine is.
            is_old = kept is None or time.monotonic() - kept[0] > BLOCKHASH_REUSE_S
            if kept is None or is_old or chance.is_sown():
                asked = time.monotonic()
                newest, genesis = await self._rpc.batch(
                    [("getLatestBlockhash", [_FINAL]), ("getGenesisHash", [])]
                )
                self._check(genesis)
                answer = newest["value"]
                hash_ = Hash.from_string(answer["blockhash"])
                kept = self._blockhash = (asked, hash_, answer["lastValidBlockHeight"])
            return kept[1], kept[2]
