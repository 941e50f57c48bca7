"""A world whose worker attests, and its log as files: real, or forged with the real key."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import text

from sandbox.core import clock
from sandbox.core.canonical import canonical_exact
from sandbox.core.db import Leader
from sandbox.core.ids import new_id
from sandbox.eventlog import sequencer
from sandbox.eventlog.keys import LogKey
from sandbox.eventlog.leaf import api_data, public_data
from sandbox.eventlog.types import NewEvent
from sandbox.ledger import service as ledger
from sandbox.ledger.chart import accounts
from sandbox.ledger.journal import Changes, NewEntry, credit, debit
from sandbox.reserve import attestation, attesting
from tests.eventlog.logs import MemoryLog
from tests.reserve.world import World

Json = dict[str, Any]
ORIGIN = "log.example"
KEY = LogKey(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32))
VKEY = KEY.vkey(1)
MERCHANT = "party-merchant"


@dataclass
class Attested:
    """`world` with tokens of which a merchant claims some, and a sequencer."""

    world: World
    leader: Leader

    async def begin(self) -> None:
        async with self.world.database.transaction() as db:
            await sequencer.open_epoch(db, KEY)
        body = {"amount_tiyn": 100_000, "bank_reference": "CAMT-1"}
        deposit = (await self.world.post("/v1/reserve/deposits", body)).json()["id"]
        asked = {
            "deposit": deposit,
            "chain": "memory",
            "amount_tiyn": 90_000,
            "recipient": self.world.chain.treasury,
        }
        assert (await self.world.post("/v1/reserve/issuances", asked)).status_code == 201
        await self.world.carry_out()
        await self.capture(MERCHANT, 6_000)
        await self.capture("mch_other", 4_000)

    async def capture(self, merchant: str, units: int) -> None:
        """Units of the float become a merchant's."""
        async with self.world.database.transaction() as db:
            at = await clock.now(db)
            ref = new_id("pay", at)
            legs = (
                debit(accounts.float_("memory"), units),
                credit(accounts.merchant("memory", merchant), units),
            )
            entry = NewEntry(
                new_id("ent", at), "posted", "capture", ref, "memory", at, "test", legs
            )
            event = NewEvent(new_id("evt", at), "payment.captured", at, {}, refs=(ref,))
            await ledger.record(db, Changes(entries=[entry], events=[event]))

    async def step(self, owner: str = "worker-1") -> int:
        return await attesting.step(self.world.database, self.world.chains, KEY, owner)

    async def sequence(self) -> None:
        while await sequencer.Sequencer(self.world.database, self.leader, KEY).step():
            pass

    async def attest(self) -> Json:
        """Asked for, made and in the log; as the API shows it."""
        asked = await self.world.post("/v1/reserve/attestations", {}, "issuer")
        assert asked.status_code == 201
        await self.sequence()
        assert await self.step() == 1
        await self.sequence()
        found = await self.world.get(f"/v1/reserve/attestations/{asked.json()['id']}", "regulator")
        made: Json = found.json()
        assert made["status"] == "attested"
        return made

    async def leaves(self) -> list[bytes]:
        async with self.world.database.transaction() as db:
            rows = await db.execute(
                text(
                    "SELECT e.leaf FROM log_entry l JOIN event e ON e.id = l.event_id"
                    " ORDER BY l.position"
                )
            )
            return [row.leaf for row in rows]

    async def export(self, folder: Path) -> Path:
        return await asyncio.to_thread(
            MemoryLog(await self.leaves(), f"{ORIGIN}/e1").export, folder
        )


def forged(leaves: list[bytes], id_: str, alter: Callable[[Json], None], folder: Path) -> Json:
    """A lie told with the real key: note, event and log say the same; the attestation's file."""
    altered, said = list[bytes](), dict[str, Any]()
    for data in leaves:
        leaf = orjson.loads(data)
        if leaf["type"] == attestation.EVENT and leaf["data"]["id"] == id_:
            said = api_data(leaf["data"], None)
            alter(said)
            leaf["data"] = public_data(said)
        altered.append(canonical_exact(leaf))
    MemoryLog(altered, f"{ORIGIN}/e1").export(folder)
    return {**said, "signed_note": attestation.sign(said, KEY, 1)}
