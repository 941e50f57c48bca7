"""Explains an object: read in one transaction, then the chains are asked, then it is told."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.chains.port import Chain, ChainUnavailable, Decoded
from sandbox.core.db import Database
from sandbox.core.errors import NotFound, SandboxError
from sandbox.explain import checkout, checkout_steps, others
from sandbox.explain.words import Explanation, Note, Seen, Subject

CHAINS_WITHIN_S = 3.0
"""A node that hangs must not keep anyone from reading what is stored."""

Reader = Callable[[AsyncSession, str, str | None], Awaitable[Any]]
Builder = Callable[[Any, Mapping[str, Chain], Seen], Explanation]


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of object is explained."""

    read: Reader
    build: Builder


def _other(read: Reader) -> Kind:
    return Kind(read, others.build)


def _checkout(read: Reader) -> Kind:
    return Kind(read, checkout_steps.build)


async def _read_stray(db: AsyncSession, id_: str, viewer: str | None) -> Any:
    """A transfer that came to us, or units that their holder burned; those are no merchant's."""
    try:
        return await checkout.of_stray(db, id_, viewer)
    except NotFound:
        if viewer is not None:
            raise
        return await others.of_holder_burn(db, id_)


def _build_stray(read: Any, chains: Mapping[str, Chain], seen: Seen) -> Explanation:
    if isinstance(read, others.Other):
        return others.build(read, chains, seen)
    return checkout_steps.build(read, chains, seen)


KINDS: Mapping[str, Kind] = {
    "checkout_session": _checkout(checkout.of_session),
    "payment": _checkout(checkout.of_payment),
    "refund": _checkout(checkout.of_refund),
    "stray_transfer": Kind(_read_stray, _build_stray),
    "settlement": _other(others.of_settlement),
    "payout": _other(others.of_payout),
    "deposit": _other(others.of_deposit),
    "issuance": _other(others.of_issuance),
    "redemption": _other(others.of_redemption),
    "bridge_move": _other(others.of_move),
    "event": _other(others.of_event),
    "webhook_delivery": _other(others.of_delivery),
}


def grants_by(grants: others.Grants) -> Kind:
    """How faucet grants are explained, which a slice beside this one keeps."""

    async def read(db: AsyncSession, id_: str, viewer: str | None) -> others.Other:
        return await others.of_grant(db, id_, viewer, grants)

    return _other(read)


def transaction_for(tx: str) -> Kind:
    """How a session is explained to somebody who asks for one transaction."""

    async def read(db: AsyncSession, id_: str, viewer: str | None) -> checkout.Checkout:
        return await checkout.of_transaction(db, id_, viewer, tx)

    return _checkout(read)


async def explain(
    database: Database, chains: Mapping[str, Chain], kind: Kind, id_: str, viewer: str | None
) -> Explanation:
    """Why the object is as it is, for a merchant (its id) or for who sees everything (None).

    Raises `NotFound`, also for what is another merchant's.
    """
    async with database.transaction() as db:
        subject: Subject = await kind.read(db, id_, viewer)
    seen, silent = await decode(chains, subject.txs)
    made = kind.build(subject, chains, seen)
    made.notes += [
        Note("chain_silent", {"chain": name, "network": chains[name].network}) for name in silent
    ]
    return made


async def decode(
    chains: Mapping[str, Chain], txs: Sequence[tuple[str, str]]
) -> tuple[Seen, list[str]]:
    """What the chains tell of these transactions; and who did not answer in time."""
    asked = [(chain, tx) for chain, tx in txs if chain in chains]
    told: dict[tuple[str, str], Decoded | None] = {}
    silent: set[str] = set()

    async def ask(chain: str, tx: str) -> None:
        try:
            async with asyncio.timeout(CHAINS_WITHIN_S):
                told[(chain, tx)] = await chains[chain].decode(tx)
        except (ChainUnavailable, SandboxError, TimeoutError):
            silent.add(chain)

    await asyncio.gather(*(ask(chain, tx) for chain, tx in asked))
    return Seen(asked, told), sorted(silent)
