"""Methods about accounts and tokens, each at the commitment the caller asks for."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from typing import Any

from solders.account import Account
from solders.pubkey import Pubkey

from sandbox.devnets.solana import base58, params
from sandbox.devnets.solana.bank import Level
from sandbox.devnets.solana.encode import account_json, key_text
from sandbox.devnets.solana.errors import invalid_params
from sandbox.devnets.solana.node import Method, Node
from sandbox.devnets.solana.params import Config, Params
from sandbox.devnets.solana.parsed_accounts import CLOCK, clock_at
from sandbox.devnets.solana.tokens import (
    TOKEN_PROGRAMS,
    TokenIndex,
    TokenState,
    is_mint,
    token_state,
    ui_amount,
)

_CLOCK = bytes(CLOCK)
_MAX_FILTERS = 4
_MAX_MEMCMP_BYTES = 128
_LARGEST = 20


class View:
    """Accounts as of one commitment."""

    def __init__(self, node: Node, level: Level) -> None:
        self.node, self.level = node, level
        self.slot = None if level == "processed" else node.bank.slot_at(level)

    def get(self, key: bytes) -> Account | None:
        account = self.node.bank.accounts.at(key, self.slot)
        if self.slot is not None and account is not None and key == _CLOCK:
            block = self.node.bank.sealed_at(self.level)
            return clock_at(account, block.slot, block.time)
        return account

    def decimals(self, mint: bytes) -> int:
        account = self.get(mint)
        return account.data[44] if account is not None and len(account.data) > 44 else 0

    def json(self, key: bytes, account: Account, config: Config, default: str) -> Any:
        encoding = config.account_encoding(default)
        return account_json(key, account, encoding, config.data_slice(), self.decimals)


def view(node: Node, config: Config) -> View:
    return View(node, node.level(config))


def showing(node: Node, config: Config) -> View:
    """A view whose accounts are shown: bad options are refused also where there is none."""
    config.account_encoding("binary")
    config.data_slice()
    return view(node, config)


def get_account_info(node: Node, given: Params) -> Any:
    key, config = given.key(0), given.config(1)
    seen = showing(node, config)
    account = seen.get(key)
    value = None if account is None else seen.json(key, account, config, "binary")
    return node.context(seen.level, value)


def get_multiple_accounts(node: Node, given: Params) -> Any:
    keys = [params.pubkey(text) for text in given.strings(0, 100)]
    config = given.config(1)
    seen = showing(node, config)
    found = [(key, seen.get(key)) for key in keys]
    return node.context(
        seen.level,
        [None if a is None else seen.json(key, a, config, "base64") for key, a in found],
    )


def get_balance(node: Node, given: Params) -> Any:
    key = given.key(0)
    seen = view(node, given.config(1))
    account = seen.get(key)
    return node.context(seen.level, 0 if account is None else account.lamports)


# --- getProgramAccounts ------------------------------------------------------------------------

Filter = Callable[[bytes], bool]


def filters(config: Config) -> tuple[list[Filter], dict[int, bytes]]:
    """The filters as tests on account data, and the memcmp ones by offset (for the index)."""
    asked = config.value.get("filters")
    if asked is None:
        return [], {}
    if not isinstance(asked, list):
        raise invalid_params("Invalid params: invalid type for filters, expected an array.")
    if len(asked) > _MAX_FILTERS:
        raise invalid_params(f"Too many filters provided; max {_MAX_FILTERS}")
    tests: list[Filter] = []
    compared: dict[int, bytes] = {}
    for entry in asked:
        if not isinstance(entry, dict):
            raise invalid_params("Invalid params: invalid type, expected a filter object.")
        if "dataSize" in entry:
            size = params.u64(entry["dataSize"], "dataSize")
            tests.append(lambda data, size=size: len(data) == size)  # type: ignore[misc]  # mypy infers no type of a lambda with defaults
        elif "memcmp" in entry:
            offset, wanted = _memcmp(entry["memcmp"])
            compared[offset] = wanted
            tests.append(
                lambda data, o=offset, w=wanted: data[o : o + len(w)] == w  # type: ignore[misc]  # as above
            )
        elif "tokenAccountState" in entry:
            tests.append(lambda data: len(data) >= 165 and data[108] in (1, 2))
        else:
            raise invalid_params("Invalid params: unknown filter.")
    return tests, compared


def _memcmp(entry: Any) -> tuple[int, bytes]:
    if not isinstance(entry, dict):
        raise invalid_params("Invalid params: invalid type for memcmp.")
    offset, wanted = params.u64(entry.get("offset"), "offset"), entry.get("bytes")
    if isinstance(wanted, list):
        if not all(isinstance(b, int) and 0 <= b < 256 for b in wanted):
            raise invalid_params("Invalid params: memcmp bytes are not bytes.")
        found = bytes(wanted)
    elif isinstance(wanted, str) and len(wanted) <= 2 * _MAX_MEMCMP_BYTES:
        try:
            if entry.get("encoding") == "base64":
                found = base64.b64decode(wanted, validate=True)
            else:
                found = base58.decode(wanted)
        except (ValueError, binascii.Error):
            raise invalid_params("Invalid param: memcmp bytes cannot be decoded") from None
    else:
        raise invalid_params("Invalid param: memcmp bytes are missing or too long")
    if len(found) > _MAX_MEMCMP_BYTES:
        raise invalid_params("encoded binary data should be less than 128 bytes")
    return offset, found


def get_program_accounts(node: Node, given: Params) -> Any:
    program, config = given.key(0), given.config(1)
    tests, compared = filters(config)
    seen = showing(node, config)
    owner = Pubkey(program)
    found = []
    for key in _candidates(node, owner, compared):
        account = seen.get(key)
        if account is None or account.owner != owner:
            continue
        data = account.data
        if all(test(data) for test in tests):
            found.append(
                {"pubkey": key_text(key), "account": seen.json(key, account, config, "binary")}
            )
    if config.flag("sortResults", default=True):
        found.sort(key=lambda entry: str(entry["pubkey"]))
    return node.context(seen.level, found) if config.flag("withContext") else found


def _candidates(node: Node, owner: Pubkey, compared: dict[int, bytes]) -> list[bytes]:
    """Keys that may match at some commitment: by the token index where it helps, else all."""
    accounts = node.bank.accounts
    if owner in TOKEN_PROGRAMS:
        for offset, index in ((32, accounts.tokens.by_owner), (0, accounts.tokens.by_mint)):
            wanted = compared.get(offset)
            if wanted is not None and len(wanted) == 32:
                return list(index.get(wanted, ()))
    scanned = {bytes(key): None for key, _ in node.bank.svm.get_program_accounts(owner)}
    return [*scanned, *(key for key in accounts.layered() if key not in scanned)]


# --- tokens ------------------------------------------------------------------------------------


def _matching(
    seen: View, index: dict[bytes, set[bytes]], value: bytes, fits: Callable[[TokenState], bool]
) -> list[tuple[bytes, Account, TokenState]]:
    """Token accounts of an index entry that fit at this commitment; forgets stale ones."""
    accounts, found, stale = seen.node.bank.accounts, [], []
    for key in index.get(value, ()):
        account = seen.get(key)
        state = token_state(account)
        if account is not None and state is not None and fits(state):
            found.append((key, account, state))
        elif not accounts.is_layered(key):
            stale.append(key)
    TokenIndex.drop(index, value, stale)
    return found


def _owned_by(node: Node, given: Params, *, delegate: bool) -> Any:
    wanted, selector, config = given.key(0), given.config(1), given.config(2)
    seen = showing(node, config)
    mint = selector.value.get("mint")
    program = selector.value.get("programId")
    if mint is not None:
        mint_key = params.pubkey(mint)
        _mint_account(seen, mint_key)

        def fits(account: Account, state: TokenState) -> bool:
            return state.mint == mint_key

    elif program is not None:
        program_key = params.pubkey(program)
        if Pubkey(program_key) not in TOKEN_PROGRAMS:
            raise invalid_params("Invalid param: unrecognized Token program id")

        def fits(account: Account, state: TokenState) -> bool:
            return account.owner == Pubkey(program_key)

    else:
        raise invalid_params("Invalid params: expected mint or programId.")
    tokens = node.bank.accounts.tokens
    if delegate:
        found = _matching(seen, tokens.by_delegate, wanted, lambda s: s.delegate == wanted)
    else:
        found = _matching(seen, tokens.by_owner, wanted, lambda s: s.owner == wanted)
    return node.context(
        seen.level,
        [
            {"pubkey": key_text(key), "account": seen.json(key, account, config, "binary")}
            for key, account, state in found
            if (
                state.mint == mint_key if mint is not None else account.owner == Pubkey(program_key)
            )
        ],
    )


def get_token_accounts_by_owner(node: Node, given: Params) -> Any:
    return _owned_by(node, given, delegate=False)


def get_token_accounts_by_delegate(node: Node, given: Params) -> Any:
    return _owned_by(node, given, delegate=True)


def _mint_account(seen: View, key: bytes) -> Account:
    account = seen.get(key)
    if account is None:
        raise invalid_params("Invalid param: could not find mint")
    if account.owner not in TOKEN_PROGRAMS or not is_mint(account.data):
        raise invalid_params("Invalid param: not a Token mint")
    return account


def get_token_account_balance(node: Node, given: Params) -> Any:
    key = given.key(0)
    seen = view(node, given.config(1))
    account = seen.get(key)
    if account is None:
        raise invalid_params("Invalid param: could not find account")
    state = token_state(account)
    if state is None:
        raise invalid_params("Invalid param: not a Token account")
    return node.context(seen.level, ui_amount(state.amount, seen.decimals(state.mint)))


def get_token_supply(node: Node, given: Params) -> Any:
    key = given.key(0)
    seen = view(node, given.config(1))
    if seen.get(key) is None:
        raise invalid_params("Invalid param: could not find account")
    data = _mint_account(seen, key).data
    return node.context(seen.level, ui_amount(int.from_bytes(data[36:44], "little"), data[44]))


def get_token_largest_accounts(node: Node, given: Params) -> Any:
    key = given.key(0)
    seen = view(node, given.config(1))
    if seen.get(key) is None:
        raise invalid_params("Invalid param: could not find account")
    decimals = _mint_account(seen, key).data[44]
    tokens = node.bank.accounts.tokens
    found = _matching(seen, tokens.by_mint, key, lambda state: state.mint == key)
    found.sort(key=lambda entry: -entry[2].amount)
    return node.context(
        seen.level,
        [
            {"address": key_text(holder), **ui_amount(state.amount, decimals)}
            for holder, _, state in found[:_LARGEST]
        ],
    )


def accounts_json(
    node: Node, keys: Iterable[bytes], encoding: str, changed: dict[bytes, Account]
) -> list[Any]:
    """Accounts after a simulation: what it changed, else what is there."""
    seen = View(node, "processed")
    out: list[Any] = []
    for key in keys:
        account = changed.get(key) or seen.get(key)
        if account is None or account.lamports == 0:
            out.append(None)
        else:
            out.append(account_json(key, account, encoding, None, seen.decimals))
    return out


METHODS: dict[str, Method] = {
    "getAccountInfo": get_account_info,
    "getMultipleAccounts": get_multiple_accounts,
    "getBalance": get_balance,
    "getProgramAccounts": get_program_accounts,
    "getTokenAccountsByOwner": get_token_accounts_by_owner,
    "getTokenAccountsByDelegate": get_token_accounts_by_delegate,
    "getTokenAccountBalance": get_token_account_balance,
    "getTokenSupply": get_token_supply,
    "getTokenLargestAccounts": get_token_largest_accounts,
}
