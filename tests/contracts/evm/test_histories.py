"""Random histories of the token against a plain Python model: same answers, same balances (T24).

`-m soak` runs 100,000 calls, in about five minutes.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import boa
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tests.contracts.evm.calls import ZERO, Reverted
from tests.contracts.evm.signed import parts
from tests.contracts.evm.token_model import Refusal, TokenModel
from tests.contracts.evm.world import MAX, START, World, at, person, word

NAMES = ["aigul", "bolat", "shop", "issuer", "treasury"]
SIGNERS = {name: person(name) for name in NAMES}
PEOPLE = [str(signer.address) for signer in SIGNERS.values()]
ISSUER, TREASURY = SIGNERS["issuer"].address, SIGNERS["treasury"].address

people = st.sampled_from(PEOPLE)
anyone = st.sampled_from([*PEOPLE, ZERO, "itself"])
small = st.integers(1, 40)
amounts = st.one_of(small, small, small, st.sampled_from([0, 1, 1000, MAX - 1, MAX]))
# Most are new ones, and enough come again.
numbers = st.one_of(st.integers(0, 30), st.integers(0, 2**64), st.integers(0, 2**64)).map(
    lambda number: number.to_bytes(32, "big")
)
# Bounds that hold (1, 300) far more often than those that refuse.
seconds = st.sampled_from([-1, 0, *[1, 300] * 4])
OPENING = 100


class TokenHistories(RuleBasedStateMachine):
    """One token; what it refuses the model refuses, with the same words."""

    def __init__(self) -> None:
        super().__init__()
        self._undo: AbstractContextManager[Any] = boa.env.anchor()
        self._undo.__enter__()
        at(START)
        self.now = START
        self.world = World()
        self.kzte = self.world.kzte
        self.model = TokenModel(self.kzte.address, minters={ISSUER: MAX, TREASURY: 0})
        assert (self.world.issuer, self.world.treasury) == (ISSUER, TREASURY)
        for who in PEOPLE:
            self.world.give(who, OPENING)
            self.model.mint(ISSUER, who, OPENING, word(f"given {self.world.minted}"))
        self.refused = False

    def teardown(self) -> None:
        try:
            self.compare()
            for who in PEOPLE:
                self._is_minter_as_in_the_model(who)
        finally:
            self._undo.__exit__(None, None, None)

    def both(self, model: Callable[[], Any], chain: Callable[[], Any]) -> None:
        expected = ""
        try:
            model()
        except Refusal as refusal:
            expected = str(refusal)
        try:
            chain()
            found = ""
        except Reverted as reverted:
            found = reverted.reason or "no words"
        assert found == expected
        self.refused = bool(found)

    def _address(self, who: str) -> str:
        return self.kzte.address if who == "itself" else who

    @rule(sender=people, to=anyone, units=amounts)
    def transfer(self, sender: str, to: str, units: int) -> None:
        to = self._address(to)
        self.both(
            lambda: self.model.transfer(sender, to, units),
            lambda: self.kzte.transfer(to, units, sender=sender),
        )

    @rule(owner=people, spender=anyone, units=amounts)
    def approve(self, owner: str, spender: str, units: int) -> None:
        spender = self._address(spender)
        self.both(
            lambda: self.model.approve(owner, spender, units),
            lambda: self.kzte.approve(spender, units, sender=owner),
        )
        assert self.kzte.allowance(owner, spender) == self.model.allowances[owner, spender]

    @rule(
        owner=st.sampled_from(sorted(SIGNERS)),
        spender=anyone,
        units=amounts,
        off=st.sampled_from([0, 0, 0, 1, -1]),
        left=st.sampled_from([-1, 0, 300]),
        form=st.sampled_from(["bytes", "vrs"]),
    )
    def permit(self, owner: str, spender: str, units: int, off: int, left: int, form: str) -> None:
        signer, spender = SIGNERS[owner], self._address(spender)
        nonce, deadline = max(0, self.model.permits[signer.address] + off), self.now + left
        values = (signer.address, spender, units, nonce, deadline)
        signature = parts(form, self.world.sign(signer, "Permit", *values))
        self.both(
            lambda: self.model.permit(*values, self.now),
            lambda: self.kzte.permit(signer.address, spender, units, deadline, *signature),
        )
        pair = (signer.address, spender)
        assert self.kzte.allowance(*pair) == self.model.allowances[pair]
        assert self.kzte.nonces(signer.address) == self.model.permits[signer.address]

    @rule(caller=people, owner=people, to=anyone, units=amounts)
    def transfer_from(self, caller: str, owner: str, to: str, units: int) -> None:
        to = self._address(to)
        self.both(
            lambda: self.model.transfer_from(caller, owner, to, units),
            lambda: self.kzte.transferFrom(owner, to, units, sender=caller),
        )
        assert self.kzte.allowance(owner, caller) == self.model.allowances[owner, caller]

    @rule(
        minter=st.one_of(st.just(ISSUER), people),
        to=st.one_of(people, anyone),
        units=amounts,
        reference=numbers,
    )
    def mint(self, minter: str, to: str, units: int, reference: bytes) -> None:
        to = self._address(to)
        self.both(
            lambda: self.model.mint(minter, to, units, reference),
            lambda: self.kzte.mint(to, units, reference, sender=minter),
        )
        self._is_minter_as_in_the_model(minter)

    @rule(
        minter=st.sampled_from([TREASURY, ISSUER] * 3 + PEOPLE[:1]),
        units=amounts,
        reference=numbers,
    )
    def burn(self, minter: str, units: int, reference: bytes) -> None:
        self.both(
            lambda: self.model.burn(minter, units, reference),
            lambda: self.kzte.burn(units, reference, sender=minter),
        )

    @rule(minter=people, units=amounts)
    def configure(self, minter: str, units: int) -> None:
        self.both(
            lambda: self.model.configure(minter, units),
            lambda: self.kzte.configureMinter(minter, units, sender=self.world.master),
        )
        self._is_minter_as_in_the_model(minter)

    @rule(minter=people, sure=st.sampled_from([True, *[False] * 4]))
    def remove_minter(self, minter: str, sure: bool) -> None:
        if not sure:
            return
        self.model.minters.pop(minter, None)
        self.kzte.removeMinter(minter, sender=self.world.master)
        self._is_minter_as_in_the_model(minter)

    @rule(account=people)
    def freeze(self, account: str) -> None:
        self.model.frozen.add(account)
        self.world.freeze(account)

    @rule(accounts=st.lists(people, min_size=1, max_size=5, unique=True))
    def unfreeze(self, accounts: list[str]) -> None:
        for account in accounts:
            self.model.frozen.discard(account)
            self.kzte.unfreeze(account, sender=self.world.freezer)

    @rule(source=people, to=anyone, units=amounts, by_order=st.booleans())
    def confiscate(self, source: str, to: str, units: int, by_order: bool) -> None:
        to = self._address(to)
        if by_order:
            # As in life: frozen, taken from, let go.
            self.freeze(source)
        self.both(
            lambda: self.model.confiscate(source, to, units),
            lambda: self.kzte.confiscate(
                source, to, units, word("case"), sender=self.world.confiscator
            ),
        )
        if by_order:
            self.unfreeze([source])

    @rule(pause=st.sampled_from([True, *[False] * 5]))
    def pause_or_go_on(self, pause: bool) -> None:
        self.model.paused = pause
        (self.kzte.pause if pause else self.kzte.unpause)(sender=self.world.pauser)

    @rule(step=st.sampled_from([0, 1, 299, 300]))
    def wait(self, step: int) -> None:
        self.now += step
        at(self.now)

    @rule(
        payer=st.sampled_from(sorted(SIGNERS)),
        to=people,
        units=amounts,
        nonce=numbers,
        after=seconds,
        before=seconds,
        receive=st.booleans(),
        form=st.sampled_from(["bytes", "vrs"]),
    )
    def pay_by_authorization(
        self,
        payer: str,
        to: str,
        units: int,
        nonce: bytes,
        after: int,
        before: int,
        receive: bool,
        form: str,
    ) -> None:
        signer = SIGNERS[payer]
        terms = (signer.address, to, units, self.now - after, self.now + before, nonce)
        struct = "ReceiveWithAuthorization" if receive else "TransferWithAuthorization"
        signature = parts(form, self.world.sign(signer, struct, *terms))
        function = getattr(self.kzte, struct[0].lower() + struct[1:])
        self.both(
            lambda: self.model.pay(signer.address, to, units, nonce, terms[3], terms[4], self.now),
            lambda: function(*terms, *signature, sender=to),
        )
        self._is_used_as_in_the_model(signer.address, nonce)

    @rule(payer=st.sampled_from(sorted(SIGNERS)), nonce=numbers)
    def cancel(self, payer: str, nonce: bytes) -> None:
        signer = SIGNERS[payer]
        signature = self.world.sign(signer, "CancelAuthorization", signer.address, nonce)
        self.both(
            lambda: self.model.cancel(signer.address, nonce),
            lambda: self.kzte.cancelAuthorization(signer.address, nonce, signature),
        )
        self._is_used_as_in_the_model(signer.address, nonce)

    def _is_used_as_in_the_model(self, payer: str, nonce: bytes) -> None:
        used = (payer, nonce) in self.model.authorizations
        assert self.kzte.authorizationState(payer, nonce) == used

    def _is_minter_as_in_the_model(self, who: str) -> None:
        assert self.kzte.isMinter(who) == (who in self.model.minters)
        assert self.kzte.minterAllowance(who) == self.model.minters.get(who, 0)

    @invariant()
    def nothing_differs(self) -> None:
        # What was refused has changed nothing; looking takes five times as long as calling.
        if not self.refused:
            self.compare()
        self.refused = False

    def compare(self) -> None:
        """Balances are the model's, and their sum is the supply."""
        found = {who: self.kzte.balanceOf(who) for who in [*PEOPLE, self.kzte.address, ZERO]}
        assert found == {who: self.model.balances[who] for who in found}
        assert sum(found.values()) == self.kzte.totalSupply() == self.model.supply


SHORT = settings(
    max_examples=20,
    stateful_step_count=40,
    deadline=None,
    # A history is short enough to read; shrinking one takes minutes.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def test_no_history_disagrees_with_the_model() -> None:
    run_state_machine_as_test(TokenHistories, settings=SHORT)


@pytest.mark.soak
def test_no_history_of_100_000_calls_disagrees_with_the_model() -> None:
    run_state_machine_as_test(
        TokenHistories, settings=settings(SHORT, max_examples=1000, stateful_step_count=100)
    )
