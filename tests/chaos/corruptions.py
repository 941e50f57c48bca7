"""What somebody with every right could do to a sandbox, and what the audit must say of it.

To add one: a line in `ROWS` (SQL run as the database's owner, triggers and foreign keys off), or a
function in `FORGERIES` (more than SQL) or `ON_CHAIN` (the issuer's own keys). The last statement,
or the function, answers the name that a red line must hold: table and primary key, or the first
missing position.
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


# Rows to aim at, by what they are.
DEPOSIT = "(SELECT min(id) FROM entry WHERE reason = 'deposit')"
CAPTURE = "(SELECT min(id) FROM entry WHERE reason = 'payment captured')"
RECEIVED = "(SELECT min(id) FROM entry WHERE reason = 'payment received')"
PAID = "(SELECT min(id) FROM payment WHERE capture_entry IS NOT NULL AND refunded_units = 0)"
TOLD = "(SELECT min(event_id) FROM log_entry WHERE merchant IS NOT NULL AND position > 20)"
LOGGED = (
    "SELECT format('log_entry 1 %s (event %s)', position, event_id) FROM log_entry"
    f" WHERE event_id = {TOLD}"
)
COVERS = (
    "SELECT 'checkpoint 1 ' || min(size) FROM checkpoint WHERE size >"
    f" (SELECT position FROM log_entry WHERE event_id = {TOLD})"
)
LINE = "(SELECT min(payment) FROM settlement_line WHERE deferred_at IS NULL)"
SENT = "(SELECT min(id) FROM payout WHERE status = 'completed')"
BOOKING = (
    "(SELECT min(id) FROM bank_sim.booking WHERE iban IN"
    " (SELECT iban FROM bank_sim.account WHERE holder = 'issuer'))"
)
NOTICE = "(SELECT min(id) FROM bank_message WHERE kind = 'camt.054.DBIT')"

ROWS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    # The books.
    ("one leg", "I3", (
        f"UPDATE leg SET amount = amount - 1 WHERE entry_id = {DEPOSIT} AND line = 1",
        f"SELECT 'entry ' || {DEPOSIT}",
    )),
    ("both legs of an entry", "I8", (
        f"UPDATE leg SET amount = amount - 1 WHERE entry_id = {DEPOSIT}",
        f"SELECT 'entry ' || {DEPOSIT}",
    )),
    ("a leg moved to another account", "I8", (
        "UPDATE leg SET account_id = (SELECT min(id) FROM account WHERE code LIKE 'suspense:%' AND"
        f" id <> leg.account_id) WHERE entry_id = {CAPTURE} AND side = 'D'",
        f"SELECT 'entry ' || {CAPTURE}",
    )),
    ("a cached balance", "I4", (
        "UPDATE balance SET posted = posted + 1 WHERE account_id ="
        " (SELECT id FROM account WHERE code = 'float' AND asset = 'KZTE.evm')",
        "SELECT 'account ' || id FROM account WHERE code = 'float' AND asset = 'KZTE.evm'",
    )),
    ("legs and cached balances together", "I8", (
        f"UPDATE leg SET amount = amount - 1 WHERE entry_id = {CAPTURE}",
        "UPDATE balance SET posted = posted + CASE WHEN code LIKE 'merchant:%' THEN -1 ELSE 1 END"
        f" FROM leg, account WHERE entry_id = {CAPTURE} AND leg.account_id = balance.account_id"
        " AND account.id = balance.account_id",
        f"SELECT 'entry ' || {CAPTURE}",
    )),
    ("the day of an entry", "I8", (
        f"UPDATE entry SET effective_at = effective_at - interval '1 day' WHERE id = {CAPTURE}",
        f"SELECT 'entry ' || {CAPTURE}",
    )),
    ("a resolution removed", "I8", (
        f"DELETE FROM resolution WHERE entry_id = {RECEIVED}",
        f"SELECT 'entry ' || {RECEIVED}",
    )),
    ("a resolution at another height", "I5", (
        f"UPDATE resolution SET height = height - 1 WHERE entry_id = {RECEIVED}",
        f"SELECT 'resolution ' || {RECEIVED}",
    )),
    ("a whole entry with its legs and its event", "I8", (
        f"DELETE FROM leg WHERE entry_id = {CAPTURE}",
        "DELETE FROM event WHERE type = 'payment.captured' AND convert_from(leaf, 'UTF8') LIKE"
        f" '%' || {CAPTURE} || '%'",
        f"DELETE FROM entry WHERE id = {CAPTURE}",
        "SELECT 'log_entry 1 ' || min(position) FROM log_entry l"
        " WHERE NOT EXISTS (SELECT FROM event WHERE id = l.event_id)",
    )),
    # The log.
    ("the payload of an event", "I8", (
        "UPDATE event SET leaf = convert_to(replace(convert_from(leaf, 'UTF8'), '\"chain\"',"
        " '\"chaim\"'), 'UTF8') WHERE id = (SELECT min(id) FROM event WHERE type ="
        " 'payment.final')",
        "SELECT format('log_entry 1 %s (event %s)', position, event_id) FROM log_entry"
        " WHERE event_id = (SELECT min(id) FROM event WHERE type = 'payment.final')",
    )),
    ("one byte of a leaf", "I8", (
        f"UPDATE event SET leaf = set_byte(leaf, 30, 255) WHERE id = {TOLD}",
        LOGGED,
    )),
    ("the hash of a leaf", "I8", (
        f"UPDATE log_entry SET leaf_hash = sha256('x') WHERE event_id = {TOLD}",
        LOGGED,
    )),
    ("event and leaf together", "I8", (
        "UPDATE event SET type = 'payment.final', leaf = convert_to(regexp_replace("
        "convert_from(leaf, 'UTF8'), '\"type\":\"[^\"]*\"', '\"type\":\"payment.final\"'), 'UTF8')"
        f" WHERE id = {TOLD}",
        "UPDATE log_entry SET leaf_hash = sha256('\\x00' || (SELECT leaf FROM event WHERE id ="
        f" event_id)) WHERE event_id = {TOLD}",
        COVERS,
    )),
    ("an event of another merchant", "I8", (
        f"UPDATE event SET merchant = 'mch_other' WHERE id = {TOLD}",
        LOGGED,
    )),
    ("a private field of an event", "I8", (
        "UPDATE event SET private = private || '{\"description\": \"other\"}' WHERE id ="
        " (SELECT min(id) FROM event WHERE private ? 'description')",
        "SELECT format('log_entry 1 %s (event %s)', position, event_id) FROM log_entry WHERE"
        " event_id = (SELECT min(id) FROM event WHERE private ? 'description')",
    )),
    ("an entry of the log removed", "I8", (
        "DELETE FROM log_entry WHERE position = 40",
        "SELECT 'log_entry 1 40: position 40 is missing'",
    )),
    ("a tile", "I8", (
        "UPDATE log_node SET hash = sha256('x') WHERE level = 1 AND index = 0",
        "SELECT 'log_node 1 1 0'",
    )),
    ("the signature of a checkpoint", "I8", (
        "UPDATE checkpoint SET note = overlay(note PLACING 'AAAA' FROM length(note) - 20)"
        " WHERE size = (SELECT min(size) FROM checkpoint WHERE size > 30)",
        "SELECT 'checkpoint 1 ' || min(size) FROM checkpoint WHERE size > 30",
    )),
    ("the log cut back to an older state", "I8", (
        "DELETE FROM event WHERE id IN (SELECT event_id FROM log_entry WHERE position >="
        " (SELECT max(size) FROM checkpoint WHERE size < 200))",
        "DELETE FROM log_entry WHERE position >="
        " (SELECT max(size) FROM checkpoint WHERE size < 200)",
        "DELETE FROM checkpoint WHERE size >= 200",
        "DELETE FROM log_node WHERE true",
        "SELECT 'position ' || max(size) || ' is missing' FROM checkpoint",
    )),
    # The chains, as stored.
    ("a chain transfer", "I5", (
        "UPDATE chain_transfer SET amount_units = amount_units + 1 WHERE id ="
        f" (SELECT transfer_id FROM payment WHERE id = {PAID})",
        f"SELECT 'chain_transfer ' || transfer_id FROM payment WHERE id = {PAID}",
    )),
    ("a transfer of our own", "I5", (
        "UPDATE chain_transfer SET amount_units = amount_units + 1 WHERE id ="
        " (SELECT min(id) FROM chain_transfer WHERE kind = 'burn')",
        "SELECT 'chain_transfer ' || min(id) FROM chain_transfer WHERE kind = 'burn'",
    )),
    ("the block of a transfer", "I5", (
        "UPDATE chain_inclusion SET height = height - 1 WHERE transfer_id ="
        f" (SELECT transfer_id FROM payment WHERE id = {PAID})",
        f"SELECT format('chain_inclusion %s 1', transfer_id) FROM payment WHERE id = {PAID}",
    )),
    ("a transfer in no block", "I5", (
        "DELETE FROM chain_inclusion WHERE transfer_id = (SELECT min(id) FROM chain_transfer)",
        "SELECT 'chain_transfer ' || min(id) FROM chain_transfer",
    )),
    # Checkout.
    ("the amount of a payment", "I5", (
        f"UPDATE payment SET amount_units = amount_units + 1 WHERE id = {PAID}",
        f"SELECT 'payment ' || {PAID}",
    )),
    ("a payment and its transfer", "I8", (
        f"UPDATE payment SET amount_units = amount_units + 1 WHERE id = {PAID}",
        "UPDATE chain_transfer SET amount_units = amount_units + 1 WHERE id ="
        f" (SELECT transfer_id FROM payment WHERE id = {PAID})",
        f"SELECT 'payment ' || {PAID}",
    )),
    ("captured units", "I7", (
        f"UPDATE payment SET counted_units = counted_units + 1 WHERE id = {PAID}",
        f"SELECT 'payment ' || {PAID}",
    )),
    ("a payment of another session", "I5", (
        "UPDATE payment SET session = (SELECT min(id) FROM checkout_session WHERE id <> session)"
        f" WHERE id = {PAID}",
        f"SELECT 'payment ' || {PAID}",
    )),
    ("a payment of another merchant", "I7", (
        f"UPDATE payment SET merchant = 'mch_other' WHERE id = {PAID}",
        f"SELECT 'payment ' || {PAID}",
    )),
    ("a fee", "I7", (
        f"UPDATE payment SET fee_tiyn = fee_tiyn - 1 WHERE id = {PAID}",
        f"SELECT 'payment ' || {PAID}",
    )),
    ("a fee and its rate", "I8", (
        f"UPDATE payment SET fee_tiyn = 0, fee_bps = 0 WHERE id = {PAID}",
        f"SELECT 'payment ' || {PAID}",
    )),
    ("who paid, where a refund goes", "I8", (
        f"UPDATE payment SET from_address = 'other' WHERE id = {PAID}",
        "UPDATE chain_transfer SET source = 'other' WHERE id ="
        f" (SELECT transfer_id FROM payment WHERE id = {PAID})",
        f"SELECT 'payment ' || {PAID}",
    )),
    ("a payment removed", "I8", (
        "CREATE TABLE gone AS SELECT max(id) AS id FROM payment WHERE settlement IS NULL",
        "DELETE FROM payment USING gone WHERE payment.id = gone.id",
        "SELECT 'payment ' || id FROM gone",
    )),
    ("the price of a session", "I8", (
        "UPDATE checkout_session SET amount_tiyn = amount_tiyn - 1 WHERE id ="
        " (SELECT min(id) FROM checkout_session)",
        "SELECT 'checkout_session ' || min(id) FROM checkout_session",
    )),
    ("a refund", "I5", (
        "UPDATE refund SET amount_units = amount_units - 1 WHERE id = (SELECT min(id) FROM refund)",
        "SELECT 'refund ' || min(id) FROM refund",
    )),
    ("a refund that never was", "I5", (
        "UPDATE refund SET status = 'failed' WHERE id = (SELECT min(id) FROM refund)",
        "SELECT 'refund ' || min(id) FROM refund",
    )),
    ("a stray resolved by nobody", "I8", (
        "UPDATE stray_transfer SET status = 'resolved', resolution = 'refunded' WHERE id ="
        " (SELECT min(id) FROM stray_transfer WHERE status = 'open')",
        "SELECT 'stray_transfer ' || min(id) FROM stray_transfer WHERE status = 'resolved'"
        " AND resolved_at IS NULL",
    )),
    ("a sweep", "I5", (
        "UPDATE sweep SET moved_units = moved_units + 1 WHERE id = (SELECT min(id) FROM sweep)",
        "SELECT 'sweep ' || min(id) FROM sweep",
    )),
    ("what a sweep took", "I5", (
        "UPDATE payment SET sweep = NULL WHERE id ="
        " (SELECT min(id) FROM payment WHERE sweep = (SELECT min(id) FROM sweep))",
        "SELECT 'sweep ' || min(id) FROM sweep",
    )),
    # Settlement and bank.
    ("a settlement line", "I7", (
        f"UPDATE settlement_line SET amount_tiyn = amount_tiyn + 1 WHERE payment = {LINE}",
        "SELECT format('settlement_line %s %s', settlement, payment) FROM settlement_line"
        f" WHERE payment = {LINE}",
    )),
    ("the fee of a line", "I7", (
        f"UPDATE settlement_line SET fee_tiyn = fee_tiyn - 1 WHERE payment = {LINE}",
        "SELECT format('settlement_line %s %s', settlement, payment) FROM settlement_line"
        f" WHERE payment = {LINE}",
    )),
    ("lines of two settlements swapped", "I8", (
        "UPDATE settlement_line l SET settlement = CASE l.settlement WHEN a.one THEN a.other ELSE"
        " a.one END FROM (SELECT min(settlement) AS one, max(settlement) AS other FROM"
        " settlement_line) a WHERE l.payment IN (SELECT min(payment) FROM settlement_line"
        " WHERE settlement IN (a.one, a.other) GROUP BY settlement)",
        f"SELECT format('settlement_line %s %s', settlement, payment) FROM settlement_line"
        f" WHERE payment = {LINE}",
    )),
    ("a settlement", "I7", (
        "UPDATE settlement SET paid_tiyn = paid_tiyn + 1 WHERE id ="
        " (SELECT min(id) FROM settlement)",
        "SELECT 'settlement ' || min(id) FROM settlement",
    )),
    ("a burn", "I7", (
        "UPDATE settlement_burn SET units = units - 1 WHERE settlement ="
        " (SELECT min(settlement) FROM settlement_burn) AND chain = 'solana'",
        "SELECT format('settlement_burn %s solana', min(settlement)) FROM settlement_burn",
    )),
    ("VAT", "I7", (
        "UPDATE settlement_burn SET vat_tiyn = vat_tiyn - 1 WHERE settlement ="
        " (SELECT min(settlement) FROM settlement_burn) AND chain = 'solana'",
        "SELECT format('settlement_burn %s solana', min(settlement)) FROM settlement_burn",
    )),
    ("the rate of VAT", "I8", (
        "UPDATE settlement_burn SET vat_percent = 12, vat_tiyn = div(2 * fee_tiyn * 12 + 112, 224)"
        " WHERE settlement = (SELECT min(settlement) FROM settlement_burn) AND chain = 'solana'",
        "SELECT format('settlement_burn %s solana', min(settlement)) FROM settlement_burn",
    )),
    ("a payout", "I6", (
        f"UPDATE payout SET amount_tiyn = amount_tiyn + 1 WHERE id = {SENT}",
        f"SELECT 'payout ' || {SENT}",
    )),
    ("the IBAN of a payout that was sent", "I6", (
        f"UPDATE payout SET iban = 'KZ000000000000000000' WHERE id = {SENT}",
        f"SELECT 'payout ' || {SENT}",
    )),
    ("the IBAN of a payout and of its order", "I8", (
        f"UPDATE payout SET iban = 'KZ000000000000000000' WHERE id = {SENT}",
        "UPDATE bank_message SET body = body || '{\"creditor_iban\": \"KZ000000000000000000\"}'"
        f" WHERE direction = 'out' AND ref = {SENT}",
        f"SELECT 'payout ' || {SENT}",
    )),
    ("a merchant's IBAN", "I8", (
        "UPDATE merchant SET iban = 'KZ000000000000000000' WHERE id ="
        " (SELECT min(id) FROM merchant)",
        "SELECT 'merchant ' || min(id) FROM merchant",
    )),
    ("a statement line", "I6", (
        f"UPDATE bank_sim.booking SET amount_tiyn = amount_tiyn + 1 WHERE id = {BOOKING}",
        f"SELECT 'bank_sim.booking ' || {BOOKING}",
    )),
    ("a statement line missing", "I6", (
        "DELETE FROM bank_sim.booking WHERE ref = (SELECT body ->> 'bank_reference' FROM"
        f" bank_message WHERE id = {NOTICE}) AND side = 'debit'",
        "SELECT format('bank_sim.booking %s %s', body ->> 'iban', body ->> 'bank_reference')"
        f" FROM bank_message WHERE id = {NOTICE}",
    )),
    ("a bank message", "I6", (
        "UPDATE bank_message SET body = body || '{\"amount_tiyn\": 1}'"
        f" WHERE direction = 'out' AND ref = {SENT}",
        f"SELECT 'bank_message ' || id FROM bank_message WHERE direction = 'out' AND ref = {SENT}",
    )),
    ("a bank message removed", "I6", (
        "CREATE TABLE gone AS SELECT m.id, b.id AS booking FROM bank_message m JOIN"
        " bank_sim.booking b ON b.ref = m.body ->> 'bank_reference' AND b.side = 'debit'"
        f" WHERE m.id = {NOTICE}",
        "DELETE FROM bank_message USING gone WHERE bank_message.id = gone.id",
        "SELECT 'bank_sim.booking ' || booking FROM gone",
    )),
    ("a deposit", "I6", (
        "UPDATE deposit SET amount_tiyn = amount_tiyn + 1 WHERE id ="
        " (SELECT min(id) FROM deposit)",
        "SELECT 'deposit ' || min(id) FROM deposit",
    )),
    # The rest.
    ("an issuance", "I8", (
        "UPDATE issuance SET amount_tiyn = amount_tiyn + 1 WHERE id ="
        " (SELECT min(id) FROM issuance)",
        "SELECT 'issuance ' || min(id) FROM issuance",
    )),
    ("a faucet grant", "I8", (
        "UPDATE faucet_grant SET amount_tiyn = amount_tiyn + 1 WHERE id ="
        " (SELECT min(id) FROM faucet_grant)",
        "SELECT 'faucet_grant ' || min(id) FROM faucet_grant",
    )),
    ("a webhook marked delivered", "I8", (
        "UPDATE webhook_delivery SET status = 'delivered' WHERE id ="
        " (SELECT min(id) FROM webhook_delivery WHERE status = 'pending')",
        "SELECT 'webhook_delivery ' || min(id) FROM webhook_delivery WHERE status = 'delivered'",
    )),
)  # fmt: skip


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
