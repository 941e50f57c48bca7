"""A real PostgreSQL for every test: one embedded server per run, one fresh database per test."""

import gc
import secrets
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from sandbox import migrations
from sandbox.core.db import Database
from sandbox.devnets import postgres as embedded
from tests import scratch
from tests.opened import Opening, Openings

scratch.in_memory()

# Looking through half-loaded test files again and again took half of the time of collecting them.
gc.disable()

# Where a run is started in the background, Ctrl-C is ignored, by whatever it starts as well: what
# tests type into a terminal would not be heard.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Nothing here has to survive a power cut.
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        from tests.spread import FIRST

        items.sort(key=lambda item: not item.nodeid.startswith(FIRST))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    if config.getvalue("dist") != "loadfile":
        return None
    from tests.spread import Spread

    return Spread(config, log)


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@contextmanager
def _reachable_folder() -> Iterator[Path]:
    # Not tmp_path: its parents are closed to uid 65534, which PostgreSQL runs as where tests run
    # as root and user namespaces are forbidden (containers).
    folder = Path(tempfile.mkdtemp(prefix="kzte-test-"))
    folder.chmod(0o711)
    try:
        yield folder / "data"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """Where a test may let a stack or a PostgreSQL of its own live; not made yet."""
    with _reachable_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[embedded.Running]:
    """The server of this test run, on a port of its own."""
    with _reachable_folder() as folder:
        server = embedded.start(folder, settings=NOT_DURABLE)
        yield server
        server.stop()


@pytest.fixture(scope="session")
def migrated_template(postgres: embedded.Running) -> str:
    """The name of a database that is migrated to head and takes no connections: to be copied."""
    name = "migrated_template"
    embedded.execute(postgres.url, f"CREATE DATABASE {name}")
    migrations.upgrade(postgres.owner_url(name))
    embedded.execute(postgres.url, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    return name


@pytest.fixture(scope="session")
def openings(postgres: embedded.Running, migrated_template: str) -> Openings:
    """Worlds to be copied instead of opened."""
    return Openings(postgres, migrated_template)


@pytest.fixture
def opening() -> Opening | None:
    """The world that the test's database has open in it; none unless its folder says so."""
    return None


@pytest.fixture
async def database_name(
    postgres: embedded.Running,
    migrated_template: str,
    openings: Openings,
    opening: Opening | None,
) -> AsyncIterator[str]:
    """A fresh migrated database; whatever is still connected to it is cut off at the end."""
    name = f"test_{secrets.token_hex(8)}"
    template = migrated_template if opening is None else await openings.template(opening)
    owner = await asyncpg.connect(postgres.url)
    try:
        await owner.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        yield name
        await owner.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await owner.close()


@pytest.fixture
def owner_url(postgres: embedded.Running, database_name: str) -> str:
    """The fresh database as the role that owns its tables."""
    return postgres.owner_url(database_name)


@pytest.fixture
def db_url(postgres: embedded.Running, database_name: str) -> str:
    """The fresh database as `sbx_app`, the role of API and worker, which owns nothing."""
    return postgres.app_url(database_name)


@pytest.fixture
async def database(db_url: str) -> AsyncIterator[Database]:
    """The fresh database as the code under test sees it."""
    database = Database(db_url)
    yield database
    await database.dispose()
