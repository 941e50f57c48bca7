"""Contracts that behave badly on purpose, compiled once per run."""

from functools import cache
from pathlib import Path
from typing import Any

from vyper import compile_code

from contracts.evm import SETTINGS, VYPER, Artifact
from tests.contracts.evm.calls import Contract, deploy


@cache
def _compiled(name: str) -> Artifact:
    source = Path(__file__).with_name(f"{name}.vy").read_text("utf-8")
    found: dict[str, Any] = compile_code(source, output_formats=["abi", "bytecode"])
    bytecode = bytes.fromhex(found["bytecode"].removeprefix("0x"))
    return Artifact(name, found["abi"], bytecode, b"", VYPER, SETTINGS, "")


def odd_token(rescuer: str) -> Contract:
    """See `odd_token.vy` for what `behave` takes."""
    return deploy(_compiled("odd_token"), rescuer)


def odd_wallet(owner: str, token: str) -> Contract:
    """See `odd_wallet.vy` for what `behave` takes."""
    return deploy(_compiled("odd_wallet"), owner, token)
