"""What the machine does to a sandbox: a full disk, a database that refuses, a clock that goes back.

Each is told in a clear line, work goes on when it is over, and nothing is lost.
"""

import asyncio
import contextlib
import json
import mmap
import os
import re
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest

from sandbox.cli import doctor, pay
from sandbox.cli.endpoints import Running, wait_for
from sandbox.cli.wallets import wallet
from sandbox.devnets.serving import EXIT_DATA
from tests.core.test_metrics import samples
from tests.journeys.customers import CHAINS, option_of
from tests.journeys.stack import SANDBOX, Stack, command
from tests.journeys.test_trouble import pay_one, shop_of

DISK = "250m"
OUTAGE_S = 4


def create(sandbox: Running) -> httpx2.Response:
    """One try to make a session, whatever is answered."""
    return httpx2.post(
        f"{sandbox.endpoints['api']}/v1/checkout/sessions",
        json={"amount_tiyn": 1_000, "description": "x" * 400},
        headers={
            "Authorization": f"Bearer {sandbox.key('merchant')}",
            "Idempotency-Key": secrets.token_hex(8),
        },
        timeout=20,
    )


def ready(sandbox: Running) -> tuple[int, list[str]]:
    answer = httpx2.get(f"{sandbox.endpoints['api']}/readyz", timeout=20)
    return answer.status_code, answer.json()["not_ready"]


def assert_whole(sandbox: Running, made: list[str]) -> None:
    """Every session that was answered is there, both chains are paid on, the audit is green."""
    wait_for("readiness", lambda: ready(sandbox)[0], lambda status: status == 200)
    for session in made:
        assert sandbox.get(f"/v1/checkout/sessions/{session}")["id"] == session
    sandbox.quiesce()
    report = sandbox.get("/v1/sandbox/audit")
    assert report["ok"], [check for check in report["checks"] if not check["ok"]]


# A full disk.


class Cramped(Stack):
    """A sandbox whose data lies on a small disk of its own, in a mount namespace."""

    def up(self) -> Running:
        self.data_dir.parent.mkdir(exist_ok=True)
        folder = str(self.data_dir.parent)
        mounted = f'mount -t tmpfs -o size={DISK},mode=711 none "{folder}" && exec "$@"'
        ports = ("--port", "0", "--solana-port", "0", "--evm-port", "0")
        pace = ("--slot-ms", "40", "--evm-block-ms", "40", "--evm-final-delay-ms", "160")
        with Path(f"{folder}.log").open("w") as said:
            self.process = subprocess.Popen(
                ["unshare", "--mount", "sh", "-c", mounted, "sh",
                 *SANDBOX, "up", "--json", "--data-dir", str(self.data_dir), *ports, *pace],
                stdout=subprocess.PIPE, stderr=said, text=True,
            )  # fmt: skip
        assert self.process.stdout is not None
        with self.process.stdout as answers:
            line = answers.readline()
        assert line, self.said()
        self.running = Running(json.loads(line))
        return self.running

    @property
    def disk(self) -> Path:
        """The small disk as seen from outside."""
        assert self.process is not None
        return Path(f"/proc/{self.process.pid}/root{self.data_dir.parent}")

    def said(self) -> str:
        return Path(f"{self.data_dir.parent}.log").read_text()


def can_mount() -> bool:
    tried = ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    with contextlib.suppress(OSError):
        return subprocess.run(tried, capture_output=True, check=False).returncode == 0
    return False


@pytest.fixture
def cramped(tmp_path: Path) -> Iterator[Cramped]:
    if not can_mount():
        pytest.skip("a small disk can only be mounted by root")
    stack = Cramped(tmp_path / "disk" / "sandbox")
    stack.up()
    yield stack
    stack.down()


