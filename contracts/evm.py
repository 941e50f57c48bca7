"""The compiled EVM contracts: loading one, and the arguments each is deployed with."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.token import TokenSpec

VYPER = "0.4.3"
# Both named on purpose: the compiler's defaults move, and the node runs `--hardfork prague`.
SETTINGS: Mapping[str, str] = {"evmVersion": "prague", "optimize": "gas"}
CONTRACTS = ("kzte", "forwarder", "deposits")
_HERE = Path(__file__).parent
ARTIFACTS = _HERE / "artifacts"

_FORMAT = 1


class ArtifactNotBuilt(RuntimeError):
    """The contracts could not be compiled; the text is the compiler's."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """One compiled contract. `bytecode` deploys it, arguments appended; `runtime` lacks what
    the constructor writes behind it (immutables)."""

    name: str
    abi: Sequence[Mapping[str, Any]]
    bytecode: bytes
    runtime: bytes
    compiler: str
    settings: Mapping[str, str]
    source_sha256: str


def load(name: str, folder: Path = ARTIFACTS) -> Artifact:
    """The artifact of `name` (one of `CONTRACTS`), never a stale one.

    One that is missing or was made from other sources, settings or compiler is compiled anew, in
    a child process. Raises `ArtifactNotBuilt`.
    """
    assert name in CONTRACTS
    found = _read(name, folder)
    if found is None:
        _rebuild(folder)
        found = _read(name, folder)
    if found is None:
        raise ArtifactNotBuilt(f"{name}: the sources changed while they were compiled")
    return found


def token_arguments(spec: TokenSpec, addresses: Mapping[str, str]) -> tuple[Any, ...]:
    """The constructor's arguments of `kzte`; `addresses` maps names of keys to addresses."""
    roles = spec.evm.roles
    holders = (
        roles.admin,
        roles.master_minter,
        roles.pauser,
        roles.freezer,
        roles.confiscator,
        roles.rescuer,
    )
    return (
        spec.name,
        spec.symbol,
        spec.decimals,
        spec.currency,
        spec.evm.version,
        tuple(addresses[holder] for holder in holders),
    )


def deposits_arguments(token: str, treasury: str, forwarder: Artifact) -> tuple[Any, ...]:
    """The constructor's arguments of `deposits`, which deploys its forwarder itself."""
    assert forwarder.name == "forwarder"
    return (token, treasury, forwarder.bytecode)


def sources() -> dict[str, str]:
    """Every Vyper source, by file name."""
    return {path.name: path.read_text("utf-8") for path in sorted(_HERE.glob("*.vy"))}


def source_sha256() -> str:
    """Over all that decides the bytecode: sources, settings, compiler, and the artifact's form."""
    decides = {"format": _FORMAT, "vyper": VYPER, "settings": SETTINGS, "sources": sources()}
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def _read(name: str, folder: Path) -> Artifact | None:
    try:
        stored = json.loads((folder / f"{name}.json").read_text("utf-8"))
    except (OSError, json.JSONDecodeError):
        return None
    if not isinstance(stored, dict) or stored.get("source_sha256") != source_sha256():
        return None
    return Artifact(
        name=stored["contract"],
        abi=stored["abi"],
        bytecode=bytes.fromhex(stored["bytecode"].removeprefix("0x")),
        runtime=bytes.fromhex(stored["runtime"].removeprefix("0x")),
        compiler=stored["compiler"],
        settings=stored["settings"],
        source_sha256=stored["source_sha256"],
    )


def _rebuild(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "contracts.evm_build", str(folder)],
        cwd=_HERE.parent,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode != 0:
        raise ArtifactNotBuilt(done.stderr[-2000:])
