"""The artifacts: never stale, and the same bytes again (EVM.md 14, line 8)."""

import json
from pathlib import Path

import pytest

from contracts import evm, evm_build


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("artifacts")
    evm_build.build(folder)
    return folder


def stored(folder: Path, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / f"{name}.json").read_text())
    return found


@pytest.mark.parametrize("name", evm.CONTRACTS)
def test_compiling_again_gives_the_same_bytes(built: Path, name: str) -> None:
    evm.load(name)
    assert (built / f"{name}.json").read_bytes() == (evm.ARTIFACTS / f"{name}.json").read_bytes()


def test_it_names_compiler_settings_and_sources(built: Path) -> None:
    found = stored(built, "kzte")
    assert found["compiler"] == "vyper 0.4.3"
    assert found["settings"] == {"evmVersion": "prague", "optimize": "gas"}
    assert found["source_sha256"] == evm.source_sha256()
    assert set(evm.sources()) == {
        "deposits.vy",
        "forwarder.vy",
        "kzte.vy",
        "kzte_domain.vy",
        "kzte_roles.vy",
    }
    assert all("#pragma version 0.4.3\n" in source for source in evm.sources().values())


def test_a_stale_a_broken_and_a_missing_one_are_compiled_anew(built: Path, tmp_path: Path) -> None:
    good = (built / "kzte.json").read_bytes()
    stale = {**stored(built, "kzte"), "source_sha256": "0" * 64, "bytecode": "00"}
    (tmp_path / "kzte.json").write_text(json.dumps(stale))
    (tmp_path / "deposits.json").write_text("{")
    assert evm.load("kzte", tmp_path).bytecode == evm.load("kzte", built).bytecode
    assert (tmp_path / "kzte.json").read_bytes() == good
    assert evm.load("deposits", tmp_path) == evm.load("deposits", built)
    assert evm.load("forwarder", tmp_path) == evm.load("forwarder", built)
    assert not list(tmp_path.glob("*.new"))


def test_what_cannot_be_compiled_is_refused_by_name(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    with pytest.raises(evm.ArtifactNotBuilt, match="file"):
        evm.load("kzte", in_the_way / "artifacts")


def test_another_compiler_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evm_build, "VYPER", "0.4.2")
    with pytest.raises(evm_build.WrongCompiler, match=r"0\.4\.2 is needed"):
        evm_build.build()
