"""`sandbox devnet solana`, as a person starts it in an empty folder."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
from solders.keypair import Keypair


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "sandbox.cli", "devnet", "solana", "--port", "0", *options],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def greeting(process: subprocess.Popen[str]) -> str:
    """All that it says before it waits."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if "requestAirdrop" in line:
            return said
    assert process.stderr is not None
    raise AssertionError(process.stderr.read())


def test_a_wrong_option_is_named(tmp_path: Path) -> None:
    process = start(tmp_path, "--finality", "1")
    _, said = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "--confirmed-depth must be at least 1 and below --finality" in said
    assert list(tmp_path.iterdir()) == []


def test_a_person_starts_it_takes_sol_stops_it_and_finds_it_again(tmp_path: Path) -> None:
    receiver = str(Keypair().pubkey())
    said = {}
    for time in ("first", "again"):
        with start(tmp_path, "--slot-ms", "20") as process:
            said[time] = greeting(process)
            url = re.findall(r"rpc +(http://\S+)", said[time])[0]
            if time == "first":
                # The command that it printed, typed by the person.
                command = re.findall(r"^ +(curl .*)$", said[time], re.MULTILINE)[0]
                command = command.replace("<address>", receiver)
                typed = subprocess.run(["bash", "-c", f"{command} -sS"], capture_output=True)
                assert b'"result"' in typed.stdout, typed.stderr
            else:
                wanted = [receiver, {"commitment": "processed"}]
                asked = {"jsonrpc": "2.0", "id": 1, "method": "getBalance", "params": wanted}
                answer = httpx2.post(url, json=asked, trust_env=False).json()
                assert answer["result"]["value"] == 10**9
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
    genesis = [re.findall(r"genesis +(\S+)", text) for text in said.values()]
    assert genesis[0] == genesis[1] != []
    assert [path.name for path in tmp_path.iterdir()] == [".sandbox-solana"]
