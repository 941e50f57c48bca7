"""Carries intents out: sign, store, and only then send (DESIGN 2, Sign first).

Any number of runners may work against one database; what they claim is leased. Resolving is the
watcher's: a runner only finds out that a transaction can never happen any more.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import structlog
from sqlalchemy import insert, text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.chains.errors import KeyNotHeld, NoKeys, NotSeizable, WrongChain
from sandbox.chains.models import ChainAttempt
from sandbox.chains.port import (
    Chain,
    ChainUnavailable,
    Command,
    Outcome,
    Signed,
    UnknownRecipient,
)
from sandbox.chains.resolving import expire_attempts, give_up, taken_slots
from sandbox.chains.rotating import MAY_GO, may_be_stored, one_at_a_time
from sandbox.chains.seizing import seizure
from sandbox.chains.sightings import final_height
from sandbox.chains.watching import IntentFailed, IntentHandler, KnownKeys, Record, no_keys
from sandbox.core import chance, clock, failpoints
from sandbox.core.db import UNLEASED, Database, claim
from sandbox.core.errors import SandboxError, Unavailable
from sandbox.core.log import caused_by

MAX_ATTEMPTS = 5
LEASE_S = 30
LOOK_AGAIN_S = 2
AFTER_OWN_ERROR_S = 30

_OPEN = (
    f"state IN ('due', 'signed') AND {MAY_GO}"  # noqa: S608 - SQL of our own
    " AND NOT EXISTS (SELECT 1 FROM chain_halt h WHERE h.chain = chain_intent.chain)"
)
_ALONE = "(state = 'signed' OR NOT EXISTS (SELECT FROM chain_intent WHERE state = 'signed'))"
DUE = f"EXISTS (SELECT FROM chain_intent WHERE {_OPEN} AND {UNLEASED})"
"""SQL: an intent waits for a runner."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Claimed:
    id: str
    kind: str
    state: str
    attempts: int
    command: Command
    request_id: str | None


