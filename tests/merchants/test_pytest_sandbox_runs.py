"""Whole runs of the pytest plugin that go wrong in the middle: nothing is left, and it is said."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.journeys.stack import Stack
from tests.merchants.test_pytest_sandbox import PLUGIN, run, user_environment

pytestmark = pytest.mark.long

WORLDS = """
import os, signal
import pytest
from merchants.pytest_sandbox import SandboxTrouble

def names(sandbox):
    found = sandbox.merchant.get("/v1/checkout/sessions")["data"]
    return sorted(each["client_reference_id"] for each in found)

@pytest.fixture(scope="session")
def sandbox_base(sandbox_session):
    sandbox_session.create_session(100, client_reference_id="of the base")

def test_fails_in_the_middle(sandbox):
    session = sandbox.create_session(100, client_reference_id="of a failure")
    sandbox.webhooks.wait("checkout.session.created", id=session["id"])
    assert names(sandbox) == []

def test_begins_with_the_base(sandbox):
    assert names(sandbox) == ["of the base"]
    assert sandbox.events() == []
    assert sandbox.webhooks.received == []
    sandbox.create_session(100, client_reference_id="kept")
    sandbox.snapshot("kept")
    sandbox.create_session(100, client_reference_id="not kept")
    sandbox.quiesce()
    assert [each["type"] for each in sandbox.events()] == ["checkout.session.created"] * 2
    assert len(sandbox.events("checkout.*")) == 2
    assert sandbox.events("payment.*") == []

@pytest.mark.sandbox(world="shared")
def test_sees_what_the_test_before_did(sandbox):
    assert names(sandbox) == ["kept", "not kept", "of the base"]

@pytest.mark.sandbox(world="kept")
def test_begins_with_a_world_of_its_own_name(sandbox):
    assert names(sandbox) == ["kept", "of the base"]

@pytest.mark.sandbox(world="nowhere")
def test_of_no_world(sandbox):
    raise AssertionError("it has a world")

def test_time_is_of_the_world(sandbox, clock):
    began = clock.now
    clock.advance(86_400)
    clock.freeze()
    assert (clock.now - began).days == 1

def test_time_is_not_of_the_run(sandbox, clock):
    assert not clock.state["frozen"]
    assert clock.state["offset_ms"] < 86_400_000

def test_a_shop_that_raises_is_told(sandbox):
    def shop(headers, body):
        raise KeyError("order")
    sandbox.webhooks.deliver_to(shop)
    sandbox.create_session(100)
    sandbox.webhooks.wait("checkout.session.completed", seconds=2)

def test_an_answer_that_refuses_is_repeated(sandbox, clock):
    sandbox.webhooks.answer(503, 500)
    session = sandbox.create_session(100)
    sandbox.webhooks.wait("checkout.session.created", id=session["id"])
    clock.advance(3_600)
    clock.advance(7_200)
    sandbox.wait(lambda: [each.answered for each in sandbox.webhooks.deliveries
                          if each.event["data"].get("id") == session["id"]][:3],
                 lambda found: found == [503, 500, 204], what="a third attempt")
    assert len({each.id for each in sandbox.webhooks.deliveries}) == len(sandbox.webhooks.received)

def test_the_sandbox_dies_here(sandbox):
    os.kill(sandbox.process.pid, signal.SIGKILL)
    with pytest.raises(SandboxTrouble):
        sandbox.wait(sandbox.process.check, what="its end")

def test_is_told_that_it_is_dead(sandbox):
    raise AssertionError("it has a sandbox")
"""


def test_worlds_failures_and_the_death_of_a_sandbox(tmp_path: Path) -> None:
    done = run(tmp_path, WORLDS, "--junitxml", "report.xml", "-rA", "-v")
    said = done.stdout
    outcome = dict(re.findall(r"^test_it.py::(\w+) (\w+)", said, re.MULTILINE))
    assert outcome == {
        "test_fails_in_the_middle": "FAILED",
        "test_begins_with_the_base": "PASSED",
        "test_sees_what_the_test_before_did": "PASSED",
        "test_begins_with_a_world_of_its_own_name": "PASSED",
        "test_of_no_world": "ERROR",
        "test_time_is_of_the_world": "PASSED",
        "test_time_is_not_of_the_run": "PASSED",
        "test_a_shop_that_raises_is_told": "FAILED",
        "test_an_answer_that_refuses_is_repeated": "PASSED",
        "test_the_sandbox_dies_here": "ERROR",
        "test_is_told_that_it_is_dead": "ERROR",
    }, said
    assert "checkout.session.created cs_" in said  # what had happened in the world of a failure
    assert "no webhook checkout.session.completed within 2 s" in said
    assert "the shop raised KeyError('order') at checkout.session.created" in said
    assert "there is no world 'nowhere': there are initial, pytest, kept" in said
    assert "the sandbox ended with status -9 while tests ran" in said
    assert "the sandbox is up" in said  # the end of its log
    report = ElementTree.parse(tmp_path / "report.xml").getroot()
    suite = next(report.iter("testsuite"))
    assert (suite.attrib["failures"], suite.attrib["errors"]) == ("2", "3")
    assert nothing_is_left(tmp_path)


SLEEPS = """
import json, os, pathlib, time

