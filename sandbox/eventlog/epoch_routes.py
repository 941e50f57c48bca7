"""`/log/e<N>`: the log of one epoch, also of one that was left (CONTRACT 7)."""

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi import Path as InPath
from fastapi.responses import PlainTextResponse, Response
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core.db import SessionDep
from sandbox.core.http import PrincipalDep
from sandbox.eventlog import publication, sealing, service
from sandbox.eventlog.tiles import Tile

router = APIRouter(prefix="/log/e{epoch}", tags=["log"])

# An epoch that was left does not change any more; whether it was left, a cache cannot know.
_BRIEFLY = {"Cache-Control": "public, max-age=5"}
_NEVER = {"Cache-Control": "no-store"}
_BYTES = "application/octet-stream"

Epoch = Annotated[int, InPath(ge=1, le=999_999_999, description="Counted from 1.")]


async def _is_live(db: AsyncSession, epoch: int) -> bool:
    return epoch == await service.current_epoch(db)


def _sealed(request: Request) -> Path:
    folder: Path = request.app.state.settings.sealed_dir
    return folder


@router.get("/checkpoint", response_class=PlainTextResponse, summary="The checkpoint of an epoch")
async def checkpoint(epoch: Epoch, request: Request, db: SessionDep) -> PlainTextResponse:
    """The newest signed checkpoint of an epoch; of one that was left, its last."""
    if await _is_live(db, epoch):
        note = await publication.newest_checkpoint(db)
    else:
        note = sealing.read(_sealed(request), epoch, "checkpoint").decode()
    return PlainTextResponse(note, headers=_NEVER)


@router.get("/vkey", response_class=PlainTextResponse, summary="The public key of an epoch")
async def vkey(epoch: Epoch, request: Request, db: SessionDep) -> PlainTextResponse:
    """The verifier key: the same key in every epoch, under the epoch's own name."""
    if await _is_live(db, epoch):
        key = f"{await publication.verifier_key(db)}\n"
    else:
        key = sealing.read(_sealed(request), epoch, "vkey").decode()
    return PlainTextResponse(key, headers=_NEVER)


@router.get("/tile/entries/{path:path}", response_class=Response, summary="Entries of an epoch")
async def entries(
    epoch: Epoch, path: str, request: Request, db: SessionDep, caller: PrincipalDep
) -> Response:
    """An entry bundle: up to 256 leaves, each behind its length (for the regulator)."""
    tile = publication.tile_at("0", path)
    if await _is_live(db, epoch):
        bundle = await publication.entry_bundle(db, tile)
    else:
        bundle = sealing.read_entries(_sealed(request), epoch, tile)
    return Response(bundle, media_type=_BYTES, headers=_NEVER)


@router.get("/tile/{level}/{path:path}", response_class=Response, summary="Hashes of an epoch")
async def tile(epoch: Epoch, level: str, path: str, request: Request, db: SessionDep) -> Response:
    """A hash tile: up to 256 hashes of one level of the tree."""
    asked: Tile = publication.tile_at(level, path)
    if await _is_live(db, epoch):
        hashes = await publication.hash_tile(db, asked)
    else:
        hashes = sealing.read_hashes(_sealed(request), epoch, asked)
    return Response(hashes, media_type=_BYTES, headers=_BRIEFLY)
