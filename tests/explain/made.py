"""Explanations without a world: every kind of step, with the words of a stranger in them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sandbox.explain.words import Explanation, Note, Rule, Step, Wait

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
HOSTILE = "</text><script>alert(1)</script>&\"'\x07\u202e]]> <!-- \U0001f4a9"


def explanation(memo: str = "cs_1", *, repeat: int = 1) -> Explanation:
    """A payment from its request to a webhook that fails."""
    steps: list[Step] = []
    for n in range(repeat):
        steps += _steps(memo, NOW + timedelta(seconds=n))
    values = {"amount_tiyn": 10_000, "received_tiyn": 12_500, "expires_at": "2026-11-20T10:15:00Z"}
    return Explanation(
        "checkout_session",
        "cs_01m7zzhx474653wqqjcgnj4zp3",
        NOW,
        "session.complete",
        values,
        ("overpaid",),
        steps=steps,
        waits=[Wait("settlement", "worker", NOW, values={"count": 2})],
        notes=[Note("chain_silent", {"network": memo})],
    )


def _steps(memo: str, at: datetime) -> list[Step]:
    long = "7bhujvKv5DXwMNuD4x3VF5fAq1GPjdX6BBcg8TCgf5jirXqcdVNGEuXvmxsk7Wi1CH6fhjWeDEr3pVVqH8Kb"
    tx: dict[str, Any] = {
        "tx": long,
        "network": "Memory",
        "sender": memo,
        "transaction": {
            "acts": [
                {
                    "name": "memo",
                    "program": memo,
                    "accounts": [],
                    "values": {"text": memo},
                    "inner": False,
                }
            ],
            "acts_left_out": 2,
        },
    }
    delivery = {"type": "payment.final", "endpoint": "we_1", "attempts": 3, "status": 503,
                "error": None, "next_at": "2026-11-20T10:05:00Z"}  # fmt: skip
    named = Rule("named", "fail", {"carried": [f"memo:{memo}"], "matched": None})
    asked = {"request_id": "req_1", "amount_tiyn": 10_000, "expires_in_s": 900}
    return [
        Step(at, "merchant", "api", "request", "request.session", asked, place=(0, 0)),
        Step(at, "wallet", "chain", "transaction", "tx.sent", tx, place=(0, 1)),
        Step(at, "chain", "watcher", "judgement", "stray.unmatched",
             {"amount_units": "7", "height": 5, "from_address": memo}, (named,), place=(0, 2),
             is_fault=True),
        Step(at, "watcher", "ledger", "entry", "entry.pending",
             {"ref": "str_1:1", "reason": "stray transfer received", "legs": []}, place=(0, 3)),
        Step(at, "ledger", "log", "event", "event.logged",
             {"type": "stray.recorded", "about": "str_1", "event": "evt_1", "position": 3},
             place=(0, 4)),
        Step(at, "log", "receiver", "delivery", "webhook.retrying", delivery, place=(0, 5),
             is_fault=True),
    ]  # fmt: skip
