"""The pytest plugin where there is no sandbox to test with: each case says so, once and by name."""

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from merchants.pytest_sandbox.process import Asked, SandboxProcess

PLUGIN = ("-p", "merchants.pytest_sandbox", "-p", "no:cacheprovider")
TWO_TESTS = """
def test_one(sandbox):
    raise AssertionError("it has a sandbox")

def test_two(clock, wallets):
    raise AssertionError("it has a sandbox")

def test_without():
    pass
"""


def run(folder: Path, tests: str, *options: str) -> subprocess.CompletedProcess[str]:
    """A user's pytest, with no other plugins, on a file of tests."""
    (folder / "test_it.py").write_text(tests)
    (folder / "pytest.ini").write_text("[pytest]\n")
    return subprocess.run(
        [sys.executable, "-m", "pytest", *PLUGIN, *options],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        env=user_environment(folder),
    )


def user_environment(folder: Path) -> dict[str, str]:
    """Of somebody who has no plugins but this one; data directories are made in the folder."""
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "TMPDIR": str(folder),
    }


def test_a_program_that_is_not_there_is_named_and_other_tests_run(tmp_path: Path) -> None:
    done = run(tmp_path, TWO_TESTS, "--sandbox-command", "/nowhere/sandbox")
    assert done.returncode == 1
    assert "1 passed, 2 errors" in done.stdout
    assert "--sandbox-command: /nowhere/sandbox is no program" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_start_that_is_refused_says_why_with_the_end_of_its_log(tmp_path: Path) -> None:
    done = run(tmp_path, TWO_TESTS, "-o", "sandbox_args=--slot-ms 1")
    assert "1 passed, 2 errors" in done.stdout
    assert "`sandbox up` ended with status 2" in done.stdout
    assert "Invalid value for '--slot-ms'" in done.stdout
    assert "another exception" not in done.stdout


def test_a_start_that_finds_its_port_taken_says_why(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run(tmp_path, TWO_TESTS, "-o", f"sandbox_args=--port {port}")
    assert "1 passed, 2 errors" in done.stdout
    assert "`sandbox up` ended with status 1" in done.stdout
    assert f"port {port} for the API is in use" in done.stdout


def test_a_start_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\necho 'still at it' >&2\nexec sleep 600\n")
    slow.chmod(0o755)
    done = run(tmp_path, TWO_TESTS, "--sandbox-command", str(slow), "-o", "sandbox_start_seconds=1")
    assert "`sandbox up` was not ready after 1 s" in done.stdout
    assert "still at it" in done.stdout
    assert subprocess.run(["pgrep", "-f", f"^{slow}"], capture_output=True).stdout == b""


def test_a_data_directory_that_another_run_uses_is_refused(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(data_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout is not None
    with other:
        assert other.stdout.readline() == "held\n"
        done = run(tmp_path, TWO_TESTS, "--sandbox-data-dir", str(data_dir))
    assert f"{data_dir} is in use by another test run (pid {other.pid})" in done.stdout
    assert "Workers of pytest-xdist need one each" in " ".join(done.stdout.split())


HOLDS = """
import sys
import tempfile
from pathlib import Path
from merchants.pytest_sandbox.process import _locked
held = _locked(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_it_loads_nowhere_by_itself(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_one(sandbox): pass")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", "/dev/null", "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "fixture 'sandbox' not found" in done.stdout


def test_its_mark_is_known(tmp_path: Path) -> None:
    done = run(tmp_path, MARKED, "--collect-only", "--strict-markers")
    assert done.returncode == 0, done.stdout
    assert '@pytest.mark.sandbox(world="fresh")' in run(tmp_path, MARKED, "--markers").stdout


MARKED = """
import pytest

@pytest.mark.sandbox(world="shared")
def test_one(sandbox):
    pass
"""


def test_nothing_is_left_of_a_start_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)  # it asks the environment once
    asked = Asked(None, "/bin/false", (), keep=False, start_seconds=5)
    with pytest.raises(Exception, match="ended with status 1") as found:
        SandboxProcess.of(asked)
    assert "--sandbox-keep keeps it" in str(found.value)
    assert list(tmp_path.iterdir()) == []
