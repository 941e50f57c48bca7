"""What commands on worlds refuse, by name; the world stays as it is."""

from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI

from sandbox.cli.endpoints import ApiError, Running
from sandbox.core.http import Principal, install
from sandbox.core.http.auth import principal
from sandbox.lab import worlds_routes
from tests.journeys.stack import Stack, command
from tests.worlds.doing import SNAPSHOTS, names, raw, save


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


@pytest.mark.parametrize("data_dir", ["relative/one", "", "/a\x00b", 7, None])
def test_a_fork_needs_a_whole_path(sandbox: Running, data_dir: object) -> None:
    body = {"name": "initial", "data_dir": data_dir}
    assert refused(sandbox, "POST", "/v1/sandbox/forks", body) == (422, "invalid_request")


def test_a_fork_goes_into_a_folder_of_its_own(
    sandbox: Running, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    for target in (tmp_path, tmp_path / "file", folder / "inside", folder, Path("/proc/nothing")):
        body = {"name": "initial", "data_dir": str(target)}
        assert refused(sandbox, "POST", "/v1/sandbox/forks", body) == (409, "bad_fork_target")
    unknown = {"name": "nothing", "data_dir": str(tmp_path / "new")}
    assert refused(sandbox, "POST", "/v1/sandbox/forks", unknown) == (404, "not_found")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_keys_of_others_change_no_world(sandbox: Running) -> None:
    for role in ("issuer", "regulator"):
        with pytest.raises(ApiError, match="role_may_not"):
            sandbox.post("/v1/sandbox/reset", {}, role)  # type: ignore[arg-type]  # a role's name
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


def test_the_command_line_says_what_was_refused(stack: Stack) -> None:
    done = command("snapshot", "restore", "nothing", "--data-dir", str(stack.data_dir))
    assert done.returncode == 1
    assert "no snapshot nothing" in done.stderr
