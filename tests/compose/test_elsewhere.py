"""Prepare, API and worker on a PostgreSQL and chains that `sandbox up` did not start.

The commands and variables are those of docker-compose.yml; only addresses differ. The EVM chain is
the plain anvil, the Solana chain our devnet without control methods.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import httpx2
import pytest

from merchants.client import MerchantClient
from sandbox.cli import pay
from sandbox.cli.endpoints import ApiError, Running, wait_for
from sandbox.cli.prepare import APP
from sandbox.devnets import postgres as embedded
from sandbox.devnets.evm.anvil import find_program
from sandbox.devnets.ports import any_free
from sandbox.devnets.solana import process as solana
from tests.compose.files import compose, environment
from tests.conftest import NOT_DURABLE
from tests.core.test_metrics import samples
from tests.journeys.customers import rpc

PASSWORDS = {"OWNER_PASSWORD": "unused", "APP_PASSWORD": "word %41 for the application"}
READY_S = 90


@dataclass
class Elsewhere:
    """The services of the file as processes of this machine."""

    folder: Path
    addresses: Mapping[str, str]
    port: int
    running: dict[str, subprocess.Popen[bytes]]

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self, name: str) -> list[str]:
        words: list[str] = compose()["services"][name]["command"]
        return [sys.executable, *words[1:]]

    def environment(self, name: str) -> dict[str, str]:
        asked = environment(compose()["services"][name], PASSWORDS)
        here = {key: value for key, value in self.addresses.items() if key in asked}
        bare = {key: value for key, value in os.environ.items() if not key.startswith("SANDBOX_")}
        return {**bare, **asked, **here, "PYTHONDONTWRITEBYTECODE": "1"}

    def start(self, name: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                self.command(name), env=self.environment(name), stdout=log, stderr=log
            )

    def run(self, name: str, **changed: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(name),
            env={**self.environment(name), **changed},
            capture_output=True,
            text=True,
            timeout=120,
        )

    def stop(self, name: str) -> int:
        process = self.running.pop(name)
        process.terminate()
        try:
            return process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            raise

    def readiness(self) -> tuple[int, list[str]]:
        """The status of /readyz and what it names."""
        with contextlib.suppress(httpx2.TransportError):
            answer = httpx2.get(f"{self.api}/readyz", timeout=20)
            return answer.status_code, answer.json()["not_ready"]
        return 0, []

    def wait_ready(self) -> None:
        until = time.monotonic() + READY_S
        while self.readiness()[0] != 200:
            assert time.monotonic() < until, (self.readiness(), self.said())
            assert all(child.poll() is None for child in self.running.values()), self.said()
            time.sleep(0.2)

    def said(self) -> dict[str, str]:
        return {log.name: log.read_text()[-2000:] for log in self.folder.glob("*.log")}


@contextlib.contextmanager
def plain_anvil(folder: Path) -> Iterator[str]:
    """The chain of the file, its port and its state moved to where a test may have them."""
    port = any_free()
    here = {"--host": "127.0.0.1", "--port": str(port), "--state": str(folder / "state.json")}
    flags = []
    for flag in compose()["services"]["evm"]["command"]:
        name, _, value = flag.partition("=")
        flags.append(f"{name}={here.get(name, value)}" if value else name)
    child = subprocess.Popen([find_program(), *flags], stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 20
        while True:
            with contextlib.suppress(httpx2.TransportError):
                rpc(url, "eth_chainId")
                break
            assert time.monotonic() < until
            time.sleep(0.05)
        yield url
    finally:
        child.terminate()
        child.wait(20)


@contextlib.contextmanager
def solana_without_control(folder: Path) -> Iterator[str]:
    argv = solana.command(folder, slot_ms=40, finality=8, control=False)
    with (folder.parent / "solana.log").open("ab") as log:
        child = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=log)
    assert child.stdout is not None
    try:
        with child.stdout as said:
            yield json.loads(said.readline())["rpc"]
    finally:
        child.terminate()
        child.wait(20)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elsewhere]:
    """Everything but prepare, API and worker; the database knows nobody but its owner."""
    folder = tmp_path_factory.mktemp("elsewhere")
    # PostgreSQL as uid 65534 must be able to pass (see tests/conftest.py).
    data = Path(mkdtemp(prefix="kzte-elsewhere-"))
    data.chmod(0o711)
    server = embedded.start(data / "data", settings=NOT_DURABLE)
    try:
        embedded.execute(server.url, f"DROP ROLE {APP}")
        with plain_anvil(folder) as evm, solana_without_control(folder / "solana") as on_solana:
            port = any_free()
            word = PASSWORDS["APP_PASSWORD"].replace("%", "%25").replace(" ", "%20")
            addresses = {
                "SANDBOX_DATA_DIR": str(folder / "keys"),
                "SANDBOX_DATABASE_URL": f"postgresql://{APP}:{word}@127.0.0.1:{server.port}/sbx_world",
                "SANDBOX_OWNER_URL": server.url,
                "SANDBOX_SOLANA_RPC": on_solana,
                "SANDBOX_EVM_RPC": evm,
                "SANDBOX_EVM_PUBLIC_RPC": evm,
                "SANDBOX_HOST": "127.0.0.1",
                "SANDBOX_PORT": str(port),
                "SANDBOX_PUBLIC_URL": f"http://127.0.0.1:{port}",
            }
            made = Elsewhere(folder, addresses, port, {})
            try:
                yield made
            finally:
                for name in list(made.running):
                    made.stop(name)
    finally:
        server.stop()
        subprocess.run(["rm", "-rf", str(data)], check=False)


@pytest.fixture(scope="module")
def sandbox(elsewhere: Elsewhere) -> Running:
    prepared = elsewhere.run("prepare")
    assert prepared.returncode == 0, prepared.stderr
    elsewhere.start("api")
    elsewhere.start("worker")
    elsewhere.wait_ready()
    written = json.loads((elsewhere.folder / "keys" / "prepared.json").read_text())
    return Running(
        {
            "api": elsewhere.api,
            "solana_rpc": elsewhere.addresses["SANDBOX_SOLANA_RPC"],
            "evm_rpc": elsewhere.addresses["SANDBOX_EVM_RPC"],
            **written,
        }
    )


def test_preparation_without_an_owner_is_refused_in_one_line(elsewhere: Elsewhere) -> None:
    refused = elsewhere.run("prepare", SANDBOX_OWNER_URL="")
    assert refused.returncode == 1
    [line] = refused.stderr.strip().splitlines()
    assert "SANDBOX_OWNER_URL" in line


@pytest.mark.parametrize("chain", ["solana", "evm"])
def test_a_session_is_paid_and_final_on_a_chain_that_others_run(
    chain: str, sandbox: Running, elsewhere: Elsewhere
) -> None:
    with MerchantClient(sandbox.endpoints["api"], sandbox.key("merchant")) as shop:
        session = shop.create_session(25_000)
        paid = pay.pay(sandbox, elsewhere.folder, session["id"], chain, "resident", None)
        final = wait_for(
            "capture",
            lambda: shop.session(session["id"]),
            lambda found: found["payments"][0]["settlement_state"] == "unsettled",
        )
    assert final["status"] == "complete"
    [payment] = final["payments"]
    assert (payment["tx"], payment["chain_state"]) == (paid["tx"], "final")


def test_a_clock_that_the_chains_cannot_follow_is_not_moved(sandbox: Running) -> None:
    with pytest.raises(ApiError) as refused:
        sandbox.advance(60)
    assert refused.value.code == "clock_not_movable"


def test_worlds_are_kept_by_a_supervisor_only(sandbox: Running) -> None:
    with pytest.raises(ApiError, match="no_supervisor") as refused:
        sandbox.post("/v1/sandbox/snapshots", {"name": "a"})
    assert refused.value.status == 501


def test_the_books_agree_with_the_chains(sandbox: Running) -> None:
    sandbox.quiesce()
    report = sandbox.get("/v1/sandbox/audit")
    assert report["ok"], [check for check in report["checks"] if not check["ok"]]


def test_a_second_preparation_changes_nothing_and_another_password_is_refused(
    sandbox: Running, elsewhere: Elsewhere
) -> None:
    written = (elsewhere.folder / "keys" / "prepared.json").read_bytes()
    assert elsewhere.run("prepare").returncode == 0
    assert (elsewhere.folder / "keys" / "prepared.json").read_bytes() == written
    url = elsewhere.addresses["SANDBOX_DATABASE_URL"].replace("application", "nobody")
    refused = elsewhere.run("prepare", SANDBOX_DATABASE_URL=url)
    assert refused.returncode == 1
    [line] = refused.stderr.strip().splitlines()
    assert "SANDBOX_DATABASE_URL" in line
    assert "nobody" not in line


def test_a_world_without_a_worker_is_not_ready_and_says_so(
    sandbox: Running, elsewhere: Elsewhere
) -> None:
    elsewhere.stop("worker")
    assert elsewhere.readiness() == (503, ["worker"])
    elsewhere.start("worker")
    elsewhere.wait_ready()


def test_figures_are_for_the_operator_and_tell_what_was_paid(sandbox: Running) -> None:
    url = f"{sandbox.endpoints['api']}/metrics"
    refused = httpx2.get(url, headers={"Authorization": f"Bearer {sandbox.key('merchant')}"})
    assert (httpx2.get(url).status_code, refused.status_code) == (401, 403)
    own = {"Authorization": f"Bearer {sandbox.key('operator')}"}
    answer = httpx2.get(url, headers=own)
    assert answer.headers["content-type"].startswith("text/plain")
    chains = ("solana", "evm")
    # The worker was away a moment ago, and blocks came.
    lags = [("sandbox_watcher_lag_blocks", (("chain", one), ("view", "final"))) for one in chains]
    found = wait_for(
        "the watchers",
        lambda: samples(httpx2.get(url, headers=own).content),
        lambda figures: all(figures[lag] < 20 for lag in lags),
    )
    for chain in chains:
        labels = (("chain", chain), ("chain_state", "final"), ("settlement_state", "unsettled"))
        assert found["sandbox_payments", labels] == 1
        assert found["sandbox_chain_up", (("chain", chain),)] == 1
        assert found["sandbox_chain_halted", (("chain", chain),)] == 0
        assert found["sandbox_intents_open", (("chain", chain), ("state", "due"))] == 0
        final = (("chain", chain), ("view", "final"))
        assert found["sandbox_watcher_height", final] > 0
    assert found["sandbox_database_up", ()] == 1
    assert found["sandbox_log_size", ()] > 0
    assert found["sandbox_webhooks_pending", ()] == 0
    assert found["sandbox_database_connections", ()] > 0
    posted = (("method", "POST"), ("route", "/v1/checkout/sessions"), ("status", "201"))
    assert found["sandbox_http_requests_total", posted] == 2
    for value in sandbox.endpoints["keys"].values():
        assert value not in answer.text


def test_api_and_worker_end_cleanly_when_they_are_asked_to(
    sandbox: Running, elsewhere: Elsewhere
) -> None:
    sandbox.close()
    # uvicorn stops in order and then passes the signal on.
    ends = elsewhere.stop("worker"), elsewhere.stop("api")
    assert ends == (0, -signal.SIGTERM), elsewhere.said()
    for said in elsewhere.said().values():
        assert "Traceback" not in said


def test_secrets_stand_in_no_log(sandbox: Running, elsewhere: Elsewhere) -> None:
    said: Any = elsewhere.said().values()
    for secret in (*sandbox.endpoints["keys"].values(), "word%20%2541"):
        if not secret.startswith("mch_"):
            assert not any(secret in text for text in said)
