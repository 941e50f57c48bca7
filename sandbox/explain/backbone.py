"""What every explanation has: entries, events, deliveries, orders to chains and to the bank.

The events give the order: whatever else happened is put beside the event that it led to or that
caused it, because with a clock that stands still times say nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sandbox.chains.port import Chain
from sandbox.core.clock import iso
from sandbox.explain import links, transactions
from sandbox.explain.facts import Booked, Facts, Told
from sandbox.explain.words import Lane, Note, Seen, Step, Values, Wait

LAST = 1e9
"""The place of what no event tells of yet."""
# Phases: what belongs to one event, in its causal order.
ASKED, OFFERED, SENT, SEEN, RESERVED, SIGNED, BOOKED, TOLD, DELIVERED = range(9)
SILENT_STATUSES = ("delivered", "canceled")


def steps(facts: Facts, chains: Mapping[str, Chain], seen: Seen) -> list[Step]:
    """Entries, orders, the bank's messages, events and deliveries, as the viewer may see them."""
    made = [*_events(facts), *_entries(facts), *_orders(facts, chains, seen), *_bank(facts)]
    return made + _deliveries(facts)


def notes(facts: Facts) -> list[Note]:
    """What was left out, by kind."""
    return [
        Note("list_cut_at" if cut.where else "list_cut", {"what": what, **asdict(cut)})
        for what, cut in facts.cut.items()
    ]


def nth(facts: Facts, id_: str, type_: str, n: int) -> Told | None:
    """The n-th event (from 1) of one type of an object."""
    found = facts.of(id_, type_)
    return found[n - 1] if 0 < n <= len(found) else None


def _events(facts: Facts) -> list[Step]:
    return [
        Step(
            event.at,
            "ledger",
            "log",
            "event",
            "event.logged" if event.position is not None else "event.queued",
            {
                "event": event.id,
                "type": event.type,
                "about": event.about,
                "epoch": event.epoch,
                # The sequence is the only number that a merchant sees (CONTRACT 4).
                "position": event.position if facts.viewer is None else None,
                "sequence": event.sequence,
                "request_id": event.request_id,
            },
            links=(links.link("event", event.id, facts.viewer),),
            place=(event.index, TOLD),
        )
        for event in facts.events
    ]


def visible_legs(facts: Facts, entry: Booked) -> tuple[list[dict[str, Any]], int]:
    """The legs that the viewer may see, and how many others there are.

    A merchant sees the accounts that are kept for it and for its own objects.
    """
    legs = [
        {"book": book, "asset": asset, "code": code, "side": side, "amount": int(amount)}
        for book, asset, code, side, amount in entry.legs
    ]
    if facts.viewer is None:
        return legs, 0
    mine = {facts.viewer, *(event.about for event in facts.events)}
    named = (event.data.get("session") for event in facts.events)
    mine |= {id_ for id_ in named if isinstance(id_, str)}
    shown = [leg for leg in legs if str(leg["code"]).rpartition(":")[2] in mine]
    return shown, len(legs) - len(shown)


def _entries(facts: Facts) -> list[Step]:
    by_id = {event.id: event for event in facts.events}
    posting = {id_: event for event in facts.events for id_ in event.entries}
    made = []
    for entry in facts.entries:
        told = by_id.get(entry.event_id or "") or posting.get(entry.id)
        at_end = LAST if told is None else told.index
        legs, hidden = visible_legs(facts, entry)
        values = {
            "entry": entry.id,
            "ref": entry.ref,
            "reason": entry.reason,
            "legs": legs,
            "legs_hidden": hidden,
            "height": entry.height,
        }
        seen = (links.link("ledger_entry", entry.id, facts.viewer),)
        if entry.kind == "pending":
            began = _beginning(facts, entry)
            place = (at_end - 0.5 if began is None else began.index, RESERVED)
            made.append(Step(entry.at, "watcher" if _came_in(entry) else "api", "ledger", "entry",
                             "entry.pending", values, links=seen, place=place,
                             beside=None if began is None else began.at))  # fmt: skip
        if entry.kind == "posted" or entry.outcome is not None:
            code = "entry.posted" if entry.kind == "posted" else f"entry.{entry.outcome}"
            at = entry.resolved_at or entry.at
            made.append(Step(at, "watcher", "ledger", "entry", code, values, links=seen,
                             place=(at_end, BOOKED),
                             beside=None if told is None else told.at))  # fmt: skip
    return made