def test_a_full_disk_is_told_and_outlived(cramped: Cramped, tmp_path: Path) -> None:
    sandbox = cramped.running
    assert sandbox is not None
    assert doctor.disk(cramped.disk, least_mb=1).ok
    # A file grows for a while into the page that it has; this log has no room for a word.
    with (cramped.disk / "sandbox" / "logs" / "solana.log").open("a") as log:
        log.write(" " * (mmap.PAGESIZE - log.tell() % mmap.PAGESIZE))
    made, filler = [create(sandbox).json()["id"]], cramped.disk / "filler"
    file = os.open(filler, os.O_WRONLY | os.O_CREAT)
    try:
        with contextlib.suppress(OSError):  # there is no room any more
            while os.write(file, b"x" * 65_536):
                pass
    finally:
        os.close(file)
    assert not doctor.disk(cramped.disk, least_mb=1).ok
    # Room in pages that it has already carries PostgreSQL on for a while.
    until, refused = time.monotonic() + 30, None
    while refused is None and time.monotonic() < until:
        answer = create(sandbox)
        if answer.status_code == 201:
            made.append(answer.json()["id"])
        else:
            refused = answer
    assert refused is not None
    assert (refused.status_code, refused.json()["code"]) == (503, "database_unavailable")
    assert "disk of the database is full" in refused.json()["detail"]
    status, missing = ready(sandbox)
    assert (status, "disk" in missing) == (503, True), missing
    # Others may end before it.
    ended = re.compile(rf"solana ended with status {EXIT_DATA}: .* MB are free at .* more room")
    wait_for("the line", cramped.said, lambda said: ended.search(said) is not None)
    assert "solana" in ready(sandbox)[1]
    assert "Traceback" not in cramped.said()

    filler.unlink()
    wait_for("readiness", lambda: ready(sandbox)[0], lambda status: status == 200)
    outside = Stack(tmp_path / "outside")
    outside.data_dir.mkdir()
    for chain in CHAINS:
        pay_one(sandbox, outside, chain)
    assert_whole(sandbox, made)


# A database that refuses connections.


async def as_owner(data_dir: Path, sandbox: Running, *statements: str) -> None:
    word = json.loads((data_dir / "postgres.json").read_text())["owner"]
    server = sandbox.endpoints["database"].rpartition("@")[2]
    db = await asyncpg.connect(f"postgresql://sbx_owner:{word}@{server}")
    try:
        for statement in statements:
            await db.execute(statement)
    finally:
        await db.close()


def test_a_database_that_refuses_connections_is_named_and_waited_for(stack: Stack) -> None:
    sandbox, data_dir = stack.running, stack.data_dir
    assert sandbox is not None
    pids = stack.pids()
    with shop_of(sandbox) as shop:
        for chain in CHAINS:  # the wallets are filled
            first = shop.create_session(20_000)
            pay.pay(sandbox, data_dir, first["id"], chain, "patient", None)
        sessions = {chain: shop.create_session(20_000) for chain in CHAINS}
    asyncio.run(
        as_owner(
            data_dir,
            sandbox,
            "ALTER ROLE sbx_app CONNECTION LIMIT 0",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'sbx_app'",
        )
    )
    began = time.monotonic()
    try:
        refused = create(sandbox)
        assert (refused.status_code, refused.json()["code"]) == (503, "database_unavailable")
        assert refused.headers["Retry-After"] == "1"
        assert ready(sandbox) == (503, ["database"])
        assert httpx2.get(f"{sandbox.endpoints['api']}/healthz").status_code == 200
        figures = httpx2.get(
            f"{sandbox.endpoints['api']}/metrics",
            headers={"Authorization": f"Bearer {sandbox.key('operator')}"},
        )
        assert figures.status_code == 503, "nobody can say who asks"
        # Chains do not wait for us.
        for chain, session in sessions.items():
            payer = wallet(sandbox.endpoints, data_dir, chain, "patient")
            asyncio.run(payer.pay(option_of(session, chain), 20_000))
        time.sleep(max(0.0, OUTAGE_S - (time.monotonic() - began)))
    finally:
        asyncio.run(as_owner(data_dir, sandbox, "ALTER ROLE sbx_app CONNECTION LIMIT -1"))
    for session in sessions.values():
        wait_for(
            "the payment",
            lambda id_=session["id"]: sandbox.get(f"/v1/checkout/sessions/{id_}"),  # type: ignore[misc]  # mypy infers no lambda with a default
            lambda found: found["status"] == "complete",
        )
    assert_whole(sandbox, [session["id"] for session in sessions.values()])
    assert stack.pids() == pids, "no process had to be started again"


