"""What `sandbox diff` says to a person."""

from pathlib import Path

from typer.testing import CliRunner

from sandbox.cassette import tape
from sandbox.cassette.tape import Cassette
from sandbox.cli.commands import app


def kept(path: Path, seed: int | None, amount_tiyn: int) -> str:
    events = [
        {"kind": "event", "type": "faucet.sent", "data": {}},
        {"kind": "event", "type": "payment.final", "data": {"amount_tiyn": amount_tiyn}},
    ]
    tape.write(path, Cassette(tape.header(seed=seed, api="http://127.0.0.1:1"), [], events))
    return str(path)


def said(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["diff", *arguments], env={"COLUMNS": "300"})
    assert done.exit_code == 1
    return done.output


def test_the_first_difference_names_the_files_and_what_came_before(tmp_path: Path) -> None:
    one, two = kept(tmp_path / "one", 42, 5), kept(tmp_path / "two", 42, 6)
    found = said(one, two)
    assert "they part at event 2, payment.final: data.amount_tiyn" in found
    assert "after faucet.sent" in found
    assert f"- {one}: 5" in found
    assert f"+ {two}: 6" in found
    assert "seeds" not in found


def test_what_differs_for_the_seed_is_said_once(tmp_path: Path) -> None:
    one, two = kept(tmp_path / "one", 42, 5), kept(tmp_path / "two", None, 6)
    assert "seeds: 42 and none. Only worlds of one seed" in said(one, two)
    assert "seeds" not in said(one, two, "--rename-ids")
