"""`sandbox demo`, run as a newcomer would."""

from pathlib import Path

from tests.journeys.stack import command, last_json


def test_the_demo_plays_the_whole_path_and_says_so_in_its_last_line(tmp_path: Path) -> None:
    played = command("demo", "--json", "--data-dir", str(tmp_path / "demo"))
    assert played.returncode == 0, played.stderr[-4000:]
    result = last_json(played.stdout)
    assert result["payments"] == {"solana": "complete", "evm": "complete"}
    assert result["settlement"]["status"] == "settled"
    assert result["settlement"]["check"]["unexplained_tiyn"] == 0
    assert result["payout"] == "completed"
    assert result["log"]["verified"] is True
    assert result["log"]["size"] > 10
    assert result["audit"] == "ok"
    assert not (tmp_path / "demo" / "endpoints.json").exists()
