"""The tree of claims: whatever is altered in leaf or branch leads to another root."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.reserve.sumtree import (
    EMPTY,
    MAX_SUM,
    BadSum,
    Node,
    branch_of,
    leaf,
    parent,
    root_of,
    verify_branch,
)

amounts = st.lists(st.integers(0, 10**15), min_size=1, max_size=40)


def _leaves(units: list[int]) -> list[Node]:
    return [leaf(f"merchant:{i}", amount, i.to_bytes(32, "big")) for i, amount in enumerate(units)]


@pytest.mark.parametrize("units", [-1, MAX_SUM + 1])
def test_a_sum_that_no_ledger_holds_is_refused(units: int) -> None:
    with pytest.raises(BadSum):
        leaf("merchant:1", units, bytes(32))
    with pytest.raises(BadSum):
        Node(bytes(32), units)


def test_two_sums_that_overflow_together_are_refused() -> None:
    half = leaf("merchant:1", MAX_SUM, bytes(32))
    with pytest.raises(BadSum):
        parent(half, leaf("merchant:2", 1, bytes(32)))
    assert not verify_branch(half, 0, 2, [half], half)


def test_a_leaf_cannot_be_shown_as_an_inner_node() -> None:
    leaves = _leaves([1, 2])
    root = root_of(leaves)
    assert not verify_branch(root, 0, 2, [leaves[1]], root)
    assert verify_branch(root, 0, 1, [], root)


def test_nobody_has_no_claims() -> None:
    assert root_of([]) == EMPTY
    assert not verify_branch(EMPTY, 0, 0, [], EMPTY)


@given(amounts)
def test_the_root_sums_up_all_leaves_and_every_branch_leads_there(units: list[int]) -> None:
    leaves = _leaves(units)
    root = root_of(leaves)
    assert root.units == sum(units)
    for index, found in enumerate(leaves):
        assert verify_branch(found, index, len(leaves), branch_of(leaves, index), root)


@given(amounts, st.data())
def test_an_altered_leaf_or_branch_is_found(units: list[int], data: st.DataObject) -> None:
    leaves = _leaves(units)
    root, size = root_of(leaves), len(leaves)
    index = data.draw(st.integers(0, size - 1))
    branch, mine = branch_of(leaves, index), leaves[index]
    more = data.draw(st.integers(-mine.units, 10**15).filter(bool))
    forged = leaf(f"merchant:{index}", mine.units + more, index.to_bytes(32, "big"))
    assert not verify_branch(forged, index, size, branch, root)
    assert not verify_branch(replace(mine, units=mine.units + more), index, size, branch, root)
    other = leaf("merchant:other", mine.units, index.to_bytes(32, "big"))
    assert not verify_branch(other, index, size, branch, root)
    assert not verify_branch(mine, index, size, [*branch, mine], root)
    for place, node in enumerate(branch):
        wrong_sum = replace(node, units=node.units + 1)
        wrong_hash = replace(node, hash=bytes(32))
        for wrong in (wrong_sum, wrong_hash):
            altered = [*branch[:place], wrong, *branch[place + 1 :]]
            assert not verify_branch(mine, index, size, altered, root)
        assert not verify_branch(mine, index, size, branch[:place], root)
    # Units that moved from one leaf to another leave the sum, but not the root.
    if size > 1:
        there = (index + 1) % size
        moved = [*leaves]
        moved[index] = leaf(f"merchant:{index}", mine.units + 1, index.to_bytes(32, "big"))
        if leaves[there].units > 0:
            moved[there] = leaf(
                f"merchant:{there}", leaves[there].units - 1, there.to_bytes(32, "big")
            )
            assert root_of(moved).units == root.units
            assert root_of(moved).hash != root.hash