def test_one(sandbox):
    pids = [each["pid"] for each in json.loads((sandbox.data_dir / "children.json").read_text())]
    pathlib.Path("pids.new").write_text(json.dumps([sandbox.process.pid, *pids]))
    os.rename("pids.new", "pids")
    time.sleep(600)
"""


def test_a_run_that_is_ended_while_its_sandbox_starts_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(SLEEPS)
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", *PLUGIN],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        env=user_environment(tmp_path),
        start_new_session=True,
    ) as pytests:
        started = "sandbox-pytest-*/children.json"
        _until(lambda: any(tmp_path.glob(started)), "its first process")
        [file] = tmp_path.glob(started)
        pids = [int(p) for p in re.findall(r'"pid": (\d+)', file.read_text())]
        os.killpg(pytests.pid, signal.SIGINT)
        assert pytests.wait(60) == 2
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert nothing_is_left(tmp_path)


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_ended_ends_its_sandbox(tmp_path: Path, by: signal.Signals) -> None:
    (tmp_path / "test_it.py").write_text(SLEEPS)
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", *PLUGIN],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        env=user_environment(tmp_path),
        start_new_session=True,
    ) as pytests:
        _until(lambda: (tmp_path / "pids").exists(), "its test")
        pids: list[int] = [int(p) for p in re.findall(r"\d+", (tmp_path / "pids").read_text())]
        if by == signal.SIGINT:
            os.killpg(pytests.pid, by)  # as a terminal does
        else:
            pytests.send_signal(by)
        assert pytests.wait(60) in (2, -by)
    _until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "the end of all")
    if by == signal.SIGINT:
        assert nothing_is_left(tmp_path)


TWO = """
import pathlib, pytest

@pytest.mark.parametrize("at", range(4))
def test_each(sandbox, at):
    sandbox.create_session(100)
    assert len(sandbox.merchant.get("/v1/checkout/sessions")["data"]) == 1
    pathlib.Path(f"of-{at}").write_text(sandbox.api)
"""


def test_each_worker_of_xdist_has_a_sandbox_of_its_own(tmp_path: Path) -> None:
    done = run(tmp_path, TWO, "-p", "xdist", "-n", "2")
    assert "4 passed" in done.stdout, done.stdout
    assert len({(tmp_path / f"of-{at}").read_text() for at in range(4)}) == 2
    assert nothing_is_left(tmp_path)


ATTACHED = """
def test_one(sandbox, clock, wallets):
    session = sandbox.create_session(100)
    wallets["anna"].pay(session)
    clock.advance(86_400)
    assert sandbox.session(session)["status"] == "complete"

def test_two(sandbox):
    assert sandbox.merchant.get("/v1/checkout/sessions")["data"][0]["amount_tiyn"] == 777
"""


def test_a_sandbox_that_runs_already_is_as_it_was_when_the_run_ends(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "sandbox")
    running = stack.up()
    try:
        body = {"amount_tiyn": 777}
        session = running.post("/v1/checkout/sessions", body, "merchant")
        done = run(tmp_path, ATTACHED, "--sandbox-data-dir", str(stack.data_dir))
        assert "2 passed" in done.stdout, done.stdout
        assert running.get(f"/v1/checkout/sessions/{session['id']}")["status"] == "open"
        [found] = running.get("/v1/checkout/sessions")["data"]
        assert found["id"] == session["id"]
        assert running.get("/v1/webhook_endpoints", "merchant")["data"] == []
        names = [each["name"] for each in running.get("/v1/sandbox/snapshots")["data"]]
        assert "pytest" not in names
        assert running.get("/v1/sandbox/clock")["offset_ms"] < 86_400_000
        _killed_in_a_test(tmp_path, stack.data_dir)
        done = run(tmp_path, ATTACHED, "--sandbox-data-dir", str(stack.data_dir))
        assert "2 errors" in done.stdout, done.stdout
        assert "go back to it with `sandbox snapshot restore pytest`" in done.stdout
        [found] = running.get("/v1/checkout/sessions")["data"]
        assert found["status"] == "canceled"  # nothing was done to it
    finally:
        stack.down()


def _killed_in_a_test(folder: Path, data_dir: Path) -> None:
    (folder / "test_it.py").write_text(DIES)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *PLUGIN, "--sandbox-data-dir", str(data_dir)],
        cwd=folder,
        env=user_environment(folder),
        capture_output=True,
        timeout=240,
    )
    assert done.returncode == -signal.SIGKILL


DIES = """
import os, signal

def test_one(sandbox):
    pass

def test_two(sandbox):
    session = sandbox.merchant.get("/v1/checkout/sessions")["data"][0]
    sandbox.merchant.post(f"/v1/checkout/sessions/{session['id']}/cancel", {})
    os.kill(os.getpid(), signal.SIGKILL)
"""


def nothing_is_left(folder: Path) -> bool:
    """Of data directories; `user_environment` has them made in the folder."""
    left = list(folder.glob("sandbox-pytest-*"))
    assert left == []
    return True


def _until(found: Callable[[], bool], what: str, seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.05)
