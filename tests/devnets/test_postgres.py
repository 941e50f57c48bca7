"""The embedded PostgreSQL under everything that may happen to it on a user's machine."""

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from sandbox.devnets import postgres, postgres_cluster
from sandbox.devnets.ports import PortInUse, any_free
from sandbox.devnets.postgres_cluster import PostgresAlreadyRuns, PostgresBroken, PostgresMissing
from sandbox.devnets.processes import Identity, Process

FAST = {"fsync": "off"}
ROOT = os.geteuid() == 0
NAMESPACES = subprocess.run(["unshare", "-U", "true"], capture_output=True).returncode == 0
# What this machine allows; a build machine should be root with namespaces at least once.
IDENTITIES = (["namespace"] if NAMESPACES else []) + ["nobody"] if ROOT else ["same"]


@pytest.fixture
def running(data_dir: Path) -> Iterator[postgres.Running]:
    server = postgres.start(data_dir, settings=FAST)
    yield server
    server.stop()


def test_a_second_server_on_the_same_data_is_refused_with_its_pid(
    running: postgres.Running, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_cluster, "_LEAVING_TIMEOUT_S", 0.2)
    with pytest.raises(PostgresAlreadyRuns, match=str(running.pid)) as refused:
        postgres.start(data_dir, settings=FAST)
    assert f"kill -INT {running.pid}" in refused.value.remedy
    assert running.alive()


def test_a_port_of_another_program_is_refused_by_name(
    running: postgres.Running, data_dir: Path
) -> None:
    with pytest.raises(PortInUse, match=str(running.port)):
        postgres.start(data_dir.with_name("other"), port=running.port, settings=FAST)


def test_a_broken_cluster_is_refused_with_the_last_line_of_its_log(
    running: postgres.Running, data_dir: Path
) -> None:
    running.stop()
    (data_dir / "postgres" / "global" / "pg_control").unlink()
    with pytest.raises(PostgresBroken, match="pg_control") as refused:
        postgres.start(data_dir, settings=FAST)
    assert str(data_dir / "logs" / "postgres.log") in refused.value.remedy


def test_a_folder_that_is_no_cluster_is_refused(data_dir: Path) -> None:
    (data_dir / "postgres").mkdir(parents=True)
    (data_dir / "postgres.json").write_text('{"owner": "a", "app": "b"}')
    with pytest.raises(PostgresBroken, match="holds no PostgreSQL cluster"):
        postgres.start(data_dir, settings=FAST)


def test_lost_passwords_are_named_and_not_replaced(
    running: postgres.Running, data_dir: Path
) -> None:
    running.stop()
    (data_dir / "postgres.json").unlink()
    with pytest.raises(PostgresBroken, match=r"postgres\.json with its passwords is missing"):
        postgres.start(data_dir, settings=FAST)
    assert not (data_dir / "postgres.json").exists()


def test_passwords_of_another_cluster_are_refused(
    running: postgres.Running, data_dir: Path
) -> None:
    running.stop()
    (data_dir / "postgres.json").write_text('{"owner": "a", "app": "b"}')
    with pytest.raises(PostgresBroken, match="not those of this cluster"):
        postgres.start(data_dir, settings=FAST)


def test_a_setting_that_postgresql_refuses_is_told_in_its_own_words(data_dir: Path) -> None:
    with pytest.raises(PostgresBroken, match="shared_bufers"):
        postgres.start(data_dir, settings={**FAST, "shared_bufers": "1MB"})


def test_missing_binaries_are_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(PostgresMissing, match="make setup"):
        postgres_cluster.binary("postgres")


async def test_a_wrong_password_opens_nothing(running: postgres.Running) -> None:
    url = f"postgresql://sbx_owner:wrong@127.0.0.1:{running.port}/postgres"
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(url)


async def test_it_listens_on_loopback_only_and_on_no_socket_file(
    running: postgres.Running,
) -> None:
    db = await asyncpg.connect(running.url)
    try:
        assert await db.fetchval("SHOW listen_addresses") == "127.0.0.1"
        assert await db.fetchval("SHOW unix_socket_directories") == ""
        assert await db.fetchval("SHOW server_encoding") == "UTF8"
        assert await db.fetchval("SHOW jit") == "off"
    finally:
        await db.close()


async def test_it_is_durable_unless_told_otherwise(data_dir: Path) -> None:
    server = postgres.start(data_dir)
    try:
        db = await asyncpg.connect(server.url)
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert await db.fetchval(f"SHOW {setting}") == "on"
        await db.close()
    finally:
        server.stop()


async def test_the_application_role_is_no_superuser_and_owns_nothing(
    running: postgres.Running,
) -> None:
    db = await asyncpg.connect(running.app_url())
    try:
        assert await db.fetchval("SELECT current_user") == "sbx_app"
        row = await db.fetchrow(
            "SELECT rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = 'sbx_app'"
        )
        assert tuple(row) == (False, False, False)
    finally:
        await db.close()


def test_only_the_user_can_read_passwords_and_data(
    running: postgres.Running, data_dir: Path
) -> None:
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in data_dir.iterdir()}
    assert modes == {"postgres": 0o700, "postgres.json": 0o600, "logs": 0o700}


async def test_stop_cuts_sessions_that_are_still_open(running: postgres.Running) -> None:
    db = await asyncpg.connect(running.url)
    await asyncio.to_thread(running.stop)
    assert not running.alive()
    said = running.cluster.log.read_text()
    assert "received fast shutdown request" in said
    assert "received immediate shutdown request" not in said
    with pytest.raises((asyncpg.PostgresError, OSError, asyncpg.InterfaceError)):
        await db.fetchval("SELECT 1")
    db.terminate()


