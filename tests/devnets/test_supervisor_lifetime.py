"""The supervisor as a process that is signalled, killed, and started twice."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox.devnets.datadir import holder, read_endpoints, read_json
from sandbox.devnets.processes import Process
from sandbox.devnets.supervisor import down

STACK = [sys.executable, "-m", "tests.devnets.stack"]
Stack = subprocess.Popen[str]


@pytest.fixture
def up(data_dir: Path) -> Iterator[Callable[..., Stack]]:
    """Start the stack on `data_dir`, by default until it says that it is up."""
    started: list[Stack] = []

    def start(*parts: str, until: str = "up") -> Stack:
        command = [*STACK, str(data_dir), *parts]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        wait_for(process, until)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=10)


def wait_for(process: Stack, kind: str) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(kind):
            return line
    raise AssertionError(f"ended without {kind}")


def recorded(data_dir: Path) -> list[Process]:
    found = [Process.read(record) for record in read_json(data_dir / "children.json")]
    assert all(found)
    return [process for process in found if process is not None]


def test_a_second_one_on_the_same_data_is_refused_in_one_line_while_the_first_answers(
    up: Callable[..., Stack], data_dir: Path
) -> None:
    first = up()
    second = subprocess.run([*STACK, str(data_dir)], capture_output=True, text=True, timeout=20)
    assert second.returncode != 0
    assert second.stdout.count("\n") == 1
    assert second.stdout.startswith(f"failed already_up a sandbox already runs on {data_dir}")
    assert f"pid {first.pid}" in second.stdout
    assert "sandbox down" in second.stdout
    assert first.poll() is None
    assert read_endpoints(data_dir) is not None
    assert all(process.alive() for process in recorded(data_dir))


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_term_both_stop_in_order(
    up: Callable[..., Stack], data_dir: Path, sign: signal.Signals
) -> None:
    stack = up()
    children = recorded(data_dir)
    stack.send_signal(sign)
    assert stack.wait(10) == 0
    assert not any(process.alive() for process in children)
    assert (data_dir / "logs" / "order").read_text().split() == ["second", "first"]
    assert read_endpoints(data_dir) is None
    assert holder(data_dir) is None


def test_it_hears_ctrl_c_where_a_shell_has_it_ignored_and_lets_nohup_have_its_way(
    up: Callable[..., Stack],
) -> None:
    former = {sign: signal.signal(sign, signal.SIG_IGN) for sign in (signal.SIGINT, signal.SIGHUP)}
    try:
        stack = up()
    finally:
        for sign, handler in former.items():
            signal.signal(sign, handler)
    stack.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        stack.wait(0.3)
    stack.send_signal(signal.SIGINT)
    assert stack.wait(10) == 0


def test_a_stop_during_the_start_ends_what_was_started(
    up: Callable[..., Stack], data_dir: Path
) -> None:
    stack = up(until="starting second")
    stack.terminate()
    assert stack.wait(10) == 0
    assert not (data_dir / "children.json").exists()


def test_killing_it_ends_all_children_postgresql_too(
    up: Callable[..., Stack], data_dir: Path
) -> None:
    stack = up("postgres")
    children = recorded(data_dir)
    assert len(children) == 3
    stack.kill()
    assert all(process.wait(10) for process in children)


def test_after_a_kill_the_next_one_takes_over(up: Callable[..., Stack], data_dir: Path) -> None:
    ports = data_dir / "ports.json"
    killed = up("postgres")
    killed.kill()
    killed.wait()  # until then it holds its lock
    former = json.loads(ports.read_text())
    assert read_endpoints(data_dir) is not None  # stale, as after any kill
    again = up("postgres")
    assert holder(data_dir) == Process.of(again.pid)
    assert json.loads(ports.read_text()) == former


def test_an_orphan_of_a_killed_one_is_ended_by_the_next(
    up: Callable[..., Stack], data_dir: Path
) -> None:
    killed = up()
    killed.kill()
    killed.wait()  # until then it holds its lock
    # A child that escaped the death signal, and one whose pid went to somebody else.
    with (
        subprocess.Popen(["sleep", "60"]) as orphan,
        subprocess.Popen(["sleep", "60"]) as stranger,
    ):
        process = Process.of(orphan.pid)
        assert process is not None
        records = [
            {"pid": orphan.pid, "started": process.started, "name": "chain", "stop": "SIGTERM"},
            {"pid": stranger.pid, "started": "boot/1", "name": "api", "stop": "SIGTERM"},
        ]
        (data_dir / "children.json").write_text(json.dumps(records))
        up(until="orphan_ended")
        assert orphan.wait(5) == -signal.SIGTERM
        assert stranger.poll() is None
        stranger.kill()


def test_down_stops_it_and_waits_for_its_end(up: Callable[..., Stack], data_dir: Path) -> None:
    stack = up()
    children = recorded(data_dir)
    assert down(data_dir) is True
    assert stack.wait(5) == 0
    assert not any(process.alive() for process in children)
    assert down(data_dir) is False


def test_down_where_nothing_was_ever_started_touches_nothing(data_dir: Path) -> None:
    assert down(data_dir) is False
    assert not data_dir.exists()


def test_a_killed_postgresql_is_started_again_on_its_port_with_its_data(
    up: Callable[..., Stack], data_dir: Path
) -> None:
    stack = up("postgres")
    (server, *_) = recorded(data_dir)
    ports = json.loads((data_dir / "ports.json").read_text())
    server.signal(signal.SIGKILL)
    wait_for(stack, "died postgres")
    wait_for(stack, "restarted postgres")
    assert json.loads((data_dir / "ports.json").read_text()) == ports
    assert recorded(data_dir)[0] != server
    stack.terminate()
    assert stack.wait(20) == 0
