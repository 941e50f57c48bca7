"""Counting requests, and the text that Prometheus reads."""

from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from sandbox.core.metrics import Figure, Metrics, MetricsMiddleware


def samples(exposed: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """(name, sorted labels) → value, as Prometheus reads it."""
    return {
        (one.name, tuple(sorted(one.labels.items()))): one.value
        for family in text_string_to_metric_families(exposed.decode())
        for one in family.samples
    }


@pytest.fixture
def app() -> FastAPI:
    made = FastAPI()
    made.state.metrics = Metrics("1.2.3")
    made.add_middleware(MetricsMiddleware, metrics=made.state.metrics)

    @made.get("/things/{thing_id}")
    async def thing(thing_id: str) -> dict[str, str]:
        return {"id": thing_id}

    @made.get("/broken")
    async def broken() -> None:
        raise ZeroDivisionError

    return made


async def asked(app: FastAPI, *requests: tuple[str, str]) -> dict[Any, float]:
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://app") as http:
        for method, path in requests:
            await http.request(method, path)
    return samples(app.state.metrics.expose([]))


async def test_no_part_of_a_callers_address_or_method_becomes_a_label(app: FastAPI) -> None:
    found = await asked(
        app, ("GET", "/things/secret-1"), ("GET", "/secret-2"), ("SECRET3", "/things/a")
    )
    values = {value for _, labels in found for _, value in labels}
    assert not any("secret" in value.lower() for value in values)
    routes = {value for _, labels in found for name, value in labels if name == "route"}
    assert routes == {"/things/{thing_id}", "none"}


async def test_requests_are_counted_by_template_method_and_status(app: FastAPI) -> None:
    found = await asked(app, *[("GET", f"/things/{n}") for n in range(3)], ("GET", "/nothing"))
    labels = (("method", "GET"), ("route", "/things/{thing_id}"))
    assert found["sandbox_http_requests_total", (*labels, ("status", "200"))] == 3
    assert found["sandbox_http_request_duration_seconds_count", labels] == 3
    missing = (("method", "GET"), ("route", "none"), ("status", "404"))
    assert found["sandbox_http_requests_total", missing] == 1


async def test_a_bug_counts_as_a_500(app: FastAPI) -> None:
    found = await asked(app, ("GET", "/broken"))
    labels = (("method", "GET"), ("route", "/broken"), ("status", "500"))
    assert found["sandbox_http_requests_total", labels] == 1


def test_figures_of_one_name_are_one_family_whatever_order_their_labels_have() -> None:
    exposed = Metrics("1.2.3").expose(
        [
            Figure("queue", "Waiting.", 3, {"chain": "a", "state": "due"}),
            Figure("other", "Alone.", 1),
            Figure("queue", "Waiting.", 4, {"state": "signed", "chain": "a"}),
        ]
    )
    assert exposed.count(b"# TYPE queue gauge") == 1
    found = samples(exposed)
    assert found["queue", (("chain", "a"), ("state", "due"))] == 3
    assert found["queue", (("chain", "a"), ("state", "signed"))] == 4
    assert found["other", ()] == 1


def test_the_version_is_told_and_no_series_has_a_second_one_for_its_beginning() -> None:
    metrics = Metrics("1.2.3")
    metrics.answered("/things", "GET", 200, 0.001)
    found = samples(metrics.expose([]))
    assert found["sandbox_build_info", (("version", "1.2.3"),)] == 1
    assert [name for name, _ in found if name.endswith("_created")] == []
