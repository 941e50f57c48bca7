"""Reading Solana blocks by meaning, whatever wallets and programs put into a transaction."""

import struct
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from contracts.solana_mint import SYSTEM, TOKEN_2022
from sandbox.chains.port import ForeignTransfer, Transfer
from sandbox.chains.solana.blocks import Watched, base58_decode, parse_block
from sandbox.chains.solana.errors import reason
from sandbox.chains.solana.tx import MEMO_V1, MEMO_V2, TOKEN
from tests.chains.blocks_of_solana import Tx, base58, block

MINT, OTHER_MINT, TREASURY, PROGRAM = (Pubkey.new_unique() for _ in range(4))
HOLDERS = [Pubkey.new_unique() for _ in range(4)]
ACCOUNTS = {owner: Pubkey.new_unique() for owner in [*HOLDERS, TREASURY]}
REF_1, REF_2, SIGNER = (Pubkey.new_unique() for _ in range(3))
WATCHED = Watched(str(MINT), frozenset({str(TREASURY)}))
KEYS = [
    *HOLDERS,
    TREASURY,
    *ACCOUNTS.values(),
    MINT,
    OTHER_MINT,
    REF_1,
    REF_2,
    SIGNER,
    SYSTEM,
    TOKEN,
    TOKEN_2022,
    MEMO_V1,
    MEMO_V2,
    PROGRAM,
]
Call = tuple[Pubkey, list[Pubkey], bytes]


def checked(op: int, units: int) -> bytes:
    return struct.pack("<BQB", op, units, 2)


def transfer(source: Pubkey, to: Pubkey, units: int, *extra: Pubkey, mint: Pubkey = MINT) -> Call:
    accounts = [ACCOUNTS[source], mint, ACCOUNTS[to], source, *extra]
    return TOKEN_2022, accounts, checked(12, units)


def held(owner: Pubkey, before: int, after: int) -> tuple[Pubkey, str, str, int, str, int]:
    return ACCOUNTS[owner], str(MINT), str(owner), before, str(owner), after


def parsed(*txs: Tx) -> tuple[Transfer, ...]:
    return parse_block(7, block(*txs), WATCHED).transfers


def test_a_failed_transaction_moves_nothing_and_says_why() -> None:
    tx = Tx(
        KEYS,
        [transfer(HOLDERS[0], TREASURY, 5, REF_1)],
        tokens=[held(HOLDERS[0], 9, 9), held(TREASURY, 0, 0)],
        err={"InstructionError": [0, {"Custom": 17}]},
    )
    found = parse_block(7, block(tx), WATCHED)
    assert found.transfers == ()
    assert dict(found.tx_errors) == {str(tx.signature): "frozen"}
    assert found.txs == (str(tx.signature),)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("AccountNotFound", "unknown payer"),
        ("AccountInUse", "AccountInUse"),
        ({"InstructionError": [0, {"Custom": 1}]}, "insufficient funds"),
        ({"InstructionError": [0, {"Custom": 0x43}]}, "paused"),
        ({"InstructionError": [1, {"Custom": 1}]}, "insufficient lamports"),
        ({"InstructionError": [1, {"Custom": 2}]}, "instruction 1: custom program error 0x2"),
        ({"InstructionError": [5, {"Custom": 17}]}, "instruction 5: custom program error 0x11"),
        ({"InstructionError": [0, "InvalidAccountData"]}, "instruction 0: InvalidAccountData"),
        ({"InstructionError": [0, {"BorshIoError": "x"}]}, 'instruction 0: {"BorshIoError":"x"}'),
        ({"InsufficientFundsForRent": {"account_index": 1}}, "insufficient lamports"),
        (
            {"ProgramExecutionTemporarilyRestricted": {"account_index": 1}},
            '{"ProgramExecutionTemporarilyRestricted":{"account_index":1}}',
        ),
    ],
)
def test_errors_are_put_into_words(error: object, words: str) -> None:
    assert reason(error, [str(TOKEN_2022), str(SYSTEM)]) == words


def test_a_transfer_of_another_token_is_not_ours() -> None:
    tx = Tx(
        KEYS,
        [transfer(HOLDERS[0], HOLDERS[1], 5, mint=OTHER_MINT)],
        tokens=[
            (ACCOUNTS[HOLDERS[0]], str(OTHER_MINT), str(HOLDERS[0]), 9, str(HOLDERS[0]), 4),
            (ACCOUNTS[HOLDERS[1]], str(OTHER_MINT), str(HOLDERS[1]), 0, str(HOLDERS[1]), 5),
        ],
    )
    assert parsed(tx) == ()


