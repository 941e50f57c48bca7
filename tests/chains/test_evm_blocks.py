"""What is read out of an EVM block, from answers as a node gives them; no node."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.chains.evm.blocks import TRANSFER, Watched, parse_block, undecided
from sandbox.chains.evm.errors import reason, revert_text
from sandbox.chains.evm.tx import ZERO, call_data, with_reference
from sandbox.chains.port import Transfer

TOKEN, OTHER = "0x" + "aa" * 20, "0x" + "bb" * 20
TREASURY, MINTER = "0x" + "01" * 20, "0x" + "02" * 20
ANN, BOB = "0x" + "03" * 20, "0x" + "04" * 20
WATCHED = Watched(
    TOKEN,
    frozenset({TOKEN}),
    frozenset({TREASURY}),
    frozenset({TREASURY, MINTER}),
    lambda address: f"addr:{address}",
)
Json = dict[str, Any]


def tx(
    n: int, *, source: str = ANN, to: str | None = TOKEN, value: int = 0, data: str = "0x"
) -> Json:
    return {"hash": f"0x{n:064x}", "from": source, "to": to, "value": hex(value), "input": data}


def log(n: int, index: int, source: str, destination: str, amount: int, token: str = TOKEN) -> Json:
    topics = [TRANSFER, *("0x" + "0" * 24 + address[2:] for address in (source, destination))]
    return {
        "transactionHash": f"0x{n:064x}",
        "logIndex": hex(index),
        "address": token,
        "topics": topics,
        "data": f"0x{amount:064x}",
    }


def block(*txs: Json) -> Json:
    return {
        "number": "0x10",
        "hash": "0x" + "10" * 32,
        "parentHash": "0x" + "0f" * 32,
        "timestamp": hex(1_795_000_000),
        "transactions": list(txs),
    }


@pytest.mark.parametrize(
    "change",
    [
        {"topics": [TRANSFER]},
        {"topics": ["0x" + "11" * 32, "0x" + "0" * 64, "0x" + "0" * 64]},
        {"topics": [TRANSFER, *["0x" + "0" * 64] * 3], "data": "0x"},
        {"data": "0x"},
        {"data": "0x" + "01" * 64},
    ],
)
def test_a_log_that_only_looks_like_a_transfer_moves_nothing(change: Json) -> None:
    found = parse_block(block(tx(1)), [log(1, 0, ANN, BOB, 5) | change], {}, WATCHED)
    assert found.transfers == ()
    assert found.foreign == ()


def test_a_transfer_of_nothing_is_left_out_and_counts_no_ordinal() -> None:
    logs = [log(1, 0, ANN, BOB, 0), log(1, 1, ANN, BOB, 5)]
    [transfer] = parse_block(block(tx(1)), logs, {}, WATCHED).transfers
    assert (transfer.ordinal, transfer.amount_units) == (0, 5)


def test_a_failed_transaction_keeps_its_reason_and_its_coin() -> None:
    sent = tx(1, to=TREASURY, value=9)
    found = parse_block(block(sent), [], {sent["hash"]: "frozen"}, WATCHED)
    assert found.tx_errors == {sent["hash"]: "frozen"}
    assert found.foreign == ()


def test_ordinals_count_within_the_transaction_whatever_else_the_block_logs() -> None:
    logs = [
        log(1, 3, ANN, BOB, 1),
        log(2, 0, BOB, ANN, 2),
        log(1, 1, ANN, TREASURY, 3),
        log(1, 2, ANN, BOB, 4, OTHER),
    ]
    found = parse_block(block(tx(2), tx(1)), logs, {}, WATCHED)
    assert [(t.tx[-1], t.ordinal, t.amount_units) for t in found.transfers] == [
        ("2", 0, 2),
        ("1", 0, 3),
        ("1", 1, 1),
    ]
    [foreign] = found.foreign
    assert (foreign.ordinal, foreign.token, foreign.amount) == (2, OTHER, 4)


def test_a_mint_has_no_source_and_a_burn_no_destination() -> None:
    logs = [log(1, 0, ZERO, ANN, 5), log(1, 1, ANN, ZERO, 2)]
    mint, burn = parse_block(block(tx(1)), logs, {}, WATCHED).transfers
    assert (mint.kind, mint.source, mint.destination) == ("mint", "", ANN)
    assert (burn.kind, burn.source, burn.destination) == ("burn", ANN, "")
    assert burn.keys == ()


def test_everything_carries_the_address_it_pays_and_our_own_transactions_their_reference() -> None:
    data = "0x" + with_reference(call_data("transfer(address,uint256)", BOB, 5), "fau_1").hex()
    ours, theirs = tx(1, source=TREASURY, data=data), tx(2, data=data)
    logs = [log(1, 0, TREASURY, BOB, 5), log(2, 1, ANN, BOB, 6), log(2, 2, ANN, TREASURY, 7)]
    found = parse_block(block(ours, theirs), logs, {}, WATCHED)
    assert [t.keys for t in found.transfers] == [
        ("memo:fau_1", f"addr:{BOB}"),
        (f"addr:{BOB}",),
        (),
    ]


def test_coin_of_others_may_be_ours_and_coin_of_our_signers_is_gas() -> None:
    sent = [
        tx(1, to=TREASURY, value=3),
        tx(2, to=BOB, value=4),
        tx(3, source=MINTER, to=TREASURY, value=5),
        tx(4, to=None, value=6),
    ]
    found = parse_block(block(*sent), [], {}, WATCHED)
    assert [(f.destination, f.amount, f.keys) for f in found.foreign] == [
        (TREASURY, 3, ()),
        (BOB, 4, (f"addr:{BOB}",)),
    ]


def test_receipts_are_read_only_where_no_log_says_that_it_happened() -> None:
    sent = [
        tx(1),
        tx(2, to=BOB),
        tx(3, to=BOB, value=1),
        tx(4, source=MINTER, to=OTHER),
        tx(5),
    ]
    asked = undecided(block(*sent), [log(1, 0, ANN, BOB, 5)], WATCHED)
    assert [id_[-1] for id_ in asked] == ["3", "4", "5"]


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 3), st.integers(0, 9)), max_size=20))
def test_what_moves_adds_up_however_logs_are_mixed(moves: list[tuple[int, int, int]]) -> None:
    who = [ANN, BOB, TREASURY, MINTER]
    logs = [log(n, i, who[n - 1], who[to], amount) for i, (n, to, amount) in enumerate(moves)]
    found = parse_block(block(*(tx(n) for n in range(1, 5))), logs[::-1], {}, WATCHED)
    assert sum(t.amount_units for t in found.transfers) == sum(amount for *_, amount in moves)
    assert len({(t.tx, t.ordinal) for t in found.transfers}) == len(found.transfers)
    assert all(isinstance(t, Transfer) and t.kind == "transfer" for t in found.transfers)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kzte: account is frozen", "frozen"),
        ("execution reverted: kzte: paused", "paused"),
        ("kzte: burn amount exceeds balance", "insufficient funds"),
        ("", "reverted"),
        ("x" * 500, "x" * 200),
    ],
)
def test_a_revert_text_becomes_the_word_that_every_chain_uses(text: str, words: str) -> None:
    assert reason(text) == words


@pytest.mark.parametrize("data", [None, 5, "", "0x", "0x08c379a0", "0x" + "11" * 100])
def test_data_that_is_no_revert_text_says_nothing(data: Any) -> None:
    assert revert_text(data) == ""
