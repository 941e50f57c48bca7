"""Reads a Solana block by meaning: who got how many units from whom, and why he might know us.

Works on raw instructions and token balances, never on jsonParsed, where references look like
signers (SOLANA.md, section 3).
"""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from contracts.solana_mint import SYSTEM, TOKEN_2022
from sandbox.chains.port import Block, BlockId, ForeignTransfer, Transfer
from sandbox.chains.solana.errors import reason
from sandbox.chains.solana.tx import MEMO_V1, MEMO_V2, TOKEN

NATIVE = "SOL"
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DIGIT = {char: value for value, char in enumerate(_BASE58)}

_SYSTEM, _TOKEN, _TOKEN_2022 = str(SYSTEM), str(TOKEN), str(TOKEN_2022)
_MEMOS = frozenset({str(MEMO_V1), str(MEMO_V2)})

# Token and Token-2022 instruction numbers; both programs share them.
_TRANSFER, _MINT_TO, _BURN = 3, 7, 8
_TRANSFER_CHECKED, _MINT_TO_CHECKED, _BURN_CHECKED = 12, 14, 15
_INIT, _INIT_2, _INIT_3 = 1, 16, 18
_WITH_FEE = b"\x1a\x01"  # TransferFeeExtension, TransferCheckedWithFee
_SYSTEM_TRANSFER = b"\x02\x00\x00\x00"

Kind = Literal["transfer", "mint", "burn"]


@dataclass(frozen=True, slots=True)
class Watched:
    """What to look for: the mint, and the owners whose other receipts count as foreign."""

    mint: str
    own: frozenset[str]


@dataclass(frozen=True, slots=True)
class Instruction:
    program: str
    accounts: tuple[int, ...]
    data: bytes


@dataclass(slots=True)
class _Holding:
    """A token account before and after the transaction."""

    mint: str
    owner_before: str = ""
    owner_after: str = ""
    before: int = 0
    after: int = 0

    @property
    def owner(self) -> str:
        return self.owner_after or self.owner_before


@dataclass(frozen=True, slots=True)
class _Move:
    kind: Kind
    source: str
    destination: str
    amount: int
    references: tuple[str, ...]


@dataclass(slots=True)
class Resolved:
    """One transaction that succeeded, with everything resolved to names."""

    id: str
    keys: list[str]
    outer: list[Instruction]
    inner: Mapping[int, list[Instruction]]
    holdings: dict[int, _Holding]
    lamports: list[tuple[int, int]]
    opened: dict[int, tuple[str, str]] = field(default_factory=dict)

    def instructions(self) -> Iterator[Instruction]:
        """All of them in the order in which they ran, as far as the block tells."""
        for index, instruction in enumerate(self.outer):
            yield instruction
            yield from self.inner.get(index, ())

    def owner(self, account: int) -> str:
        """Whose token account it is; the account itself when it came and went unseen."""
        if (holding := self.holdings.get(account)) is not None:
            return holding.owner
        return self.opened.get(account, ("", self.keys[account]))[1]

    def mint(self, account: int) -> str:
        if (holding := self.holdings.get(account)) is not None:
            return holding.mint
        return self.opened.get(account, ("", ""))[0]

    def memos(self) -> tuple[str, ...]:
        """As text that can be stored: PostgreSQL takes no NUL, and anybody may send one."""
        found = [i.data.decode(errors="replace") for i in self.outer if i.program in _MEMOS]
        return tuple(f"memo:{text}" for text in dict.fromkeys(_without_nul(t) for t in found))


def parse_block(slot: int, body: Mapping[str, Any], watched: Watched) -> Block:
    """A block as `getBlock` gives it: full, base64, without rewards."""
    txs: list[str] = []
    errors: dict[str, str] = {}
    transfers: list[Transfer] = []
    foreign: list[ForeignTransfer] = []
    for entry in body.get("transactions", ()):
        signed = VersionedTransaction.from_bytes(base64.b64decode(entry["transaction"][0]))
        tx_id = str(signed.signatures[0])
        txs.append(tx_id)
        if (error := entry["meta"]["err"]) is not None:
            errors[tx_id] = reason(error, programs(signed))
            continue
        if not _concerns(entry["meta"], signed, watched):
            continue
        transaction = resolved(tx_id, signed, entry["meta"])
        moved = _transfers(transaction, watched)
        transfers += moved
        foreign += _foreign(transaction, watched, len(moved))
    return Block(
        block_id(slot, body),
        datetime.fromtimestamp(body.get("blockTime") or 0, UTC),
        tuple(txs),
        errors,
        tuple(transfers),
        tuple(foreign),
    )