async def test_what_was_committed_is_there_after_a_kill(
    running: postgres.Running, data_dir: Path
) -> None:
    postgres.execute(running.url, "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (7)")
    os.kill(running.pid, signal.SIGKILL)
    again = postgres.start(data_dir, settings=FAST)
    try:
        assert not running.alive()
        db = await asyncpg.connect(again.url)
        assert await db.fetchval("SELECT n FROM kept") == 7
        await db.close()
    finally:
        again.stop()


async def test_a_start_after_a_kill_ends_backends_that_are_not_done(
    running: postgres.Running, data_dir: Path
) -> None:
    files = data_dir / "postgres"
    left = [pid for pid in postgres_cluster.backends(files) if pid != running.pid]
    assert left
    # As one that is in the middle of a long write, of which nobody will ever hear.
    os.kill(left[0], signal.SIGSTOP)
    os.kill(running.pid, signal.SIGKILL)
    running._process.wait(10)
    with subprocess.Popen(["sleep", "60"], cwd=files) as stranger:
        cluster = await postgres_cluster.prepare(data_dir, settings=FAST)
        assert stranger.poll() is None
        stranger.kill()
    assert postgres_cluster.backends(files) == []
    assert cluster.files == files


@pytest.mark.skipif(not NAMESPACES, reason="this machine lets nobody have a view of his own")
def test_a_process_to_which_the_path_is_another_place_does_not_work_in_this_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.mkdir()
    theirs.mkdir()
    cat = Path(shutil.which("cat") or "").resolve()
    monkeypatch.setattr(postgres_cluster, "binary", lambda _: cat)
    elsewhere = 'mount --bind "$2" "$1" && cd "$1" && exec "$0"'
    view = ["unshare", "-Urm", "sh", "-c", elsewhere, str(cat), str(ours), str(theirs)]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    with subprocess.Popen(view, **pipes) as far, subprocess.Popen(cat, cwd=ours, **pipes) as near:
        for one in far, near:
            assert one.stdin is not None
            assert one.stdout is not None
            one.stdin.write("there\n")
            assert one.stdout.readline() == "there\n"
        assert os.readlink(f"/proc/{far.pid}/cwd") in (str(ours), str(theirs))
        found = postgres_cluster.backends(ours)
        far.kill()
        near.kill()
    assert found == [near.pid]


def test_a_pid_file_that_names_another_live_process_does_not_stop_the_start(
    running: postgres.Running, data_dir: Path
) -> None:
    lock = data_dir / "postgres" / "postmaster.pid"
    left = lock.read_text().splitlines()
    running.stop()
    # As after a restart of the machine: the number now belongs to somebody else, here to us.
    lock.write_text("\n".join([str(os.getppid()), *left[1:]]) + "\n")
    again = postgres.start(data_dir, settings=FAST)
    assert again.alive()
    again.stop()


def test_a_killed_initdb_leaves_nothing_that_looks_like_a_cluster(data_dir: Path) -> None:
    (data_dir / "postgres.new" / "base").mkdir(parents=True)
    (data_dir / "postgres.new" / "PG_VERSION").write_text("18\n")
    server = postgres.start(data_dir, settings=FAST)
    assert server.alive()
    assert not (data_dir / "postgres.new").exists()
    server.stop()


async def test_start_works_inside_a_running_event_loop(data_dir: Path) -> None:
    server = postgres.start(data_dir, port=any_free(), settings=FAST)
    assert server.alive()
    server.stop()


@pytest.mark.parametrize("identity", IDENTITIES)
def test_it_ends_with_the_process_that_started_it(data_dir: Path, identity: Identity) -> None:
    starter = (
        "import sys, time, pathlib\n"
        "from sandbox.devnets import postgres, postgres_cluster\n"
        "postgres_cluster._ROOTS_IDENTITIES = (sys.argv[2],)\n"
        "server = postgres.start(pathlib.Path(sys.argv[1]), settings={'fsync': 'off'})\n"
        "print(server.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", starter, str(data_dir), identity], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        server = Process.of(int(parent.stdout.readline()))
        assert server is not None
        parent.kill()
        assert server.wait(10)


@pytest.mark.skipif(not ROOT, reason="another identity is taken for root only")
@pytest.mark.parametrize("identity", IDENTITIES)
def test_root_starts_it_as_somebody_else_either_way(
    data_dir: Path, identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_cluster, "_ROOTS_IDENTITIES", (identity,))
    for _ in range(2):  # a cluster that exists goes on as it was made
        server = postgres.start(data_dir, settings=FAST)
        assert server.alive()
        server.stop()
    owner = (data_dir / "postgres" / "PG_VERSION").stat().st_uid
    assert owner == (0 if identity == "namespace" else 65534)


@pytest.mark.skipif(not ROOT, reason="another identity is taken for root only")
def test_root_is_told_the_remedy_where_no_identity_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_cluster, "_ROOTS_IDENTITIES", ("nobody",))
    data_dir = tmp_path / "data"  # its parents are closed to uid 65534
    with pytest.raises(postgres_cluster.PostgresRefusesRoot) as refused:
        postgres.start(data_dir, settings=FAST)
    assert "user namespaces" in refused.value.remedy
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700
