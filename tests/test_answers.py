"""Every successful JSON answer has a shape: named, in words, and true of what is shown."""

from typing import Any

import jsonschema_rs
import pytest

from sandbox.app import create_app
from sandbox.core.http import answer_words, expand
from sandbox.core.http.answers import schemas
from sandbox.core.http.openapi import examples
from sandbox.core.shapes import states
from sandbox.eventlog import catalog
from sandbox.payments import models
from sandbox.wiring import TOLD
from tests.shapes import Json, answers_of, closed

DOCUMENT = create_app().openapi()
COMPONENTS: dict[str, Json] = DOCUMENT["components"]["schemas"]
SHAPES = {name: one for name, one in COMPONENTS.items() if not name.endswith("In")}
SHOWN = examples()


def faults(schema: Json, value: Any) -> list[str]:
    """What of the value the schema does not let through, or does not know."""
    found = jsonschema_rs.validator_for(closed(schema)).iter_errors(value)
    return [f"{list(one.instance_path)}: {one.message}" for one in found]


def test_every_successful_json_answer_refers_to_a_shape() -> None:
    found = answers_of(DOCUMENT)
    assert len(found) > 120
    for operation, schema in found.items():
        named = schema.get("anyOf", [schema])
        assert all(one["$ref"].rpartition("/")[2] in COMPONENTS for one in named), operation


@pytest.mark.parametrize("operation", SHOWN)
def test_each_example_is_as_its_shape_says(operation: str) -> None:
    assert faults(answers_of(DOCUMENT)[operation], SHOWN[operation]) == []


@pytest.mark.parametrize("type_", catalog.types())
def test_each_event_shown_is_as_the_shape_of_its_object_says(type_: str) -> None:
    assert faults(catalog.schema(type_, TOLD), catalog.example(type_)) == []


BODIES = {name: one for name, one in COMPONENTS.items() if name.endswith("In")}


@pytest.mark.parametrize("body", BODIES)
def test_the_defaults_and_examples_of_each_body_are_as_it_asks_for(body: str) -> None:
    schema = BODIES[body]
    shown = [(schema, example) for example in schema.get("examples", ())]
    shown += [(of, of["default"]) for of in schema["properties"].values() if "default" in of]
    assert shown, "nothing to be seen"
    for of, value in shown:
        jsonschema_rs.validate({**of, "components": {"schemas": COMPONENTS}}, value)


def test_a_change_has_no_defaults_that_a_client_would_fill_in() -> None:
    members = BODIES["MerchantChangeIn"]["properties"].values()
    assert len(members) > 5
    assert not any("default" in member for member in members)


def test_a_member_that_no_shape_has_is_found_however_deep_it_stands() -> None:
    schema = answers_of(DOCUMENT)["GET /v1/checkout/sessions/{session_id}"]
    session = SHOWN["GET /v1/checkout/sessions/{session_id}"]
    payment = session["payments"][0] | {"mood": "good"}
    assert "mood" in faults(schema, session | {"payments": [payment]})[0]
    assert faults(schema, session | {"mood": "good"})
    jsonschema_rs.validate(schema, session | {"mood": "good"})  # what is published stays open


def test_a_state_that_the_table_does_not_know_is_found() -> None:
    schema = answers_of(DOCUMENT)["GET /v1/payments/{payment_id}"]
    payment = SHOWN["GET /v1/payments/{payment_id}"]
    assert faults(schema, payment | {"chain_state": "nearly"})
    assert COMPONENTS["Payment"]["properties"]["chain_state"]["enum"] == [
        "confirmed",
        "final",
        "reverted",
    ]


def test_states_are_taken_from_a_check_of_the_table_and_from_nowhere_else() -> None:
    with pytest.raises(LookupError, match="no check of payment lists the values of tx"):
        states(models.Payment, "tx")


def test_every_member_is_put_into_words_and_money_says_its_unit() -> None:
    _, told = schemas(TOLD.values())
    for shape, schema in {**SHAPES, **told}.items():
        for name, member in schema["properties"].items():
            said = member.get("description") or ""
            assert said, (shape, name)
            if name.endswith("_tiyn"):
                assert "tiyn" in said, (shape, name)
                assert "'integer'" in str(member), (shape, name)
            if name.endswith("_units") and "properties" not in member:
                assert "base units" in said, (shape, name)


def test_no_word_of_an_answer_is_kept_for_what_is_not_there() -> None:
    _, told = schemas(TOLD.values())
    said = [
        (name, member["description"].partition("; with `expand[]`")[0])
        for one in {**SHAPES, **told}.values()
        for name, member in one["properties"].items()
    ]
    unused = [
        key
        for key, text in answer_words.MEMBERS.items()
        if (key.rpartition(".")[2], text) not in said
    ]
    assert unused == []


def test_an_id_that_can_be_expanded_is_the_id_or_the_object() -> None:
    for kind, fields in expand.FIELDS.items():
        for field, named in fields.items():
            member = COMPONENTS[expand.SHAPES[kind]]["properties"][field]
            assert f"/{expand.SHAPES[named]}'" in str(member), (kind, field)
    session = COMPONENTS["Payment"]["properties"]["session"]
    assert session["oneOf"] == [
        {"type": "string", "pattern": "^cs_"},
        {"$ref": "#/components/schemas/CheckoutSession"},
    ]


def test_every_type_of_event_tells_a_shape_and_every_shape_told_has_one() -> None:
    told = {head["data"] for head in catalog.listed()}
    assert told == TOLD.keys()


def test_the_names_of_shapes_are_plain() -> None:
    assert [name for name in COMPONENTS if not name.isalnum()] == []
