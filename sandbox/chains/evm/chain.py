"""The `Chain` port over the JSON-RPC of an EVM node, for the KZTE token of one deployment."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from itertools import count, islice, pairwise
from typing import Any

import structlog
from eth_utils.address import is_checksum_address, to_checksum_address

from contracts.evm_addresses import DepositAddresses, deposit_salt
from sandbox.chains.errors import NoKeys, NothingToSweep, NotRotatable, NotSponsored, WrongChain
from sandbox.chains.evm import browser, calls, decoding, tx
from sandbox.chains.evm.accounts import LocalAccount
from sandbox.chains.evm.blocks import TRANSFER, Watched, block_id, parse_block, undecided
from sandbox.chains.evm.errors import reason, revert_text
from sandbox.chains.evm.keys import EvmKeys
from sandbox.chains.evm.rpc import EXECUTION_REVERTED, Node
from sandbox.chains.evm.truth import read_token
from sandbox.chains.json_rpc import METHOD_NOT_FOUND, Call, NodeRefused
from sandbox.chains.port import (
    TREASURY,
    UNSWEPT,
    AtHeight,
    Block,
    BlockId,
    BrowserPayment,
    ChainUnavailable,
    Command,
    Decoded,
    Heads,
    Holdings,
    Outcome,
    ReceiveOption,
    Signed,
    TokenTruth,
    UnknownRecipient,
    address_key,
)
from sandbox.chains.seizing import seizure
from sandbox.chains.service import Deployment

GAS_COINS_WEI = 10 * tx.WEI_PER_COIN
FULL_BLOCKS_PER_REQUEST = 16
# A base fee may rise by an eighth per block: this lasts for about twenty full ones.
FEE_FACTOR, TIP_WEI = 10, 10**9
_ADDRESS_LENGTH, _HEX = 42, frozenset("0123456789abcdefABCDEF")
# What a node says of bytes that it has already, or that were mined: nothing to tell anyone.
_HARMLESS = ("already", "nonce too low")
_LATEST, _FINAL, _PENDING = "latest", "finalized", "pending"
_IDENTITY: Sequence[Call] = (("eth_chainId", []), ("eth_getBlockByNumber", ["0x0", False]))

log = structlog.get_logger(__name__)


class EvmChain:
    """Reads with public facts only; signs when it was given keys.

    Raises `ChainUnavailable` when the node does not answer, and `WrongChain`, before anything is
    followed or signed, when it answers for another chain. `public_rpc` is what buyers' wallets are
    told; the node that we use ourselves is nobody's business.
    """

    network = "EVM"
    sweep_batch = 100
    sponsors = False
    rotatable: Collection[str] = ()

    def __init__(
        self,
        rpc_url: str,
        deployment: Deployment,
        keys: EvmKeys | None = None,
        *,
        name: str = "evm",
        public_rpc: str = "",
    ) -> None:
        config = deployment.config
        self.name, self.decimals = name, int(config["decimals"])
        self._chain_id, self._genesis = int(config["chain_id"]), deployment.genesis
        self._token, self._treasury = config["token"], config["treasury"]
        self._deposits = config["deposits"]
        self._addresses = DepositAddresses(self._deposits, config["implementation"])
        self._shown_token = to_checksum_address(self._token)
        self.operators: Mapping[str, str] = config["operators"]
        contracts = frozenset({self._token, self._deposits, config["implementation"]})
        own, operators = frozenset({self._treasury}), frozenset(self.operators.values())
        self._watched = Watched(self._token, contracts, own, operators, self.deposit_key)
        self._keys, self._public_rpc = keys, public_rpc
        self._node = Node(rpc_url, name)
        # What the node said last of transactions that it would not take: slot → its words.
        self.refused: dict[str, str] = {}

    @property
    def asset(self) -> str:
        return f"KZTE.{self.name}"

    def own_addresses(self) -> Mapping[str, str]:
        return {self._treasury: TREASURY}

    def deposit_key(self, address: str) -> str:
        return address_key(address.lower()) if address else ""

    def check_recipient(self, address: str) -> str:
        """A 20-byte hex address, its checksum right if it has one; not one of our contracts."""
        lower = address.lower()
        is_address = len(address) == _ADDRESS_LENGTH and address[:2] == "0x"
        is_address = is_address and _HEX.issuperset(address[2:])
        if not is_address or lower in self._watched.contracts or lower == tx.ZERO:
            raise UnknownRecipient(self.name, address)
        if address[2:] not in (lower[2:], address[2:].upper()) and not is_checksum_address(address):
            raise UnknownRecipient(self.name, address)
        return lower

    async def aclose(self) -> None:
        """Close the connections to the node."""
        await self._node.aclose()

    # Reading.

    async def genesis(self) -> str:
        return str((await self._node.call("eth_getBlockByNumber", "0x0", False))["hash"])

    async def heads(self) -> Heads:
        final, confirmed, waiting, *identity = await self._node.batch(
            [
                ("eth_getBlockByNumber", [_FINAL, False]),
                ("eth_getBlockByNumber", [_LATEST, False]),
                ("eth_getBlockTransactionCountByNumber", [_PENDING]),
                *_IDENTITY,
            ]
        )
        self._check(*identity)
        if final is None or confirmed is None or waiting is None:
            raise ChainUnavailable(self.name)
        height = int(confirmed["number"], 16)
        newest = height + 1 if int(waiting, 16) else height
        final_height = min(height, int(final["number"], 16))
        return Heads(height, final_height, newest, confirmed["hash"])

    async def block_ids(self, first: int, last: int) -> list[BlockId]:
        return [block_id(body) for body in await self._bodies(first, last, full=False)]

    async def blocks(self, first: int, last: int) -> list[Block]:
        """Logs are asked for by block hash: a block that left the chain meanwhile is no empty one.

        Asking again is then the answer, so that is `ChainUnavailable`.
        """
        bodies = await self._bodies(first, last, full=True)
        busy = [body for body in bodies if body["transactions"]]
        asked: list[Call] = [
            ("eth_getLogs", [{"blockHash": body["hash"], "topics": [TRANSFER]}]) for body in busy
        ]
        try:
            answers = await self._node.batch(asked, size=FULL_BLOCKS_PER_REQUEST)
        except NodeRefused as gone:
            raise ChainUnavailable(self.name) from gone
        logs = {body["hash"]: found for body, found in zip(busy, answers, strict=True)}
        failed = await self._failed(busy, logs)
        return [
            parse_block(
                body, logs.get(body["hash"], ()), failed.get(body["hash"], {}), self._watched
            )
            for body in bodies
        ]

    async def decode(self, tx: str) -> Decoded | None:
        return await decoding.read(self._node, tx, self._why)

    async def supply(self) -> AtHeight:
        height = await self._final_height()
        return AtHeight(await self._figure(calls.TOTAL_SUPPLY, height=height), height)

    async def balance(self, address: str, *, final: bool = True) -> AtHeight:
        height = await self._height(_FINAL if final else _LATEST)
        units = await self._figure(calls.BALANCE_OF, address, height=height)
        return AtHeight(units, height)

    async def is_frozen(self, address: str) -> bool:
        return bool(await self._figure(calls.IS_FROZEN, address))

    async def is_paused(self) -> bool:
        return bool(await self._figure(calls.IS_PAUSED))

    async def token_truth(self) -> TokenTruth:
        return await read_token(
            self._node, self._shown_token, self.operators, await self._final_height()
        )

    # Writing.

    async def prepare(self, command: Command, taken: Collection[str] = ()) -> Signed:
        """Takes the lowest nonces that are free on the chain and not in `taken`: no gap stays.

        With `gas`, native coin goes ahead in a transaction of its own; the id is the second's.
        Raises `NoKeys` in a process that only reads, `UnknownRecipient`, `NothingToSweep`,
        `NotSeizable`, `NotRotatable`, `WrongChain`.
        """
        if self._keys is None:
            raise NoKeys(self.name)
        key, acts = self._acts(command, self._keys)
        signer = key.address.lower()
        waiting, head, *identity = await self._node.batch(
            [
                ("eth_getTransactionCount", [signer, _PENDING]),
                ("eth_getBlockByNumber", [_LATEST, False]),
                *_IDENTITY,
            ]
        )
        self._check(*identity)
        free = (n for n in count(int(waiting, 16)) if f"{signer}:{n}" not in taken)
        nonces = list(islice(free, len(acts)))
        fees = tx.Fees(int(head["baseFeePerGas"], 16) * FEE_FACTOR + TIP_WEI, TIP_WEI)
        signed = [
            tx.sign(key, self._chain_id, nonce, act, fees)
            for nonce, act in zip(nonces, acts, strict=True)
        ]
        slots = tuple(f"{signer}:{nonce}" for nonce in nonces)
        return Signed(signed[-1][0], tx.pack([raw for _, raw in signed]), nonces[-1], slots)

    async def broadcast(self, signed: Signed) -> None:
        """A refusal by the node says nothing of the outcome: its pool may have it, or a block.

        It stands in `refused` until the node takes the bytes.
        """
        raws = tx.unpack(signed.raw)
        answers = await self._node.attempt(
            [("eth_sendRawTransaction", ["0x" + raw.hex()]) for raw in raws]
        )
        for slot, answer in zip(signed.slots, answers, strict=True):
            if answer is None or any(word in answer.message.lower() for word in _HARMLESS):
                self.refused.pop(slot, None)
                continue
            if self.refused.get(slot) != answer.message:
                log.warning("the node refuses a transaction", chain=self.name, slot=slot,
                            tx=signed.tx_id, why=answer.message)  # fmt: skip
            self.refused[slot] = answer.message

    async def outcome(self, signed: Signed) -> Outcome:
        # The count first: a nonce that was used by then, and not by this, is never free again.
        signer, _, nonce = signed.slots[-1].rpartition(":")
        used, final = await self._node.batch(
            [
                ("eth_getTransactionCount", [signer, _FINAL]),
                ("eth_getBlockByNumber", [_FINAL, False]),
            ]
        )
        receipt = await self._node.call("eth_getTransactionReceipt", signed.tx_id)
        is_used = int(used, 16) > int(nonce)
        if receipt is None and not is_used:
            return Outcome.unknown
        if receipt is not None and int(receipt["blockNumber"], 16) > int(final["number"], 16):
            return Outcome.unknown
        for slot in signed.slots:
            self.refused.pop(slot, None)
        if receipt is None:
            return Outcome.not_done
        return Outcome.done if int(receipt["status"], 16) == 1 else Outcome.not_done

    # Deposit addresses.

    def receive_option(self, session_id: str, amount_units: int, label: str) -> ReceiveOption:
        """A transfer to a deposit address of this session (ERC-681, exact form)."""
        shown = self._addresses.of_session(session_id)
        url = (
            f"ethereum:{self._shown_token}@{self._chain_id}/transfer"
            f"?address={shown}&uint256={amount_units}"
        )
        fields: dict[str, str | int] = {
            "url": url,
            "token": self._shown_token,
            "address": shown,
            "amount_units": amount_units,
        }
        return ReceiveOption(fields, (self.deposit_key(shown),))

    def browser_payment(self, option: Mapping[str, Any], amount_units: int) -> BrowserPayment:
        return browser.payment(
            self._chain_id, option["token"], option["address"], amount_units, self._public_rpc
        )

    async def sponsored_payment(
        self, option: Mapping[str, Any], account: str, amount_units: int
    ) -> str:
        raise NotSponsored(self.name)

    def transaction_link(self, url: str) -> str:
        return ""

    async def holdings(self, sessions: Sequence[str] = ()) -> Holdings:
        height = await self._final_height()
        [(treasury, place)] = self.own_addresses().items()
        held = await self._figure(calls.BALANCE_OF, treasury, height=height)
        lying = await self._at_deposit_addresses(list(dict.fromkeys(sessions)), height)
        return Holdings({place: held, UNSWEPT: lying}, height)

    async def set_clock(self, offset_ms: int, frozen_at_ms: int | None) -> bool:
        to = {"offsetMs": offset_ms, "frozenAtMs": frozen_at_ms}
        try:
            await self._node.call("sandbox_setClock", to)
        except NodeRefused as refused:
            if refused.code == METHOD_NOT_FOUND:
                return False
            raise
        return True

    async def operator_state(self) -> list[calls.OperatorState]:
        """Every key that signs for us: its nonces at final, in blocks and in the pool, its coin."""
        asked: list[Call] = []
        for address in self.operators.values():
            asked += [("eth_getTransactionCount", [address, at]) for at in calls.NONCE_VIEWS]
            asked.append(("eth_getBalance", [address, _LATEST]))
        answers = iter([int(answer, 16) for answer in await self._node.batch(asked)])
        return [
            calls.OperatorState(role, address, *islice(answers, 4))
            for role, address in self.operators.items()
        ]

    # Inside.

    def _check(self, chain_id: str, first: Mapping[str, Any] | None) -> None:
        """Another chain may stand behind the same port, with numbers of its own."""
        if int(chain_id, 16) != self._chain_id:
            found = str(int(chain_id, 16))
            raise WrongChain(self.name, str(self._chain_id), found, "chain id")
        if first is None:
            raise ChainUnavailable(self.name)
        if first["hash"] != self._genesis:
            raise WrongChain(self.name, self._genesis, first["hash"])

    async def _bodies(self, first: int, last: int, *, full: bool) -> list[Mapping[str, Any]]:
        """The blocks of the range as far as there are any, each following the one before it."""
        asked: list[Call] = [
            ("eth_getBlockByNumber", [hex(height), full]) for height in range(first, last + 1)
        ]
        size = FULL_BLOCKS_PER_REQUEST if full else len(asked)
        answers = await self._node.batch(asked, size=min(size, 256) or 1)
        bodies = answers[: answers.index(None)] if None in answers else answers
        for before, after in pairwise(bodies):
            if after["parentHash"] != before["hash"]:
                raise ChainUnavailable(self.name)
        return bodies

    async def _failed(
        self, bodies: Sequence[Mapping[str, Any]], logs: Mapping[str, Sequence[Mapping[str, Any]]]
    ) -> dict[str, dict[str, str]]:
        """Block hash → the transactions that failed in it, as far as anyone asks, and why."""
        asked = [
            (body, id_)
            for body in bodies
            for id_ in undecided(body, logs[body["hash"]], self._watched)
        ]
        receipts = await self._node.batch(
            [("eth_getTransactionReceipt", [id_]) for _, id_ in asked]
        )
        failed: dict[str, dict[str, str]] = {}
        for (body, id_), receipt in zip(asked, receipts, strict=True):
            if receipt is None or receipt["blockHash"] != body["hash"]:
                raise ChainUnavailable(self.name)
            if int(receipt["status"], 16) == 0:
                failed.setdefault(body["hash"], {})[id_] = ""
        for body in bodies:
            mine = failed.get(body["hash"], {})
            found = [sent for sent in body["transactions"] if sent["hash"] in mine]
            reasons = await asyncio.gather(*(self._why(body, sent) for sent in found))
            mine.update({sent["hash"]: why for sent, why in zip(found, reasons, strict=True)})
        return failed

    async def _why(self, body: Mapping[str, Any], sent: Mapping[str, Any]) -> str:
        """The words of a failed transaction, by doing it once more as a call before its block."""
        call = {"from": sent["from"], "to": sent["to"], "data": sent["input"],
                "value": sent["value"], "gas": sent["gas"]}  # fmt: skip
        height = int(body["number"], 16)
        for at in (height - 1, height):
            try:
                await self._node.call("eth_call", call, hex(at))
            except NodeRefused as refused:
                return reason(revert_text(refused.data) or refused.message)
        return reason("")

    async def _height(self, tag: str) -> int:
        block = await self._node.call("eth_getBlockByNumber", tag, False)
        if block is None:
            raise ChainUnavailable(self.name)
        return int(block["number"], 16)

    async def _final_height(self) -> int:
        return await self._height(_FINAL)

    async def _figure(
        self, signature: str, *arguments: Any, to: str = "", height: int | None = None
    ) -> int:
        """The one word that a view answers, of the token unless told; 0 where no contract is."""
        data = "0x" + tx.call_data(signature, *arguments).hex()
        at = _LATEST if height is None else hex(height)
        try:
            call = {"to": to or self._token, "data": data}
            answer: str = await self._node.call("eth_call", call, at)
        except NodeRefused as refused:
            if refused.code == EXECUTION_REVERTED:
                raise
            # The block is gone, or its state is.
            raise ChainUnavailable(self.name) from refused
        return int(answer, 16) if len(answer) > 2 else 0

    async def _at_deposit_addresses(self, sessions: Sequence[str], height: int) -> int:
        """Units; the contract adds them up, some thousand addresses in one call."""
        total = 0
        for first in range(0, len(sessions), calls.MAX_COUNTED):
            salts = [deposit_salt(one) for one in sessions[first : first + calls.MAX_COUNTED]]
            total += await self._figure(calls.HELD, salts, to=self._deposits, height=height)
        return total

    def _acts(self, command: Command, keys: EvmKeys) -> tuple[LocalAccount, list[tx.Act]]:
        """What carries the command out, the acting transaction last; and who signs."""
        holder = to = ""
        if command.action == "rotate":
            raise NotRotatable(self.name, command.role, self.rotatable)
        if command.action == "seize":
            holder, to = seizure(self, command)
        if command.action in ("mint", "transfer", "freeze", "thaw"):
            to = self.check_recipient(command.recipient)
        salts = [deposit_salt(session) for session in command.sessions]
        if command.action == "sweep" and not salts:
            raise NothingToSweep(self.name)
        key, data, gas = calls.of(command, keys, to, salts, holder)
        contract = self._deposits if command.action == "sweep" else self._token
        act = tx.Act(contract, tx.with_reference(data, command.reference), gas)
        if not command.gas:
            return key, [act]
        return key, [tx.Act(to, b"", calls.GIVE_GAS, GAS_COINS_WEI), act]
