from datetime import UTC, date, datetime, timedelta

from sandbox.bank.accounts import RESERVE_IBAN
from sandbox.bank.models import PaymentOrder
from sandbox.core.api_version import LATEST
from sandbox.core.clock import iso
from sandbox.core.db import Database
from sandbox.lab import timers
from sandbox.parties import service as parties
from sandbox.payments.models import CheckoutSession
from sandbox.reserve.models import Intake
from sandbox.webhooks.models import WebhookDelivery, WebhookEndpoint

START = datetime(2026, 11, 20, 6, tzinfo=UTC)
END = START + timedelta(hours=10)


def _at(minutes: int) -> datetime:
    return START + timedelta(minutes=minutes)


def _session(id_: str, status: str, expires_at: datetime) -> CheckoutSession:
    return CheckoutSession(
        id=id_,
        merchant="mch_1",
        amount_tiyn=100,
        currency="KZT",
        meta={},
        options=[],
        url="http://test",
        status=status,
        reason="none",
        reasons=[],
        notes=[],
        expires_in_s=900,
        created_at=START,
        expires_at=expires_at,
        completions=0,
        received_units=0,
        excess_units=0,
    )


def _intake(id_: str, state: str, expires_at: datetime) -> Intake:
    return Intake(
        id=id_,
        chain="plain",
        amount_tiyn=5,
        amount_units=5,
        option={},
        state=state,
        is_sweeping=False,
        sweep_attempt=0,
        burn_attempt=0,
        swept_units=0,
        expires_at=expires_at,
        created_at=START,
    )


def _order(id_: str, status: str, due_at: datetime) -> PaymentOrder:
    return PaymentOrder(
        end_to_end_id=id_,
        debtor_iban=RESERVE_IBAN,
        creditor_iban="KZ31601A000000000001",
        amount_tiyn=5,
        value_date=date(2026, 11, 20),
        due_at=due_at,
        status=status,
        received_at=START,
    )


def _delivery(id_: str, status: str, next_attempt_at: datetime | None) -> WebhookDelivery:
    return WebhookDelivery(
        id=id_,
        endpoint="we_1",
        merchant="mch_1",
        event_id=f"evt_{id_}",
        epoch=1,
        position=0,
        status=status,
        attempts=1,
        clock_offset_ms=0,
        queued_at=START,
        next_attempt_at=next_attempt_at,
        created_at=START,
    )


async def test_only_what_falls_into_the_move_and_still_waits_is_told(database: Database) -> None:
    async with database.transaction() as db:
        db.add_all(
            [
                _session("cs_past", "open", START),
                _session("cs_2", "open", END),
                _session("cs_1", "open", _at(1)),
                _session("cs_paid", "complete", _at(1)),
                _session("cs_later", "open", END + timedelta(milliseconds=1)),
                _intake("red_past", "open", START),
                _intake("red_1", "open", _at(2)),
                _intake("mov_received", "received", _at(2)),
                _order("po_1", "accepted", _at(60)),
                _order("po_booked", "booked", _at(60)),
                WebhookEndpoint(
                    id="we_1",
                    merchant="mch_1",
                    url="http://test",
                    types=["*"],
                    secret="whsec_x",
                    api_version=LATEST,
                    status="active",
                    from_epoch=1,
                    from_position=0,
                    created_at=START,
                ),
            ]
        )
        await db.flush()
        db.add_all(
            [
                _delivery("wd_1", "pending", _at(5)),
                _delivery("wd_done", "delivered", None),
            ]
        )
    async with database.transaction() as db:
        told = [item for timer in timers.ALL for item in await timer(db, START, END)]
    assert [(item["type"], item["id"], item["due_at"]) for item in told] == [
        ("session_expiry", "cs_1", iso(_at(1))),
        ("session_expiry", "cs_2", iso(END)),
        ("intake_expiry", "red_1", iso(_at(2))),
        ("settlement_cut_off", "2026-11-20", "2026-11-20T13:00:00.000Z"),
        ("attestation", "2026-11-20", "2026-11-20T13:00:00.000Z"),
        ("payout_booking", "po_1", iso(_at(60))),
        ("webhook_attempt", "wd_1", iso(_at(5))),
    ]


async def test_a_move_within_a_day_passes_no_cut_off(database: Database) -> None:
    async with database.transaction() as db:
        assert await timers.cut_offs(db, START, START + timedelta(hours=6)) == []


async def test_of_many_cut_offs_passed_the_newest_is_told(database: Database) -> None:
    async with database.transaction() as db:
        [told] = await timers.cut_offs(db, START, START + timedelta(days=30))
    # Friday: the move ends on a Saturday, and only who chose `daily` has a cut-off on that.
    assert told["id"] == "2026-12-18"
    async with database.transaction() as db:
        await parties.create_merchant(
            db, name="Night shop", tax_number="260340000002", account_iban="KZ31601A000000000001",
            knp="859", kbe="17", schedule="daily",
        )  # fmt: skip
        told = await timers.cut_offs(db, START, START + timedelta(days=30))
    assert [item["id"] for item in told] == ["2026-12-18", "2026-12-19"]
