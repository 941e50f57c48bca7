"""The token in plain Python: who holds what, who may, and the reason of every refusal."""

from collections import defaultdict
from dataclasses import dataclass, field

from tests.contracts.evm.calls import ZERO
from tests.contracts.evm.world import MAX


class Refusal(Exception):
    """What the contract must say too."""


def require(condition: bool, reason: str) -> None:
    if not condition:
        raise Refusal(f"kzte: {reason}")


@dataclass
class TokenModel:
    """`itself` is the token's address, frozen from the start. Methods raise `Refusal`."""

    itself: str
    balances: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    allowances: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    minters: dict[str, int] = field(default_factory=dict)
    frozen: set[str] = field(default_factory=set)
    paused: bool = False
    references: set[bytes] = field(default_factory=set)
    authorizations: set[tuple[str, bytes]] = field(default_factory=set)
    permits: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    minted: int = 0
    burned: int = 0

    def __post_init__(self) -> None:
        self.frozen.add(self.itself)

    def transfer(self, sender: str, to: str, units: int) -> None:
        self._runs()
        self._move(sender, to, units)

    def transfer_from(self, caller: str, owner: str, to: str, units: int) -> None:
        self._runs()
        self._thawed(caller)
        left = self.allowances[owner, caller]
        require(units <= left, "transfer amount exceeds allowance")
        self._move(owner, to, units)
        if left != MAX:
            self.allowances[owner, caller] -= units

    def approve(self, owner: str, spender: str, units: int) -> None:
        self._runs()
        require(spender != ZERO, "approve to the zero address")
        self.allowances[owner, spender] = units

    def permit(
        self, owner: str, spender: str, units: int, nonce: int, deadline: int, now: int
    ) -> None:
        """`nonce` is the one that was signed."""
        self._runs()
        require(now <= deadline, "permit is expired")
        require(nonce == self.permits[owner], "invalid signature")
        require(spender != ZERO, "approve to the zero address")
        self.permits[owner] += 1
        self.allowances[owner, spender] = units

    def mint(self, minter: str, to: str, units: int, reference: bytes) -> None:
        require(minter in self.minters, "caller is not a minter")
        self._runs()
        self._thawed(minter, to)
        require(to != ZERO, "mint to the zero address")
        require(units > 0, "mint amount is zero")
        require(units <= MAX - self.supply, "supply overflow")
        self._unused(reference)
        require(units <= self.minters[minter], "mint amount exceeds the minter's allowance")
        self.references.add(reference)
        self.minters[minter] -= units
        self.balances[to] += units
        self.minted += units

    def burn(self, minter: str, units: int, reference: bytes) -> None:
        require(minter in self.minters, "caller is not a minter")
        self._runs()
        self._thawed(minter)
        require(units > 0, "burn amount is zero")
        require(units <= self.balances[minter], "burn amount exceeds balance")
        self._unused(reference)
        self.references.add(reference)
        self.balances[minter] -= units
        self.burned += units

    def confiscate(self, source: str, to: str, units: int) -> None:
        require(source in self.frozen, "account is not frozen")
        self._thawed(to)
        require(units > 0, "confiscated amount is zero")
        self._take(source, to, units)

    def pay(
        self, payer: str, payee: str, units: int, nonce: bytes, after: int, before: int, now: int
    ) -> None:
        self._runs()
        require(now > after, "authorization is not yet valid")
        require(now < before, "authorization is expired")
        require((payer, nonce) not in self.authorizations, "authorization is used")
        self._move(payer, payee, units)
        self.authorizations.add((payer, nonce))

    def cancel(self, payer: str, nonce: bytes) -> None:
        self._runs()
        require((payer, nonce) not in self.authorizations, "authorization is used")
        self.authorizations.add((payer, nonce))

    def configure(self, minter: str, units: int) -> None:
        self._runs()
        self.minters[minter] = units

    @property
    def supply(self) -> int:
        return self.minted - self.burned

    def _runs(self) -> None:
        require(not self.paused, "paused")

    def _thawed(self, *accounts: str) -> None:
        require(self.frozen.isdisjoint(accounts), "account is frozen")

    def _unused(self, reference: bytes) -> None:
        require(reference != bytes(32), "reference is empty")
        require(reference not in self.references, "reference is used")

    def _move(self, source: str, to: str, units: int) -> None:
        self._thawed(source, to)
        self._take(source, to, units)

    def _take(self, source: str, to: str, units: int) -> None:
        require(to != ZERO, "transfer to the zero address")
        require(units <= self.balances[source], "transfer amount exceeds balance")
        self.balances[source] -= units
        self.balances[to] += units
