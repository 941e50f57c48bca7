"""A Solana transaction for people: each instruction by name, its accounts by role.

Layouts: SOLANA.md, section 1. What is not known here keeps its number.
"""

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from contracts.solana_mint import SYSTEM, TOKEN_2022
from sandbox.chains.port import MAX_ACTS, Act, Decoded
from sandbox.chains.solana.blocks import Instruction, Resolved, programs, resolved
from sandbox.chains.solana.errors import reason
from sandbox.chains.solana.tx import ATA_PROGRAM, MEMO_V1, MEMO_V2, TOKEN

COMPUTE_BUDGET = "ComputeBudget111111111111111111111111111111"
_NAMES = {
    str(SYSTEM): "System",
    str(TOKEN): "Token",
    str(TOKEN_2022): "Token-2022",
    str(ATA_PROGRAM): "AssociatedToken",
    str(MEMO_V1): "Memo",
    str(MEMO_V2): "Memo",
    COMPUTE_BUDGET: "ComputeBudget",
}
_TOKENS = frozenset({str(TOKEN), str(TOKEN_2022)})
_MEMOS = frozenset({str(MEMO_V1), str(MEMO_V2)})
_SIGNER = "authority"

# Number → (name, roles of the first accounts, whether an amount follows the number). What comes
# after the roles of a transfer are references, as Solana Pay has it.
_TOKEN_ACTS: Mapping[int, tuple[str, tuple[str, ...], bool]] = {
    3: ("transfer", ("source", "destination", _SIGNER), True),
    4: ("approve", ("source", "delegate", _SIGNER), True),
    5: ("revoke", ("source", _SIGNER), False),
    6: ("setAuthority", ("account", _SIGNER), False),
    7: ("mintTo", ("mint", "destination", _SIGNER), True),
    8: ("burn", ("source", "mint", _SIGNER), True),
    9: ("closeAccount", ("account", "destination", _SIGNER), False),
    10: ("freezeAccount", ("account", "mint", _SIGNER), False),
    11: ("thawAccount", ("account", "mint", _SIGNER), False),
    12: ("transferChecked", ("source", "mint", "destination", _SIGNER), True),
    14: ("mintToChecked", ("mint", "destination", _SIGNER), True),
    15: ("burnChecked", ("source", "mint", _SIGNER), True),
    16: ("initializeAccount2", ("account", "mint"), False),
    18: ("initializeAccount3", ("account", "mint"), False),
    21: ("getAccountDataSize", ("mint",), False),
    22: ("initializeImmutableOwner", ("account",), False),
}
_SYSTEM_ACTS = {
    0: ("createAccount", ("payer", "account")),
    2: ("transfer", ("source", "destination")),
}
_BUDGET_ACTS = {1: "requestHeapFrame", 2: "setComputeUnitLimit", 3: "setComputeUnitPrice"}
_ATA_ROLES = ("payer", "account", "owner", "mint")
_OWNED = ("source", "destination", "account")


def decoded(body: Mapping[str, Any], state: Literal["confirmed", "final"]) -> Decoded:
    """An answer of `getTransaction` in base64."""
    signed = VersionedTransaction.from_bytes(base64.b64decode(body["transaction"][0]))
    tx = resolved(str(signed.signatures[0]), signed, body["meta"])
    acts = [
        _act(tx, instruction, is_inner=n > 0)
        for index, outer in enumerate(tx.outer)
        for n, instruction in enumerate((outer, *tx.inner.get(index, ())))
    ]
    error = body["meta"]["err"]
    stamp = body.get("blockTime")
    return Decoded(
        tx=tx.id,
        state=state,
        height=body["slot"],
        block_hash=None,
        time=None if stamp is None else datetime.fromtimestamp(stamp, UTC),
        sender=tx.keys[0],
        error=None if error is None else reason(error, programs(signed)),
        acts=tuple(acts[:MAX_ACTS]),
        left_out=max(0, len(acts) - MAX_ACTS),
    )


def _act(tx: Resolved, it: Instruction, *, is_inner: bool) -> Act:
    name, roles, values = _read(it)
    accounts: list[tuple[str, str]] = []
    for n, account in enumerate(it.accounts):
        role = roles[n] if n < len(roles) else _beyond(it)
        accounts.append((role, tx.keys[account]))
        owner = tx.owner(account) if it.program in _TOKENS and role in _OWNED else ""
        if owner and owner != tx.keys[account]:
            accounts.append((f"owner of {role}", owner))
    return Act(name, _NAMES.get(it.program, it.program), tuple(accounts), values, is_inner)


def _beyond(it: Instruction) -> str:
    is_transfer = it.program in _TOKENS and it.data[:1] in (b"\x03", b"\x0c")
    is_transfer = is_transfer or (it.program == str(SYSTEM) and it.data[:1] == b"\x02")
    return "reference" if is_transfer else "account"


def _read(it: Instruction) -> tuple[str, tuple[str, ...], dict[str, str | int]]:
    for known, read in _READERS:
        if it.program in known and (found := read(it.data)) is not None:
            return found
    return f"instruction {it.data[:1].hex() or 'empty'}", (), {}


_Read = tuple[str, tuple[str, ...], dict[str, str | int]]


def _token(data: bytes) -> _Read | None:
    if not data or data[0] not in _TOKEN_ACTS:
        return None
    name, roles, has_amount = _TOKEN_ACTS[data[0]]
    values: dict[str, str | int] = {}
    if has_amount and len(data) >= 9:
        values["amount_units"] = int.from_bytes(data[1:9], "little")
    if name.endswith("Checked") and len(data) >= 10:
        values["decimals"] = data[9]
    if name in ("initializeAccount2", "initializeAccount3") and len(data) >= 33:
        values["owner"] = str(Pubkey(data[1:33]))
    return name, roles, values


def _system(data: bytes) -> _Read | None:
    number = int.from_bytes(data[:4], "little") if len(data) >= 12 else -1
    if number not in _SYSTEM_ACTS:
        return None
    name, roles = _SYSTEM_ACTS[number]
    return name, roles, {"lamports": int.from_bytes(data[4:12], "little")}


def _token_account(data: bytes) -> _Read | None:
    return ("createIdempotent" if data[:1] == b"\x01" else "create"), _ATA_ROLES, {}


def _memo(data: bytes) -> _Read | None:
    return "memo", (), {"text": data.decode(errors="replace").replace("\0", "\ufffd")}


def _budget(data: bytes) -> _Read | None:
    if not data or data[0] not in _BUDGET_ACTS:
        return None
    return _BUDGET_ACTS[data[0]], (), {"value": int.from_bytes(data[1:], "little")}


_READERS: tuple[tuple[frozenset[str], Callable[[bytes], _Read | None]], ...] = (
    (_TOKENS, _token),
    (frozenset({str(SYSTEM)}), _system),
    (frozenset({str(ATA_PROGRAM)}), _token_account),
    (_MEMOS, _memo),
    (frozenset({COMPUTE_BUDGET}), _budget),
)
