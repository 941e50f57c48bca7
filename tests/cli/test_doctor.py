"""`sandbox doctor` on real faults: each is one line with its remedy, and nothing is touched."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from contracts.evm import ARTIFACTS
from sandbox.cli import doctor
from sandbox.devnets import datadir
from sandbox.devnets.ports import Wanted
from sandbox.devnets.processes import Process
from tests.journeys.stack import command, last_json


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A data directory as `sandbox up` leaves it, as far as the doctor looks."""
    made = datadir.open_data_dir(tmp_path / "home")
    for folder in ("keys", "listeners"):
        (made / folder).mkdir(mode=0o700)
    for secret in ("keys/solana.json", "listeners/mine.json", "postgres.json", "prepared.json"):
        datadir.write_private(made / secret, "{}")
    return made


@pytest.fixture
def leftover() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as child:
        yield child
        child.kill()


def test_a_directory_of_another_version_is_named_and_not_looked_into(home: Path) -> None:
    (home / "version").write_text("0\n")
    found = doctor.data_directory(home)
    assert (found.ok, "version '0'" in found.said) == (False, True)
    assert "move" in found.remedy
    names = [one.name for one in doctor.findings(home, {})]
    assert "file modes" not in names


def test_a_folder_of_something_else_is_no_data_directory(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    found = doctor.data_directory(tmp_path)
    assert (found.ok, "no version file" in found.said) == (False, True)
    assert os.listdir(tmp_path) == ["holiday.jpg"]


def test_a_file_is_no_data_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert not doctor.data_directory(tmp_path / "file").ok


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can hand a folder to somebody else")
def test_a_directory_that_one_may_not_write_to_is_refused_and_named(data_dir: Path) -> None:
    datadir.open_data_dir(data_dir)
    code = (
        "import sys; from pathlib import Path; from sandbox.cli import doctor\n"
        "home = Path(sys.argv[1])\n"
        "print(doctor.data_directory(home).said)\n"
        "try: doctor.datadir.open_data_dir(home)\n"
        "except doctor.datadir.NotADataDir as refused: print(refused.message)\n"
    )
    somebody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    done = subprocess.run(
        [*somebody, sys.executable, "-c", code, str(data_dir)], capture_output=True, text=True
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 2, done.stderr
    for line in lines:
        assert line.startswith(f"{data_dir} cannot be a data directory"), line


@pytest.mark.parametrize("place", ["/proc/x", "{tmp}/file/x", "{tmp}/{long}", "{tmp}/link"])
def test_where_no_directory_can_be_made_is_refused_as_up_refuses_it(
    place: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nothing" / "there")
    path = Path(place.format(tmp=tmp_path, long="x" * 300))
    found = {one.name: one for one in doctor.findings(path, {})}
    assert (found["data directory"].ok, str(path) in found["data directory"].said) == (False, True)
    assert found["data directory"].remedy
    with pytest.raises(datadir.NotADataDir):
        datadir.open_data_dir(path)


COMMANDS = (("doctor", "--json"), ("env",), ("quiesce",), ("down",), ("up",), ("demo",))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("below", ["", "/below"])
def test_a_folder_closed_to_us_is_one_line_of_every_command(data_dir: Path, below: str) -> None:
    data_dir.mkdir(mode=0o711)
    closed = data_dir / "closed"
    closed.mkdir()
    closed.chmod(0o000)
    somebody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    for words in COMMANDS:
        argv = [*somebody, sys.executable, "-m", "sandbox.cli", *words]
        done = subprocess.run(
            [*argv, "--data-dir", f"{closed}{below}"], capture_output=True, text=True, timeout=60
        )
        said = done.stdout + done.stderr
        assert done.returncode == 1, said
        assert "cannot be a data directory" in " ".join(said.split()), said
        assert "Traceback" not in said
        assert "╭" not in said, "not a box without a remedy"
        assert "give --data-dir" in " ".join(said.split()), said


@pytest.mark.parametrize(
    "path", ["keys/solana.json", "listeners/mine.json", "postgres.json", "keys", "."]
)
def test_what_others_may_read_is_named(home: Path, path: str) -> None:
    assert doctor.modes(home).ok
    (home / path).chmod(0o755)
    found = doctor.modes(home)
    assert (found.ok, path in found.said) == (False, True)
    done = subprocess.run(found.remedy, shell=True, check=False)
    assert done.returncode == 0
    assert doctor.modes(home).ok


def test_a_port_in_use_is_named_with_whose_it_is(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        wanted = Wanted("the API", port, "--port")
        found = doctor.free_port(wanted)
    assert not found.ok
    assert f"pid {os.getpid()}" in found.said
    assert "--port" in found.remedy
    assert doctor.free_port(wanted).ok


def test_too_little_room_is_wrong(home: Path) -> None:
    free_mb = shutil.disk_usage(home).free // 1_000_000
    assert not doctor.disk(home, least_mb=free_mb + 1_000).ok
    assert doctor.disk(home / "not" / "made" / "yet", least_mb=1).ok


def test_a_clock_that_went_back_is_wrong(home: Path) -> None:
    assert doctor.clock(home).ok
    later = time.time() + 3_600
    os.utime(home / "version", (later, later))
    found = doctor.clock(home)
    assert not found.ok
    assert "went back" in found.said


def test_what_a_killed_sandbox_left_is_named_and_left_alone(
    home: Path, leftover: subprocess.Popen[bytes]
) -> None:
    process = Process.of(leftover.pid)
    assert process is not None
    record = {**asdict(process), "name": "worker", "stop": "SIGTERM"}
    (home / "children.json").write_text(json.dumps([record]))
    found = doctor.leftovers(home, None)
    assert (found.ok, f"worker (pid {leftover.pid})" in found.said) == (False, True)
    assert "sandbox down" in found.remedy
    assert leftover.poll() is None
    (home / "children.json").write_text(json.dumps([{**record, "started": "another boot/1"}]))
    assert doctor.leftovers(home, None).ok


def test_contracts_of_other_sources_are_wrong(tmp_path: Path) -> None:
    assert doctor.contracts().ok
    shutil.copytree(ARTIFACTS, tmp_path / "artifacts")
    path = tmp_path / "artifacts" / "kzte.json"
    path.write_text(path.read_text().replace('"source_sha256": "', '"source_sha256": "0'))
    found = doctor.contracts(tmp_path / "artifacts")
    assert (found.ok, "kzte" in found.said) == (False, True)


def test_the_command_ends_with_1_when_something_is_wrong(home: Path) -> None:
    free = ("--port", "0", "--solana-port", "0", "--evm-port", "0", "--json")
    well = command("doctor", "--data-dir", str(home), *free)
    assert well.returncode == 0, well.stdout + well.stderr
    (home / "version").write_text("0\n")
    ill = command("doctor", "--data-dir", str(home), *free)
    assert ill.returncode == 1
    [wrong] = [one for one in last_json(ill.stdout)["findings"] if not one["ok"]]
    assert wrong["name"] == "data directory"
    assert wrong["remedy"]
    plain = command("doctor", "--data-dir", str(home), *free[:-1])
    assert "→ move" in plain.stdout
