"""What somebody with every right could do to a sandbox, and what the audit must say of it.

To add one: a line in `ROWS` of `altered_rows` (SQL run as the database's owner, triggers and
foreign keys off), or a function in `FORGERIES` (more than SQL) or `ON_CHAIN` (the issuer's own
keys). The last statement, or the function, answers the name that a red line must hold: table and
primary key, or the first missing position.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import asyncpg
import orjson
from eth_account import Account
from solders.keypair import Keypair

from sandbox.chains.evm.tx import call_data
from sandbox.chains.evm.wallet import EvmWallet
from sandbox.chains.port import Chain, Command
from sandbox.eventlog.checkpoint import Checkpoint
from sandbox.eventlog.keys import LogKey
from sandbox.eventlog.merkle import Tree, leaf_hash
from tests.chaos.altered_rows import ROWS


@dataclass(frozen=True)
class Hands:
    """What a corruption may use: the tables as their owner, the log's key, the chains' keys."""

    owner: asyncpg.Connection
    log_key: LogKey
    chains: Mapping[str, Chain]
    evm_rpc: str = ""
    bailiff: Any = None


@dataclass(frozen=True)
class Corruption:
    """`do` answers what a line of the invariant `red` must name."""

    name: str
    red: str
    do: Callable[[Hands], Awaitable[str]]

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


def sql(*statements: str) -> Callable[[Hands], Awaitable[str]]:
    async def run(hands: Hands) -> str:
        *before, last = statements
        for statement in before:
            status = await hands.owner.execute(statement)
            assert not status.endswith(" 0"), f"changed nothing: {statement}"
        name: str | None = await hands.owner.fetchval(last)
        assert name is not None, f"found nothing: {last}"
        return name

    return run


async def _hashes(hands: Hands) -> list[bytes]:
    rows = await hands.owner.fetch("SELECT leaf_hash FROM log_entry ORDER BY position")
    return [row["leaf_hash"] for row in rows]


def _signed(hands: Hands, hashes: list[bytes]) -> tuple[bytes, str]:
    tree = Tree()
    tree.extend(hashes)
    signer = hands.log_key.signer(1)
    return tree.root(), Checkpoint(signer.name, tree.size, tree.root()).sign(signer)


async def forked_checkpoint(hands: Hands) -> str:
    """Another history of the same length, signed with the real key, instead of the newest."""
    hashes = await _hashes(hands)
    hashes[50] = leaf_hash(b"another history")
    root, note = _signed(hands, hashes)
    await hands.owner.execute(
        "UPDATE checkpoint SET root = $1, note = $2 WHERE size = $3", root, note, len(hashes)
    )
    return f"checkpoint 1 {len(hashes)}"


async def second_checkpoint(hands: Hands) -> str:
    """Besides the true ones a checkpoint for somebody else to see."""
    sizes = {row["size"] for row in await hands.owner.fetch("SELECT size FROM checkpoint")}
    size = next(size for size in range(100, 0, -1) if size not in sizes)
    hashes = (await _hashes(hands))[:size]
    hashes[5] = leaf_hash(b"another history")
    root, note = _signed(hands, hashes)
    await hands.owner.execute(
        "INSERT INTO checkpoint VALUES (1, $1, $2, $3, now())", size, root, note
    )
    return f"checkpoint 1 {size}"


async def rewritten_log(hands: Hands) -> str:
    """A payment's fact rewritten, its hash, every tile and checkpoint made anew with the real key.

    The log contradicts itself nowhere; the rows that it tells of contradict it. One who has an
    older checkpoint finds it by that alone.
    """
    row = await hands.owner.fetchrow(
        "SELECT e.id, e.leaf, convert_from(e.leaf, 'UTF8')::json -> 'data' ->> 'id' AS payment"
        " FROM event e JOIN log_entry l ON l.event_id = e.id"
        " WHERE e.type = 'payment.captured' ORDER BY l.position LIMIT 1"
    )
    leaf = row["leaf"].replace(b'"chain_state":"final"', b'"chain_state":"other"')
    assert leaf != row["leaf"]
    await hands.owner.execute("UPDATE event SET leaf = $1 WHERE id = $2", leaf, row["id"])
    await hands.owner.execute(
        "UPDATE log_entry SET leaf_hash = $1 WHERE event_id = $2", leaf_hash(leaf), row["id"]
    )
    await resign(hands)
    return f"payment {row['payment']}"


async def resign(hands: Hands) -> None:
    """Every tile and checkpoint of what the log holds now, with the real key."""
    hashes = await _hashes(hands)
    tree = Tree()
    await hands.owner.execute("DELETE FROM log_node")
    for level, index, hash_ in tree.extend(hashes):
        if level:
            await hands.owner.execute(
                "INSERT INTO log_node VALUES (1, $1, $2, $3)", level, index, hash_
            )
    for row in await hands.owner.fetch("SELECT size FROM checkpoint"):
        root, note = _signed(hands, hashes[: row["size"]])
        await hands.owner.execute(
            "UPDATE checkpoint SET root = $1, note = $2 WHERE size = $3", root, note, row["size"]
        )


FORGERIES = (
    Corruption("a forked checkpoint signed with the real key", "I8", forked_checkpoint),
    Corruption("a second checkpoint signed with the real key", "I8", second_checkpoint),
    Corruption("a log rewritten and signed anew with the real key", "I8", rewritten_log),
)

ON_COPIES = (*(Corruption(name, red, sql(*do)) for name, red, do in ROWS), *FORGERIES)


def order(chain: str, command: Command) -> Callable[[Hands], Awaitable[str]]:
    """An act of the issuer's keys that no slice asked for."""

    async def run(hands: Hands) -> str:
        signed = await hands.chains[chain].prepare(command)
        await hands.chains[chain].broadcast(signed)
        return signed.tx_id

    return run


