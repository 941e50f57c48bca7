"""Which process is killed where: every window that a run may hit, drawn in a seeded order."""

import random
from dataclasses import dataclass

API, WORKER, POSTGRES, BACKEND = "api", "worker", "postgres", "backend"
SOLANA, EVM, ANVIL, SUPERVISOR = "solana", "evm", "anvil", "supervisor"

MOMENT = "at a random moment"


@dataclass(frozen=True, slots=True)
class Kill:
    """`victim` is killed when any process passes `point` the `count`-th time; or at once.

    `by_clock`: only a new day of the sandbox leads there.
    """

    victim: str
    point: str = MOMENT
    count: int = 1
    by_clock: bool = False

    @property
    def window(self) -> tuple[str, str]:
        return self.point, self.victim


def _around(*points: str) -> list[str]:
    return [f"{point}.{when}" for point in points for when in ("uncommitted", "committed")]


def _of(points: list[str], *what: str) -> list[str]:
    return [f"{point}.{one}" for point in points for one in what]


_POSTS = ("sessions", "refunds", "settlements", "faucet")
_INTENTS = ("fau", "re", "swp", "stl")
_CHAINS = ("solana", "evm")
_PASSED_BY: dict[str, list[str]] = {
    API: [f"{point}.{what}" for point in _around("post") for what in _POSTS],
    WORKER: [
        *(
            f"{point}.{what}"
            for point in (*_around("attempt"), "broadcast.sent", "broadcast.recorded")
            for what in _INTENTS
        ),
        *(f"{point}.{chain}" for point in _around("confirm", "final") for chain in _CHAINS),
        *(f"{point}.pacs.002.ACSP" for point in _around("bank-message")),
        *_around("burn-asked", "bank-received", "sequence", "webhook"),
        "webhook.delivered",
    ],
    SOLANA: ["solana.executed", "solana.unwritten", "solana.written", "solana.archived"],
    EVM: ["evm.taken", "evm.taken.written", "evm.mined", "evm.mined.written", "evm.dumped"],
}
_BY_CLOCK = [
    *(f"{point}.camt.054.DBIT" for point in _around("bank-message")),
    *_around("cut-off", "bank-booked", "statement-taken"),
]
# What another process is in the middle of, when the victim is killed.
_AT_OTHERS: dict[str, list[str]] = {
    POSTGRES: [
        *(f"{point}.sessions" for point in _around("post")),
        *_around("attempt", "sequence"),
        "final.uncommitted.solana",
        "confirm.uncommitted.evm",
        "broadcast.sent",
        "webhook.delivered",
        "burn-asked.uncommitted",
        "bank-message.uncommitted.pacs.002.ACSP",
    ],
    BACKEND: ["post.uncommitted.sessions", "final.uncommitted.evm", "sequence.uncommitted"],
    SOLANA: ["attempt.committed", "broadcast.sent", "confirm.uncommitted.solana"],
    EVM: ["attempt.committed", "broadcast.sent", "confirm.uncommitted.evm"],
    ANVIL: ["evm.taken", "evm.taken.written", "evm.mined", "evm.mined.written", "broadcast.sent"],
    SUPERVISOR: [
        "post.committed.sessions",
        "attempt.committed",
        "broadcast.sent",
        "final.uncommitted.evm",
        "solana.unwritten",
        "evm.mined",
    ],
    WORKER: ["post.committed.settlements", "evm.mined", "solana.written"],
}
_SENT = [*_around("attempt"), "broadcast.sent", "broadcast.recorded"]
_RESERVE: dict[str, list[str]] = {
    API: [
        *_of(_around("post"), "deposits", "credits", "issuances", "redemptions", "moves"),
        *_of(_around("post"), "attestations", "retry"),
    ],
    WORKER: [
        *_of(_SENT, "iss", "red-sweep", "red-burn", "mov-sweep", "mov-burn", "mov-mint"),
        *_of(_around("intake-step"), "red", "mov", "mint"),
        *_of(_around("redemption-message"), "pacs.002.ACSP", "pacs.002.RJCT"),
        *_of(_around("credit-notice"), "camt.054.PDNG", "camt.054.CRDT"),
        *_around("attest", "reconcile"),
    ],
    POSTGRES: [
        "intake-step.uncommitted.mint",
        "redemption-message.uncommitted",
        "credit-notice.uncommitted",
        "attest.uncommitted",
        "post.uncommitted.issuances",
    ],
    BACKEND: ["intake-step.uncommitted", "credit-notice.uncommitted", "attest.uncommitted"],
    SOLANA: ["attempt.committed.mov-mint", "broadcast.sent.red-burn"],
    EVM: ["attempt.committed.mov-mint", "broadcast.sent.red-burn", "broadcast.sent.red-sweep"],
    ANVIL: ["broadcast.sent.mov-mint", "broadcast.sent.iss"],
    SUPERVISOR: [
        "intake-step.committed.mint",
        "redemption-message.committed",
        "post.committed.moves",
    ],
}
_RESERVE_BY_CLOCK = [
    *_of(_around("redemption-message"), "camt.054.DBIT"),
    *_around("day-sealed"),
]
VICTIMS = (API, WORKER, POSTGRES, BACKEND, SOLANA, EVM, ANVIL, SUPERVISOR)

RESERVE: list[Kill] = [
    *(Kill(victim, point) for victim, points in _RESERVE.items() for point in points),
    *(Kill(WORKER, point, by_clock=True) for point in _RESERVE_BY_CLOCK),
]
PAYMENTS: list[Kill] = [
    *(Kill(victim, point) for victim, points in _PASSED_BY.items() for point in points),
    *(Kill(WORKER, point, by_clock=True) for point in _BY_CLOCK),
    *(Kill(victim, point) for victim, points in _AT_OTHERS.items() for point in points),
    *(Kill(victim) for victim in VICTIMS for _ in range(2)),
]
WINDOWS = {"payments": PAYMENTS, "reserve": RESERVE, "all": PAYMENTS + RESERVE}

# For every test run: each process once, and each class of failpoints. What a killed worker has
# leased waits half a minute (an attestation a whole one), so its kills come first.
ONE_OF_EACH = [
    Kill(WORKER, "intake-step.committed.mint"),
    Kill(WORKER, "redemption-message.uncommitted.pacs.002.ACSP"),
    Kill(WORKER, "broadcast.sent.re"),
    Kill(WORKER, "final.uncommitted.solana"),
    Kill(WORKER, "webhook.delivered"),
    Kill(SUPERVISOR, "attempt.committed"),
    Kill(API, "post.committed.sessions"),
    Kill(EVM, "evm.taken"),
    Kill(SOLANA, "solana.unwritten"),
    Kill(ANVIL, "evm.mined"),
    Kill(BACKEND, "sequence.uncommitted"),
    Kill(POSTGRES, "post.uncommitted.sessions"),
]


def drawn(seed: int, kills: int, windows: str = "all") -> list[Kill]:
    """`kills` of them: every window once before any is hit again; a few counts above one."""
    chance = random.Random(seed)
    found: list[Kill] = []
    while len(found) < kills:
        deck = list(WINDOWS[windows])
        chance.shuffle(deck)
        found += [
            Kill(kill.victim, kill.point, chance.choice((1, 1, 1, 2, 3)), kill.by_clock)
            for kill in deck
        ]
    return found[:kills]
