"""One sandbox for all journeys that leave it standing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.cli.endpoints import Running
from tests.journeys.stack import Stack


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    data_dir = tmp_path_factory.mktemp("journeys") / "sandbox"
    made = Stack(data_dir)
    made.up()
    yield made
    made.down()


@pytest.fixture
def sandbox(stack: Stack) -> Running:
    assert stack.running is not None
    return stack.running


@pytest.fixture
def folder(stack: Stack) -> Path:
    return stack.data_dir


@pytest.fixture(scope="module")
def hardy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose parts the tests of one file kill, one after another; each comes back."""
    stack = Stack(tmp_path_factory.mktemp("hardy") / "sandbox")
    stack.up()
    yield stack
    stack.down()
