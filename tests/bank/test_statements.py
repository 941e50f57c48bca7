"""Statements: their arithmetic, their days, and who may read which."""

from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank import accounts, booking, calendar, incoming, registry, service
from sandbox.bank.iso20022 import statements
from sandbox.bank.routes import router
from sandbox.core.db import Database
from sandbox.core.http import KeyRecord, Page, install
from sandbox.core.http.auth import secret_hash
from sandbox.core.http.roles import Role
from sandbox.core.zone import ALMATY
from tests.bank.conftest import SetClock

PAGE = Page(limit=100, starting_after=None, ending_before=None)
SHOP = "KZ31601A000000000001"
ROLES: dict[str, Role] = {
    "shop": "merchant",
    "other": "merchant",
    "issuer": "issuer",
    "operator": "operator",
    "regulator": "regulator",
    "fund": "fund_officer",
}

lines = st.lists(
    st.tuples(
        st.integers(0, 5),  # days after the first
        st.sampled_from(["credit", "debit"]),
        st.integers(1, 10**13),
    ),
    max_size=12,
)


@given(lines=lines)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_every_day_closes_with_its_opening_plus_credits_less_debits(
    bank: Database, lines: list[tuple[int, str, int]]
) -> None:
    first = date(2026, 11, 10)
    async with bank.transaction() as db:
        iban = accounts.RESERVE_IBAN
        async with db.begin_nested() as once:
            for n, (day, side, amount) in enumerate(sorted(lines)):
                await booking.book(
                    db,
                    iban=iban,
                    ref=f"r{n}",
                    end_to_end_id=None,
                    counterparty="",
                    amount_tiyn=amount,
                    side=side,
                    value_date=first,
                    at=datetime.combine(first + timedelta(days=day), calendar.OPENS, ALMATY),
                )
            made = await service.statements(db, iban, PAGE)
            booked = await service.balance(db, iban)
            await once.rollback()
    assert made[0]["date"] == "2026-11-19"  # today, with or without lines
    assert made[0]["closing_tiyn"] == booked
    opening = 0
    for statement in reversed(made):
        moved = sum(
            line["amount_tiyn"] * (1 if line["side"] == "credit" else -1)
            for line in statement["lines"]
        )
        assert statement["opening_tiyn"] == opening
        assert statement["closing_tiyn"] == opening + moved
        opening = statement["closing_tiyn"]
    assert sum(len(statement["lines"]) for statement in made) == len(lines)


async def test_a_payment_after_midnight_in_almaty_stands_in_the_next_day(
    bank: Database, set_clock: SetClock
) -> None:
    for moment in ("2026-11-19T23:59:59", "2026-11-20T00:00"):
        await set_clock(moment)
        async with bank.transaction() as db:
            await incoming.credit(
                db, iban=accounts.RESERVE_IBAN, amount_tiyn=5, bank_reference=moment
            )
    async with bank.transaction() as db:
        made = await service.statements(db, accounts.RESERVE_IBAN, PAGE)
    assert [(s["date"], s["opening_tiyn"], s["closing_tiyn"]) for s in made] == [
        ("2026-11-20", 5, 10),
        ("2026-11-19", 0, 5),
    ]


@pytest.fixture
async def client(bank: Database) -> AsyncIterator[httpx2.AsyncClient]:
    """The route over HTTP, with one key per role whose id is its name here."""

    async def find(db: AsyncSession, key_id: str) -> KeyRecord | None:
        return KeyRecord(key_id, secret_hash("s"), ROLES[key_id], f"mch_{key_id}", False)

    async def iban_of(db: AsyncSession, merchant: str) -> str | None:
        return SHOP if merchant == "mch_shop" else None

    app = FastAPI()
    install(app)
    app.include_router(router)
    app.state.database, app.state.key_lookup, app.state.iban_lookup = bank, find, iban_of
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        yield client


async def read(client: httpx2.AsyncClient, who: str, iban: str, **more: Any) -> httpx2.Response:
    return await client.get(
        "/v1/bank/statements",
        params={"account": iban, **more},
        headers={"Authorization": f"Bearer sk_sbx_{who}_s"},
    )


