"""What a user does to a sandbox, and what happens to its processes; nothing may be lost."""

import os
import signal
import subprocess
import time
from pathlib import Path

import httpx2
import pytest

from merchants.client import MerchantClient
from sandbox.cli import pay
from sandbox.cli.endpoints import Running, wait_for
from tests.journeys.customers import CHAINS, rpc
from tests.journeys.stack import Stack, command, last_json


def shop_of(sandbox: Running) -> MerchantClient:
    return MerchantClient(sandbox.endpoints["api"], sandbox.key("merchant"), tries=7)


def pay_one(sandbox: Running, stack: Stack, chain: str) -> str:
    with shop_of(sandbox) as shop:
        session = shop.create_session(20_000)
        tx: str = pay.pay(sandbox, stack.data_dir, session["id"], chain, "resident", None)["tx"]
        wait_for(
            "capture",
            lambda: shop.session(session["id"]),
            lambda s: s["payments"][0]["settlement_state"] == "unsettled",
        )
    return tx


def test_a_stopped_sandbox_goes_on_where_it_was(hardy: Stack, tmp_path: Path) -> None:
    assert hardy.running is not None
    solana_rpc, evm_rpc = (hardy.running.endpoints[f"{chain}_rpc"] for chain in CHAINS)
    geneses = rpc(solana_rpc, "getGenesisHash"), rpc(evm_rpc, "eth_getBlockByNumber", "0x0", False)
    signature, evm_tx = (pay_one(hardy.running, hardy, chain) for chain in CHAINS)
    receipt = rpc(evm_rpc, "eth_getTransactionReceipt", evm_tx)
    hardy.running.quiesce()
    reserve = hardy.running.get("/v1/reserve")
    # When the books were last compared is no part of what they hold.
    del reserve["reconciliation"]
    old = tmp_path / "old-checkpoint"
    old.write_bytes(httpx2.get(hardy.running.endpoints["api"] + "/log/checkpoint").content)
    keys = hardy.running.endpoints["keys"]
    hardy.down()
    assert not (hardy.data_dir / "endpoints.json").exists()

    again = hardy.up()
    solana_rpc, evm_rpc = (again.endpoints[f"{chain}_rpc"] for chain in CHAINS)
    assert geneses == (
        rpc(solana_rpc, "getGenesisHash"),
        rpc(evm_rpc, "eth_getBlockByNumber", "0x0", False),
    )
    history = {"searchTransactionHistory": True}
    [status] = rpc(solana_rpc, "getSignatureStatuses", [signature], history)["value"]
    assert status["confirmationStatus"] == "finalized"
    assert rpc(evm_rpc, "eth_getTransactionReceipt", evm_tx) == receipt
    assert again.get("/v1/reserve").items() >= reserve.items()
    assert again.endpoints["keys"] == keys
    verified = command(
        "log", "verify", "--since", str(old), "--data-dir", str(hardy.data_dir), "--json"
    )
    assert verified.returncode == 0, verified.stdout
    assert last_json(verified.stdout)["since_size"] > 0
    for chain in CHAINS:
        pay_one(again, hardy, chain)
    audited = command("audit", "--data-dir", str(hardy.data_dir))
    assert audited.returncode == 0, audited.stdout


@pytest.mark.parametrize(
    ("child", "chain"),
    [
        ("solana", "solana"),
        ("evm", "evm"),
        ("postgres", "evm"),
        ("worker", "solana"),
        ("api", "evm"),
    ],
)
def test_a_child_killed_in_the_middle_of_a_payment_comes_back_and_nothing_is_lost(
    hardy: Stack, child: str, chain: str
) -> None:
    sandbox = hardy.running
    assert sandbox is not None
    pay_one(sandbox, hardy, chain)
    with shop_of(sandbox) as shop:
        session = shop.create_session(30_000)
        os.kill(hardy.pids()[child], signal.SIGKILL)
        # The customer tries again as people do: with the same session.
        paid = None
        for _ in range(40):
            try:
                paid = pay.pay(sandbox, hardy.data_dir, session["id"], chain, "resident", None)
                break
            except Exception as error:
                last = error
                time.sleep(0.25)
        assert paid is not None, last
        final = wait_for(
            "capture",
            lambda: shop.session(session["id"]),
            lambda s: bool(s["payments"]) and s["payments"][0]["settlement_state"] == "unsettled",
        )
        assert final["status"] == "complete"
    wait_for(
        "quiet",
        lambda: command("audit", "--data-dir", str(hardy.data_dir)).returncode,
        lambda code: code == 0,
    )
    log = (hardy.data_dir.parent / "up.log").read_text()
    assert f"{child} was ended by SIGKILL" in log
    assert f"{child} is back" in log


def test_a_second_up_on_the_same_data_is_refused_and_the_first_still_answers(hardy: Stack) -> None:
    second = command(
        "up",
        "--port",
        "0",
        "--solana-port",
        "0",
        "--evm-port",
        "0",
        "--data-dir",
        str(hardy.data_dir),
    )
    assert second.returncode != 0
    assert "already runs" in second.stderr
    assert "sandbox down" in second.stderr
    assert hardy.running is not None
    assert hardy.running.get("/v1/reserve")["minting"] == "on"