def test_a_transfer_of_nothing_is_none() -> None:
    tx = Tx(KEYS, [transfer(HOLDERS[0], TREASURY, 0, REF_1)], tokens=[held(HOLDERS[0], 9, 9)])
    assert parsed(tx) == ()


def test_references_come_first_then_memos_of_both_versions_whole() -> None:
    tx = Tx(
        KEYS,
        [
            (MEMO_V1, [], "оплата № 1".encode()),
            transfer(HOLDERS[0], TREASURY, 5, REF_1, REF_2, REF_1),
            (MEMO_V2, [HOLDERS[0]], b"cs_1"),
        ],
        tokens=[held(HOLDERS[0], 9, 4), held(TREASURY, 0, 5)],
    )
    keys = (f"ref:{REF_1}", f"ref:{REF_2}", "memo:оплата № 1", "memo:cs_1")
    assert parsed(tx) == (
        Transfer(str(tx.signature), 0, "transfer", str(HOLDERS[0]), str(TREASURY), 5, keys),
    )


def test_a_memo_that_cannot_be_stored_does_not_stop_the_watcher() -> None:
    tx = Tx(
        KEYS,
        [(MEMO_V1, [], b"\xff\xfe\0"), transfer(HOLDERS[0], TREASURY, 5)],
        tokens=[held(HOLDERS[0], 9, 4), held(TREASURY, 0, 5)],
    )
    [found] = parsed(tx)
    assert found.keys == ("memo:\ufffd\ufffd\ufffd",)


def test_two_payments_in_one_transaction_have_their_own_references_and_ordinals() -> None:
    tx = Tx(
        KEYS,
        [transfer(HOLDERS[0], TREASURY, 5, REF_1), transfer(HOLDERS[0], TREASURY, 3, REF_2)],
        tokens=[held(HOLDERS[0], 9, 1), held(TREASURY, 0, 8)],
    )
    assert [(t.ordinal, t.amount_units, t.keys) for t in parsed(tx)] == [
        (0, 5, (f"ref:{REF_1}",)),
        (1, 3, (f"ref:{REF_2}",)),
    ]


def test_a_transfer_inside_another_program_is_seen_with_its_references() -> None:
    tx = Tx(
        KEYS,
        [(PROGRAM, [], b"do"), transfer(HOLDERS[1], TREASURY, 1)],
        inner={0: [transfer(HOLDERS[0], TREASURY, 5, SIGNER, REF_1)]},
        tokens=[held(HOLDERS[0], 5, 0), held(HOLDERS[1], 1, 0), held(TREASURY, 0, 6)],
    )
    first, second = parsed(tx)
    assert (first.source, first.keys) == (str(HOLDERS[0]), (f"ref:{SIGNER}", f"ref:{REF_1}"))
    assert (second.ordinal, second.source) == (1, str(HOLDERS[1]))


def test_keys_that_come_by_lookup_table_are_resolved() -> None:
    keys = [
        *[key for key in KEYS if key not in (ACCOUNTS[TREASURY], REF_1)],
        ACCOUNTS[TREASURY],
        REF_1,
    ]
    tx = Tx(
        keys,
        [transfer(HOLDERS[0], TREASURY, 5, REF_1)],
        tokens=[held(HOLDERS[0], 9, 4), held(TREASURY, 0, 5)],
        loaded=2,
    )
    [found] = parsed(tx)
    assert (found.destination, found.keys) == (str(TREASURY), (f"ref:{REF_1}",))


def test_an_account_that_changes_its_owner_moves_its_units() -> None:
    account = ACCOUNTS[HOLDERS[0]]
    tx = Tx(
        KEYS,
        [(TOKEN_2022, [account, HOLDERS[0]], b"\x06\x02\x01" + bytes(TREASURY))],
        tokens=[(account, str(MINT), str(HOLDERS[0]), 7, str(TREASURY), 7)],
    )
    [found] = parsed(tx)
    assert (found.kind, found.source, found.destination, found.amount_units) == (
        "transfer",
        str(HOLDERS[0]),
        str(TREASURY),
        7,
    )


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [(0, 5, ("mint", "", str(TREASURY))), (5, 0, ("burn", str(TREASURY), ""))],
)
def test_units_that_appear_or_go_without_an_instruction_we_know_are_not_missed(
    before: int, after: int, expected: tuple[str, str, str]
) -> None:
    tx = Tx(KEYS, [(PROGRAM, [], b"?")], tokens=[held(TREASURY, before, after)])
    [found] = parsed(tx)
    assert (found.kind, found.source, found.destination) == expected


