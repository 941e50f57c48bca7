"""An in-memory chain behind the same port: blocks, finality, reorgs, lost transactions.

Shipped, because slices test against it, and held to the port by the suite that the real adapters
pass too. Nothing happens on it by itself: `mine` makes blocks.
"""

import json
import secrets
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Literal

from sandbox.chains.errors import NotRotatable, NotSponsored
from sandbox.chains.memory_state import (
    Move,
    Refused,
    State,
    Tx,
    acts_of,
    apply,
    foreign_of,
    transfers_of,
)
from sandbox.chains.port import (
    MAX_ACTS,
    AtHeight,
    Block,
    BlockId,
    BrowserPayment,
    ChainUnavailable,
    Command,
    Decoded,
    ForeignTransfer,
    Heads,
    Holdings,
    Outcome,
    ReceiveOption,
    Signed,
    TokenTruth,
    Transfer,
    UnknownRecipient,
)
from sandbox.chains.seizing import seizure
from sandbox.core.money import format_units

_PREFIX = "mem1"
# What these do takes somebody's key; the treasury's is never changed.
_ROLES = {
    "mint": "minter",
    "freeze": "freezer",
    "thaw": "freezer",
    "seize": "seizer",
    "pause": "pauser",
    "resume": "pauser",
}
_START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class _Mined:
    block: Block
    txs: tuple[Tx, ...]
    after: State


