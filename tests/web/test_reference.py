"""`/docs` as a browser without a network gets it, and the request examples that it shows."""

import re
from typing import get_args

import httpx2
import pytest
from fastapi.routing import APIRoute
from pydantic import BaseModel

from sandbox import wiring
from sandbox.app import create_app
from sandbox.core.http import words
from sandbox.core.http.paging import Page
from sandbox.web import reference


def bodies() -> list[type[BaseModel]]:
    """The model of every request body that a slice takes."""
    routes = (r for router in wiring.ROUTERS for r in router.routes if isinstance(r, APIRoute))
    kinds = (
        kind
        for route in routes
        for value in route.endpoint.__annotations__.values()
        for kind in get_args(value) or (value,)
        if isinstance(kind, type) and issubclass(kind, BaseModel) and kind is not Page
    )
    return sorted(set(kinds), key=lambda kind: kind.__name__)


@pytest.fixture
async def page() -> str:
    transport = httpx2.ASGITransport(create_app())
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        assert (await client.get("/")).headers["location"] == "/docs"
        answer = await client.get("/docs")
    assert answer.status_code == 200
    assert "script-src" not in answer.headers["content-security-policy"]
    return answer.text


async def test_the_page_loads_nothing_from_anywhere(page: str) -> None:
    assert not re.findall(r"<(?:script|link|img|iframe)\b", page)
    assert re.findall(r'(?:src|href)="(?![#/])', page) == []


async def test_the_page_shows_every_operation_of_the_document_once(page: str) -> None:
    document = create_app().openapi()
    wanted = {
        f"{method}-{path.strip('/')}"
        for path, operations in document["paths"].items()
        for method in operations
    }
    assert len(wanted) > 45
    shown = re.findall(r'<section id="([^"]+)">', page)
    assert sorted(shown) == sorted(wanted)


async def test_each_answer_leads_to_its_members_and_they_to_theirs(page: str) -> None:
    sections = re.findall(r'<section id="(shape-[^"]+)" class="shape">', page)
    assert len(sections) == len(set(sections)) > 100
    assert set(re.findall(r'href="#(shape-[^"]+)"', page)) <= set(sections)
    created = page.partition('id="post-v1/refunds"')[2].partition("</section>")[0]
    assert 'Answers 201: <a href="#shape-Refund">Refund</a>.' in created
    listed = page.partition('id="get-v1/stray_transfers"')[2].partition("</section>")[0]
    assert (
        'Answers 200: list of <a href="#shape-StrayTransfer">StrayTransfer</a>'
        ' or <a href="#shape-HolderBurn">HolderBurn</a>.'
    ) in listed
    session = page.partition('id="shape-CheckoutSession"')[2].partition("</section>")[0]
    assert 'string or <a href="#shape-Merchant">Merchant</a>' in session
    assert "its state: <code>open</code> | <code>complete</code>" in session
    reserve = page.partition('id="shape-Reserve"')[2].partition("</section>")[0]
    assert reserve.count("may be absent") == 8


def test_text_from_docstrings_cannot_become_markup() -> None:
    assert reference.prose("a <b> `<i>`\n\n**c**") == (
        "<p>a &lt;b&gt; <code>&lt;i&gt;</code></p><p><strong>c</strong></p>"
    )


@pytest.mark.parametrize("kind", bodies(), ids=lambda kind: kind.__name__)
def test_every_request_body_has_an_example_that_it_accepts(kind: type[BaseModel]) -> None:
    shown = kind.model_json_schema()["examples"]
    assert shown
    for example in shown:
        assert kind.model_validate(example)


def test_the_bodies_are_all_found() -> None:
    schemas = create_app().openapi()["components"]["schemas"]
    assert {kind.__name__ for kind in bodies()} == {n for n in schemas if n.endswith("In")}


def test_every_parameter_and_every_member_of_a_body_says_what_it_is() -> None:
    document = create_app().openapi()
    operations = [one for path in document["paths"].values() for one in path.values()]
    silent = {
        one["name"]
        for operation in operations
        for one in operation.get("parameters", ())
        if not (one.get("description") or one["schema"].get("description"))
    }
    silent |= {
        f"{model}.{name}"
        for model, schema in document["components"]["schemas"].items()
        for name, of in schema.get("properties", {}).items()
        if not of.get("description")
    }
    assert silent == set()


def test_no_word_is_kept_for_what_is_not_there() -> None:
    document = create_app().openapi()
    operations = [one for path in document["paths"].values() for one in path.values()]
    asked = {one["name"] for operation in operations for one in operation.get("parameters", ())}
    members = {
        name
        for model, schema in document["components"]["schemas"].items()
        if model.endswith("In") or model == "Problem"
        for member in schema.get("properties", {})
        for name in (member, f"{model}.{member}")
    }
    assert words.PARAMETERS.keys() <= asked
    assert words.MEMBERS.keys() <= members
    assert words.GROUPS.keys() == {tag for operation in operations for tag in operation["tags"]}


async def test_the_page_begins_with_what_a_shop_needs(page: str) -> None:
    assert page.index("<h2>checkout</h2>") < page.index("<h2>webhooks</h2>")
    assert page.index("<h2>webhooks</h2>") < page.index("<h2>reserve</h2>")


async def test_a_refusals_values_are_named_in_its_text_as_people_read_them() -> None:
    transport = httpx2.ASGITransport(create_app())
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        text = (await client.get("/docs/errors")).text
    assert "at most <var>max_tiyn</var>." in text
    assert not re.search(r"\{\w+(:\w+)?\}", text.split("</style>")[1])
