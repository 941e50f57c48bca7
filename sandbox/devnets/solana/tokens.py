"""What the devnet must know of Token and Token-2022 accounts: layouts, and the index by mint,
owner and delegate that keeps reads from scanning every account.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from solders.account import Account
from solders.pubkey import Pubkey

TOKEN = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
TOKEN_2022 = Pubkey.from_string("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb")
NATIVE_MINT = Pubkey.from_string("So11111111111111111111111111111111111111112")
TOKEN_PROGRAMS = (TOKEN, TOKEN_2022)
PROGRAM_NAMES = {TOKEN: "spl-token", TOKEN_2022: "spl-token-2022"}

MINT_LEN, ACCOUNT_LEN, MULTISIG_LEN = 82, 165, 355
_KIND_MINT, _KIND_ACCOUNT = 1, 2
_AMOUNT_AT, _DELEGATE = 64, slice(72, 109)  # the delegate, and behind it whether there is state


def is_mint(data: bytes) -> bool:
    """Whether data of a token program's account is an initialised mint (by length and byte 165)."""
    if len(data) == MINT_LEN or (
        len(data) > ACCOUNT_LEN and len(data) != MULTISIG_LEN and data[165] == _KIND_MINT
    ):
        return data[45] == 1
    return False


def is_token_account(data: bytes) -> bool:
    """Whether data of a token program's account is an initialised token account."""
    if len(data) == ACCOUNT_LEN or (
        len(data) > ACCOUNT_LEN and len(data) != MULTISIG_LEN and data[165] == _KIND_ACCOUNT
    ):
        return data[108] in (1, 2)
    return False


def ui_amount(amount: int, decimals: int) -> dict[str, Any]:
    """`uiTokenAmount`. The float is the RPC's own field; nothing here computes with it."""
    text = str(amount)
    if decimals:
        text = text.rjust(decimals + 1, "0")
        text = f"{text[:-decimals]}.{text[-decimals:]}".rstrip("0").rstrip(".")
    return {
        "amount": str(amount),
        "decimals": decimals,
        "uiAmount": float(text),
        "uiAmountString": text,
    }


@dataclass(frozen=True, slots=True)
class TokenState:
    """A token account's first 165 bytes, read once."""

    mint: bytes
    owner: bytes
    amount: int
    delegate: bytes | None


def token_state(account: Account | None) -> TokenState | None:
    """The token account in `account`, or None when it is none."""
    if account is None or account.owner not in TOKEN_PROGRAMS:
        return None
    data = account.data
    if not is_token_account(data):
        return None
    return TokenState(
        mint=data[0:32],
        owner=data[32:64],
        amount=int.from_bytes(data[64:72], "little"),
        delegate=data[76:108] if data[72] == 1 else None,
    )


def native_mint() -> Account:
    """The wrapped-SOL mint, which LiteSVM's genesis lacks."""
    data = bytearray(MINT_LEN)
    data[44], data[45] = 9, 1
    return Account(lamports=1_461_600, data=bytes(data), owner=TOKEN)


def is_found_alike(one: Account, other: Account | None) -> bool:
    """Whether two states of an account with at least 165 bytes are found under the same keys.

    So it is with every payment: only amounts change.
    """
    if other is None or one.owner != other.owner:
        return False
    mine, theirs = one.data, other.data
    return mine[:_AMOUNT_AT] == theirs[:_AMOUNT_AT] and mine[_DELEGATE] == theirs[_DELEGATE]


class TokenIndex:
    """Candidates by mint, owner and delegate.

    An account is found under what any state of it says that can still be seen: readers check each
    candidate at their own commitment.
    """

    def __init__(self) -> None:
        self.by_mint: dict[bytes, set[bytes]] = {}
        self.by_owner: dict[bytes, set[bytes]] = {}
        self.by_delegate: dict[bytes, set[bytes]] = {}

    def note(self, key: bytes, account: Account | None, former: Account | None = None) -> None:
        """Remember where `key` may be found after a change from `former` to `account`."""
        if account is None or len(account.data) < ACCOUNT_LEN or is_found_alike(account, former):
            return
        state = token_state(account)
        if state is None:
            return
        self.by_mint.setdefault(state.mint, set()).add(key)
        self.by_owner.setdefault(state.owner, set()).add(key)
        if state.delegate is not None:
            self.by_delegate.setdefault(state.delegate, set()).add(key)

    def forget(self, key: bytes, former: Account, visible: Iterable[Account | None]) -> None:
        """Take `key` from where only `former` had it, among the states that can still be seen."""
        state = token_state(former)
        if state is None:
            return
        others = [other for other in map(token_state, visible) if other is not None]
        if all(other.mint != state.mint for other in others):
            self.drop(self.by_mint, state.mint, (key,))
        if all(other.owner != state.owner for other in others):
            self.drop(self.by_owner, state.owner, (key,))
        if state.delegate is not None and all(o.delegate != state.delegate for o in others):
            self.drop(self.by_delegate, state.delegate, (key,))

    @staticmethod
    def drop(index: dict[bytes, set[bytes]], value: bytes, stale: Iterable[bytes]) -> None:
        """Forget candidates that a reader found to be out of date for good."""
        found = index.get(value)
        if found is None:
            return
        found.difference_update(stale)
        if not found:
            del index[value]
