"""What must be true of the reserve once all is quiet: each redemption has one burn and one payout,
each move one burn and one mint, and every unit on chain is explained by what was told.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from sandbox.cli.endpoints import JsonObject
from tests.chaos.holders import (
    ATTESTATIONS,
    DEPOSITS,
    ISSUANCES,
    MOVES,
    REDEMPTIONS,
    REFERENCE,
)
from tests.chaos.load import Load
from tests.chaos.payers import Paid

# What an object is for ever, by the route that makes it.
FOR_EVER = {
    DEPOSITS: "object id amount_tiyn bank_reference customer_name created_at",
    ISSUANCES: "object id deposit chain amount_tiyn recipient created_at",
    REDEMPTIONS: (
        "object id chain amount_tiyn amount_units option iban payee_name tax_number knp kbe"
        " created_at expires_at"
    ),
    MOVES: (
        "object id from_chain to_chain amount_tiyn amount_units option recipient created_at"
        " expires_at"
    ),
    ATTESTATIONS: "object id cause day asked_at",
}
# Told at most once of one object.
ONCE = frozenset(
    f"reserve.{step}"
    for step in (
        *("deposit_received", "issuance_requested", "issuance_issued", "issuance_failed"),
        *("redemption_requested", "redemption_received", "redemption_burned", "redemption_paid"),
        *("move_requested", "move_received", "move_burned", "move_minted"),
        *("units_final", "attested"),
    )
)
_MADE = {
    DEPOSITS: f"SELECT id FROM deposit WHERE bank_reference LIKE '{REFERENCE}%'",
    ISSUANCES: (
        "SELECT i.id FROM issuance i JOIN deposit d ON d.id = i.deposit_id"
        f" WHERE d.bank_reference LIKE '{REFERENCE}%'"
    ),
    REDEMPTIONS: "SELECT id FROM redemption",
    MOVES: "SELECT id FROM bridge_move",
    ATTESTATIONS: "SELECT id FROM attestation WHERE cause = 'asked'",
}


@dataclass(frozen=True, slots=True)
class _Rows:
    """What database and bank have of the second halves, by redemption or move."""

    second: dict[str, Any]
    posted: Counter[str]  # by ref without the number of the try
    burns: Counter[str]
    mints: Counter[str]
    booked: Counter[tuple[str, str]]  # by redemption and side
    settled: Counter[str]  # units that settlements burned, by chain


@dataclass(frozen=True, slots=True)
class ReserveComparer:
    """`must` writes down what is not so."""

    load: Load
    must: Callable[[object, str], None]

    async def compare(self, events: Sequence[JsonObject], *, all_paid: bool) -> None:
        """Judge a quiet sandbox; with `all_paid` no payout is under way any more."""
        database = await asyncpg.connect(self.load.running.endpoints["database"])
        try:
            await self._as_answered(database)
            rows = await _rows(database)
        finally:
            await database.close()
        told = Counter((e["type"], e["data"].get("id", "")) for e in events)
        for sent in self.load.holders.sent:
            if sent.session.startswith("red_"):
                self._redeemed_once(sent, rows, told, all_paid=all_paid)
            else:
                self._moved_once(sent, rows, told)
        await self._units_are_explained(events, rows.settled)

    async def _as_answered(self, database: asyncpg.Connection) -> None:
        answers = self.load.answers
        for path, query in _MADE.items():
            there = {row["id"] for row in await database.fetch(query)}
            made = {a.body["id"] for a in answers if a.path == path and a.status == 201}
            if path == DEPOSITS:  # those that the bank gave notice of were never answered
                listed = await database.fetch(
                    "SELECT id FROM deposit WHERE bank_reference = ANY($1)",
                    [a.body["bank_reference"] for a in answers if a.body.get("kind")],
                )
                made |= {row["id"] for row in listed}
            self.must(there == made, f"{path}: {sorted(there ^ made)} made, not answered or lost")

    def _redeemed_once(
        self, sent: Paid, rows: _Rows, told: Counter[tuple[str, str]], *, all_paid: bool
    ) -> None:
        id_ = sent.session
        row = rows.second[id_]
        status, tries = row["payout_status"], row["payout_attempt"]
        allowed = ("paid",) if all_paid else ("sent", "paid", "rejected")
        self.must(status in allowed, f"{id_} is {row['state']}, its payout {status}")
        self.must(rows.burns[id_] == 1, f"{id_} was burned {rows.burns[id_]} times")
        is_paid = int(status == "paid")
        for side in ("debit", "credit"):
            lines = rows.booked[id_, side]
            self.must(lines == is_paid, f"{id_} is {status}, the bank has {lines} {side} lines")
        rejected = told["reserve.redemption_rejected", id_]
        out = int(status != "rejected")
        self.must(tries == rejected + out, f"{id_}: {tries} orders, {rejected} rejected: {status}")
        for step, times in (
            ("requested", 1), ("received", 1), ("burn_requested", row["burn_attempt"]),
            ("burned", 1), ("payout_retried", tries - 1), ("sent", out), ("paid", is_paid),
        ):  # fmt: skip
            found = told[f"reserve.redemption_{step}", id_]
            self.must(found == times, f"redemption_{step} of {id_}: {found}, not {times}")
        for step, times in (("burn", 1), ("sent", out), ("paid", is_paid)):
            found = rows.posted[f"{id_}:{step}"]
            self.must(found == times, f"{id_}:{step} was posted {found} times, not {times}")

    def _moved_once(self, sent: Paid, rows: _Rows, told: Counter[tuple[str, str]]) -> None:
        id_ = sent.session
        row = rows.second[id_]
        self.must(row["mint_status"] == "minted", f"{id_} is {row['state']}, {row['mint_status']}")
        for name, found in (("burned", rows.burns[id_]), ("minted", rows.mints[id_])):
            self.must(found == 1, f"{id_} was {name} {found} times")
        for step, times in (
            ("requested", 1), ("received", 1), ("burn_requested", row["burn_attempt"]),
            ("burned", 1), ("mint_requested", row["mint_attempt"]), ("minted", 1),
        ):  # fmt: skip
            found = told[f"reserve.move_{step}", id_]
            self.must(found == times, f"move_{step} of {id_}: {found}, not {times}")
        for step in ("burn", "mint"):
            found = rows.posted[f"{id_}:{step}"]
            self.must(found == 1, f"{id_}:{step} was posted {found} times")

    async def _units_are_explained(
        self, events: Sequence[JsonObject], settled: Counter[str]
    ) -> None:
        """Each holder has what was made for it less what it sent; each chain, what was told."""
        supply = Counter({chain: -units for chain, units in settled.items()})
        has: Counter[str] = Counter()
        for event in events:
            data = event["data"]
            match event["type"]:
                case "reserve.issuance_issued":
                    supply[data["chain"]] += data["amount_tiyn"]
                    has[data["recipient"].lower()] += data["amount_tiyn"]
                case "faucet.sent":
                    has[data["address"].lower()] += data["amount_tiyn"]
                case "reserve.redemption_burned":
                    supply[data["chain"]] -= data["amount_units"]
                case "reserve.move_burned":
                    supply[data["from_chain"]] -= data["amount_units"]
                case "reserve.move_minted":
                    supply[data["to_chain"]] += data["amount_units"]
                    has[data["recipient"].lower()] += data["amount_units"]
        for sent in self.load.holders.sent:
            has[sent.payer.lower()] -= sent.amount_tiyn
        for holder in self.load.holders.customers:
            there, expected = await holder.units(), has[holder.address.lower()]
            self.must(there == expected, f"holder {holder.address} has {there}, not {expected}")
            there, expected = await holder.supply(), supply[holder.chain]
            self.must(there == expected, f"{holder.chain} has {there} units, {expected} were told")


async def _rows(database: asyncpg.Connection) -> _Rows:
    halves = await database.fetch(
        "SELECT i.id, i.state, i.burn_attempt, r.payout_status, r.payout_attempt, m.mint_status,"
        " m.mint_attempt FROM intake i LEFT JOIN redemption r ON r.id = i.id"
        " LEFT JOIN bridge_move m ON m.id = i.id"
    )
    posted = await database.fetch(
        "SELECT e.ref FROM entry e LEFT JOIN resolution r ON r.entry_id = e.id"
        " WHERE e.ref ~ '^(red|mov)_' AND coalesce(r.outcome, e.kind) = 'posted'"
    )
    intents = await database.fetch(
        "SELECT id, kind FROM chain_intent WHERE kind IN ('unit_burn', 'bridge_mint')"
        " AND state = 'done'"
    )
    lines = await database.fetch(
        "SELECT end_to_end_id, side FROM bank_sim.booking WHERE end_to_end_id LIKE 'red\\_%'"
    )
    burned = await database.fetch(
        "SELECT chain, sum(units) AS units FROM settlement_burn WHERE status = 'burned' GROUP BY 1"
    )
    return _Rows(
        {row["id"]: row for row in halves},
        Counter(":".join(row["ref"].split(":")[:2]) for row in posted),
        Counter(row["id"].partition(":")[0] for row in intents if row["kind"] == "unit_burn"),
        Counter(row["id"].partition(":")[0] for row in intents if row["kind"] == "bridge_mint"),
        Counter((row["end_to_end_id"].partition(":")[0], row["side"]) for row in lines),
        Counter({row["chain"]: int(row["units"]) for row in burned}),
    )
