import base64
import hashlib
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.core.canonical import canonical
from sandbox.eventlog import leaf
from sandbox.eventlog.types import EntryHash, NewEvent

AT = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
SALT = bytes(32)
SESSION = {
    "object": "checkout_session",
    "id": "cs_1",
    "amount_tiyn": 250000,
    "description": "Two coffees for Aigerim",
    "metadata": {"order": "7", "amount": "12"},
    "options": [{"chain": "solana", "url": "solana:x?amount=2500", "amount_units": 250000}],
    "payment": None,
    "paid": True,
    "attempt": 3,
}


def event(data: dict[str, object], merchant: str | None = "mch_1") -> NewEvent:
    return NewEvent("evt_1", "checkout.session.created", AT, data, merchant)


def changed(**fields: object) -> bytes:
    parsed = orjson.loads(leaf.build(event(SESSION), [], SALT).leaf)
    return canonical({**parsed, **fields})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        changed(v=2),
        changed(v=True),
        changed(id=""),
        changed(created="2026-11-20T10:00:00Z"),
        changed(created="2026-13-20T10:00:00.000Z"),
        changed(merchant=7),
        changed(data=[]),
        changed(entries=[{"id": "ent_1"}]),
        changed(entries=[{"id": "ent_1", "sha256": "AB"}]),
        changed(commit={"description": "short"}),
        changed(more=1),
        changed() + b" ",
        changed().replace(b'{"commit"', b'{ "commit"'),
    ],
)
def test_anything_but_a_leaf_in_canonical_form_is_refused(data: bytes) -> None:
    with pytest.raises(leaf.MalformedLeaf):
        leaf.parse(data)


def test_a_float_has_no_place_in_an_event() -> None:
    with pytest.raises(TypeError):
        leaf.build(event({"ratio": 1.5}), [], SALT)


def test_private_fields_stand_in_no_leaf_at_any_depth_but_are_committed_to() -> None:
    parts = leaf.build(event(SESSION), [], SALT)
    for word in (b"coffees", b"solana:x", b"order", b'metadata":{'):
        assert word not in parts.leaf
    assert parts.private == {
        "description": "Two coffees for Aigerim",
        "metadata": {"order": "7", "amount": "12"},
        "options.0.url": "solana:x?amount=2500",
    }
    commit = leaf.parse(parts.leaf)["commit"]
    hashed = hashlib.sha256(SALT + b'{"amount":"12","order":"7"}').digest()
    assert commit["metadata"] == base64.b64encode(hashed).decode()
    assert commit.keys() == parts.private.keys()


@pytest.mark.parametrize(
    "key", ["name", "customer_name", "creditor_iban", "iin", "bin", "iban", "metadata", "note"]
)
def test_personal_data_is_known_by_its_key_alone(key: str) -> None:
    parts = leaf.build(event({"lines": [{key: "Айгерім"}]}), [], SALT)
    assert "Айгерім".encode() not in parts.leaf
    assert parts.private == {f"lines.0.{key}": "Айгерім"}


def test_secrets_are_neither_in_the_leaf_nor_beside_it() -> None:
    parts = leaf.build(event({"id": "ak_1", "secret": "sk_sbx_1_x"}), [], SALT)
    assert b"sk_sbx" not in parts.leaf
    assert parts.private == {}


def test_a_leaf_holds_amounts_as_strings_and_other_numbers_as_numbers() -> None:
    entries = [EntryHash("ent_1", "ab" * 32)]
    found = leaf.parse(leaf.build(event(SESSION), entries, SALT).leaf)
    assert found["data"]["amount_tiyn"] == "250000"
    assert found["data"]["options"][0]["amount_units"] == "250000"
    assert found["data"]["attempt"] == 3
    assert found["data"]["paid"] is True
    assert found["entries"] == [{"id": "ent_1", "sha256": "ab" * 32}]
    assert found["created"] == "2026-11-20T10:00:00.000Z"


def test_the_leaf_and_its_private_fields_give_the_api_object_back() -> None:
    parts = leaf.build(event(SESSION), [], SALT)
    data = leaf.parse(parts.leaf)["data"]
    assert leaf.api_data(data, parts.private) == SESSION
    without = leaf.api_data(data, None)
    assert "description" not in without
    assert without["amount_tiyn"] == 250000


keys = st.sampled_from(
    ["id", "chain", "amount_tiyn", "received_units", "units", "amount", "name", "iban", "url", "n"]
)
scalars = st.none() | st.booleans() | st.text(alphabet="abc", max_size=3)
values = st.recursive(
    scalars | st.integers(-(2**53) + 1, 2**53 - 1),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(keys, values, max_size=5))
def test_every_object_reads_back_as_it_was(data: dict[str, object]) -> None:
    parts = leaf.build(event(data), [], SALT)
    assert leaf.api_data(leaf.parse(parts.leaf)["data"], parts.private) == data


def test_amounts_beyond_what_json_numbers_hold_survive() -> None:
    parts = leaf.build(event({"fund_units": 10**30}), [], SALT)
    assert leaf.api_data(leaf.parse(parts.leaf)["data"], parts.private) == {"fund_units": 10**30}


def test_a_member_that_an_event_calls_private_stays_out_of_its_leaf_and_comes_back() -> None:
    data = {"object": "refund", "reason": "Aigerim sent it back", "amount_tiyn": 5}
    event = NewEvent("evt_1", "refund.requested", AT, data, "mch_1", private=("reason",))
    built = leaf.build(event, [], SALT)
    assert b"Aigerim" not in built.leaf
    told = orjson.loads(built.leaf)
    assert set(told["commit"]) == {"reason"}
    assert leaf.api_data(told["data"], built.private) == data