class IntentRunner:
    """Signs and sends the intents of `chains`; `owner` names this runner in leases.

    `known_keys` tells which deposit addresses are sessions'.
    """

    def __init__(
        self,
        database: Database,
        chains: Mapping[str, Chain],
        handlers: Mapping[str, IntentHandler[Any]],
        record: Record,
        owner: str,
        *,
        known_keys: KnownKeys = no_keys,
        batch: int = 64,
        look_again_s: float = LOOK_AGAIN_S,
    ) -> None:
        self._database, self._chains = database, chains
        self._handlers, self._record, self._known_keys = handlers, record, known_keys
        self._owner, self._batch, self._look_again_s = owner, batch, look_again_s
        # Transactions that can no longer happen → the final height at which that was certain.
        self._over_at: dict[str, int] = {}

    async def step(self) -> bool:
        """Take up what is due, or was sent and is not resolved; true when there was any."""
        claimed = await self._claim()
        for chain, intents in claimed.items():
            ids = [intent.id for intent in intents]
            try:
                await self._send_due(chain, [i for i in intents if i.state == "due"])
                await self._look_after(chain, [i for i in intents if i.state == "signed"])
            except ChainUnavailable:
                log.warning("intents wait for the chain", chain=chain.name, intents=len(ids))
                await self._pause(ids, self._look_again_s)
            except Unavailable:
                raise
            except Exception as error:
                log.error("cannot carry out intents", chain=chain.name, ids=ids, exc_info=error,
                          request_ids=[i.request_id for i in intents if i.request_id])  # fmt: skip
                await self._pause(ids, AFTER_OWN_ERROR_S)
        return bool(claimed)

    async def _claim(self) -> dict[Chain, list[_Claimed]]:
        names = ", ".join(f"'{name}'" for name in self._chains)
        due, limit = f"{_OPEN} AND chain IN ({names})", self._batch
        if chance.is_sown():
            # What one brings about is told before the next is sent, on whichever chain.
            due, limit = f"{due} AND {_ALONE}", 1
        async with self._database.transaction() as db:
            rows = await claim(
                db,
                "chain_intent",
                due,
                owner=self._owner,
                limit=limit,
                seconds=LEASE_S,
                order="state, id",
            )
        claimed: dict[Chain, list[_Claimed]] = {}
        for row in sorted(rows, key=lambda row: row.id):
            command = Command(**row.command)
            intent = _Claimed(row.id, row.kind, row.state, row.attempts, command, row.request_id)
            claimed.setdefault(self._chains[row.chain], []).append(intent)
        return claimed

    # Due: sign, commit, send.

    async def _send_due(self, chain: Chain, intents: Sequence[_Claimed]) -> None:
        if not intents:
            return
        intents, later = one_at_a_time([(one.command.action, one) for one in intents])
        if later:
            await self._pause([one.id for one in later], 0)
        # Read before the chain is asked: what ends in between has moved the chain's own count.
        taken = await self._taken(chain)
        signed: dict[str, Signed] = {}
        for intent in intents:
            try:
                await self._check_parties(chain, intent.command)
                one = signed[intent.id] = await chain.prepare(intent.command, taken)
                taken.update(one.slots)
            except KeyNotHeld as missing:
                # What needs other keys goes on. For a rotation everybody waits: it must end.
                if intent.command.action == "rotate":
                    await self._refuse(chain, intent, missing.code)
                    continue
                log.error("cannot sign an intent", chain=chain.name, intent=intent.id,
                          why=missing.detail, **_because_of(intent))  # fmt: skip
                await self._pause([intent.id], AFTER_OWN_ERROR_S)
            except (Unavailable, NoKeys, WrongChain):
                raise
            except SandboxError as refused:
                await self._refuse(chain, intent, refused.code)
        if not signed:
            return
        is_rotation = intents[0].command.action == "rotate"
        held = await self._store(chain, signed, is_rotation)
        for intent in intents:
            if intent.id in held:
                log.info("intent signed", chain=chain.name, intent=intent.id, kind=intent.kind,
                         tx=signed[intent.id].tx_id, **_because_of(intent))  # fmt: skip
        await self._broadcast(chain, {id_: signed[id_] for id_ in held})

    async def _taken(self, chain: Chain) -> set[str]:
        async with self._database.transaction() as db:
            return await taken_slots(db, chain.name)

    async def _check_parties(self, chain: Chain, command: Command) -> None:
        """Refuse what would move units in other ways than the books of whoever asked say."""
        if command.action == "transfer" and command.recipient in chain.own_addresses():
            # To ourselves it would move nothing.
            raise UnknownRecipient(chain.name, command.recipient)
        if command.action != "seize":
            return
        holder, recipient = seizure(chain, command)
        if not (key := chain.deposit_key(holder)):
            return
        async with self._database.transaction() as db:
            if key in await self._known_keys(db, chain.name, [key]):
                why = f"{holder} is where a session is paid"
                raise NotSeizable(chain.name, holder, recipient, why)

    async def _store(
        self, chain: Chain, signed: Mapping[str, Signed], is_rotation: bool
    ) -> list[str]:
        """Commit the attempts of the intents that are still ours; returns which those are.

        Where transactions are numbered, what another runner took first is left for the next
        step, and so is all that would stand behind a gap.
        """
        is_ordered = any(one.slots for one in signed.values())
        async with self._database.transaction() as db:
            if is_ordered:
                await db.execute(
                    text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"),
                    {"name": f"sign\n{chain.name}"},
                )
            held = await self._held(db, signed, "due")
            if held and not await may_be_stored(db, chain.name, is_rotation):
                await self._hold_off(db, held, 0)
                return []
            if is_ordered:
                mine, taken = set(held), await taken_slots(db, chain.name)
                held = list(
                    takewhile(
                        lambda id_: id_ in mine and taken.isdisjoint(signed[id_].slots), signed
                    )
                )
                await self._hold_off(db, mine.difference(held), 0)
            if not held:
                return []
            moved = await db.execute(
                text(
                    "UPDATE chain_intent i SET state = 'signed', attempts = i.attempts + 1,"
                    " tx = new.tx FROM unnest(CAST(:ids AS text[]), CAST(:txs AS text[]))"
                    " AS new(id, tx) WHERE i.id = new.id RETURNING i.id, i.attempts"
                ),
                {"ids": held, "txs": [signed[id_].tx_id for id_ in held]},
            )
            at = await clock.now(db)
            rows = [
                {
                    "intent_id": id_,
                    "n": n,
                    "tx_id": signed[id_].tx_id,
                    "raw": signed[id_].raw,
                    "valid_until_height": signed[id_].valid_until_height,
                    "slots": list(signed[id_].slots),
                    "state": "signed",
                    "signed_at": at,
                }
                for id_, n in moved
            ]
            await db.execute(insert(ChainAttempt), rows)
            failpoints.passed("attempt.uncommitted", *_sorts(held))
        failpoints.passed("attempt.committed", *_sorts(held))
        return held

    async def _refuse(self, chain: Chain, intent: _Claimed, reason: str) -> None:
        """End an intent that this chain can never carry out: nothing was signed."""
        async with self._database.transaction() as db:
            if await self._held(db, [intent.id], "due"):
                await self._end(db, chain, intent, None, reason)

    # Signed: send again, or find out that it is over.

    async def _look_after(self, chain: Chain, intents: Sequence[_Claimed]) -> None:
        if not intents:
            return
        open_ = await self._open_attempts([intent.id for intent in intents])
        again: dict[str, Signed] = {}
        expired: list[_Claimed] = []
        # Those that were resolved since they were claimed have no open attempt.
        intents = [intent for intent in intents if intent.id in open_]
        outcomes = await asyncio.gather(*(chain.outcome(open_[i.id]) for i in intents))
        for intent, outcome in zip(intents, outcomes, strict=True):
            if outcome is Outcome.unknown:
                again[intent.id] = open_[intent.id]
            elif outcome is Outcome.not_done:
                expired.append(intent)
        if expired:
            await self._expire(chain, expired, open_)
        await self._broadcast(chain, again)
        await self._pause([intent.id for intent in intents], self._look_again_s)

    async def _open_attempts(self, ids: Sequence[str]) -> dict[str, Signed]:
        async with self._database.transaction() as db:
            rows = await db.execute(
                text(
                    "SELECT intent_id, tx_id, raw, valid_until_height, slots FROM chain_attempt"
                    " WHERE intent_id = ANY(:ids) AND state = 'signed'"
                ),
                {"ids": list(ids)},
            )
            return {
                row.intent_id: Signed(row.tx_id, row.raw, row.valid_until_height, tuple(row.slots))
                for row in rows
            }

    async def _expire(
        self, chain: Chain, intents: Sequence[_Claimed], attempts: Mapping[str, Signed]
    ) -> None:
        """Make way for a new attempt, once the watcher has read all that `outcome` has read.

        Until then a `not_done` may also be a failure on chain, which is the watcher's to tell.
        """
        if any(attempts[intent.id].tx_id not in self._over_at for intent in intents):
            heads = await chain.heads()
            for intent in intents:
                self._over_at.setdefault(attempts[intent.id].tx_id, heads.final)
        async with self._database.transaction() as db:
            read_upto = await final_height(db, chain.name)
            over = [i for i in intents if self._over_at[attempts[i.id].tx_id] <= read_upto]
            held = set(await self._held(db, [intent.id for intent in over], "signed"))
            for intent in over:
                if intent.id not in held:
                    continue
                await expire_attempts(db, intent.id)
                if intent.attempts >= MAX_ATTEMPTS:
                    await self._end(db, chain, intent, attempts[intent.id].tx_id, "expired")
                else:
                    await db.execute(
                        text(
                            "UPDATE chain_intent SET state = 'due', lease_owner = NULL,"
                            " lease_until = NULL WHERE id = :id"
                        ),
                        {"id": intent.id},
                    )
        self._over_at = {tx: at for tx, at in self._over_at.items() if at > read_upto}

    # Both.

    async def _broadcast(self, chain: Chain, signed: Mapping[str, Signed]) -> None:
        if not signed:
            return
        sent = await asyncio.gather(
            *(chain.broadcast(one) for one in signed.values()), return_exceptions=True
        )
        failpoints.passed("broadcast.sent", *_sorts(signed))
        reached = []
        for id_, answer in zip(signed, sent, strict=True):
            if answer is None:
                reached.append(signed[id_].tx_id)
            elif not isinstance(answer, ChainUnavailable):
                raise answer
        async with self._database.transaction() as db:
            await db.execute(
                text(
                    "UPDATE chain_attempt SET broadcast_at = coalesce(broadcast_at, sandbox_now())"
                    " WHERE tx_id = ANY(:txs)"
                ),
                {"txs": reached},
            )
            await self._hold_off(db, signed, self._look_again_s)
        failpoints.passed("broadcast.recorded", *_sorts(signed))

    async def _end(
        self, db: AsyncSession, chain: Chain, intent: _Claimed, tx: str | None, reason: str
    ) -> None:
        height = max(0, await final_height(db, chain.name))
        at = await clock.now(db)
        failed = IntentFailed(intent.id, chain.name, tx, height, at, reason)
        with caused_by(intent.request_id):
            log.info("intent given up", chain=chain.name, intent=intent.id, why=reason)
            await self._record(db, [await give_up(db, self._handlers, intent.kind, failed)], [])

    async def _held(self, db: AsyncSession, ids: Iterable[str], state: str) -> list[str]:
        """Lock those of the intents that are in `state` and still leased to this runner."""
        rows = await db.execute(
            text(
                "SELECT id FROM chain_intent WHERE id = ANY(:ids) AND state = :state"
                " AND lease_owner = :owner ORDER BY id FOR NO KEY UPDATE"
            ),
            {"ids": sorted(ids), "state": state, "owner": self._owner},
        )
        return [row.id for row in rows]

    async def _pause(self, ids: Iterable[str], seconds: float) -> None:
        async with self._database.transaction() as db:
            await self._hold_off(db, ids, seconds)

    async def _hold_off(self, db: AsyncSession, ids: Iterable[str], seconds: float) -> None:
        """Leave intents alone for a while; nobody owns them meanwhile."""
        await db.execute(
            text(
                "UPDATE chain_intent SET lease_owner = NULL,"
                " lease_until = clock_timestamp() + :seconds * interval '1 second'"
                " WHERE id = ANY(:ids) AND lease_owner = :owner"
            ),
            {"ids": sorted(ids), "seconds": seconds, "owner": self._owner},
        )


def _sorts(ids: Iterable[str]) -> list[str]:
    """What intents are about: the prefixes of their ids (CONTRACT 1), and `<prefix>-<step>` where
    one object has several."""
    named = set[str]()
    for id_ in ids:
        object_, _, steps = id_.partition(":")
        prefix = object_.partition("_")[0]
        named.add(prefix)
        if steps:
            named.add(f"{prefix}-{steps.partition(':')[0]}")
    return sorted(named)


def _because_of(intent: _Claimed) -> dict[str, str]:
    return {"request_id": intent.request_id} if intent.request_id else {}
