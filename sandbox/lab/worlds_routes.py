"""`/v1/sandbox/snapshots`, `reset`, `forks`: the whole world by name; the supervisor does it.

No idempotency keys here: a restored world has forgotten them (CONTRACT 7).
"""

from typing import Annotated, Any, cast

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from sandbox.core.http import PrincipalDep
from sandbox.core.http.answers import ListOf, answers
from sandbox.core.line import Line, LineClosed
from sandbox.lab import shapes
from sandbox.lab.errors import NoSupervisor
from sandbox.lab.world_errors import INITIAL

router = APIRouter(prefix="/v1/sandbox", tags=["sandbox"])

Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]


class SnapshotIn(BaseModel):
    """What the world is to be called as it is now."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "before-refunds"}]}
    )

    name: Name


class ForkIn(BaseModel):
    """Which snapshot, and the folder that becomes a sandbox of its own.

    Its name, or its whole path, directly below the folder `--forks-dir` of `sandbox up`.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"name": "before-refunds", "data_dir": "second"}]},
    )

    name: Name
    data_dir: Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^[^\x00]+$")]


async def _ask(request: Request, what: str, **values: Any) -> dict[str, Any]:
    line = cast(Line | None, getattr(request.app.state, "supervisor", None))
    if line is None:
        raise NoSupervisor
    try:
        return await line.ask(what, **values)
    except LineClosed:
        raise NoSupervisor from None


@router.post("/snapshots", status_code=201, summary="Keep the world as it is")
@answers(shapes.Snapshot)
async def create_snapshot(
    body: SnapshotIn, request: Request, caller: PrincipalDep
) -> dict[str, Any]:
    """Database, both chains, clock and log under one name; the world stands still meanwhile."""
    return await _ask(request, "snapshot", name=body.name)


@router.get("/snapshots", summary="List snapshots")
@answers(ListOf(shapes.Snapshot))
async def list_snapshots(request: Request, caller: PrincipalDep) -> dict[str, Any]:
    """Every snapshot, oldest first; `initial` is the world as it was when first ready."""
    return {"object": "list", "data": (await _ask(request, "list"))["data"], "has_more": False}


@router.delete("/snapshots/{name}", summary="Forget a snapshot")
@answers(shapes.DeletedSnapshot)
async def delete_snapshot(name: str, request: Request, caller: PrincipalDep) -> dict[str, Any]:
    """The world that lives stays as it is; `initial` cannot be forgotten."""
    return await _ask(request, "delete", name=name)


@router.post("/snapshots/{name}/restore", summary="Go back to a snapshot")
@answers(shapes.World)
async def restore_snapshot(name: str, request: Request, caller: PrincipalDep) -> dict[str, Any]:
    """All of it at once, in a new epoch of the log; what happened since then never did."""
    return await _ask(request, "restore", name=name)


@router.post("/reset", summary="Go back to the beginning")
@answers(shapes.World)
async def reset(request: Request, caller: PrincipalDep) -> dict[str, Any]:
    """To the world as it was when it was ready for the first time: the snapshot `initial`."""
    return await _ask(request, "restore", name=INITIAL)


@router.post("/forks", status_code=201, summary="A sandbox of its own out of a snapshot")
@answers(shapes.Fork)
async def create_fork(body: ForkIn, request: Request, caller: PrincipalDep) -> dict[str, Any]:
    """Writes a data directory, complete and stopped: `sandbox up --data-dir` starts it.

    It lies directly below the folder of forks, by default `forks` in the data directory; elsewhere
    is refused as `fork_outside`.
    """
    return await _ask(request, "fork", name=body.name, data_dir=body.data_dir)
