"""The same script in two data directories with one seed: the same world, to the byte."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from sandbox.cassette import tape
from sandbox.cassette.comparing import compare
from sandbox.cli.endpoints import Running, wait_for
from tests.journeys.stack import Stack, command, last_json

SEED = "20261123"
# Without a seed: how many days end within three depends on the day that a world begins with, and
# whether the tenth attempt of a webhook falls into them, on the jitter of nine.
OF_CHANCE = (
    *("ledger.day_sealed", "bank.statement_received", "reserve.attested"),
    "webhook_endpoint.disabled",
)
SCRIPT = (sys.executable, "-m", "tests.journeys.seeded_script")


@contextmanager
def stack(data_dir: Path, *more: str, slot_ms: int = 40) -> Iterator[Stack]:
    data_dir.parent.mkdir(parents=True)
    made = Stack(data_dir, slot_ms=slot_ms, more=more)
    made.up()
    try:
        yield made
    finally:
        made.down()


def play(made: Stack, out: Path) -> None:
    done = command("record", "--out", str(out), "--data-dir", str(made.data_dir), "--", *SCRIPT)
    assert done.returncode == 0, done.stderr


def facts(running: Running) -> dict[str, object]:
    """All that endpoints.json says but where this machine happens to listen."""
    ours = ("solana_rpc", "solana_ws", "evm_rpc", "evm_ws", "database", "api", "forks_dir")
    return {name: value for name, value in running.endpoints.items() if name not in ours}


def log(running: Running) -> list[str]:
    """Origin, size and root of the log: the root covers every byte of every event."""
    return httpx2.get(f"{running.endpoints['api']}/log/checkpoint").text.splitlines()[:3]


def logs(made: Stack) -> list[list[str]]:
    """The log now, and that of the next epoch: the world is kept and restored."""
    assert made.running is not None
    found = [log(made.running)]
    for verb in ("save", "restore"):
        done = command("snapshot", verb, "kept", "--data-dir", str(made.data_dir))
        assert done.returncode == 0, done.stderr
    return [*found, log(made.running)]


def port(running: Running) -> str:
    return str(httpx2.URL(running.endpoints["api"]).port)


@pytest.mark.long
def test_two_worlds_of_one_seed_are_the_same_and_no_other_seed_goes_on_with_them(
    tmp_path: Path,
) -> None:
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    with stack(tmp_path / "one" / "sandbox", "--seed", SEED) as made:
        assert made.running is not None
        play(made, one)
        first, logs_of_first, same_port = facts(made.running), logs(made), port(made.running)
        first_folder = made.data_dir
    refused = command("up", "--data-dir", str(first_folder), "--seed", "7")
    assert refused.returncode == 1
    assert f"made with the seed {SEED}" in refused.stderr
    # On the same port, because payment links hold it and the log commits to them; on chains of
    # another pace, which does not count.
    more = ("--seed", SEED, "--port", same_port)
    with stack(tmp_path / "two" / "sandbox", *more, slot_ms=2_000) as made:
        assert made.running is not None
        play(made, two)
        assert facts(made.running) == first
        logs_of_second = logs(made)
    told = command("diff", str(one), str(two), "--json")
    assert (told.returncode, last_json(told.stdout)["differences"]) == (0, {}), told.stdout
    assert logs_of_second == logs_of_first
    assert [lines[0].rpartition("/")[2] for lines in logs_of_first] == ["e1", "e2"]
    found = tape.read(one)
    assert found.header["seed"] == int(SEED)
    assert {line["chain"] for line in found.transactions} == {"solana", "evm"}
    assert [line for line in found.transactions if "block_time" in line]
    for name in ("merchant", "operator"):
        key = first["keys"][name]  # type: ignore[index]  # endpoints.json is not typed
        assert key.rpartition("_")[2] not in one.read_text()


@pytest.mark.long
def test_a_replay_in_a_fresh_world_of_the_seed_is_the_same(tmp_path: Path) -> None:
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    with stack(tmp_path / "one" / "sandbox", "--seed", SEED) as made:
        play(made, one)
    with stack(tmp_path / "two" / "sandbox", "--seed", SEED) as made:
        again = ("replay", str(one), "--out", str(two), "--data-dir", str(made.data_dir))
        assert command(*again).returncode == 0
    found = compare(tape.read(one), tape.read(two))
    assert found.is_same, found.as_json()


@pytest.mark.long
def test_a_replay_in_a_world_without_a_seed_has_the_same_shape(tmp_path: Path) -> None:
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    with stack(tmp_path / "one" / "sandbox", "--seed", SEED) as made:
        play(made, one)
    with stack(tmp_path / "two" / "sandbox") as made:
        again = ("replay", str(one), "--out", str(two), "--data-dir", str(made.data_dir))
        assert command(*again).returncode == 0
    first, second = tape.read(one), tape.read(two)
    assert [step.get("status") for step in first.steps] == [
        step.get("status") for step in second.steps
    ]
    kinds = [
        sorted(event["type"] for event in run.events if event["type"] not in OF_CHANCE)
        for run in (first, second)
    ]
    assert kinds[0] == kinds[1]


@pytest.mark.long
def test_a_killed_worker_changes_nothing_that_is_promised(tmp_path: Path) -> None:
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    with stack(tmp_path / "one" / "sandbox", "--seed", SEED) as made:
        play(made, one)
    with stack(tmp_path / "two" / "sandbox", "--seed", SEED) as made:
        assert made.running is not None
        killed, ready = made.pids()["worker"], made.running.endpoints["api"] + "/readyz"
        os.kill(killed, signal.SIGKILL)
        wait_for("another worker", lambda: made.pids()["worker"], lambda pid: pid != killed)
        wait_for("it to lead", lambda: httpx2.get(ready), lambda answer: answer.is_success)
        play(made, two)
    found = compare(tape.read(one), tape.read(two))
    assert found.is_same, found.as_json()