async def confiscated(hands: Hands) -> str:
    """Units out of a session's deposit address, by the roles that may do so in a case."""
    row = await hands.owner.fetchrow(
        "SELECT substr(m.key, 6) AS address, d.config FROM payment p JOIN session_match m"
        " ON m.session_id = p.session AND m.chain = p.chain AND m.key LIKE 'addr:%'"
        " JOIN chain_deployment d ON d.chain = p.chain WHERE p.place = 'unswept'"
        " AND p.sweep IS NULL AND p.chain_state = 'final' LIMIT 1"
    )
    freeze = Command("freeze", reference="case-1:freeze", recipient=row["address"])
    await order("evm", freeze)(hands)
    wallet = EvmWallet(hands.evm_rpc, hands.bailiff)
    data = call_data(
        "confiscate(address,address,uint256,bytes32)",
        *(row["address"], ELSEWHERE["evm"], 1, b"\1" * 32),
    )
    try:
        for _ in range(100):
            if await hands.chains["evm"].is_frozen(row["address"]):
                break
            await asyncio.sleep(0.05)
        token = orjson.loads(row["config"])["token"]
        return await wallet.send(token, data, gas=200_000)
    finally:
        await wallet.aclose()


ELSEWHERE = {
    "solana": str(Keypair().pubkey()),
    "evm": Account.create().address,
}


def _sent(chain: str, action: Literal["mint", "transfer"]) -> Callable[[Hands], Awaitable[str]]:
    reference = f"forged-{chain}-{action}"
    return order(chain, Command(action, reference, recipient=ELSEWHERE[chain], amount_units=500))


# What each answers is the id of a transaction; the line must name its stored transfer.
ON_CHAIN = (
    Corruption("units minted on solana past the books", "I1", _sent("solana", "mint")),
    Corruption("units minted on evm past the books", "I1", _sent("evm", "mint")),
    Corruption("units out of the treasury on solana", "I5", _sent("solana", "transfer")),
    Corruption("units out of the treasury on evm", "I5", _sent("evm", "transfer")),
    Corruption("units out of a deposit address", "I5", confiscated),
)