def _came_in(entry: Booked) -> bool:
    return entry.reason.endswith("received")


def _beginning(facts: Facts, entry: Booked) -> Told | None:
    """The event of the step that wrote a pending entry, where its reference says which."""
    about, _, number = entry.ref.partition(":")
    if not number:
        return next(iter(facts.of(about, "refund.requested")), None)
    if not number.isdigit():
        return None
    types = {"pay": "payment.confirmed", "str": "stray.recorded"}
    type_ = types.get(about.partition("_")[0])
    return None if type_ is None else nth(facts, about, type_, int(number))


def _orders(facts: Facts, chains: Mapping[str, Chain], seen: Seen) -> list[Step]:
    """What the sandbox had chains do: each transaction that was signed, and how the order ended."""
    ends = {entry.ref: entry for entry in facts.entries}
    by_id = {event.id: event for event in facts.events}
    made: list[Step] = []
    for row in facts.orders:
        entry = ends.get(row.id)
        told = by_id.get(entry.event_id or "") if entry is not None else None
        place = (LAST if told is None else float(told.index)) - 0.4
        if row.tx_id is None:
            continue
        values = {
            "order": row.id,
            "action": row.action,
            **transactions.told(chains, seen, row.chain, row.tx_id),
            "attempt": row.n,
            "valid_until_height": row.valid_until_height,
            "broadcast_at": None if row.broadcast_at is None else iso(row.broadcast_at),
            "reason": row.attempt_reason,
        }
        made.append(Step(row.signed_at, "worker", "chain", "transaction", "order.signed", values,
                         place=(place, SIGNED)))  # fmt: skip
        if row.attempt_state in ("done", "not_done"):
            at = row.resolved_at if row.resolved_at and row.attempt_state == row.state else None
            made.append(
                Step(
                    at or row.signed_at,
                    "chain",
                    "watcher",
                    "judgement",
                    f"order.{row.attempt_state}",
                    values,
                    place=(place + 0.2, SEEN),
                    is_fault=row.attempt_state == "not_done",
                )
            )
    return made


def order_waits(facts: Facts) -> list[Wait]:
    """What stands between an order to a chain and its end."""
    waits: list[Wait] = []
    newest: Mapping[str, Any] = {row.id: row for row in facts.orders}
    for row in newest.values():
        if row.state not in ("due", "signed"):
            continue
        values = {
            "order": row.id,
            "action": row.action,
            "chain": row.chain,
            "tx": row.tx_id,
            "attempt": row.n or 0,
            "final_height": facts.state.final.get(row.chain),
            "reason": row.attempt_reason or row.reason,
        }
        if row.state == "signed":
            code = "order_final" if row.broadcast_at else "order_broadcast"
        else:
            code = "order_again" if row.n else "order_due"
        waits.append(Wait(code, "worker", since=row.signed_at or row.created_at, values=values))
    return waits


_BANK_SAYS: dict[str, str] = {
    "pacs.008": "bank.ordered",
    "pacs.002.ACSP": "bank.accepted",
    "pacs.002.PDNG": "bank.queued",
    "pacs.002.RJCT": "bank.rejected",
    "pacs.004": "bank.returned",
    "camt.054.DBIT": "bank.booked",
}


def _bank(facts: Facts) -> list[Step]:
    made = []
    for row in facts.bank:
        is_out = row.direction == "out"
        who: tuple[Lane, Lane] = ("worker", "bank") if is_out else ("bank", "worker")
        code = _BANK_SAYS.get(row.kind, "bank.message")
        values = {
            "order": row.end_to_end_id,
            "message": row.kind,
            "amount_tiyn": row.amount_tiyn,
            "reason": row.reason,
            "read": row.read_at is not None,
        }
        told = _told_of(facts, row.end_to_end_id, code)
        place = (LAST - 0.3 if told is None else told.index + (0.3 if is_out else -0.3), SENT)
        made.append(
            Step(row.created_at, *who, "bank", code, values, place=place,
                 is_fault=code in ("bank.rejected", "bank.returned"))
        )  # fmt: skip
        for at in row.sent_again:
            made.append(
                Step(at, "worker", "bank", "bank", "bank.ordered_again", values,
                     place=(place[0] + 0.1, SENT), is_fault=True)
            )  # fmt: skip
    return made


