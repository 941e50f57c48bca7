"""What commands on worlds refuse, by name; the world stays as it is."""

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest
from fastapi import FastAPI

from merchants.client import MerchantClient
from sandbox.cli.endpoints import ApiError, Running
from sandbox.cli.world import keeping
from sandbox.core.http import Principal, install
from sandbox.core.http.auth import principal
from sandbox.lab import worlds_routes
from sandbox.lab.world_errors import WorldNotChanged
from tests.journeys.stack import Stack, command, last_json
from tests.worlds.doing import SNAPSHOTS, names, raw, red, save, sessions


def refused(sandbox: Running, method: str, path: str, body: object = None) -> tuple[int, str]:
    answer = raw(sandbox, method, path, json=body)
    return answer.status_code, answer.json()["code"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("POST", f"{SNAPSHOTS}/nothing/restore", 404, "not_found"),
        ("DELETE", f"{SNAPSHOTS}/nothing", 404, "not_found"),
        ("DELETE", f"{SNAPSHOTS}/initial", 409, "snapshot_kept"),
        ("POST", f"{SNAPSHOTS}/{'x' * 500}/restore", 404, "not_found"),
        ("POST", f"{SNAPSHOTS}/..%2F..%2Fetc/restore", 404, "not_found"),
        ("POST", f"{SNAPSHOTS}/%00/restore", 422, "invalid_request"),
    ],
)
def test_a_snapshot_that_is_not_there_or_must_stay_is_named(
    sandbox: Running, method: str, path: str, status: int, code: str
) -> None:
    assert refused(sandbox, method, path) == (status, code)


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        None,
        {"name": ""},
        {"name": "-begins"},
        {"name": "with space"},
        {"name": "a/b"},
        {"name": ".."},
        {"name": "x" * 65},
        {"name": 7},
        {"name": "қала"},
        {"name": "a\x00"},
        {"name": "a", "more": 1},
    ],
)
def test_a_name_is_letters_digits_and_dashes(sandbox: Running, body: object) -> None:
    assert refused(sandbox, "POST", SNAPSHOTS, body) == (422, "invalid_request")


def test_a_name_is_used_once(sandbox: Running) -> None:
    assert refused(sandbox, "POST", SNAPSHOTS, {"name": "initial"}) == (409, "snapshot_exists")


@pytest.mark.parametrize("data_dir", ["", "/a\x00b", "x" * 5000, 7, None])
def test_a_fork_needs_the_name_of_a_folder(sandbox: Running, data_dir: object) -> None:
    body = {"name": "initial", "data_dir": data_dir}
    assert refused(sandbox, "POST", "/v1/sandbox/forks", body) == (422, "invalid_request")


@pytest.fixture
def forks(sandbox: Running) -> Iterator[Path]:
    """The folder of forks, with what a fork must not be written through or over."""
    made = Path(sandbox.endpoints["forks_dir"])
    made.mkdir(exist_ok=True)
    yield made
    shutil.rmtree(made)


def test_a_key_writes_no_fork_outside_the_folder_of_forks(
    sandbox: Running, folder: Path, forks: Path, tmp_path: Path
) -> None:
    (forks / "away").symlink_to(tmp_path, target_is_directory=True)
    (forks / "dangling").symlink_to(tmp_path / "new")
    (forks / "loop").symlink_to(forks / "loop")
    (forks / "other").mkdir()
    targets = [
        *(str(tmp_path / "new"), str(folder), str(folder / "inside"), "/proc/nothing", "/"),
        *(".", "..", "../new", "other/..", "other/new", f"{forks}/../new", f"{forks}/other/new"),
        *("away", "away/new", "dangling", "loop", "loop/new", ".hidden", f"{forks}/.x.making"),
    ]
    for target in targets:
        body = {"name": "initial", "data_dir": target}
        found = refused(sandbox, "POST", "/v1/sandbox/forks", body)
        assert found == (403, "fork_outside"), target
    assert list(tmp_path.iterdir()) == []
    assert sorted(path.name for path in forks.iterdir()) == ["away", "dangling", "loop", "other"]


def test_a_fork_goes_into_a_folder_of_its_own(sandbox: Running, forks: Path) -> None:
    (forks / "file").touch()
    (forks / "full").mkdir()
    (forks / "full" / "kept").touch()
    for target in ("file", "full", str(forks / "full"), "other/../full", "x" * 300):
        body = {"name": "initial", "data_dir": target}
        found = refused(sandbox, "POST", "/v1/sandbox/forks", body)
        assert found == (409, "bad_fork_target"), target
    unknown = {"name": "nothing", "data_dir": "new"}
    assert refused(sandbox, "POST", "/v1/sandbox/forks", unknown) == (404, "not_found")
    assert sorted(path.name for path in forks.iterdir()) == ["file", "full"]


def test_the_command_writes_no_fork_over_what_is_there_or_into_its_own_sandbox(
    stack: Stack, folder: Path, forks: Path, tmp_path: Path
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "kept").touch()
    (tmp_path / "home").symlink_to(folder, target_is_directory=True)
    for target in (tmp_path / "full", folder / "inside", tmp_path / "home" / "inside", folder):
        done = command("fork", "initial", str(target), "--data-dir", str(stack.data_dir), "--json")
        assert (done.returncode, last_json(done.stdout)["code"]) == (1, "bad_fork_target")
    assert list(forks.iterdir()) == []
    assert not (folder / "inside").exists()


