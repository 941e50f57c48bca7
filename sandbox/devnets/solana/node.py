"""What a method may use: the bank, the slot producer and the settings of this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from sandbox.devnets.faults import Faults
from sandbox.devnets.json_rpc import RpcError
from sandbox.devnets.solana.bank import Bank, Level
from sandbox.devnets.solana.errors import MIN_CONTEXT_SLOT
from sandbox.devnets.solana.params import Config, Params
from sandbox.devnets.solana.producer import Producer
from sandbox.devnets.solana.snapshots import Snapshots
from sandbox.devnets.solana.stale import StaleBank, most_behind

API_VERSION = "3.0.0"


@dataclass(slots=True)
class Node:
    bank: Bank
    producer: Producer
    control: bool
    faults: Faults
    snapshots: Snapshots
    behind: int = 0  # slots: the age of the view that methods read
    undo: int = 0  # blocks below the final one that a forced reorg may take

    def seen(self) -> Node:
        """The node as methods see it: itself, or one that is behind."""
        if not self.behind or not (behind := min(self.behind, most_behind(self.bank))):
            return self
        return replace(self, bank=StaleBank(self.bank, behind))

    def set_drills(self, *, behind: int | None = None, undo: int | None = None) -> None:
        """Slots; what is not given stays."""
        self.behind = self.behind if behind is None else behind
        self.undo = self.undo if undo is None else undo
        self.bank.keep_undo = max(self.behind, self.undo)

    def replace_bank(self, bank: Bank, why: str) -> None:
        """Go on with another state of the chain; what was on its way to the former one is lost."""
        bank.observer, bank.keep_undo = self.bank.observer, self.bank.keep_undo
        self.bank = self.producer.bank = bank
        self.faults.forget()
        bank.observer.replaced(why)

    def context(self, level: Level, value: Any) -> dict[str, Any]:
        """A `{context, value}` answer at a commitment."""
        slot = self.bank.slot_at(level)
        return {"context": {"slot": slot, "apiVersion": API_VERSION}, "value": value}

    def level(self, config: Config, default: Level = "finalized") -> Level:
        """The commitment asked for; -32016 when it has not reached `minContextSlot`."""
        level = config.level(default)
        least = config.u64("minContextSlot")
        slot = self.bank.slot_at(level)
        if least is not None and slot < least:
            raise RpcError(
                MIN_CONTEXT_SLOT, "Minimum context slot has not been reached", {"contextSlot": slot}
            )
        return level


Method = Callable[[Node, Params], Any]
