"""A plain model of the chain: wallets, one token, blocks. It shares no code with the devnet."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field

FEE, PURSE_RENT = 5_000, 2_101_920  # lamports: a signature; a token account of 174 bytes
EXPIRY = 150  # blocks
ISSUER = "issuer"


@dataclass
class Purse:
    """A token account."""

    units: int = 0
    is_frozen: bool = False


@dataclass
class State:
    lamports: dict[str, int] = field(default_factory=dict)
    purses: dict[str, Purse] = field(default_factory=dict)
    supply: int = 0
    is_paused: bool = False


@dataclass(frozen=True)
class Deed:
    """What a transaction does, of whom and to whom; `one` signs what only an owner may do."""

    kind: str
    one: str
    two: str
    amount: int

    @property
    def payer(self) -> str:
        return self.one if self.kind in ("move", "pay", "close") else ISSUER


@dataclass(frozen=True)
class Sent:
    signature: str
    raw: bytes
    deed: Deed
    blockhash: str


@dataclass
class Block:
    slot: int
    height: int
    hash: str
    held: list[Sent]
    after: State


def applied(state: State, deed: Deed) -> tuple[State, bool]:
    """The state afterwards, and whether it did what it says; a failure costs its fee."""
    after = deepcopy(state)
    after.lamports[deed.payer] -= FEE
    failed = deepcopy(after)
    return (after, True) if _done(after, deed) else (failed, False)


def _done(state: State, deed: Deed) -> bool:
    one, two, amount = deed.one, deed.two, deed.amount
    mine, theirs = state.purses.get(one), state.purses.get(two)
    if deed.kind == "move":
        if state.lamports[one] < amount:
            return False
        state.lamports[one] -= amount
        state.lamports[two] += amount
        return True
    if deed.kind in ("pause", "resume"):
        state.is_paused = deed.kind == "pause"
        return True
    if deed.kind == "open":
        if mine is None:
            state.purses[one] = Purse()
            state.lamports[ISSUER] -= PURSE_RENT
        return True
    if mine is None:
        return False
    if deed.kind in ("freeze", "thaw"):
        if mine.is_frozen == (deed.kind == "freeze"):
            return False
        mine.is_frozen = not mine.is_frozen
        return True
    if deed.kind == "close":
        if mine.units:
            return False
        del state.purses[one]
        state.lamports[one] += PURSE_RENT
        return True
    if state.is_paused or mine.is_frozen:
        return False
    if deed.kind == "mint":
        mine.units += amount
        state.supply += amount
        return True
    if mine.units < amount:
        return False
    if deed.kind == "burn":
        state.supply -= amount
    else:
        assert deed.kind == "pay"
        if theirs is None or theirs.is_frozen:
            return False
        theirs.units += amount
    mine.units -= amount
    return True


class Model:
    """The chain as it must be seen: blocks up to the tip, the open slot, what is final."""

    def __init__(self, blocks: list[Block]) -> None:
        """Begins with as many blocks as make one final, which is the first of them."""
        self.blocks, self.state, self.open = blocks, deepcopy(blocks[-1].after), list[Sent]()
        self.final, self._finality = blocks[0].slot, len(blocks)

    def knows(self, sent: Sent) -> bool:
        return any(sent in block.held for block in self.blocks) or sent in self.open

    def is_hash_good(self, sent: Sent) -> bool:
        found = next((b for b in reversed(self.blocks) if b.hash == sent.blockhash), None)
        return found is not None and self.blocks[-1].height + 1 - found.height <= EXPIRY

    def takes(self, sent: Sent, *, keep_failed: bool) -> bool | None:
        """Whether it does what it says, or None when it does not land."""
        if self.knows(sent) or not self.is_hash_good(sent):
            return None
        after, is_done = applied(self.state, sent.deed)
        if not is_done and not keep_failed:
            return None
        self.state = after
        self.open.append(sent)
        return is_done

    def seals(self, slot: int, height: int, block_hash: str) -> None:
        self.blocks.append(Block(slot, height, block_hash, self.open, deepcopy(self.state)))
        self.open = []
        deep = self.blocks[max(-self._finality, -len(self.blocks))]
        self.final = max(self.final, deep.slot)

    def loses_open(self) -> None:
        self.open, self.state = [], deepcopy(self.blocks[-1].after)

    def goes_back(self, slots: int) -> list[Sent]:
        gone = [sent for block in self.blocks[-slots:] for sent in block.held] + self.open
        del self.blocks[-slots:]
        self.loses_open()
        self.final = min(self.final, self.blocks[-1].slot)  # only by force
        return gone

    def at(self, level: str) -> State:
        if level == "processed":
            return self.state
        if level == "confirmed":
            return self.blocks[-1].after
        return next(block.after for block in self.blocks if block.slot == self.final)

    def slot_of(self, sent: Sent, open_slot: int) -> int | None:
        if sent in self.open:
            return open_slot
        return next((b.slot for b in self.blocks if sent in b.held), None)
