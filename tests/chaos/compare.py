"""What must be true of a quiet sandbox, whatever was killed: nothing lost, nothing doubled."""

import asyncio
import base64
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg

from sandbox.cli.endpoints import JsonObject
from sandbox.eventlog import verify as verifier
from sandbox.eventlog.proofs import verify_receipt
from tests.chaos import compare_reserve
from tests.chaos.compare_reserve import ReserveComparer
from tests.chaos.load import GRANT_TIYN, Answer, Load
from tests.chaos.payers import Paid
from tests.webhooks.receiver import Receiver

# What an object is for ever, by the route that makes it.
_FOR_EVER = {
    "/v1/checkout/sessions": (
        "object id merchant amount_tiyn currency description client_reference_id metadata"
        " created_at expires_at url options"
    ),
    "/v1/refunds": (
        "object id payment stray_transfer merchant chain amount_tiyn amount_units recipient"
        " reason created_at"
    ),
    "/v1/settlements": "object id merchant cut_off value_date created_at",
    "/v1/sandbox/faucet": "object id chain address amount_tiyn created_at",
} | compare_reserve.FOR_EVER
# Told at most once of one object; a payout that was returned is another one.
_ONCE = (
    frozenset(
        (
            "checkout.session.created",
            "checkout.session.completed",
            "payment.confirmed",
            "payment.final",
            "payment.captured",
            "refund.requested",
            "refund.completed",
            "refund.failed",
            "settlement.created",
            "settlement.settled",
            "settlement.fee_paid",
            "payout.sent",
            "payout.completed",
            "faucet.sent",
            "faucet.failed",
            "sweep.final",
        )
    )
    | compare_reserve.ONCE
)
_PER_PAYMENT = ("payment.confirmed", "payment.final", "payment.captured")
_KEYS_ARE_KEPT = timedelta(hours=23)
_AT_ONCE = 16
_PROOFS = 5


