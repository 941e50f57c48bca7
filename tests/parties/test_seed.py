import stat
from pathlib import Path

import pytest
from sqlalchemy import text

from sandbox.core.db import Database
from sandbox.core.http.auth import secret_hash
from sandbox.parties import service
from sandbox.parties.numbers import check_kbe, iban, tax_kind
from sandbox.parties.seed import seed

ROLES = ("operator", "issuer", "regulator", "fund_officer", "merchant")


async def _seed(database: Database, keys_file: Path) -> dict[str, str]:
    async with database.transaction() as db:
        return await seed(db, keys_file)


async def test_a_second_run_returns_the_same_keys_and_makes_nothing(
    database: Database, keys_file: Path
) -> None:
    first = await _seed(database, keys_file)
    assert await _seed(database, keys_file) == first
    async with database.transaction() as db:
        assert await db.scalar(text("SELECT count(*) FROM api_key")) == len(ROLES)
        assert await db.scalar(text("SELECT count(*) FROM merchant")) == 1


async def test_every_role_has_a_key_that_finds_its_party(
    database: Database, keys: dict[str, str]
) -> None:
    async with database.transaction() as db:
        for role in ROLES:
            _, _, key_id, secret = keys[role].split("_")
            found = await service.find_key(db, key_id)
            assert found is not None
            assert (found.role, found.seeded) == (role, True)
            assert found.party == (keys["merchant_id"] if role == "merchant" else role)
            assert found.secret_sha256 == secret_hash(secret)


async def test_the_file_is_private_and_the_database_holds_no_secret(
    database: Database, keys: dict[str, str], keys_file: Path
) -> None:
    assert stat.S_IMODE(keys_file.stat().st_mode) == 0o600
    secret = keys["operator"].split("_")[3]
    assert len(secret) == 32
    async with database.transaction() as db:
        for table in ("api_key", "event"):
            rows = (await db.execute(text(f"SELECT t::text FROM {table} t"))).scalars().all()
            assert rows
            assert not any(secret in row for row in rows)


async def test_a_lost_file_gives_new_keys_and_ends_the_old_ones(
    database: Database, keys_file: Path
) -> None:
    first = await _seed(database, keys_file)
    keys_file.unlink()
    second = await _seed(database, keys_file)
    assert second["merchant_id"] == first["merchant_id"]
    assert all(first[role] != second[role] for role in ROLES)
    async with database.transaction() as db:
        for role in ROLES:
            assert await service.find_key(db, first[role].split("_")[2]) is None


@pytest.mark.parametrize(
    "left",
    ['{"operator": "sk_sbx_01_aa", "merchant_id": "mch_other"}', '{"operator": 5}', "[]", "{"],
)
async def test_a_file_of_another_world_is_replaced(
    database: Database, keys_file: Path, left: str
) -> None:
    keys_file.parent.mkdir(parents=True)
    keys_file.write_text(left)
    keys = await _seed(database, keys_file)
    async with database.transaction() as db:
        assert await service.find_key(db, keys["operator"].split("_")[2]) is not None
        assert (await service.merchant(db, keys["merchant_id"])).fee_bps == 100


async def test_the_seeded_merchant_has_valid_numbers(
    database: Database, keys: dict[str, str]
) -> None:
    async with database.transaction() as db:
        row = await service.merchant(db, keys["merchant_id"])
    assert tax_kind(row.bin) == "bin"
    assert iban(row.iban) == row.iban
    check_kbe(row.kbe, "bin")
    assert "Алатау" in row.name