def test_keys_of_others_change_no_world(sandbox: Running) -> None:
    for role in ("issuer", "regulator"):
        with pytest.raises(ApiError, match="role_may_not"):
            sandbox.post("/v1/sandbox/reset", {}, role)
    assert raw(sandbox, "POST", "/v1/sandbox/reset", headers={"Authorization": ""}).status_code == (
        401
    )


def test_an_epoch_that_never_was_has_no_log(sandbox: Running) -> None:
    for epoch, status in (("999999", 404), ("0", 422), ("99999999999", 422), ("x", 422)):
        answer = raw(sandbox, "GET", f"/log/e{epoch}/checkpoint")
        assert answer.status_code == status, epoch


async def test_without_a_supervisor_every_command_says_so() -> None:
    app = FastAPI()
    install(app)
    app.include_router(worlds_routes.router)
    app.dependency_overrides[principal] = lambda: Principal("operator", "", "yes")
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app), base_url="http://here"
    ) as http:
        answers = [
            await http.post(SNAPSHOTS, json={"name": "a"}),
            await http.get(SNAPSHOTS),
            await http.delete(f"{SNAPSHOTS}/a"),
            await http.post(f"{SNAPSHOTS}/a/restore"),
            await http.post("/v1/sandbox/reset"),
            await http.post("/v1/sandbox/forks", json={"name": "a", "data_dir": "/x"}),
        ]
    found = {(answer.status_code, answer.json()["code"]) for answer in answers}
    assert found == {(501, "no_supervisor")}


def test_a_part_that_a_chain_has_lost_is_seen_before_anything_changes(sandbox: Running) -> None:
    save(sandbox, "lost")
    before = sandbox.get("/v1/sandbox/clock")["epoch"]
    rpc = sandbox.endpoints["solana_rpc"]

    def call(method: str, *params: object) -> object:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return httpx2.post(rpc, json=body).json()["result"]

    newest = max(call("sandbox_listSnapshots"), key=lambda one: one["slot"])  # type: ignore[call-overload]  # JSON
    call("sandbox_deleteSnapshot", {"name": newest["name"]})
    assert refused(sandbox, "POST", f"{SNAPSHOTS}/lost/restore") == (409, "snapshot_damaged")
    assert sandbox.get("/v1/sandbox/clock")["epoch"] == before
    assert raw(sandbox, "DELETE", f"{SNAPSHOTS}/lost").status_code == 200
    assert "lost" not in names(sandbox)


@pytest.mark.long
async def test_a_log_that_does_not_come_to_its_end_changes_no_world(
    stack: Stack, sandbox: Running, shop: MerchantClient
) -> None:
    save(sandbox, "held-up")
    before = sandbox.get("/v1/sandbox/clock")["epoch"]
    password = json.loads((stack.data_dir / "postgres.json").read_text())["owner"]
    app, _, server = str(sandbox.endpoints["database"]).partition("@")
    assert app.startswith("postgresql://sbx_app:")
    owner = await asyncpg.connect(f"postgresql://sbx_owner:{password}@{server}")
    async with owner.transaction():
        await owner.execute("LOCK TABLE checkpoint IN SHARE MODE")
        session = shop.create_session(700)
        answer = await asyncio.to_thread(raw, sandbox, "POST", f"{SNAPSHOTS}/held-up/restore")
    await owner.close()
    assert (answer.status_code, answer.json()["code"]) == (503, "world_not_changed")
    assert "events have no position" in answer.json()["detail"]
    assert sandbox.get("/v1/sandbox/clock")["epoch"] == before
    assert session["id"] in sessions(shop)
    sandbox.quiesce()
    assert red(sandbox) == []


def test_the_command_line_says_what_was_refused(stack: Stack) -> None:
    done = command("snapshot", "restore", "nothing", "--data-dir", str(stack.data_dir))
    assert done.returncode == 1
    assert "no snapshot nothing" in done.stderr


async def test_a_command_that_finds_no_database_is_refused_by_name(tmp_path: Path) -> None:
    class Away:
        def one(self) -> object:
            raise ConnectionRefusedError(111, "Connection refused")

    worlds = keeping.Worlds()
    cluster: Any = None  # nothing here starts one
    away: Any = Away()
    worlds.place = keeping.Place(tmp_path, cluster, away, {}, tmp_path / "forks")
    for what, values in (("list", {}), ("restore", {"name": "initial"}), ("delete", {"name": "x"})):
        with pytest.raises(WorldNotChanged) as refused:
            await worlds._asked(what, values)
        assert refused.value.retryable is True


def test_a_refusal_of_a_world_says_in_each_language_what_it_is_about(sandbox: Running) -> None:
    answer = raw(sandbox, "DELETE", f"{SNAPSHOTS}/initial").json()
    assert answer["messages"]["en"].startswith("The snapshot initial stays")
    assert len(set(answer["messages"].values())) == 3
    page = httpx2.get(sandbox.endpoints["api"] + "/docs/errors").text
    assert 'id="snapshot_kept"' in page