def _told_of(facts: Facts, order: str, code: str) -> Told | None:
    about = order.partition(":")[0]
    types = {
        "bank.ordered": ("settlement.settled",),
        "bank.accepted": ("payout.sent",),
        "bank.booked": ("payout.completed", "settlement.fee_paid"),
        "bank.rejected": ("payout.rejected",),
        "bank.returned": ("payout.returned",),
    }.get(code, ())
    if code == "bank.ordered":
        return next((event for event in facts.events if event.type in types), None)
    return next(iter(facts.of(about, *types)), None) if types else None


def _deliveries(facts: Facts) -> list[Step]:
    by_id = {event.id: event for event in facts.events}
    made, is_only = list[Step](), len(facts.events) == 1
    for row in facts.deliveries:
        event = by_id[row.event_id]
        is_retry = row.status == "pending" and row.attempts > 0
        state = "retrying" if is_retry else row.status
        values = {
            "delivery": row.id,
            "endpoint": row.endpoint,
            "event": event.id,
            "type": event.type,
            "attempts": row.attempts,
            "status": row.last_status,
            "error": row.last_error,
            "next_at": None if row.next_attempt_at is None else iso(row.next_attempt_at),
        }
        made += _failed(event, values, (row.attempts_made or ())[:-1], is_only=is_only)
        made.append(
            Step(
                row.last_attempt_at or row.created_at,
                "log",
                "receiver",
                "delivery",
                f"webhook.{state}",
                values,
                links=(links.link("webhook_delivery", row.id, facts.viewer),),
                place=(event.index, DELIVERED),
                is_fault=state in ("retrying", "exhausted", "canceled"),
            )
        )
    return made


def _failed(
    event: Told, values: Values, attempts: Sequence[Mapping[str, Any]], *, is_only: bool
) -> list[Step]:
    """Attempts that failed; where other events are told too, the first and how many followed."""
    if not is_only and len(attempts) > 2:
        first, *others = attempts
        more = {**others[-1], "count": len(others)}
        attempts = [first, more]
    made = []
    for attempt in attempts:
        said = {"attempts": attempt["number"], "status": attempt["status"],
                "error": attempt["error"], "next_at": None}  # fmt: skip
        code = "webhook.failed"
        if "count" in attempt:
            code, said = "webhook.failed_more", said | {"count": attempt["count"]}
        made.append(
            Step(datetime.fromisoformat(attempt["at"]), "log", "receiver", "delivery", code,
                 {**values, **said}, place=(event.index, DELIVERED), is_fault=True)
        )  # fmt: skip
    return made


def log_waits(facts: Facts) -> list[Wait]:
    """Events without a position, deliveries that are still to be made or were given up."""
    waits = [
        Wait("log_position", "worker", since=event.at, values={"event": event.id})
        for event in facts.events
        if event.position is None
    ][:1]
    for row in facts.deliveries:
        if row.status in SILENT_STATUSES:
            continue
        values = {
            "delivery": row.id,
            "endpoint": row.endpoint,
            "event": row.event_id,
            "attempts": row.attempts,
            "status": row.last_status,
            "error": row.last_error,
        }
        if row.status == "exhausted":
            code, whose = "webhook_exhausted", "merchant"
        elif row.attempts:
            code, whose = "webhook_retry", "receiver"
        else:
            code, whose = "webhook_due", "worker"
        waits.append(
            Wait(code, whose, since=row.created_at, until=row.next_attempt_at, values=values)
        )
    return waits


def chain_waits(facts: Facts, chain: str, height: int | None, since: Any = None) -> list[Wait]:
    """Why what stands at a height is not final: the chain goes on, or is followed no more."""
    halt = facts.state.halts.get(chain)
    if halt is not None:
        values = {"chain": chain, "reason": halt.reason, "height": halt.height}
        return [Wait("chain_halted", "operator", since=halt.since, values=values)]
    final = facts.state.final.get(chain)
    return [
        Wait(
            "block_final",
            "chain",
            since=since,
            values={
                "chain": chain,
                "height": height,
                "final_height": final,
                "confirmed_height": facts.state.confirmed.get(chain),
            },
        )
    ]
