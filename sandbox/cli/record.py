"""`sandbox record`: a program runs, and a file tells what it did."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from sandbox.cassette import tape
from sandbox.cassette.proxy import recording
from sandbox.cassette.tape import Cassette
from sandbox.cassette.world import World
from sandbox.cli import show
from sandbox.cli.endpoints import RECORDER, Running
from sandbox.core.errors import SandboxError


class CassetteUnwritable(SandboxError):
    """The recording has no place."""

    code = "cassette_unwritable"

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"cannot write to {path}: {why}")


class NoSuchCommand(SandboxError):
    """What should be run is not there, or is no program."""

    code = "no_such_command"

    def __init__(self, command: str, why: OSError) -> None:
        super().__init__(f"cannot run {command}: {why.strerror}")


def record(data_dir: Path, out: Path, command: Sequence[str], as_json: bool) -> int:
    """The exit code of the command, or 0 after Ctrl-C where there is none."""
    check_writable(out)
    running = Running.of(data_dir)
    world = World(running.endpoints)
    try:
        header = world.header()
        with recording(world) as (url, recorder):
            endpoints = {**running.endpoints, "api": url}
            told = {
                **show.variables(endpoints),
                "KZTE_API": url,
                RECORDER: url,
                "SANDBOX_DATA_DIR": str(data_dir.absolute()),
            }
            status = run(command, told) if command else _until_interrupted(url, as_json)
            made = world.finished(header, recorder.steps)
    finally:
        world.close()
    save(out, made)
    say(out, made, as_json)
    return status


def run(command: Sequence[str], told: Mapping[str, str]) -> int:
    """Run a command with `told` in its environment; its exit code. Raises `NoSuchCommand`."""
    try:
        return subprocess.run(command, env={**os.environ, **told}, check=False).returncode
    except OSError as error:
        raise NoSuchCommand(command[0], error) from None


def until_interrupted() -> None:
    """Wait for Ctrl-C or SIGTERM."""
    stop = threading.Event()
    before = {
        sign: signal.signal(sign, lambda *_: stop.set()) for sign in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        stop.wait()
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)


def _until_interrupted(url: str, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"object": "recorder", "api": url}), flush=True)
    else:
        show.out.print(f"recording what is sent to [bold]{url}[/]; Ctrl-C ends it")
    until_interrupted()
    return 0


def check_writable(out: Path) -> None:
    """Before anything is done that would be lost. Raises `CassetteUnwritable`."""
    if not out.parent.is_dir():
        raise CassetteUnwritable(out, f"{out.parent} is not a folder")
    if out.is_dir() or not os.access(out.parent, os.W_OK):
        raise CassetteUnwritable(out, "it is a folder, or one that you may not write to")


def save(out: Path, made: Cassette) -> None:
    """Raises `CassetteUnwritable`."""
    try:
        tape.write(out, made)
    except OSError as error:
        raise CassetteUnwritable(out, str(error.strerror)) from None


def say(out: Path | None, made: Cassette, as_json: bool) -> None:
    """What is on the recording; None: it was not kept."""
    counts = {
        "steps": len(made.steps),
        "events": len(made.events),
        "transactions": len(made.transactions),
    }
    if as_json:
        facts = {"seed": made.header["seed"], "quiet": made.header["quiet"]}
        path = None if out is None else str(out)
        print(json.dumps({"object": "cassette", "path": path, **counts, **facts}), flush=True)
        return
    what = "sent again" if out is None else out
    show.out.print(f"[green]✓[/] {what}: {show.counted(counts)}")
    if out is None:
        show.out.print("  --out FILE keeps what came of it, for `sandbox diff`")
    if not made.header["quiet"]:
        show.out.print("  [yellow]the sandbox was still busy: what came later is not on it[/]")
