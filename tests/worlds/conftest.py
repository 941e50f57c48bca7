"""One sandbox whose world is kept, left and taken up again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from merchants.client import MerchantClient
from sandbox.cli.endpoints import Running
from tests.journeys.stack import Stack


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    made = Stack(tmp_path_factory.mktemp("worlds") / "sandbox", slot_ms=20)
    made.up()
    yield made
    made.down()


@pytest.fixture
def sandbox(stack: Stack) -> Running:
    assert stack.running is not None
    return stack.running


@pytest.fixture
def shop(sandbox: Running) -> Iterator[MerchantClient]:
    with MerchantClient(sandbox.endpoints["api"], sandbox.key("merchant")) as client:
        yield client


@pytest.fixture
def folder(stack: Stack) -> Path:
    return stack.data_dir
