"""Compiles the EVM contracts into `artifacts/`: `python -m contracts.evm_build [FOLDER]`.

A process of its own, since the compiler's memory belongs in no server.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from contracts.evm import ARTIFACTS, CONTRACTS, SETTINGS, VYPER, source_sha256, sources

# Vyper has no overloading: the contract answers these in `__default__` (EVM.md, section 1).
_SIGNED = (
    "permit",
    "transferWithAuthorization",
    "receiveWithAuthorization",
    "cancelAuthorization",
)
_VRS = [
    {"name": "v", "type": "uint8"},
    {"name": "r", "type": "bytes32"},
    {"name": "s", "type": "bytes32"},
]


class WrongCompiler(RuntimeError):
    """Another Vyper is installed than the one that the contracts are written for."""


def build(folder: Path = ARTIFACTS) -> list[Path]:
    """Write one artifact per contract to `folder`, each at once and whole."""
    compiled = _compile()
    hashed = source_sha256()
    folder.mkdir(parents=True, exist_ok=True)
    return [
        _store(folder / f"{name}.json", _artifact(name, compiled[name], hashed))
        for name in CONTRACTS
    ]


def _compile() -> dict[str, dict[str, Any]]:
    # Vyper ships no type marker.
    from vyper import __version__  # type: ignore[import-untyped]  # no type marker
    from vyper.cli.vyper_json import compile_json  # type: ignore[import-untyped]  # no type marker

    if __version__ != VYPER:
        raise WrongCompiler(f"vyper {VYPER} is needed, {__version__} is installed")
    wanted = ["abi", "evm.bytecode.object", "evm.deployedBytecode.object", "userdoc", "devdoc"]
    answer = compile_json(
        {
            "language": "Vyper",
            "sources": {name: {"content": text} for name, text in sources().items()},
            "settings": {
                **SETTINGS,
                "search_paths": ["."],
                "outputSelection": {f"{name}.vy": wanted for name in CONTRACTS},
            },
        }
    )
    return {name: answer["contracts"][f"{name}.vy"][name] for name in CONTRACTS}


def _artifact(name: str, compiled: dict[str, Any], hashed: str) -> dict[str, Any]:
    abi = _standard_names(compiled["abi"])
    if name == "kzte":
        abi += [_with_vrs(entry) for entry in abi if entry.get("name") in _SIGNED]
    return {
        "contract": name,
        "compiler": f"vyper {VYPER}",
        "settings": SETTINGS,
        "source_sha256": hashed,
        "abi": abi,
        "bytecode": compiled["evm"]["bytecode"]["object"],
        "runtime": compiled["evm"]["deployedBytecode"]["object"],
        "userdoc": compiled["userdoc"],
        "devdoc": compiled["devdoc"],
    }


def _standard_names(abi: Any) -> Any:
    # `from` and `value` are reserved in Vyper; a trailing underscore stands for that.
    if isinstance(abi, list):
        return [_standard_names(entry) for entry in abi]
    if isinstance(abi, dict):
        return {
            key: value.rstrip("_")
            if key == "name" and value != "__default__"
            else _standard_names(value)
            for key, value in abi.items()
        }
    return abi


def _with_vrs(entry: dict[str, Any]) -> dict[str, Any]:
    assert entry["inputs"][-1] == {"name": "signature", "type": "bytes"}
    return {**entry, "inputs": entry["inputs"][:-1] + _VRS}


def _store(path: Path, artifact: dict[str, Any]) -> Path:
    # Two builds at once each write a whole file; readers see one or the other.
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".new")
    with os.fdopen(handle, "w") as file:
        json.dump(artifact, file, indent=1)
        file.write("\n")
    Path(draft).chmod(0o644)
    Path(draft).replace(path)
    return path


def main() -> None:
    for path in build(*(Path(folder) for folder in sys.argv[1:2])):
        sys.stdout.write(f"{path.name}\n")


if __name__ == "__main__":
    main()
