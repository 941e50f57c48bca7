"""What a process counts of its requests, and figures of a world, in Prometheus' text format.

Labels hold what the code names (templates, states, chains), never an id or anything of a caller.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    Info,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from sqlalchemy import text
from sqlalchemy.pool import QueuePool
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.core.db import Database

# Each series would have a second one with the moment it began, which nobody asks for.
disable_created_metrics()  # type: ignore[no-untyped-call]  # of the library

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS"})
_BUCKETS: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)


@dataclass(frozen=True, slots=True)
class Figure:
    """One value at the moment of asking; figures of one name have the same help and label names."""

    name: str
    help: str
    value: int | float
    labels: Mapping[str, str] = field(default_factory=dict)


Figures = Callable[[], Awaitable[list[Figure]]]
"""Asked at every scrape: the figures of a world lie in its database, whoever wrote them."""


class Metrics:
    """The requests of one process of `version`. `expose` adds the figures it is given."""

    def __init__(self, version: str) -> None:
        self._registry = CollectorRegistry()
        build = Info("sandbox_build", "The version of the sandbox.", registry=self._registry)
        build.info({"version": version})
        self._requests = Counter(
            "sandbox_http_requests",
            "HTTP requests that this process answered.",
            ("route", "method", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "sandbox_http_request_duration_seconds",
            "From the arrival of an HTTP request until the head of its answer went out.",
            ("route", "method"),
            buckets=_BUCKETS,
            registry=self._registry,
        )

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one answer; `route` is a template of ours."""
        method = method if method in _METHODS else "other"
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route, method).observe(seconds)

    def expose(self, figures: Iterable[Figure]) -> bytes:
        """Everything in the text format, figures last."""
        return generate_latest(self._registry) + generate_latest(_Given(figures))


class _Given(CollectorRegistry):
    def __init__(self, figures: Iterable[Figure]) -> None:
        super().__init__()
        self._families: dict[str, GaugeMetricFamily] = {}
        for one in figures:
            family = self._families.setdefault(
                one.name, GaugeMetricFamily(one.name, one.help, labels=sorted(one.labels))
            )
            family.add_metric([one.labels[name] for name in sorted(one.labels)], one.value)

    def collect(self) -> Iterable[GaugeMetricFamily]:
        return self._families.values()


class MetricsMiddleware:
    """Plain ASGI, outside all others: what they refuse is counted too."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, is_told = time.perf_counter(), False

        def tell(status: int) -> None:
            nonlocal is_told
            is_told = True
            # Without a route it was refused at the door, or nothing of ours has that address.
            route = getattr(scope.get("route"), "path", "none")
            self._metrics.answered(route, scope["method"], status, time.perf_counter() - began)

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                tell(message["status"])
            await send(message)

        try:
            await self.app(scope, receive, counted)
        except Exception:
            # The answer of a bug is made outside of every middleware.
            if not is_told:
                tell(500)
            raise


def pool_figures(database: Database) -> list[Figure]:
    """The connections of this process."""
    pool = database.engine.pool
    assert isinstance(pool, QueuePool)
    name, help_ = "sandbox_database_pool", "Connections of this process to the database."
    states = {"in_use": pool.checkedout(), "idle": pool.checkedin()}
    return [Figure(name, help_, count, {"state": state}) for state, count in states.items()]


async def server_figures(db: AsyncSession) -> list[Figure]:
    """The connections of all processes to this database, and its size."""
    row = (
        await db.execute(
            text(
                "SELECT count(*) AS open, count(*) FILTER (WHERE state <> 'idle') AS busy,"
                " current_setting('max_connections')::int AS most,"
                " pg_database_size(current_database()) AS bytes"
                " FROM pg_stat_activity WHERE datname = current_database()"
            )
        )
    ).one()
    return [
        Figure(
            "sandbox_database_connections",
            "Connections of all processes to the database.",
            row.open,
        ),
        Figure(
            "sandbox_database_connections_busy",
            "Connections to the database that are in a transaction.",
            row.busy,
        ),
        Figure(
            "sandbox_database_connections_max",
            "Connections that the database server allows.",
            row.most,
        ),
        Figure("sandbox_database_bytes", "Size of the database on disk.", row.bytes),
    ]
