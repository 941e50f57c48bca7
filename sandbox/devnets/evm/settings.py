"""What control calls have set on anvil and no dump of its state holds."""

from __future__ import annotations

from typing import Final

from sandbox.devnets.evm.journal import Call, Reorg

_IMPERSONATE: Final = "impersonateAccount"
_STOP: Final = "stopImpersonatingAccount"
_BALANCE: Final = "setBalance"
_NEXT_FEE: Final = "setNextBlockBaseFeePerGas"
_LASTING: Final = frozenset(
    {"setChainId", "setCoinbase", "setMinGasPrice", "setBlockGasLimit", "autoImpersonateAccount"}
)


class Settings:
    """Filled by every call of the journal, in order."""

    def __init__(self, calls: list[Call] | None = None, funded: set[str] | None = None) -> None:
        self._lasting: dict[str, Call] = {}
        self.impersonated: set[str] = set()
        self.funded = funded or set()  # addresses that were ever given a balance, lower case
        self.next_fee_is_set = False  # holds for one block
        for call in calls or []:
            self.note(call)

    def note(self, call: Call) -> None:
        name = call.method.partition("_")[2]
        first = str(call.params[0]).lower() if call.params else ""
        if name == _IMPERSONATE:
            self.impersonated.add(first)
        elif name == _STOP:
            self.impersonated.discard(first)
        elif name == _BALANCE:
            self.funded.add(first)
        elif name == _NEXT_FEE:
            self.next_fee_is_set = True
        elif name in _LASTING:
            self._lasting[name] = call

    def note_reorg(self, reorg: Reorg) -> None:
        self.note(Call("anvil_setCoinbase", [reorg.fees_to]))

    def note_block(self) -> None:
        self.next_fee_is_set = False

    def calls(self) -> list[Call]:
        """What brings an anvil with the same state to the same settings."""
        impersonate = [Call("anvil_impersonateAccount", [each]) for each in self.impersonated]
        return [*self._lasting.values(), *impersonate]