class MemoryChain:
    """A chain that obeys the test. `confirmed` is the newest block, `final` lags by `finality`.

    With `heights_repeat` a reorg gives old heights to new blocks, as on an EVM chain; without it
    they are skipped, as slots are on Solana.
    """

    network = "Memory"
    sweep_batch = 0
    seizes_frozen_only = False
    sponsors = False
    rotatable: Collection[str] = ("minter", "freezer", "seizer", "pauser")

    def __init__(
        self,
        name: str = "memory",
        *,
        decimals: int = 2,
        finality: int = 4,
        validity: int = 20,
        heights_repeat: bool = False,
    ) -> None:
        self.name, self.decimals = name, decimals
        self.treasury = new_address()
        self.down = False
        self.losing = False
        self.offset_ms = 0
        self._finality, self._validity = finality, validity
        self.heights_repeat = heights_repeat
        self._count = 0
        self._genesis = sha256(secrets.token_bytes(16)).hexdigest()
        zero = Block(BlockId(0, self._genesis, ""), _START)
        self._mined = [_Mined(zero, (), State())]
        self._final_index = 0
        self._mempool: dict[str, Tx] = {}
        self._next_height = 1
        self.broadcasts: deque[str] = deque(maxlen=1000)

    # The port.

    @property
    def asset(self) -> str:
        return f"KZTE.{self.name}"

    def own_addresses(self) -> Mapping[str, str]:
        return {self.treasury: "treasury"}

    def deposit_key(self, address: str) -> str:
        return ""

    def check_recipient(self, address: str) -> str:
        if not address.startswith(_PREFIX) or len(address) != len(new_address()):
            raise UnknownRecipient(self.name, address)
        return address

    async def genesis(self) -> str:
        self._answer()
        return self._genesis

    async def heads(self) -> Heads:
        self._answer()
        head = self._mined[-1].block.id
        hash_ = head.hash if self.heights_repeat else ""
        return Heads(head.height, self._final.block.id.height, head.height, hash_)

    async def block_ids(self, first: int, last: int) -> list[BlockId]:
        return [block.id for block in await self.blocks(first, last)]

    async def blocks(self, first: int, last: int) -> list[Block]:
        self._answer()
        return [m.block for m in self._mined if first <= m.block.id.height <= last]

    async def decode(self, tx: str) -> Decoded | None:
        self._answer()
        mined = self._included(tx)
        sent = self._mempool if mined is None else {one.id: one for one in mined.txs}
        found = sent.get(tx)
        if found is None:
            return None
        is_final = mined is not None and mined.block.id.height <= self._final.block.id.height
        return Decoded(
            tx=tx,
            state="waiting" if mined is None else "final" if is_final else "confirmed",
            height=None if mined is None else mined.block.id.height,
            block_hash=None if mined is None else mined.block.id.hash,
            time=None if mined is None else mined.block.time,
            sender=found.moves[0].source,
            error=None if mined is None else mined.block.tx_errors.get(tx),
            acts=acts_of(found)[:MAX_ACTS],
            left_out=max(0, len(found.moves) - MAX_ACTS),
        )

    async def supply(self) -> AtHeight:
        self._answer()
        return AtHeight(sum(self._final.after.units.values()), self._final.block.id.height)

    async def balance(self, address: str, *, final: bool = True) -> AtHeight:
        self._answer()
        at = self._final if final else self._mined[-1]
        return AtHeight(at.after.units.get(address, 0), at.block.id.height)

    async def is_frozen(self, address: str) -> bool:
        self._answer()
        return address in self._mined[-1].after.frozen

    async def is_paused(self) -> bool:
        self._answer()
        return self._mined[-1].after.paused

    async def token_truth(self) -> TokenTruth:
        self._answer()
        state = self._final.after
        return TokenTruth(
            address=self.name,
            program="memory",
            name="Memory",
            symbol="KZTE",
            uri="",
            decimals=self.decimals,
            supply_units=sum(state.units.values()),
            height=self._final.block.id.height,
            is_paused=state.paused,
            authorities={
                role: f"{role}-{1 + state.rotations.get(role, 0)}" for role in self.rotatable
            },
            extensions=(),
        )

    async def prepare(self, command: Command, taken: Collection[str] = ()) -> Signed:
        self._answer()
        assert command.action != "sweep", "nothing was asked to be swept"
        source = self.treasury if command.action in ("transfer", "burn") else ""
        role = _ROLES.get(command.action, command.role)
        if command.action == "seize":
            source, _ = seizure(self, command)
        elif command.action == "rotate":
            if role not in self.rotatable:
                raise NotRotatable(self.name, role, self.rotatable)
        elif command.action not in ("burn", "pause", "resume"):
            self.check_recipient(command.recipient)
        keys = (f"memo:{command.reference}",)
        move = Move(
            command.action,
            source,
            command.recipient,
            command.amount_units,
            keys,
            role=role,
            rotation=self._mined[-1].after.rotations.get(role, 0),
        )
        gas = (Move("gas", "", command.recipient),) if command.gas else ()
        return self._sign((*gas, move))

    async def broadcast(self, signed: Signed) -> None:
        self._answer()
        self.broadcasts.append(signed.tx_id)
        if self.losing or self._included(signed.tx_id):
            return
        body = json.loads(signed.raw)
        moves = tuple(Move(**{**m, "keys": tuple(m["keys"])}) for m in body["moves"])
        self._mempool[signed.tx_id] = Tx(signed.tx_id, moves, signed.valid_until_height)

    async def outcome(self, signed: Signed) -> Outcome:
        self._answer()
        mined = self._included(signed.tx_id)
        final_height = self._final.block.id.height
        if mined is None:
            past = final_height > signed.valid_until_height
            return Outcome.not_done if past else Outcome.unknown
        if mined.block.id.height > final_height:
            return Outcome.unknown
        return Outcome.not_done if signed.tx_id in mined.block.tx_errors else Outcome.done

    def receive_option(self, session_id: str, amount_units: int, label: str) -> ReceiveOption:
        reference = secrets.token_hex(16)
        amount = format_units(amount_units, self.decimals)
        url = f"memory:{self.treasury}?amount={amount}&reference={reference}&memo={session_id}"
        fields: dict[str, str | int] = {
            "url": url,
            "recipient": self.treasury,
            "reference": reference,
            "memo": session_id,
            "amount_units": amount_units,
        }
        return ReceiveOption(fields, (f"ref:{reference}", f"memo:{session_id}"))

    def browser_payment(
        self, option: Mapping[str, Any], amount_units: int
    ) -> BrowserPayment | None:
        return None

    async def sponsored_payment(
        self, option: Mapping[str, Any], account: str, amount_units: int
    ) -> str:
        raise NotSponsored(self.name)

    def transaction_link(self, url: str) -> str:
        return ""

    async def holdings(self, sessions: Sequence[str] = ()) -> Holdings:
        self._answer()
        units = self._final.after.units
        found = {place: units.get(at, 0) for at, place in self.own_addresses().items()}
        return Holdings(found, self._final.block.id.height)

    async def set_clock(self, offset_ms: int, frozen_at_ms: int | None) -> bool:
        self._answer()
        self.offset_ms = offset_ms
        return True

    # What happens around the sandbox: blocks, other people, accidents.

    def mine(self, count: int = 1) -> None:
        """Seal `count` blocks; the first takes everything that waits."""
        for _ in range(count):
            self._seal()

    def mine_final(self) -> None:
        """Seal what waits, and blocks until it is final."""
        self.mine(1 + self._finality)

    def endow(self, owner: str, amount_units: int) -> None:
        """Give a holder units as if it had had them from genesis on: no transaction shows them."""
        for state in {id(mined.after): mined.after for mined in self._mined}.values():
            state.units[owner] = state.units.get(owner, 0) + amount_units

    def pay(
        self, source: str, destination: str, amount_units: int, keys: Iterable[str] = ()
    ) -> str:
        """A holder's own transfer, to be mined; returns the tx id."""
        return self.send(Move("transfer", source, destination, amount_units, tuple(keys)))

    def burn_own(self, source: str, amount_units: int) -> str:
        """A holder burns its own units, which Token-2022 lets it."""
        return self.send(Move("burn", source, "", amount_units))

    def mint_unasked(self, destination: str, amount_units: int) -> str:
        """A mint that no intent asked for."""
        return self.send(Move("mint", "", destination, amount_units))

    def send_foreign(self, token: str, source: str, destination: str, amount: int) -> str:
        """Another token, or native coin, sent by someone."""
        return self.send(Move("foreign", source, destination, amount, token=token))

    def send(self, *moves: Move) -> str:
        """Anybody's transaction with these moves; all of them happen, or none."""
        signed = self._sign(moves)
        self._mempool[signed.tx_id] = Tx(signed.tx_id, moves, signed.valid_until_height)
        return signed.tx_id

    def reorg(self, depth: int, *, what: Literal["drop", "return"] = "return") -> None:
        """Take back the newest `depth` blocks, final ones too if asked to go that deep.

        Their transactions go back to the waiting room, or are lost. Mine to go on: what was final
        stays so meanwhile.
        """
        assert 0 < depth < len(self._mined)
        removed, self._mined = self._mined[-depth:], self._mined[:-depth]
        self._final_index = min(self._final_index, len(self._mined) - 1)
        if what == "return":
            returned = {tx.id: tx for mined in removed for tx in mined.txs}
            self._mempool = returned | self._mempool
        if self.heights_repeat:
            self._next_height = self._mined[-1].block.id.height + 1

    @property
    def reversible(self) -> int:
        """How many of the newest blocks are not final."""
        return len(self._mined) - 1 - self._final_index

    def gas(self, address: str) -> int:
        """How often the address was given gas."""
        return self._mined[-1].after.gas.get(address, 0)

    # Inside.

    @property
    def _final(self) -> _Mined:
        return self._mined[self._final_index]

    def _resolve(self, state: State, move: Move) -> list[Move]:
        """What a move comes to when it is its turn."""
        return [move]

    def _may_be_ours(self, address: str) -> bool:
        return address in self.own_addresses()

    def _answer(self) -> None:
        if self.down:
            raise ChainUnavailable(self.name)

    def _included(self, tx_id: str) -> _Mined | None:
        return next((m for m in reversed(self._mined) if tx_id in m.block.txs), None)

    def _sign(self, moves: tuple[Move, ...]) -> Signed:
        self._count += 1
        valid_until = self._next_height - 1 + self._validity
        body = {"n": self._count, "moves": [asdict(move) for move in moves]}
        raw = json.dumps(body).encode()
        return Signed(sha256(self._genesis.encode() + raw).hexdigest(), raw, valid_until)

    def _seal(self) -> None:
        height, self._next_height = self._next_height, self._next_height + 1
        waiting, self._mempool = list(self._mempool.values()), {}
        txs = tuple(tx for tx in waiting if tx.valid_until_height >= height)
        state = deepcopy(self._mined[-1].after) if txs else self._mined[-1].after
        errors: dict[str, str] = {}
        transfers: list[Transfer] = []
        foreign: list[ForeignTransfer] = []
        for tx in txs:
            trial = deepcopy(state)
            moves: list[Move] = []
            try:
                for asked in tx.moves:
                    for move in self._resolve(trial, asked):
                        apply(trial, move, frozen_only=self.seizes_frozen_only)
                        moves.append(move)
            except Refused as refused:
                errors[tx.id] = str(refused)
                continue
            state = trial
            happened = replace(tx, moves=tuple(moves))
            transfers += transfers_of(happened)
            foreign += [one for one in foreign_of(happened) if self._may_be_ours(one.destination)]
        self._count += 1
        parent = self._mined[-1].block.id
        hash_ = sha256(f"{parent.hash}:{height}:{self._count}".encode()).hexdigest()
        time = max(
            self._mined[-1].block.time,
            _START + timedelta(seconds=height, milliseconds=self.offset_ms),
        )
        block = Block(
            BlockId(height, hash_, parent.hash),
            time,
            tuple(tx.id for tx in txs),
            errors,
            tuple(transfers),
            tuple(foreign),
        )
        self._mined.append(_Mined(block, txs, state))
        self._final_index = max(self._final_index, len(self._mined) - 1 - self._finality)


def new_address() -> str:
    """A fresh holder's address."""
    return _PREFIX + secrets.token_hex(16)
