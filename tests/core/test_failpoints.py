"""A process can be killed at a named point, but never by accident."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.core import failpoints
from sandbox.core.failpoints import POINTS, TEST_BUILD, BadFailpoints, NotATestBuild

THREE_PASSES = """
from sandbox.core import failpoints
for n in range(3):
    failpoints.passed("here", "api")
    print(n, flush=True)
"""


def passes(**environment: str) -> tuple[int, list[str], str]:
    ended = subprocess.run(
        [sys.executable, "-c", THREE_PASSES],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    return ended.returncode, ended.stdout.split(), ended.stderr


def test_points_without_a_test_build_are_refused_before_anything_starts() -> None:
    with pytest.raises(NotATestBuild):
        failpoints.from_environment({POINTS: "here:1"})
    status, passed, said = passes(**{POINTS: "here:1"})
    assert (status, passed) == (1, [])
    assert said == f"{POINTS} kills processes: it needs {TEST_BUILD}=1 beside it\n"


@pytest.mark.parametrize("asked", ["here", "here:", "here:0", "here:x", ":1", "here:1,"])
def test_points_that_cannot_be_read_are_refused(asked: str) -> None:
    with pytest.raises(BadFailpoints):
        failpoints.from_environment({POINTS: asked, TEST_BUILD: "1"})


def test_nothing_is_on_by_itself() -> None:
    assert failpoints.from_environment({}) is None
    assert failpoints.from_environment({TEST_BUILD: "1"}) is None
    assert passes(**{TEST_BUILD: "1"}) == (0, ["0", "1", "2"], "")


@pytest.mark.parametrize("asked", ["here:2", "here.api:2", "there:1,here:2"])
def test_the_process_that_passes_a_point_the_given_time_is_killed(asked: str) -> None:
    status, passed, _ = passes(**{POINTS: asked, TEST_BUILD: "1"})
    assert (status, passed) == (-signal.SIGKILL, ["0"])


def test_a_folder_arms_a_point_once(tmp_path: Path) -> None:
    (tmp_path / "here").write_text("3")
    armed = {POINTS: str(tmp_path), TEST_BUILD: "1"}
    assert passes(**armed)[:2] == (-signal.SIGKILL, ["0", "1"])
    assert passes(**armed)[:2] == (0, ["0", "1", "2"])


def test_a_folder_may_name_another_process(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        (tmp_path / "here.api").write_text(f"1 {other.pid}")
        assert passes(**{POINTS: str(tmp_path), TEST_BUILD: "1"})[:2] == (0, ["0", "1", "2"])
        assert other.wait(10) == -signal.SIGKILL
