"""Calls, references and packed transactions of the EVM adapter; no node."""

import pytest
from eth_account import Account
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from sandbox.chains.evm import tx

KEY = Account.from_key("0x" + "11" * 32)
FEES = tx.Fees(10**10, 10**9)


def test_a_call_that_carries_no_reference_has_none() -> None:
    assert tx.reference_of(tx.call_data("transfer(address,uint256)", "0x" + "11" * 20, 5)) == ""


@pytest.mark.parametrize(
    "data",
    [b"", b"kzte", b"\x01kzte", b"\xa9\x05\x9c\xbb\xffkzte", b"\xa9\x05\x9c\xbb\xff\x01kzte"],
)
def test_a_mark_without_what_it_announces_is_no_reference(data: bytes) -> None:
    assert tx.reference_of(data) == ""


@given(st.text(max_size=60), st.binary(min_size=4, max_size=200))
def test_a_reference_comes_back_from_behind_any_call(reference: str, data: bytes) -> None:
    try:
        reference.encode()
    except UnicodeEncodeError:
        return
    assert tx.reference_of(tx.with_reference(data, reference)) == reference


def test_selectors_are_those_of_erc_20() -> None:
    assert tx.selector("transfer(address,uint256)").hex() == "a9059cbb"
    assert tx.selector("balanceOf(address)").hex() == "70a08231"


def test_a_reference_that_does_not_fit_a_word_becomes_its_hash() -> None:
    assert tx.reference_word("iss_1") == b"iss_1".ljust(32, b"\0")
    long = "stl_01ARZ3NDEKTSV4RRFFQ69G5FAV:burn:evm:1"
    assert len(tx.reference_word(long)) == 32
    assert tx.reference_word(long) != tx.reference_word(long + "1")


@given(st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=4))
def test_packed_transactions_come_back_in_order(raws: list[bytes]) -> None:
    assert tx.unpack(tx.pack(raws)) == raws


def test_the_id_of_a_signed_transaction_is_that_of_its_bytes() -> None:
    act = tx.Act("0x" + "22" * 20, b"\x01\x02", 50_000, 7)
    id_, raw = tx.sign(KEY, 31337, 3, act, FEES)
    assert id_ == "0x" + keccak(raw).hex()
    assert Account.recover_transaction(raw) == KEY.address
    assert tx.sign(KEY, 31337, 3, act, FEES) == (id_, raw)
    assert tx.sign(KEY, 31337, 4, act, FEES)[0] != id_
    assert tx.sign(KEY, 1, 3, act, FEES)[0] != id_
