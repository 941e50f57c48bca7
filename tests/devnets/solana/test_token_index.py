"""The index of token accounts: it finds every state that can still be seen, and keeps no other."""

import random

from solders.account import Account
from solders.litesvm import LiteSVM
from solders.pubkey import Pubkey

from sandbox.devnets.solana.state import Accounts
from sandbox.devnets.solana.tokens import TOKEN_2022, token_state

MINTS, PEOPLE = [bytes([1, n] * 16) for n in range(2)], [bytes([2, n] * 16) for n in range(3)]
KEYS = [bytes([3, n] * 16) for n in range(4)]


def token_account(rng: random.Random) -> Account | None:
    """Of a random owner and mint, perhaps with a delegate, or none: closed."""
    if rng.random() < 0.3:
        return None
    data = bytearray(174)
    data[0:32], data[32:64] = rng.choice(MINTS), rng.choice(PEOPLE)
    data[64], data[108], data[165] = rng.randrange(3), 1, 2
    if rng.random() < 0.4:
        data[72], data[76:108] = 1, rng.choice(PEOPLE)
    return Account(lamports=2_000_000, data=bytes(data), owner=TOKEN_2022)


def change(accounts: Accounts, slot: int, key: bytes, after: Account | None) -> None:
    before = accounts.current(key)
    if before != after:
        accounts.touched(slot, key, before, after)
        accounts._svm.set_account(Pubkey(key), after or Account(0, b"", Pubkey.default()))


def expected(accounts: Accounts) -> list[dict[bytes, set[bytes]]]:
    """By mint, owner and delegate, from every state that can be seen."""
    by_mint, by_owner, by_delegate = dict[bytes, set[bytes]](), dict[bytes, set[bytes]](), {}
    for key in KEYS:
        seen = [before for _, before in accounts._layers.get(key, ())]
        for state in map(token_state, [*seen, accounts.current(key)]):
            if state is not None:
                by_mint.setdefault(state.mint, set()).add(key)
                by_owner.setdefault(state.owner, set()).add(key)
                if state.delegate is not None:
                    by_delegate.setdefault(state.delegate, set()).add(key)
    return [by_mint, by_owner, by_delegate]


def test_accounts_are_found_while_a_state_of_theirs_can_be_seen_and_no_longer() -> None:
    for seed in range(60):
        rng = random.Random(seed)
        accounts, final, slot = Accounts(LiteSVM()), 0, 1
        for _ in range(40):
            for key in rng.sample(KEYS, rng.randrange(3)):
                change(accounts, slot, key, token_account(rng))
            what = rng.random()
            if what < 0.2 and slot - 1 > final:
                accounts.roll_back(rng.randint(final, slot - 1))
            elif what < 0.6 and final < slot - 1:
                final += 1
                accounts.finalize(final)
            slot += 1
            index = accounts.tokens
            assert [index.by_mint, index.by_owner, index.by_delegate] == expected(accounts), seed
        for each in range(final + 1, slot):
            accounts.finalize(each)
        assert not accounts._layers