# A chain that hangs.


def test_a_chain_that_hangs_does_not_blind_who_watches(stack: Stack) -> None:
    sandbox, data_dir = stack.running, ("--data-dir", str(stack.data_dir))
    assert sandbox is not None
    wait_for("readiness", lambda: ready(sandbox)[0], lambda status: status == 200)
    well = command("doctor", *data_dir)
    assert (well.returncode, "every part works" in well.stdout) == (0, True), well.stdout
    hung = command("faults", "rpc", "--chain", "evm", "hang", *data_dir)
    assert hung.returncode == 0, hung.stderr
    try:
        # What the check in docker-compose.yml allows, and less than what Prometheus does.
        answer = httpx2.get(f"{sandbox.endpoints['api']}/readyz", timeout=4)
        assert (answer.status_code, answer.json()["not_ready"]) == (503, ["evm"])
        figures = httpx2.get(
            f"{sandbox.endpoints['api']}/metrics",
            headers={"Authorization": f"Bearer {sandbox.key('operator')}"},
            timeout=4,
        )
        found = samples(figures.content)
        assert found["sandbox_chain_up", (("chain", "evm"),)] == 0
        assert found["sandbox_chain_up", (("chain", "solana"),)] == 1
        assert found["sandbox_figures_complete", ()] == 1
        ill = command("doctor", *data_dir)
        assert (ill.returncode, "not ready: evm" in ill.stdout) == (1, True), ill.stdout
    finally:
        command("faults", "clear", *data_dir)
    wait_for("readiness", lambda: ready(sandbox)[0], lambda status: status == 200)


# A clock that goes back.


def test_a_clock_that_goes_back_stops_nothing(stack: Stack) -> None:
    sandbox, data_dir = stack.running, stack.data_dir
    assert sandbox is not None
    before = sandbox.get("/v1/sandbox/clock")["now"]
    asyncio.run(
        as_owner(data_dir, sandbox, "UPDATE clock SET offset_ms = offset_ms - 300000"),
    )
    assert sandbox.get("/v1/sandbox/clock")["now"] < before
    made: list[Any] = []
    for chain in CHAINS:
        pay_one(sandbox, stack, chain)
        with shop_of(sandbox) as shop:
            made.append(shop.create_session(1_000)["id"])
    assert_whole(sandbox, made)
    verified = command("log", "verify", "--data-dir", str(data_dir))
    assert verified.returncode == 0, verified.stdout
    # The hour comes back, as when somebody sets the clock right.
    asyncio.run(
        as_owner(data_dir, sandbox, "UPDATE clock SET offset_ms = offset_ms + 300000"),
    )
    for chain in CHAINS:
        pay_one(sandbox, stack, chain)
    assert_whole(sandbox, made)


# A PostgreSQL that hangs.


def test_a_database_that_hangs_is_waited_for(stack: Stack) -> None:
    sandbox = stack.running
    assert sandbox is not None
    pid = stack.pids()["postgres"]
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    hung = [pid, *map(int, children)]
    for one in hung:
        os.kill(one, signal.SIGSTOP)
    try:
        answer = httpx2.get(f"{sandbox.endpoints['api']}/readyz", timeout=4)
        assert (answer.status_code, answer.json()["not_ready"]) == (503, ["database"])
        assert httpx2.get(f"{sandbox.endpoints['api']}/healthz").status_code == 200
    finally:
        for one in hung:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGCONT)
    assert_whole(sandbox, [create(sandbox).json()["id"]])
