"""`sandbox attest make`, `sandbox attest verify` and `sandbox attest branch`."""

import json
import time
from pathlib import Path
from typing import Any, Final

from sandbox.cli import show
from sandbox.cli.endpoints import Running
from sandbox.cli.log import NotWritable, VkeyNeeded
from sandbox.core.errors import SandboxError
from sandbox.core.money import format_tenge
from sandbox.reserve import verify as verifier

WAIT_S: Final = 60.0


class NotAnAttestation(SandboxError):
    """The file cannot be read as what it should be."""

    code = "not_an_attestation"

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path}: {why}")


class NotAttestedInTime(SandboxError):
    """The worker has not made the attestation: a chain may not answer."""

    code = "not_attested_in_time"

    def __init__(self, attestation: str) -> None:
        super().__init__(f"{attestation} is not made after {WAIT_S:.0f} s; is a worker running?")


def make(file: Path | None, data_dir: Path, as_json: bool) -> int:
    """Ask the running sandbox for an attestation and wait for it."""
    running = Running.of(data_dir)
    made = running.post("/v1/reserve/attestations", {}, "issuer")
    until = time.monotonic() + WAIT_S
    while made["position"] is None:
        if time.monotonic() > until:
            raise NotAttestedInTime(made["id"])
        time.sleep(0.1)
        made = running.get(f"/v1/reserve/attestations/{made['id']}", "issuer")
    if file is not None:
        try:
            file.write_text(json.dumps(made, indent=1) + "\n")
        except OSError as error:
            raise NotWritable(file, error) from None
    if as_json:
        print(json.dumps(made), flush=True)
        return 0
    _show(made)
    if file is not None:
        show.out.print("  sandbox log export FOLDER, then:")
        vkey = running.endpoints["log_vkey"]
        show.out.print(f"  sandbox attest verify {file} --log FOLDER --vkey '{vkey}'")
    return 0


def verify(
    file: Path,
    log: Path,
    vkey: str | None,
    statement: Path | None,
    data_dir: Path,
    as_json: bool,
) -> int:
    """0 when everything the attestation says is what the log tells, 1 otherwise."""
    bank = None if statement is None else _read(statement)
    shown = _read(file)
    if shown.get("object") != "attestation":
        raise NotAnAttestation(file, "not an attestation, as GET /v1/reserve/attestations/{id} is")
    report = verifier.verify(shown, log, _vkey(vkey, data_dir), bank)
    return _answer(report, as_json, f"stands in the log at position {report.position}")


def branch(file: Path, vkey: str | None, data_dir: Path, as_json: bool) -> int:
    """0 when the claims in the file are counted in the signed attestation, 1 otherwise."""
    shown = _read(file)
    report = verifier.verify_branch(shown, _vkey(vkey, data_dir))
    said = ", ".join(
        f"{one.get('units')} units on {one.get('chain')}" for one in shown.get("branches", ())
    )
    return _answer(report, as_json, f"counts {said or 'nothing of this holder'}")


def _vkey(vkey: str | None, data_dir: Path) -> str:
    if vkey is not None:
        return vkey
    try:
        return str(Running.of(data_dir).endpoints["log_vkey"])
    except SandboxError:
        raise VkeyNeeded from None


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise NotAnAttestation(path, str(error)) from None
    if not isinstance(found, dict):
        raise NotAnAttestation(path, "not an object")
    return found


def _answer(report: verifier.Report, as_json: bool, good: str) -> int:
    if as_json:
        print(json.dumps(report.as_json()), flush=True)
    else:
        for one in report.differences:
            show.out.print(f"[red]✗[/] [bold]{one.code}[/] {one.detail}", soft_wrap=True)
        if report.ok:
            show.out.print(f"[green]✓[/] {report.said['id']} is signed, adds up and {good}")
            _show(report.said)
    return 0 if report.ok else 1


def _show(said: dict[str, Any]) -> None:
    for one in said["chains"]:
        show.out.print(
            f"  {one['chain']}: {one['supply_units']} units at {one['height']},"
            f" block {one['block_hash']}"
        )
    owed, reserve = said["owed_tiyn"], said["reserve_tiyn"]
    colour = "green" if reserve >= owed else "red"
    show.out.print(
        f"  [{colour}]reserve {format_tenge(reserve)}, owed {format_tenge(owed)},"
        f" ratio {said['ratio']}[/]"
    )