def test_ports_in_use_are_refused_in_one_line_before_anything_is_written(
    stack: Stack, tmp_path: Path
) -> None:
    assert stack.running is not None
    api, websocket = (
        stack.running.endpoints[name].rsplit(":", 1)[1] for name in ("api", "solana_ws")
    )
    refused = command(
        *("up", "--port", api, "--solana-port", str(int(websocket) - 1), "--evm-port", "0"),
        *("--data-dir", str(tmp_path / "other"), "--json"),
    )
    assert refused.returncode == 1
    told = last_json(refused.stdout)
    assert told["code"] == "port_in_use"
    assert f"{api} for the API" in told["detail"]
    assert f"{websocket} for Solana's WebSocket" in told["detail"]
    assert "--port and --solana-port" in told["remedy"]
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "other").exists()


def test_ports_in_use_are_refused_before_a_stopped_sandbox_is_started_again(
    hardy: Stack, stack: Stack
) -> None:
    assert stack.running is not None
    taken = stack.running.endpoints["api"].rsplit(":", 1)[1]
    hardy.down()
    refused = command(
        *("up", "--port", taken, "--solana-port", "0", "--evm-port", "0"),
        *("--data-dir", str(hardy.data_dir)),
    )
    assert refused.returncode == 1
    assert f"port {taken}" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert "is ready" not in refused.stderr, "nothing was started"
    still = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    assert str(hardy.data_dir) not in still.stdout
    hardy.up()


def test_a_request_that_meets_a_killed_database_is_refused_by_name_and_its_repeats_count_once(
    hardy: Stack,
) -> None:
    sandbox = hardy.running
    assert sandbox is not None
    body = {"amount_tiyn": 31_000, "currency": "KZT"}
    headers = {
        "Authorization": f"Bearer {sandbox.key('merchant')}",
        "Idempotency-Key": "while-the-database-starts",
    }
    answers: list[httpx2.Response] = []
    with httpx2.Client(base_url=sandbox.endpoints["api"], headers=headers) as client:

        def ask() -> httpx2.Response:
            answers.append(client.post("/v1/checkout/sessions", json=body))
            return answers[-1]

        os.kill(hardy.pids()["postgres"], signal.SIGKILL)
        wait_for("a session", ask, lambda answer: answer.status_code == 201)
        again = ask()
    refused = [answer for answer in answers if answer.status_code != 201]
    # None, if the last of the old backends was quicker than the kill.
    assert {answer.json()["code"] for answer in refused} <= {"database_unavailable"}
    assert {answer.headers["Retry-After"] for answer in refused} <= {"1"}
    assert again.headers["Idempotency-Replayed"] == "true"
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
    with shop_of(sandbox) as shop:
        found = shop.get("/v1/checkout/sessions", limit=100)["data"]
    assert [one["amount_tiyn"] for one in found].count(31_000) == 1


def test_commands_without_a_sandbox_say_how_to_start_one(tmp_path: Path) -> None:
    asked = command("audit", "--data-dir", str(tmp_path))
    assert asked.returncode == 1
    assert "sandbox up" in asked.stderr
    assert "Traceback" not in asked.stderr


def test_what_a_killed_supervisor_left_is_no_running_sandbox(hardy: Stack) -> None:
    assert hardy.process is not None
    hardy.process.kill()
    hardy.process.wait()
    assert (hardy.data_dir / "endpoints.json").exists()
    asked = command("audit", "--data-dir", str(hardy.data_dir))
    assert asked.returncode == 1
    assert "no sandbox runs" in asked.stderr
    hardy.up()
    assert command("audit", "--data-dir", str(hardy.data_dir)).returncode == 0


@pytest.mark.parametrize("arguments", [("audit",), ("clock", "show"), ("log", "export", "x")])
def test_a_data_directory_that_is_a_file_has_no_sandbox(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    (tmp_path / "file").touch()
    asked = command(*arguments, "--data-dir", str(tmp_path / "file"))
    assert asked.returncode == 1
    assert "no sandbox runs" in asked.stderr
    assert "Traceback" not in asked.stderr


def test_an_export_to_where_nothing_can_be_written_is_refused_in_one_line(
    stack: Stack, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    asked = command("log", "export", str(tmp_path / "file"), "--data-dir", str(stack.data_dir))
    assert asked.returncode == 1
    assert str(tmp_path / "file") in asked.stderr
    assert "Traceback" not in asked.stderr


def test_the_secret_files_are_for_their_owner_only(stack: Stack) -> None:
    endpoints = stack.data_dir / "endpoints.json"
    assert endpoints.stat().st_mode & 0o777 == 0o600
    assert stack.data_dir.stat().st_mode & 0o777 == 0o700
    for path in (stack.data_dir / "keys").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_an_altered_export_is_found_byte_by_byte(stack: Stack, tmp_path: Path) -> None:
    sandbox = stack.running
    assert sandbox is not None
    folder, vkey = tmp_path / "log", sandbox.endpoints["log_vkey"]
    exported = command("log", "export", str(folder), "--data-dir", str(stack.data_dir))
    assert exported.returncode == 0, exported.stderr
    clean = command("log", "verify", str(folder), "--vkey", vkey)
    assert clean.returncode == 0, clean.stdout
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        good = path.read_bytes()
        middle = len(good) // 2
        path.write_bytes(good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :])
        found = command("log", "verify", str(folder), "--vkey", vkey)
        assert found.returncode == 1, path
        path.write_bytes(good)


def test_down_stops_everything_it_started_and_nothing_else(hardy: Stack, stack: Stack) -> None:
    pids = hardy.pids()
    stopped = command("down", "--data-dir", str(hardy.data_dir))
    assert stopped.returncode == 0, stopped.stderr
    assert hardy.process is not None
    assert hardy.process.wait(10) == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids.values())
    assert all(Path(f"/proc/{pid}").exists() for pid in stack.pids().values())