@dataclass(slots=True)
class Comparer:
    """Compares again and again; what was once seen must never change."""

    load: Load
    receiver: Receiver
    folder: Path
    wrong: list[str] = field(default_factory=list)
    _unheard: int = 0  # events from before the receiver was there
    _events: list[JsonObject] = field(default_factory=list)
    _looked_at: int = 0
    _now: datetime = datetime.min
    _receipts: dict[str, Any] = field(default_factory=dict)
    _checkpoints: list[Path] = field(default_factory=list)

    async def begin(self) -> None:
        """The receiver is known to the sandbox from here on, and the shop has one merchant."""
        await self._events_grow()
        self._unheard = len(self._events)

    async def compare(self, *, whole: bool = False, all_paid: bool = False) -> None:
        """Everything that is new since the last time; `whole`: everything since the beginning.

        `all_paid`: no redemption waits for the bank any more.
        """
        if whole:
            self._looked_at = 0
        await self._events_grow()
        await self._payments_count_once()
        await ReserveComparer(self.load, self._must).compare(self._events, all_paid=all_paid)
        await self._answers_stand()
        await self._chains_agree()
        self._webhooks_came()
        await self._log_grows(whole=whole)
        audit = await self.load.get("/v1/sandbox/audit")
        self._must(audit["ok"], f"the audit is red: {_red(audit)}")
        self._looked_at = len(self.load.answers)

    async def snapshot(self) -> JsonObject:
        """Audit and receipts, which a stop and a start must leave as they are."""
        audit = await self.load.get("/v1/sandbox/audit")
        captured = [one["id"] for one in self._events if one["type"] == "payment.captured"]
        proofs = {}
        for event in captured[:: max(1, len(captured) // _PROOFS)]:
            proof = await self.load.get(f"/v1/events/{event}/proof", "regulator")
            verify_receipt(proof, self.load.running.endpoints["log_vkey"])
            proofs[event] = (proof["position"], base64.b64decode(proof["leaf"]))
        checks = [(one["id"], one["ok"], one["left"], one["right"]) for one in audit["checks"]]
        return {"audit": checks, "proofs": proofs}

    def _must(self, is_so: object, otherwise: str) -> None:
        if not is_so:
            self.wrong.append(otherwise)

    # -- the log

    async def _events_grow(self) -> None:
        """What was told stays told, word for word; each fact once."""
        found: list[JsonObject] = []
        more = True
        while more:
            after = {"after": found[-1]["position"]} if found else {}
            page = await self.load.get("/v1/events", limit=100, **after)
            found += page["data"]
            more = page["has_more"]
        self._must(found[: len(self._events)] == self._events, "an event changed or went away")
        self._events = found
        self._must([e["position"] for e in found] == list(range(len(found))), "positions")
        self._must(len({e["id"] for e in found}) == len(found), "an event stands twice in the log")
        told = Counter((e["type"], e["data"]["id"]) for e in found if e["type"] in _ONCE)
        for (kind, id_), times in told.items():
            self._must(times == 1, f"{kind} of {id_} was told {times} times")

    async def _log_grows(self, *, whole: bool) -> None:
        """The log still holds every older checkpoint."""
        endpoints = self.load.running.endpoints
        olds = self._checkpoints if whole else self._checkpoints[-1:]
        for old in olds:
            report = await asyncio.to_thread(
                verifier.verify_url,
                endpoints["api"],
                endpoints["log_vkey"],
                endpoints["keys"]["regulator"],
                old,
            )
            self._must(report.ok, f"the log against {old.name}: {report.findings}")
        fresh = self.folder / f"checkpoint-{len(self._checkpoints)}"
        url = f"{endpoints['api']}/log/checkpoint"
        fresh.write_bytes(await self.load.read(url))
        self._checkpoints.append(fresh)

    # -- money

    async def _payments_count_once(self) -> None:
        events: dict[tuple[str, str], int] = Counter(
            (e["type"], e["data"].get("id", "")) for e in self._events
        )
        db = await asyncpg.connect(self.load.running.endpoints["database"])
        try:
            rows = await db.fetch(
                "SELECT id, session, tx, chain_state, amount_units, capture_entry FROM payment"
            )
            entries = await db.fetch(
                "SELECT split_part(e.ref, ':', 1) AS payment, e.kind, r.outcome FROM entry e"
                " LEFT JOIN resolution r ON r.entry_id = e.id WHERE e.ref LIKE 'pay\\_%'"
            )
            sessions = {row["id"] for row in await db.fetch("SELECT id FROM checkout_session")}
            refunds = {row["id"] for row in await db.fetch("SELECT id FROM refund")}
            grants = {row["id"] for row in await db.fetch("SELECT id FROM faucet_grant")}
            settlements = {
                row["id"]
                for row in await db.fetch("SELECT id FROM settlement WHERE cut_off IS NULL")
            }
            twice = await db.fetch(
                "SELECT payment FROM settlement_line WHERE deferred_at IS NULL"
                " GROUP BY payment HAVING count(*) > 1"
            )
        finally:
            await db.close()
        for path, there in (
            ("/v1/checkout/sessions", sessions),
            ("/v1/refunds", refunds),
            ("/v1/settlements", settlements),
            ("/v1/sandbox/faucet", grants),
        ):
            made = {a.body["id"] for a in self.load.answers if a.path == path and a.status == 201}
            self._must(there == made, f"{path}: {sorted(there ^ made)} made, not answered or lost")
        self._must(not twice, f"settled in two batches: {[row['payment'] for row in twice]}")
        of_session = defaultdict(list)
        for row in rows:
            of_session[row["session"]].append(row)
        posted = Counter(
            (row["payment"], row["kind"])
            for row in entries
            if row["kind"] == "posted" or row["outcome"] == "posted"
        )
        for paid in self.load.paid:
            found = of_session[paid.session]
            self._must(len(found) == 1, f"{paid.session} has {len(found)} payments")
            for row in found[:1]:
                id_ = row["id"]
                self._must(row["tx"] == paid.txs[-1], f"{id_} is {row['tx']}, not {paid.txs}")
                self._must(row["chain_state"] == "final", f"{id_} is {row['chain_state']}")
                self._must(posted[id_, "pending"] == 1, f"{id_} arrived {posted[id_, 'pending']}x")
                self._must(posted[id_, "posted"] == 1, f"{id_} captured {posted[id_, 'posted']}x")
                for kind in _PER_PAYMENT:
                    self._must(events[kind, id_] == 1, f"{kind} of {id_}: {events[kind, id_]}")
            done = events["checkout.session.completed", paid.session]
            self._must(done == 1, f"{paid.session} was completed {done} times")

    async def _chains_agree(self) -> None:
        """Each payer has what it got less what it paid, and each receipt is what it was."""
        sent = {e["data"]["id"] for e in self._events if e["type"] == "faucet.sent"}
        back: Counter[str] = Counter()
        for event in self._events:
            if event["type"] == "refund.completed":
                back[event["data"]["recipient"]] += event["data"]["amount_units"]
        for customer in self.load.customers:
            mine = [one for one in self.load.paid if one.payer == customer.address]
            granted = sum(
                a.body["amount_tiyn"]
                for a in self.load.answers
                if a.body.get("id") in sent and a.body.get("address") == customer.address
            )
            self._must(granted >= GRANT_TIYN, f"{customer.address} was granted {granted}")
            expected = granted + back[customer.address] - sum(one.amount_tiyn for one in mine)
            there = await customer.units()
            self._must(there == expected, f"{customer.address} has {there}, not {expected}")
            await self._receipts_stand(customer, mine)

    async def _receipts_stand(self, customer: Any, mine: Sequence[Paid]) -> None:
        for part in _parts([tx for one in mine for tx in one.txs]):
            found = await asyncio.gather(*(customer.receipt(tx) for tx in part))
            for tx, receipt in zip(part, found, strict=True):
                first = self._receipts.setdefault(tx, receipt)
                self._must(receipt == first, f"{tx}: {first} became {receipt}")
        for one in mine:
            final = [tx for tx in one.txs if self._receipts[tx] is not None]
            self._must(final == one.txs[-1:], f"{one.session} was paid by {final} of {one.txs}")

    # -- answers

    async def _answers_stand(self) -> None:
        self._now = await self.load.now()
        for part in _parts(self.load.answers[self._looked_at :]):
            await asyncio.gather(*(self._stands(answer) for answer in part))

    async def _stands(self, answer: Answer) -> None:
        """The same key gives the same answer, and the object is what was answered."""
        if self._now - answer.after < _KEYS_ARE_KEPT:
            again = None
            while again is None:
                again = await self.load.post(answer.path, answer.asked, answer.key, answer.role)
            same = (again.status, again.text) == (answer.status, answer.text)
            self._must(same, f"{answer.key} was answered {answer.text}, then {again.text}")
        if answer.status != 201 or answer.path not in _FOR_EVER:
            return
        now = await self.load.get(f"{answer.path}/{answer.body['id']}", answer.role)
        for name in _FOR_EVER[answer.path].split():
            was, is_ = answer.body.get(name), now.get(name)
            self._must(is_ == was, f"{answer.body['id']}: {name} was {was}, is {is_}")

    # -- webhooks

    def _webhooks_came(self) -> None:
        """Each event of the merchant came at least once, always by one id and in one form."""
        came: dict[str, set[str]] = defaultdict(set)
        of_event: dict[str, set[str]] = defaultdict(set)
        for request in self.receiver.received:
            id_ = request.headers["webhook-id"]
            body = json.loads(request.body)
            came[id_].add(request.body.decode())
            of_event[body["id"]].add(id_)
        for id_, forms in came.items():
            self._must(len(forms) == 1, f"webhook {id_} came in {len(forms)} forms")
        for event, ids in of_event.items():
            self._must(len(ids) == 1, f"{event} came by {len(ids)} ids")
        owed = {e["id"] for e in self._events[self._unheard :] if e["sequence"] is not None}
        lost = owed - set(of_event)
        self._must(not lost, f"webhooks that never came: {sorted(lost)}")


def _red(audit: JsonObject) -> list[JsonObject]:
    return [check for check in audit["checks"] if not check["ok"]]


def _parts(of: Sequence[Any]) -> list[Sequence[Any]]:
    return [of[at : at + _AT_ONCE] for at in range(0, len(of), _AT_ONCE)]
