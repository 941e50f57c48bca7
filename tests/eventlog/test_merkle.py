from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from pymerkle import InmemoryTree  # type: ignore[import-untyped]  # no type marker

from sandbox.eventlog import merkle, tiles
from sandbox.eventlog.merkle import leaf_hash, verify_consistency, verify_inclusion
from tests.eventlog import golden

sizes = st.integers(1, 700)


def hashes_of(size: int) -> list[bytes]:
    return [leaf_hash(b"%d" % i) for i in range(size)]


def reader(hashes: list[bytes]) -> Callable[[merkle.Subtree], bytes]:
    return lambda subtree: merkle.complete_root(
        hashes[subtree[1] << subtree[0] : (subtree[1] + 1) << subtree[0]]
    )


def inclusion(hashes: list[bytes], position: int) -> list[bytes]:
    return merkle.carry_out(merkle.inclusion_plan(position, len(hashes)), reader(hashes))


def consistency(hashes: list[bytes], old: int) -> list[bytes]:
    return merkle.carry_out(merkle.consistency_plan(old, len(hashes)), reader(hashes))


@given(sizes, st.data())
def test_no_inclusion_proof_holds_for_another_leaf_position_size_or_root(
    size: int, data: st.DataObject
) -> None:
    hashes = hashes_of(size)
    position = data.draw(st.integers(0, size - 1))
    root, proof = merkle.root_of(hashes), inclusion(hashes, position)
    leaf = hashes[position]
    assert not verify_inclusion(leaf_hash(b"other"), position, size, proof, root)
    assert not verify_inclusion(leaf, position, size, proof, leaf_hash(b"other"))
    assert not verify_inclusion(leaf, position, size, [*proof, leaf], root)
    assert not verify_inclusion(leaf, size, size, proof, root)
    assert not verify_inclusion(leaf, -1, size, proof, root)
    if size > 1:
        assert not verify_inclusion(leaf, (position + 1) % size, size, proof, root)
        assert not verify_inclusion(leaf, position, size, proof[:-1], root)
        changed = [bytes(32), *proof[1:]]
        assert not verify_inclusion(leaf, position, size, changed, root)


@given(sizes, st.data())
def test_no_consistency_proof_holds_for_a_forked_or_shortened_log(
    new: int, data: st.DataObject
) -> None:
    hashes = hashes_of(new)
    old = data.draw(st.integers(1, new))
    old_root, root = merkle.root_of(hashes[:old]), merkle.root_of(hashes)
    proof = consistency(hashes, old)
    forked = merkle.root_of([*hashes[: old - 1], leaf_hash(b"other")])
    assert not verify_consistency(old, new, proof, forked, root)
    assert not verify_consistency(old, new, proof, old_root, leaf_hash(b"other"))
    assert not verify_consistency(new + 1, new, proof, old_root, root)
    assert not verify_consistency(old, new, [*proof, root], old_root, root)
    if proof:
        assert not verify_consistency(old, new, proof[:-1], old_root, root)


def test_the_golden_vector_gives_its_hashes_roots_and_proofs() -> None:
    hashes = [leaf_hash(entry) for entry in golden.ENTRIES]
    assert hashes == golden.HASHES
    assert merkle.root_of(hashes) == golden.ROOT_OF_3
    assert merkle.root_of(hashes[:2]) == golden.ROOT_OF_2
    assert inclusion(hashes, 1) == golden.INCLUSION_OF_1
    assert consistency(hashes, 2) == golden.CONSISTENCY_2_3
    assert verify_inclusion(hashes[1], 1, 3, golden.INCLUSION_OF_1, golden.ROOT_OF_3)
    assert verify_consistency(2, 3, golden.CONSISTENCY_2_3, golden.ROOT_OF_2, golden.ROOT_OF_3)


def test_the_empty_tree_has_the_hash_of_nothing_and_precedes_every_tree() -> None:
    assert merkle.Tree().root() == merkle.EMPTY_ROOT == merkle.root_of([])
    root = merkle.root_of(hashes_of(5))
    assert verify_consistency(0, 5, [], merkle.EMPTY_ROOT, root)
    assert not verify_consistency(0, 5, [], root, root)


def test_roots_equal_those_of_an_independent_library_at_every_size() -> None:
    oracle = InmemoryTree(algorithm="sha256")
    tree = merkle.Tree()
    for i in range(600):
        oracle.append_entry(b"%d" % i)
        tree.extend([leaf_hash(b"%d" % i)])
        assert tree.root() == oracle.get_root(i + 1)


def test_every_inclusion_proof_of_every_small_tree_holds() -> None:
    for size in range(1, 40):
        hashes = hashes_of(size)
        root = merkle.root_of(hashes)
        for position in range(size):
            proof = inclusion(hashes, position)
            assert verify_inclusion(hashes[position], position, size, proof, root)


def test_every_consistency_proof_between_small_trees_holds() -> None:
    for new in range(1, 40):
        hashes = hashes_of(new)
        for old in range(1, new + 1):
            old_root, root = merkle.root_of(hashes[:old]), merkle.root_of(hashes)
            assert verify_consistency(old, new, consistency(hashes, old), old_root, root)


@given(st.lists(st.integers(0, 600), max_size=6))
def test_a_tree_grown_in_any_batches_has_the_root_and_nodes_of_one_grown_at_once(
    batches: list[int],
) -> None:
    hashes = hashes_of(sum(batches))
    tree, nodes = merkle.Tree(), []
    for count in batches:
        nodes += tree.extend(hashes[tree.size : tree.size + count])
    whole = merkle.Tree()
    assert sorted(nodes) == sorted(whole.extend(hashes))
    assert (tree.size, tree.root(), tree.edge) == (whole.size, whole.root(), whole.edge)
    assert merkle.Tree(tree.size, tree.edge).root() == whole.root()


def test_seventy_thousand_entries_fill_the_tiles_that_the_specification_counts() -> None:
    tree = merkle.Tree()
    nodes = tree.extend(leaf_hash(b"%d" % i) for i in range(70_000))
    assert [len(row) for row in tree.edge] == [112, 17, 1]
    assert len([node for node in nodes if node[0] == 1]) == 273
    assert len([node for node in nodes if node[0] == 2]) == 1
    found = list(tiles.tiles_of(70_000))
    assert len(found) == 274 + 2 + 1
    assert found[273].path == "tile/0/273.p/112"
    assert [tile.path for tile in found[274:]] == [
        "tile/1/000",
        "tile/1/001.p/17",
        "tile/2/000.p/1",
    ]
