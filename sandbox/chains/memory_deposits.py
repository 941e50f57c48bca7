"""The chain in memory with a deposit address per session, as EVM chains have them.

What is paid carries no key but the address it went to; what lies there must be swept.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from hashlib import sha256

from sandbox.chains.errors import NothingToSweep
from sandbox.chains.memory import MemoryChain, new_address
from sandbox.chains.memory_state import Move, State
from sandbox.chains.port import (
    UNSWEPT,
    Command,
    Holdings,
    ReceiveOption,
    Signed,
    address_key,
)


class DepositMemoryChain(MemoryChain):
    """Heights repeat in a reorg here. Sweeps are small, so that more than one is needed soon."""

    sweep_batch = 3
    # As the contract there has it.
    seizes_frozen_only = True

    def __init__(self, name: str = "memory", *, decimals: int = 2, finality: int = 4) -> None:
        super().__init__(name, decimals=decimals, finality=finality, heights_repeat=True)
        self.token = new_address()

    def deposit_key(self, address: str) -> str:
        return address_key(address) if address else ""

    def deposit_address(self, session_id: str) -> str:
        """Where this session is paid."""
        hashed = sha256(f"{self.treasury}:{session_id}".encode()).hexdigest()
        return self.treasury[:4] + hashed[: len(self.treasury) - 4]

    def receive_option(self, session_id: str, amount_units: int, label: str) -> ReceiveOption:
        address = self.deposit_address(session_id)
        fields: dict[str, str | int] = {
            "url": f"memory:{self.token}/transfer?address={address}&uint256={amount_units}",
            "token": self.token,
            "address": address,
            "amount_units": amount_units,
        }
        return ReceiveOption(fields, (self.deposit_key(address),))

    async def prepare(self, command: Command, taken: Collection[str] = ()) -> Signed:
        if command.action != "sweep":
            return await super().prepare(command, taken)
        self._answer()
        if not command.sessions:
            raise NothingToSweep(self.name)
        keys = (f"memo:{command.reference}",)
        return self._sign(
            tuple(
                Move("sweep", self.deposit_address(session), self.treasury, 0, keys)
                for session in command.sessions
            )
        )

    async def holdings(self, sessions: Sequence[str] = ()) -> Holdings:
        found = await super().holdings()
        units = sum(self._lies_at(session) for session in set(sessions))
        return replace(found, by_place={**found.by_place, UNSWEPT: units})

    def _lies_at(self, session_id: str) -> int:
        return self._final.after.units.get(self.deposit_address(session_id), 0)

    def _resolve(self, state: State, move: Move) -> list[Move]:
        if move.action == "sweep":
            # Whole balances; what is frozen stays and does not stop the others.
            held = state.units.get(move.source, 0)
            if move.source in state.frozen or held == 0:
                return []
            move = replace(move, action="transfer", amount=held)
            if move.destination == self.treasury:
                return [move]
        is_by_us = move.source in ("", self.treasury) or move.action == "seize"
        memos = tuple(key for key in move.keys if is_by_us and key.startswith("memo:"))
        is_ours = move.destination in self.own_addresses()
        key = "" if is_ours else self.deposit_key(move.destination)
        return [replace(move, keys=memos + ((key,) if key else ()))]

    def _may_be_ours(self, address: str) -> bool:
        return True
