"""What programs and pipes get of a command: a wrong use as JSON, and an end when nobody reads."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.servers import event, fake_sandbox
from tests.journeys.stack import SANDBOX, command


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """Of a sandbox that has events."""
    with fake_sandbox(tmp_path / "data") as fake:
        fake.happen(*(event(n) for n in range(1, 101)))
        yield tmp_path / "data"


@pytest.mark.parametrize(
    ("arguments", "said", "remedy"),
    [
        (("payy", "--json"), "No such command 'payy'", "sandbox --help"),
        (("--json", "pay"), "No such option: --json", "sandbox --help"),
        (("pay", "--json", "--colour"), "No such option: --colour", "sandbox pay --help"),
        (("trigger", "--json"), "Missing argument 'EVENT|SCENARIO'", "sandbox trigger --help"),
        (("pay", "--amount-tiyn", "०.५", "--json"), "'--amount-tiyn'", "sandbox pay --help"),
        (("up", "--port", "99999", "--json"), "'--port'", "sandbox up --help"),
        (("clock", "advance", "--json"), "say how far", "sandbox clock advance --help"),
        (("clock", "--json"), "No such option: --json", "sandbox clock --help"),
        (("listen", "--events", "payment.finall", "--json"), "payment.final", "sandbox listen"),
        (("listen", "--format", "json", "--since"), "--since", "sandbox --help"),
        (("logs", "tail", "--format=json", "--status", "6xx"), "6xx", "sandbox logs tail --help"),
        (("devnet", "evm", "--port", "x", "--json"), "--port", "sandbox devnet evm --help"),
        (("devnet", "solana", "--json", "--slot-ms", "-1"), "--slot-ms", "devnet solana --help"),
    ],
)
def test_a_wrong_use_is_told_to_programs_in_json(
    arguments: tuple[str, ...], said: str, remedy: str
) -> None:
    refused = command(*arguments)
    assert refused.returncode == 2
    [line] = refused.stdout.splitlines()
    problem = json.loads(line)
    assert problem.keys() == {"object", "code", "detail", "remedy"}
    assert (problem["object"], problem["code"]) == ("error", "wrong_usage")
    assert said in problem["detail"]
    assert remedy in problem["remedy"]
    assert "Traceback" not in refused.stderr


def test_a_wrong_use_tells_people_nothing_in_json(tmp_path: Path) -> None:
    out = str(tmp_path / "one.jsonl")
    for arguments in (("pay", "--colour"), ("record", "--outt", out, "--", "curl", "--json")):
        refused = command(*arguments)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "No such option" in refused.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("--version",),
        ("pay", "--help"),
        ("events", "list", "--limit", "100"),
        ("events", "list", "--limit", "100", "--json"),
        ("events", "get", "evt_none", "--json"),
        ("logs", "tail", "--no-follow", "--colour", "--json"),
    ],
)
@pytest.mark.parametrize("kind", ["full", "closed", "broken"])
def test_what_cannot_be_written_is_named_in_a_line_and_a_broken_pipe_not_at_all(
    data_dir: Path, arguments: tuple[str, ...], kind: str
) -> None:
    close_stdout = f'exec {" ".join(SANDBOX)} "$@" >&-'
    words = ["sh", "-c", close_stdout, "sh"] if kind == "closed" else SANDBOX
    reading, writing = os.pipe()
    os.close(reading)
    with open("/dev/full", "wb") as full, open(writing, "wb", closefd=True) as broken:
        done = subprocess.run(
            [*words, *arguments],
            stdout={"full": full, "broken": broken, "closed": subprocess.DEVNULL}[kind],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "SANDBOX_DATA_DIR": str(data_dir)},
        )
    lost = [line for line in done.stderr.splitlines() if "standard output" in line]
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    if kind == "broken":
        assert (done.returncode, lost) == (141, [])
    else:
        why = "No space left on device" if kind == "full" else "Bad file descriptor"
        assert done.returncode == 1
        assert lost == [f"sandbox: cannot write to standard output: {why}"]


def test_a_stream_ends_when_its_reader_has_seen_enough(data_dir: Path) -> None:
    listen = [*SANDBOX, "listen", "--since", "beginning", "--data-dir", str(data_dir)]
    listening = subprocess.Popen(listen, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert listening.stdout is not None
    assert listening.stderr is not None
    with listening.stdout as lines:
        assert "payment.captured" in "".join(next(lines) for _ in range(3))
    with listening.stderr as notes:
        assert "Traceback" not in notes.read()
    assert listening.wait(60) == 141
