"""Commands within `sandbox record`: what they do past the API is told to the recorder."""

import os
from pathlib import Path
from typing import Any

import httpx2

from sandbox.cassette.proxy import ACTS
from sandbox.cli.endpoints import RECORDER, NotRunning, Running
from sandbox.devnets import datadir


def unrecorded(data_dir: Path) -> Running:
    """The sandbox itself, for requests that are part of an act. Raises `NotRunning`."""
    Running.of(data_dir).close()
    endpoints = datadir.read_endpoints(data_dir)
    if endpoints is None:
        raise NotRunning(data_dir)
    return Running(endpoints)


def note(act: str, **what: Any) -> None:
    """Tell the recorder, where there is one, that `act` was done."""
    if (recorder := os.environ.get(RECORDER)) is not None:
        httpx2.post(recorder + ACTS, json={"act": act, **what}).raise_for_status()
