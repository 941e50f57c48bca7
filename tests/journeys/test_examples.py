"""The examples of the API's description are what the sandbox answers."""

from pathlib import Path

from sandbox.cli.endpoints import Running
from sandbox.core.http.openapi import examples
from tests.journeys.examples import answers, fits, shape


def test_every_example_has_the_shape_of_a_real_answer(sandbox: Running, folder: Path) -> None:
    found, shown = answers(sandbox, folder), examples()
    assert set(found) == set(shown), "run: python -m tests.journeys.examples"
    wrong = [route for route in found if not fits(shape(shown[route]), shape(found[route]))]
    assert wrong == []
