"""The token of the chain in memory: who holds what, and what one move does to it."""

from dataclasses import dataclass, field
from typing import Literal

from sandbox.chains.port import Act, ForeignTransfer, Transfer


class Refused(Exception):
    """A transaction that fails in its block; the text is its `tx_errors` reason."""


@dataclass(slots=True)
class State:
    units: dict[str, int] = field(default_factory=dict)
    gas: dict[str, int] = field(default_factory=dict)
    frozen: set[str] = field(default_factory=set)
    paused: bool = False
    rotations: dict[str, int] = field(default_factory=dict)

    def take(self, owner: str, amount: int) -> None:
        if self.paused:
            raise Refused("paused")
        if owner in self.frozen:
            raise Refused("frozen")
        if self.units.get(owner, 0) < amount:
            raise Refused("insufficient funds")
        self.units[owner] -= amount

    def give(self, owner: str, amount: int) -> None:
        if self.paused:
            raise Refused("paused")
        if owner in self.frozen:
            raise Refused("frozen")
        self.units[owner] = self.units.get(owner, 0) + amount


@dataclass(frozen=True, slots=True)
class Move:
    """One instruction. `token` names another token than ours; `action` freeze etc. move nothing.

    `role` must not have been given another key since the `rotation` that this was signed at.
    """

    action: str
    source: str = ""
    destination: str = ""
    amount: int = 0
    keys: tuple[str, ...] = ()
    token: str = ""
    role: str = ""
    rotation: int = 0


@dataclass(frozen=True, slots=True)
class Tx:
    """What somebody sent: all of its moves happen, or none."""

    id: str
    moves: tuple[Move, ...]
    valid_until_height: int


def apply(state: State, move: Move, *, frozen_only: bool) -> None:
    """Do it. `frozen_only`: a seizure takes from frozen holders only. Raises `Refused`."""
    if move.role and state.rotations.get(move.role, 0) != move.rotation:
        raise Refused("wrong authority")
    match move.action:
        case "transfer":
            state.take(move.source, move.amount)
            state.give(move.destination, move.amount)
        case "mint":
            state.give(move.destination, move.amount)
        case "burn":
            state.take(move.source, move.amount)
        case "gas":
            state.gas[move.destination] = state.gas.get(move.destination, 0) + 1
        case "freeze":
            if move.destination in state.frozen:
                raise Refused("frozen already")
            state.frozen.add(move.destination)
        case "thaw":
            if move.destination not in state.frozen:
                raise Refused("not frozen")
            state.frozen.remove(move.destination)
        case "seize":
            was_frozen = move.source in state.frozen
            if frozen_only and not was_frozen:
                raise Refused("not frozen")
            state.frozen.discard(move.source)
            state.take(move.source, move.amount)
            state.give(move.destination, move.amount)
            if was_frozen:
                state.frozen.add(move.source)
        case "rotate":
            state.rotations[move.role] = move.rotation + 1
        case "pause":
            state.paused = True
        case "resume":
            state.paused = False
        case "foreign":
            pass
        case unknown:
            raise AssertionError(unknown)


def transfers_of(tx: Tx) -> list[Transfer]:
    """The movements of our token in it."""
    kinds: dict[str, Literal["transfer", "mint", "burn"]] = {
        "transfer": "transfer",
        "seize": "transfer",
        "mint": "mint",
        "burn": "burn",
    }
    moves = [move for move in tx.moves if move.action in kinds and move.amount]
    return [
        Transfer(
            tx.id,
            ordinal,
            kinds[move.action],
            move.source,
            "" if move.action == "burn" else move.destination,
            move.amount,
            move.keys,
        )
        for ordinal, move in enumerate(moves)
    ]


def foreign_of(tx: Tx) -> list[ForeignTransfer]:
    """Those of others."""
    first = len(transfers_of(tx))
    moves = [move for move in tx.moves if move.action == "foreign"]
    return [
        ForeignTransfer(
            tx.id, first + n, move.token, move.source, move.destination, move.amount, move.keys
        )
        for n, move in enumerate(moves)
    ]


def acts_of(tx: Tx) -> tuple[Act, ...]:
    """Its moves as people read them."""
    return tuple(
        Act(
            move.action,
            move.token or "token",
            (("source", move.source), ("destination", move.destination)),
            {"amount_units": move.amount, "keys": " ".join(move.keys)},
        )
        for move in tx.moves
    )