@pytest.mark.parametrize(
    ("who", "iban", "status"),
    [
        ("shop", accounts.RESERVE_IBAN, 404),
        ("other", SHOP, 404),
        ("issuer", SHOP, 404),
        ("operator", "KZ41722C000000000001", 404),
        ("fund", SHOP, 403),
        ("shop", SHOP, 200),
        ("issuer", accounts.RESERVE_IBAN, 200),
        ("issuer", accounts.OPERATING_IBAN, 200),
        ("operator", SHOP, 200),
        ("regulator", accounts.RESERVE_IBAN, 200),
    ],
)
async def test_each_role_reads_its_own_accounts_only(
    client: httpx2.AsyncClient, bank: Database, who: str, iban: str, status: int
) -> None:
    async with bank.transaction() as db:
        await registry.ensure_account(db, SHOP, "mch_shop")
    assert (await read(client, who, iban)).status_code == status


async def test_a_merchant_may_read_its_account_before_the_first_payout(
    client: httpx2.AsyncClient,
) -> None:
    answer = await read(client, "shop", SHOP)
    assert answer.status_code == 200
    assert [s["closing_tiyn"] for s in answer.json()["data"]] == [0]
    assert (await read(client, "other", SHOP)).status_code == 404


async def test_an_account_is_not_read_by_who_only_names_it_as_its_own(
    client: httpx2.AsyncClient, bank: Database
) -> None:
    async with bank.transaction() as db:
        await registry.ensure_account(db, SHOP, "mch_other")
    assert (await read(client, "shop", SHOP)).status_code == 404
    assert (await read(client, "other", SHOP)).status_code == 200


async def test_statements_come_in_pages_by_date(
    client: httpx2.AsyncClient, bank: Database, set_clock: SetClock
) -> None:
    for day in (19, 20, 21):
        await set_clock(f"2026-11-{day}T12:00")
        async with bank.transaction() as db:
            await incoming.credit(
                db, iban=accounts.RESERVE_IBAN, amount_tiyn=10, bank_reference=f"ref-{day}"
            )
    first = (await read(client, "issuer", "kz63 9480 0000 0000 0001", limit=2)).json()
    assert [s["date"] for s in first["data"]] == ["2026-11-21", "2026-11-20"]
    assert first["has_more"] is True
    rest = (
        await read(client, "issuer", accounts.RESERVE_IBAN, limit=2, starting_after="2026-11-20")
    ).json()
    assert rest["data"] == [
        {
            "object": "bank_statement",
            "id": "2026-11-19",
            "iban": accounts.RESERVE_IBAN,
            "date": "2026-11-19",
            "currency": "KZT",
            "opening_tiyn": 0,
            "closing_tiyn": 10,
            "lines": [
                {
                    "ref": "ref-19",
                    "end_to_end_id": None,
                    "amount_tiyn": 10,
                    "side": "credit",
                    "value_date": "2026-11-19",
                    "booked_at": "2026-11-19T07:00:00.000Z",
                }
            ],
        }
    ]
    assert rest["has_more"] is False


async def test_the_schema_of_the_bank_belongs_to_the_simulator(bank: Database) -> None:
    async with bank.transaction() as db:
        tables = await db.execute(
            text("SELECT table_name FROM information_schema.tables WHERE table_schema = 'bank_sim'")
        )
        assert {row.table_name for row in tables} == {
            "account", "booking", "payment_order",
        }  # fmt: skip


async def test_a_days_statement_is_read_as_xml_by_who_may_read_the_account(
    client: httpx2.AsyncClient, bank: Database
) -> None:
    iban = accounts.RESERVE_IBAN
    async with bank.transaction() as db:
        await incoming.credit(db, iban=iban, amount_tiyn=10, bank_reference="ref-1")

    async def xml(who: str, day: str) -> httpx2.Response:
        return await client.get(
            f"/v1/bank/statements/{iban}/{day}.xml",
            headers={"Authorization": f"Bearer sk_sbx_{who}_s"},
        )

    assert (await xml("shop", "2026-11-19")).status_code == 404
    assert (await xml("fund", "2026-11-19")).status_code == 403
    assert (await xml("issuer", "2026-11-18")).status_code == 404
    answer = await xml("issuer", "2026-11-19")
    assert answer.headers["content-type"].startswith("application/xml")
    read = statements.parse(answer.content)
    assert (read.iban, read.opening_tiyn, read.closing_tiyn) == (iban, 0, 10)
    assert [line["bank_reference"] for line in read.lines] == ["ref-1"]