def test_an_account_that_came_and_went_in_the_transaction_is_named_by_its_owner() -> None:
    passing = Pubkey.new_unique()
    tx = Tx(
        [*KEYS, passing],
        [
            (TOKEN_2022, [passing, MINT], b"\x12" + bytes(HOLDERS[1])),
            (TOKEN_2022, [ACCOUNTS[HOLDERS[0]], MINT, passing, HOLDERS[0]], checked(12, 5)),
            (TOKEN_2022, [passing, MINT, ACCOUNTS[TREASURY], HOLDERS[1]], checked(12, 5)),
        ],
        tokens=[held(HOLDERS[0], 5, 0), held(TREASURY, 0, 5)],
    )
    assert [(t.source, t.destination) for t in parsed(tx)] == [
        (str(HOLDERS[0]), str(HOLDERS[1])),
        (str(HOLDERS[1]), str(TREASURY)),
    ]


def test_other_tokens_and_sol_that_reach_the_treasury_are_foreign() -> None:
    account = ACCOUNTS[TREASURY]
    tx = Tx(
        KEYS,
        [
            (SYSTEM, [HOLDERS[0], TREASURY, REF_2], b"\x02\0\0\0" + (77).to_bytes(8, "little")),
            (
                TOKEN,
                [ACCOUNTS[HOLDERS[0]], OTHER_MINT, account, HOLDERS[0], REF_1],
                checked(12, 5),
            ),
        ],
        tokens=[
            (ACCOUNTS[HOLDERS[0]], str(OTHER_MINT), str(HOLDERS[0]), 9, str(HOLDERS[0]), 4),
            (account, str(OTHER_MINT), "", 0, str(TREASURY), 5),
        ],
        lamports={HOLDERS[0]: (1000, 900), TREASURY: (0, 77)},
    )
    found = parse_block(7, block(tx), WATCHED)
    id_, keys = str(tx.signature), (f"ref:{REF_2}", f"ref:{REF_1}")
    assert found.transfers == ()
    assert found.foreign == (
        ForeignTransfer(id_, 0, str(OTHER_MINT), str(HOLDERS[0]), str(TREASURY), 5, keys),
        ForeignTransfer(id_, 1, "SOL", str(HOLDERS[0]), str(TREASURY), 77, keys),
    )


owners = st.sampled_from([*HOLDERS, TREASURY])
moves = st.lists(
    st.tuples(
        st.sampled_from(["transfer", "with_fee", "mint", "burn", "unknown"]),
        owners,
        owners,
        st.integers(1, 10**15),
        st.booleans(),
    ),
    max_size=8,
)


@given(moves)
def test_whatever_happens_the_transfers_add_up_to_the_balances(
    asked: list[tuple[str, Pubkey, Pubkey, int, bool]],
) -> None:
    before = dict.fromkeys(ACCOUNTS, 10**17)
    net: Counter[Pubkey] = Counter()
    outer: list[Call] = []
    inner: dict[int, list[Call]] = {}
    for kind, source, to, units, nested in asked:
        call: Call
        match kind:
            case "transfer":
                call = transfer(source, to, units, REF_1)
            case "with_fee":
                accounts = [ACCOUNTS[source], MINT, ACCOUNTS[to], source]
                call = (TOKEN_2022, accounts, b"\x1a\x01" + struct.pack("<QBQ", units, 2, 0))
            case "mint":
                call = (TOKEN_2022, [MINT, ACCOUNTS[to], SIGNER], checked(14, units))
            case "burn":
                call = (TOKEN_2022, [ACCOUNTS[source], MINT, source], checked(15, units))
            case _:
                call = (PROGRAM, [ACCOUNTS[source], ACCOUNTS[to]], b"magic")
        if kind != "mint":
            net[source] -= units
        if kind != "burn":
            net[to] += units
        if nested:
            outer.append((PROGRAM, [], b"call"))
            inner[len(outer) - 1] = [call]
        else:
            outer.append(call)
    tokens = [held(owner, before[owner], before[owner] + net[owner]) for owner in ACCOUNTS]
    found = parsed(Tx(KEYS, outer, inner, tokens))
    seen: Counter[str] = Counter()
    for one in found:
        assert one.amount_units > 0
        assert (one.kind == "mint") == (one.source == "")
        assert (one.kind == "burn") == (one.destination == "")
        if one.source:
            seen[one.source] -= one.amount_units
        if one.destination:
            seen[one.destination] += one.amount_units
    assert {o: n for o, n in seen.items() if n} == {str(o): n for o, n in net.items() if n}
    assert [one.ordinal for one in found] == list(range(len(found)))
    known = [(k, u) for k, s, t, u, _ in asked if k in ("transfer", "with_fee", "mint", "burn")]
    assert [one.amount_units for one in found][: len(known)] == [units for _, units in known]


@given(st.binary(max_size=64))
def test_base58_is_read_back(data: bytes) -> None:
    assert base58_decode(base58(data)) == data
