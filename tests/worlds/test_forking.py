"""A fork that is moved to where the person at the terminal wants it."""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

from sandbox.cli.world import forking
from sandbox.lab.world_errors import BadForkTarget
from tests.scratch import DISKS

NOBODY = 65534


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A folder like a fork's: private, with a part that is somebody else's where root runs it."""
    made = tmp_path / "forks" / "made"
    (made / "postgres" / "base").mkdir(parents=True)
    (made / "postgres" / "base" / "1").write_text("rows")
    (made / "version").write_text("1")
    (made / "postgres").chmod(0o700)
    if os.geteuid() == 0:
        for path in (made / "postgres", *(made / "postgres").rglob("*")):
            os.chown(path, NOBODY, NOBODY)
    return made


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    here = tmp_path.stat().st_dev
    others = (one for one in DISKS if os.access(one, os.W_OK) and one.stat().st_dev != here)
    other = next(others, None)
    if other is None:
        pytest.skip("there is no second file system here")
    folder = Path(mkdtemp(dir=other))
    yield folder
    shutil.rmtree(folder)


def like(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Each path below with its mode and owners."""
    found = {path: path.stat() for path in (folder, *folder.rglob("*"))}
    return {
        str(path.relative_to(folder)): (stat.S_IMODE(is_.st_mode), is_.st_uid, is_.st_gid)
        for path, is_ in found.items()
    }


def test_a_fork_that_cannot_be_moved_stays_where_it_is(made: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    before = like(made)
    for target in (tmp_path / "file" / "new", Path("/proc/nothing/new")):
        with pytest.raises(BadForkTarget, match="cannot be made"):
            forking.move(made, target)
    assert like(made) == before


def test_a_fork_takes_the_place_of_an_empty_folder_and_of_nothing(
    made: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    forking.move(made, tmp_path / "empty")
    forking.move(tmp_path / "empty", tmp_path / "far" / "below")
    assert (tmp_path / "far" / "below" / "version").read_text() == "1"
    assert [made.exists(), (tmp_path / "empty").exists()] == [False, False]


def test_on_another_disk_it_is_whole_with_owners_and_modes(made: Path, other_disk: Path) -> None:
    before = like(made)
    forking.move(made, other_disk / "second")
    assert like(other_disk / "second") == before
    assert (other_disk / "second" / "postgres" / "base" / "1").read_text() == "rows"
    assert [path.name for path in other_disk.iterdir()] == ["second"]
    assert not made.exists()
