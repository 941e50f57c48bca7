"""A pytest plugin: a sandbox per test run, a world per test. Named by whoever wants it
(`-p merchants.pytest_sandbox`, or in `pytest_plugins`), never loaded by itself.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from merchants.client import ApiRefusal, NoAnswer
from merchants.pytest_sandbox.errors import NoRestore, NotSeen, SandboxTrouble, WorldLeft
from merchants.pytest_sandbox.process import Asked, SandboxProcess
from merchants.pytest_sandbox.receiver import Delivery, Webhooks
from merchants.pytest_sandbox.worlds import (
    BASE,
    Clock,
    PaymentRefused,
    PlayedWallet,
    Sandbox,
    Wallet,
    Wallets,
)

__all__ = [
    "Clock",
    "Delivery",
    "NotSeen",
    "PaymentRefused",
    "PlayedWallet",
    "Sandbox",
    "SandboxTrouble",
    "Wallet",
    "Wallets",
    "Webhooks",
    "clock",
    "sandbox",
    "sandbox_base",
    "sandbox_session",
    "wallets",
]

_DATA_DIR: Final = "PYTEST_SANDBOX_DATA_DIR"
_MARK: Final = (
    'sandbox(world="fresh"): in which world the test runs: "fresh" (the default, as it was when'
    ' the run began), "shared" (as the tests before left it), or the name of a snapshot'
)
_TOLD_EVENTS: Final = 30


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("sandbox")
    add = group.addoption
    add(
        "--sandbox-data-dir",
        metavar="DIR",
        help="use the sandbox that runs on this data directory, or start one there and keep its"
        f" data (also ${_DATA_DIR}); its world is as before when the run ends",
    )
    add("--sandbox-command", metavar="COMMAND", help="the `sandbox` program, if not found")
    add("--sandbox-keep", action="store_true", help="keep the data directory of the run")
    parser.addini("sandbox_args", "further options of `sandbox up`", "args", [])
    parser.addini("sandbox_start_seconds", "how long a start may take", default="300")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _MARK)


@pytest.fixture(scope="session")
def sandbox_session(pytestconfig: pytest.Config) -> Iterator[Sandbox]:
    """The sandbox of the whole run, for what is set up once; tests ask for `sandbox`."""
    process = _started(pytestconfig)
    try:
        made = Sandbox(process)
        try:
            yield made
        finally:
            made.close()
    finally:
        process.stop()


@pytest.fixture(scope="session")
def sandbox_base(sandbox_session: Sandbox) -> None:
    """Override it to prepare the world that every test begins with."""


@pytest.fixture(scope="session")
def _sandbox_worlds(sandbox_session: Sandbox, sandbox_base: object) -> Iterator[_Worlds]:
    try:
        worlds = _Worlds(sandbox_session)
    except SandboxTrouble as trouble:
        raise pytest.fail.Exception(str(trouble), pytrace=False) from None
    yield worlds
    worlds.end()


@pytest.fixture
def sandbox(request: pytest.FixtureRequest, _sandbox_worlds: _Worlds) -> Iterator[Sandbox]:
    """The sandbox, in the world that the test's mark asks for."""
    mark = request.node.get_closest_marker("sandbox")
    world = mark.kwargs.get("world", "fresh") if mark is not None else "fresh"
    try:
        facts = _sandbox_worlds.enter(world)
        request.node.user_properties += facts.items()
        yield _sandbox_worlds.sandbox
        _sandbox_worlds.sandbox.process.check()
    except SandboxTrouble as trouble:
        raise pytest.fail.Exception(str(trouble), pytrace=False) from None


@pytest.fixture
def clock(sandbox: Sandbox) -> Clock:
    """Sandbox time of this test's world."""
    return sandbox.clock


@pytest.fixture
def wallets(sandbox: Sandbox) -> Wallets:
    """Payers by name."""
    return sandbox.wallets


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any]:
    """A failure says in which world it happened and what had."""
    report: pytest.TestReport = (yield).get_result()
    found = getattr(item, "funcargs", {}).get("sandbox")
    if report.failed and isinstance(found, Sandbox):
        report.sections.append(("sandbox", _told(item, found)))


def _told(item: pytest.Item, found: Sandbox) -> str:
    facts = {name: value for name, value in item.user_properties if name.startswith("sandbox_")}
    lines = [f"{name.removeprefix('sandbox_')}: {value}" for name, value in facts.items()]
    lines += [f"api: {found.api}", f"data directory: {found.data_dir}"]
    try:
        found.process.check()
        events = found.events()[-_TOLD_EVENTS:]
    except (SandboxTrouble, NoAnswer, ApiRefusal) as trouble:
        return "\n".join([*lines, str(trouble)])
    lines += [f"{each['type']} {each['data'].get('id', '')}".rstrip() for each in events]
    return "\n".join(lines + [f"webhook {each}" for each in found.webhooks.refused])


class _Worlds:
    """The base world, and going back to it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self._is_untouched = True  # it is the base world, and no test has had it
        self._without_restore: NoRestore | None = None
        try:
            if BASE in sandbox.worlds():
                raise WorldLeft(
                    f"a run that was killed has left the world of {sandbox.data_dir} as one of its"
                    f" tests had it; what it was before is the snapshot {BASE!r}: go back to it"
                    f" with `sandbox snapshot restore {BASE}`, and in any case delete it"
                )
            sandbox.snapshot(BASE)
        except NoRestore as trouble:
            self._without_restore = trouble

    def enter(self, world: str) -> dict[str, object]:
        """Go to the world; gives what is worth a line in a report."""
        self.sandbox.process.check()
        facts: dict[str, object] = {"sandbox_world": world}
        if world == "shared" or (world == "fresh" and self._is_untouched):
            self.sandbox.begin()
        else:
            if self._without_restore is not None:
                raise self._without_restore
            name = BASE if world == "fresh" else world
            facts["sandbox_restore_ms"] = self.sandbox.restore(name)["took_ms"]
        self._is_untouched = False
        return facts | {"sandbox_epoch": self.sandbox.epoch}

    def end(self) -> None:
        """A world that was there before the run is as it was."""
        if self.sandbox.process.is_lent:
            if self._without_restore is None:
                self.sandbox.restore(BASE)
                self.sandbox.forget(BASE)
            self.sandbox.unregister()


def _started(config: pytest.Config) -> SandboxProcess:
    given = config.getoption("--sandbox-data-dir") or os.environ.get(_DATA_DIR)
    asked = Asked(
        data_dir=Path(given) if given else None,
        command=config.getoption("--sandbox-command"),
        args=tuple(config.getini("sandbox_args")),
        keep=config.getoption("--sandbox-keep"),
        start_seconds=float(config.getini("sandbox_start_seconds")),
    )
    try:
        return SandboxProcess.of(asked)
    except SandboxTrouble as trouble:
        raise pytest.fail.Exception(str(trouble), pytrace=False) from None
