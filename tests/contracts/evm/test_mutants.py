"""What `make mutants` breaks. Whether the tests notice is its own long run."""

from contracts import evm
from tests.contracts.evm.mutants import EXPLAINED, FIRST, mutants


def test_every_contract_is_broken_in_many_ways_each_of_them_once() -> None:
    found = mutants()
    assert {mutant.file for mutant in found} == set(evm.sources()) == set(FIRST)
    assert len({mutant.key for mutant in found}) == len(found) > 250
    assert all(mutant.source != evm.sources()[mutant.file] for mutant in found)


def test_an_assert_and_a_sign_and_a_mark_of_use_are_among_what_is_broken() -> None:
    changes = {mutant.change for mutant in mutants()}
    assert {
        'without assert msg.sender == rescuer, "deposits: caller is not the rescuer"',
        "- → + in self.balanceOf[from_] = balance - amount",
        "without self.authorizationState[from_][nonce] = True",
    } <= changes


def test_what_is_explained_is_still_there() -> None:
    assert set(EXPLAINED) <= {mutant.key for mutant in mutants()}
