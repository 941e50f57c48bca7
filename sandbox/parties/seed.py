"""The parties every world starts with, and the one file that holds their keys in plain text."""

import hmac
import json
import os
from pathlib import Path

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core.http.auth import secret_hash
from sandbox.core.http.roles import Role
from sandbox.parties import service

_OFFICES: tuple[Role, ...] = ("operator", "issuer", "regulator", "fund_officer")
CAFE_NAME = "Кафе «Алатау» ТОО"
CAFE_BIN = "260340000002"  # generated, as KAZAKHSTAN 2.1 asks: no real number is ever seeded
CAFE_IBAN = "KZ31601A000000000001"
CAFE_CATEGORY = "5814"
GOODS_AND_SERVICES_KNP, PRIVATE_FIRM_KBE = "859", "17"


def _read(keys_file: Path) -> dict[str, str]:
    try:
        found = json.loads(keys_file.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    is_ours = isinstance(found, dict) and all(isinstance(key, str) for key in found.values())
    return found if is_ours else {}


def _write(keys_file: Path, keys: dict[str, str]) -> None:
    keys_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = keys_file.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(keys, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(keys_file)


async def _works(db: AsyncSession, plain: str | None, role: Role) -> bool:
    parts = (plain or "").split("_")
    if len(parts) != 4:
        return False
    found = await service.find_key(db, parts[2])
    return (
        found is not None
        and found.seeded
        and found.role == role
        and hmac.compare_digest(found.secret_sha256, secret_hash(parts[3]))
    )


async def _seeded_merchant(db: AsyncSession) -> str:
    known: str | None = await db.scalar(
        text("SELECT party FROM api_key WHERE seeded AND role = 'merchant' ORDER BY id LIMIT 1")
    )
    if known is not None:
        return known
    made = await service.create_merchant(
        db,
        name=CAFE_NAME,
        tax_number=CAFE_BIN,
        account_iban=CAFE_IBAN,
        knp=GOODS_AND_SERVICES_KNP,
        kbe=PRIVATE_FIRM_KBE,
        category=CAFE_CATEGORY,
        district="gate",
        zone=True,
        languages=("kk", "ru", "en"),
    )
    return made.id


async def seed(db: AsyncSession, keys_file: Path) -> dict[str, str]:
    """Make what is missing of the first parties; returns their keys and `merchant_id`.

    The same keys on every run, as long as `keys_file` (mode 0600) and the database know them;
    a key that only one of both knows is replaced by a new one. The file is written before the
    caller commits: a file ahead of the database is put right by the next run.
    """
    await db.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('seed:parties', 0))"))
    known = _read(keys_file)
    merchant_id = await _seeded_merchant(db)
    keys: dict[str, str] = {}
    wanted: list[tuple[Role, str]] = [*((role, role) for role in _OFFICES)]
    wanted.append(("merchant", merchant_id))
    for role, party in wanted:
        if await _works(db, known.get(role), role):
            keys[role] = known[role]
            continue
        for stale in await _live_seeded(db, role):
            await service.revoke_key(db, stale, owner=None)
        _, keys[role] = await service.create_key(db, role, party, seeded=True)
    keys["merchant_id"] = merchant_id
    if keys != known:
        _write(keys_file, keys)
    return keys


async def _live_seeded(db: AsyncSession, role: Role) -> list[str]:
    rows = await db.execute(
        text("SELECT id FROM api_key WHERE seeded AND role = :role AND revoked_at IS NULL"),
        {"role": role},
    )
    return [row.id for row in rows]