def block_id(slot: int, body: Mapping[str, Any]) -> BlockId:
    return BlockId(slot, body["blockhash"], body["previousBlockhash"])


def base58_decode(text: str) -> bytes:
    """Base58 with Bitcoin's alphabet, as instruction data comes."""
    value = 0
    for char in text:
        value = value * 58 + _DIGIT[char]
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + value.to_bytes((value.bit_length() + 7) // 8, "big")


def _without_nul(text: str) -> str:
    return text.replace("\0", "\ufffd")


def programs(signed: VersionedTransaction) -> list[str]:
    """The program of each outer instruction; empty for one that a lookup table names."""
    keys = signed.message.account_keys
    return [
        str(keys[i.program_id_index]) if i.program_id_index < len(keys) else ""
        for i in signed.message.instructions
    ]


def _concerns(meta: Mapping[str, Any], signed: VersionedTransaction, watched: Watched) -> bool:
    """Whether the transaction can hold anything of interest; most on a busy chain do not."""
    balances = [*(meta["preTokenBalances"] or ()), *(meta["postTokenBalances"] or ())]
    if any(b["mint"] == watched.mint or b.get("owner") in watched.own for b in balances):
        return True
    loaded = (meta.get("loadedAddresses") or {}).get("writable", ())
    return any(
        str(key) in watched.own for key in signed.message.account_keys
    ) or not watched.own.isdisjoint(loaded)


def resolved(tx_id: str, signed: VersionedTransaction, meta: Mapping[str, Any]) -> Resolved:
    loaded = meta.get("loadedAddresses") or {"writable": [], "readonly": []}
    keys = [str(key) for key in signed.message.account_keys]
    keys += [*loaded["writable"], *loaded["readonly"]]
    outer = [
        Instruction(keys[i.program_id_index], tuple(i.accounts), bytes(i.data))
        for i in signed.message.instructions
    ]
    inner = {
        group["index"]: [
            Instruction(keys[i["programIdIndex"]], tuple(i["accounts"]), base58_decode(i["data"]))
            for i in group["instructions"]
        ]
        for group in meta.get("innerInstructions") or ()
    }
    holdings: dict[int, _Holding] = {}
    for balance in meta["preTokenBalances"] or ():
        holding = holdings.setdefault(balance["accountIndex"], _Holding(balance["mint"]))
        holding.owner_before = balance.get("owner", "")
        holding.before = int(balance["uiTokenAmount"]["amount"])
    for balance in meta["postTokenBalances"] or ():
        holding = holdings.setdefault(balance["accountIndex"], _Holding(balance["mint"]))
        holding.owner_after = balance.get("owner", "")
        holding.after = int(balance["uiTokenAmount"]["amount"])
    lamports = list(zip(meta["preBalances"], meta["postBalances"], strict=True))
    return Resolved(tx_id, keys, outer, inner, holdings, lamports)


def _transfers(tx: Resolved, watched: Watched) -> list[Transfer]:
    memos = tx.memos()
    moves = [
        move
        for instruction in tx.instructions()
        if (move := _token_move(tx, instruction, watched.mint)) is not None and move.amount
    ]
    moves += _unexplained(tx, moves, watched.mint)
    return [
        Transfer(
            tx.id,
            ordinal,
            move.kind,
            move.source,
            move.destination,
            move.amount,
            (*(f"ref:{key}" for key in dict.fromkeys(move.references)), *memos),
        )
        for ordinal, move in enumerate(moves)
    ]


def _token_move(tx: Resolved, it: Instruction, mint: str) -> _Move | None:
    """What one instruction of Token-2022 moved of our mint; it succeeded, so it is well formed."""
    if it.program != _TOKEN_2022 or not it.data:
        return None
    op, accounts = it.data[0], it.accounts
    if op in (_INIT, _INIT_2, _INIT_3):
        owner = tx.keys[accounts[2]] if op == _INIT else str(Pubkey(it.data[1:33]))
        tx.opened[accounts[0]] = (tx.keys[accounts[1]], owner)
        return None
    amount = int.from_bytes(it.data[1:9], "little")
    if op == _TRANSFER_CHECKED or it.data[:2] == _WITH_FEE:
        if tx.keys[accounts[1]] != mint:
            return None
        if op != _TRANSFER_CHECKED:
            amount = int.from_bytes(it.data[2:10], "little")
        source, destination = tx.owner(accounts[0]), tx.owner(accounts[2])
        return _Move("transfer", source, destination, amount, _named(tx, accounts[4:]))
    if op == _TRANSFER and tx.mint(accounts[0]) == mint:
        source, destination = tx.owner(accounts[0]), tx.owner(accounts[1])
        return _Move("transfer", source, destination, amount, _named(tx, accounts[3:]))
    if op in (_MINT_TO, _MINT_TO_CHECKED) and tx.keys[accounts[0]] == mint:
        return _Move("mint", "", tx.owner(accounts[1]), amount, _named(tx, accounts[3:]))
    if op in (_BURN, _BURN_CHECKED) and tx.keys[accounts[1]] == mint:
        return _Move("burn", tx.owner(accounts[0]), "", amount, _named(tx, accounts[3:]))
    return None


def _unexplained(tx: Resolved, moves: list[_Move], mint: str) -> list[_Move]:
    """Movements that no instruction we read explains, from the balances.

    A token account that gets another owner moves its units without a transfer; programs may
    learn new instructions. The balances are the truth.
    """
    net: dict[str, int] = {}
    for holding in tx.holdings.values():
        if holding.mint == mint:
            before = holding.owner_before or holding.owner
            after = holding.owner_after or holding.owner
            net[before] = net.get(before, 0) - holding.before
            net[after] = net.get(after, 0) + holding.after
    for move in moves:
        net[move.source] = net.get(move.source, 0) + move.amount
        net[move.destination] = net.get(move.destination, 0) - move.amount
    # What has no owner is the supply: mints come from it, burns go to it.
    net.pop("", None)
    net[""] = -sum(net.values())
    givers = {owner: -left for owner, left in sorted(net.items()) if left < 0}
    takers = {owner: left for owner, left in sorted(net.items()) if left > 0}
    found: list[_Move] = []
    for destination in takers:
        for source in givers:
            amount = min(givers[source], takers[destination])
            if amount:
                kind: Kind = "mint" if not source else "transfer" if destination else "burn"
                found.append(_Move(kind, source, destination, amount, ()))
                givers[source] -= amount
                takers[destination] -= amount
    return found


def _foreign(tx: Resolved, watched: Watched, first: int) -> list[ForeignTransfer]:
    """Other tokens and SOL that own addresses got, by balance; keys of any transfer in it."""
    got: list[tuple[str, str, str, int]] = []
    mints = {h.mint for h in tx.holdings.values() if h.owner in watched.own} - {watched.mint}
    for mint in sorted(mints):
        net: dict[str, int] = {}
        for holding in tx.holdings.values():
            if holding.mint == mint:
                net[holding.owner] = net.get(holding.owner, 0) + holding.after - holding.before
        least, sender = min((n, owner) for owner, n in net.items())
        source = sender if least < 0 else ""
        got += [(mint, source, o, n) for o, n in sorted(net.items()) if o in watched.own and n > 0]
    for index, (before, after) in enumerate(tx.lamports):
        if tx.keys[index] in watched.own and after > before:
            got.append((NATIVE, tx.keys[0], tx.keys[index], after - before))
    if not got:
        return []
    references = dict.fromkeys(key for it in tx.instructions() for key in _references(tx, it))
    keys = (*(f"ref:{key}" for key in references), *tx.memos())
    return [
        ForeignTransfer(tx.id, first + n, token, source, destination, amount, keys)
        for n, (token, source, destination, amount) in enumerate(got)
    ]


def _references(tx: Resolved, it: Instruction) -> tuple[str, ...]:
    """What a wallet may have added to a transfer of any token or of SOL (Solana Pay)."""
    if it.program == _SYSTEM and it.data[:4] == _SYSTEM_TRANSFER:
        return _named(tx, it.accounts[2:])
    if it.program in (_TOKEN, _TOKEN_2022) and it.data:
        if it.data[0] == _TRANSFER_CHECKED:
            return _named(tx, it.accounts[4:])
        if it.data[0] == _TRANSFER:
            return _named(tx, it.accounts[3:])
    return ()


def _named(tx: Resolved, accounts: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(tx.keys[account] for account in accounts)
