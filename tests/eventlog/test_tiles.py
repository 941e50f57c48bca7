import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.eventlog import tiles
from sandbox.eventlog.tiles import MalformedTile, index_path, parse_index
from tests.eventlog import golden


@pytest.mark.parametrize(
    "path",
    [
        "",
        "0",
        "00",
        "0000",
        "x000/001",
        "001/002",
        "x1/000",
        "../000",
        "000.p/0",
        "000.p/01",
        "000.p/256",
        "000.p/",
        "000/",
        "x001",
        "-01",
        "٠٠٠",
    ],
)
def test_a_path_in_any_other_form_is_refused(path: str) -> None:
    with pytest.raises(MalformedTile):
        parse_index(path)


@pytest.mark.parametrize("cut", range(len(golden.BUNDLE)))
def test_a_cut_bundle_is_refused(cut: int) -> None:
    with pytest.raises(MalformedTile):
        tiles.decode_bundle(golden.BUNDLE[:cut], 3)


def test_a_bundle_with_more_behind_it_is_refused() -> None:
    with pytest.raises(MalformedTile):
        tiles.decode_bundle(golden.BUNDLE + b"\0", 3)


@pytest.mark.parametrize(
    ("index", "width", "path"),
    [
        (0, 256, "000"),
        (999, 256, "999"),
        (1000, 256, "x001/000"),
        (1234067, 256, "x001/x234/067"),
        (0, 3, "000.p/3"),
        (273, 112, "273.p/112"),
    ],
)
def test_paths_are_those_of_the_specification(index: int, width: int, path: str) -> None:
    assert index_path(index, width) == path
    assert parse_index(path) == (index, width)


@given(st.integers(0, 10**12), st.integers(1, 256))
def test_every_path_reads_back(index: int, width: int) -> None:
    assert parse_index(index_path(index, width)) == (index, width)


def test_the_golden_bundle_reads_both_ways() -> None:
    assert tiles.encode_bundle(golden.ENTRIES) == golden.BUNDLE
    assert tiles.decode_bundle(golden.BUNDLE, 3) == golden.ENTRIES


@given(st.integers(0, 300_000))
def test_partial_widths_follow_from_the_size(size: int) -> None:
    for tile in tiles.tiles_of(size):
        level_size = size // 256**tile.level
        assert tile.start < level_size
        assert tile.width == min(256, level_size - tile.start)
