"""Another fork takes over: what falls out of the chain, and what the new fork has instead.

As on a cluster, a transaction whose blockhash went with the old fork is lost, and one that the new
fork no longer bears fails there, for its fee.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Final

from sandbox.devnets.solana import execution, params
from sandbox.devnets.solana.bank import Bank
from sandbox.devnets.solana.encode import key_text, signature_text
from sandbox.devnets.solana.errors import invalid_params
from sandbox.devnets.solana.execution import MAX_TRANSACTION_BYTES, Failure, Incoming
from sandbox.devnets.solana.node import Node
from sandbox.devnets.solana.params import Config, whole
from sandbox.devnets.solana.records import Record

OPTIONS: Final = (
    *("slots", "mode", "force", "replace"),
    *("signatures", "percent", "seed", "spread"),
)
_MAX_SPREAD: Final = 1_000
_MAX_REPLACEMENTS: Final = 1_000
_MAX_SEED: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Asked:
    """A reorg whose every part can be done; nothing has been yet."""

    slots: int
    force: bool
    again: list[Record]  # what the new fork has too, in its order
    replacements: list[Incoming]
    spread: int  # slots that `again` is put into


def read(node: Node, config: Config) -> Asked:
    """`{slots, mode: drop|reinclude, force, replace: [base64]}`, and with reinclude
    `signatures`, or `percent` with `seed`, for a part of them, and `spread` over so many slots.

    Raises RpcError by name.
    """
    asked, bank = config.value, node.bank
    mode, force = asked.get("mode", "drop"), config.flag("force")
    if mode not in ("drop", "reinclude"):
        raise invalid_params("Invalid params: mode must be drop or reinclude.")
    if mode == "drop" and (of := asked.keys() & {"signatures", "percent", "seed", "spread"}):
        raise invalid_params(f"Invalid params: {min(of)} goes with mode reinclude.")
    slots = _depth(bank, asked.get("slots"), force=force)
    keep = bank.history.blocks[-slots - 1].slot
    gone = [r for b in bank.history.blocks[-slots:] for r in bank.history.records_of(b)]
    gone += bank.history.open_records
    return Asked(
        slots=slots,
        force=force,
        again=_part(asked, gone) if mode == "reinclude" else [],
        replacements=[_replacement(bank, raw, keep) for raw in _texts(asked, "replace")],
        spread=whole(asked.get("spread", 1), "spread", 1, _MAX_SPREAD),
    )


def _depth(bank: Bank, found: Any, *, force: bool) -> int:
    most = bank.most_reorg(force=force)
    if isinstance(found, int) and found > most and found <= bank.tip.height:
        why = (
            "what is final is kept unless `force` is true"
            if not force
            else "the undo of older blocks is gone; sandbox_keepUndo keeps more from then on"
        )
        raise invalid_params(f"Invalid params: at most {most} slots can be replaced: {why}.")
    if most < 1:
        raise invalid_params("Invalid params: there is no block to replace.")
    return whole(found, "slots", 1, most)


def _part(asked: dict[str, Any], gone: list[Record]) -> list[Record]:
    if "signatures" in asked:
        if "percent" in asked:
            raise invalid_params("Invalid params: signatures or percent, not both.")
        wanted = {params.signature(text) for text in _texts(asked, "signatures")}
        if missing := wanted - {record.signature for record in gone}:
            text = signature_text(min(missing))
            raise invalid_params(f"Invalid params: {text} is in none of these blocks.")
        return [record for record in gone if record.signature in wanted]
    percent = whole(asked.get("percent", 100), "percent", 0, 100)
    dice = random.Random(whole(asked.get("seed", 0), "seed", 0, _MAX_SEED))  # noqa: S311 - a drill
    return [record for record in gone if dice.randrange(100) < percent]


def _texts(asked: dict[str, Any], name: str) -> list[Any]:
    found = asked.get(name, [])
    if not isinstance(found, list) or (len(found) > _MAX_REPLACEMENTS and name == "replace"):
        raise invalid_params(f"Invalid params: {name} must be a list.")
    return found


def _replacement(bank: Bank, text: Any, keep: int) -> Incoming:
    if not isinstance(text, str):
        raise invalid_params("Invalid params: replace must hold transactions in base64.")
    found = execution.decode(params.wire_bytes(text, "base64", MAX_TRANSACTION_BYTES))
    block = bank.hash_block(found.blockhash)
    if not execution.is_signed(found):
        raise invalid_params("Invalid params: a transaction to replace with is not signed.")
    if block is None or block.slot > keep:
        raise invalid_params(
            "Invalid params: a transaction to replace with names a blockhash that the new fork"
            " does not have: sign it with one from below."
        )
    return found


def carry_out(node: Node, asked: Asked) -> dict[str, Any]:
    """Replacements come first, so that what they take is gone for the others. Raises OSError."""
    bank = node.bank
    dropped = bank.reorg(asked.slots, force=asked.force)
    replaced = [_replaced(bank, incoming) for incoming in asked.replacements]
    back = 0
    for slot in range(asked.spread):
        if slot:
            node.producer.advance(1)
        share = (
            len(asked.again) * slot // asked.spread,
            len(asked.again) * (slot + 1) // asked.spread,
        )
        back += sum(_lands(bank, record) for record in asked.again[slice(*share)])
    return {
        "droppedSlots": asked.slots,
        "droppedTransactions": len(dropped),
        "reincludedTransactions": back,
        "replacements": replaced,
        "slot": bank.open_slot,
        "parent": bank.tip.slot,
        "blockhash": key_text(bank.tip.hash),
    }


def _replaced(bank: Bank, incoming: Incoming) -> dict[str, Any]:
    signature = signature_text(incoming.signature)
    if bank.is_known(incoming.signature):
        return {"signature": signature, "err": "AlreadyProcessed"}
    return {"signature": signature, "err": bank.execute(incoming, keep_failed=True).err}


def _lands(bank: Bank, record: Record) -> bool:
    tx = record.transaction
    incoming = Incoming(tx, record.raw, record.signature, bytes(tx.message.recent_blockhash))
    if not bank.is_current(incoming) or bank.is_known(record.signature):
        return False
    return not isinstance(bank.execute(incoming, keep_failed=True), Failure)
