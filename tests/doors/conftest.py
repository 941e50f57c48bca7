"""One sandbox whose doors are tried."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.cli.endpoints import Running
from tests.journeys.stack import Stack


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    made = Stack(tmp_path_factory.mktemp("doors") / "sandbox")
    # A shell that lets everybody read: what is private is so by itself.
    before = os.umask(0)
    try:
        made.up()
    finally:
        os.umask(before)
    yield made
    made.down()


@pytest.fixture
def sandbox(stack: Stack) -> Running:
    assert stack.running is not None
    return stack.running


@pytest.fixture
def folder(stack: Stack) -> Path:
    return stack.data_dir
