"""`sandbox log verify`, `sandbox log export` and `sandbox log receipt`."""

import base64
import json
from pathlib import Path

from sandbox.cli import show
from sandbox.cli.endpoints import Running
from sandbox.core.errors import SandboxError
from sandbox.eventlog import export as exports
from sandbox.eventlog import verify as verifier
from sandbox.eventlog.errors import BadReceipt
from sandbox.eventlog.keys import of_epoch
from sandbox.eventlog.note import BadNote
from sandbox.eventlog.proofs import verify_receipt
from sandbox.eventlog.report import Report
from sandbox.eventlog.sources import Unreadable


class VkeyNeeded(SandboxError):
    """Verification trusts nothing but the public key, so it must come from outside."""

    code = "vkey_needed"

    def __init__(self) -> None:
        super().__init__(
            "give the log's public key with --vkey: `sandbox up` shows it, endpoints.json has it as"
            " log_vkey"
        )


class LogUnreadable(SandboxError):
    """The log could not be read to its end."""

    code = "log_unreadable"


class NotWritable(SandboxError):
    """The place named for an export or a receipt cannot be written to."""

    code = "not_writable"

    def __init__(self, path: Path, why: OSError) -> None:
        super().__init__(f"cannot write to {path}: {why}")


def verify(
    source: str | None,
    vkey: str | None,
    since: Path | None,
    key: str | None,
    data_dir: Path,
    as_json: bool,
    epoch: int | None = None,
) -> int:
    """0 when every byte of the log is as it was signed, 1 otherwise."""
    if source is None:
        running = Running.of(data_dir)
        source = running.endpoints["api"]
        vkey = vkey or running.endpoints["log_vkey"]
        key = key or running.key("regulator")
    if vkey is None:
        raise VkeyNeeded
    if epoch is not None:
        vkey = _key_of(vkey, epoch)
        # An export has the epochs that it goes on from beside the one that lives.
        if (Path(source) / f"e{epoch}").is_dir():
            source = str(Path(source) / f"e{epoch}")
    if Path(source).is_file():
        return _verify_receipt(Path(source), vkey, as_json)
    if source.startswith(("http://", "https://")):
        report = verifier.verify_url(source, vkey, key, since, epoch=epoch)
    else:
        report = verifier.verify_export(Path(source), vkey, since)
    if as_json:
        print(json.dumps(report.as_json()), flush=True)
        return 0 if report.ok else 1
    for finding in report.findings:
        show.out.print(f"[red]✗[/] [bold]{finding.code}[/] {finding.where}: {finding.detail}")
    if report.more_findings:
        show.out.print(f"  and {report.more_findings} more")
    if report.ok:
        _show(report)
    return 0 if report.ok else 1


def _key_of(vkey: str, epoch: int) -> str:
    try:
        return of_epoch(vkey, epoch)
    except BadNote:
        return vkey  # the verifier says what is wrong with it


def _show(report: Report) -> None:
    read = "every entry, hash and signature is right"
    if report.entries < report.size:
        read = "every hash and signature is right; entries need a regulator's key (--key)"
    show.out.print(f"[green]✓[/] {report.size} entries: {read}")
    if report.since_size is not None:
        show.out.print(f"  still begins with the {report.since_size} of the older checkpoint")
    show.out.print(f"  root {report.root}")
    for former in report.former:
        show.out.print(
            f"  goes on from the first {former.kept_size} of the {former.size} entries of"
            f" {former.origin}, verified too"
        )


def _verify_receipt(file: Path, vkey: str, as_json: bool) -> int:
    try:
        receipt = json.loads(file.read_text())
    except ValueError as error:
        raise BadReceipt(f"{file} is not JSON") from error
    position = verify_receipt(receipt, vkey)
    leaf = json.loads(base64.b64decode(receipt["leaf"]))
    if as_json:
        print(json.dumps({"ok": True, "position": position, "leaf": leaf}))
        return 0
    show.out.print(f"[green]✓[/] {leaf['id']} stands in the signed log at position {position}")
    show.out.print(f"  {leaf['type']}, {show.moment(leaf['created'])}")
    return 0


def receipt(event: str, file: Path, data_dir: Path, as_json: bool) -> int:
    """Write the proof of one event under the newest checkpoint."""
    running = Running.of(data_dir)
    proof = running.get(f"/v1/events/{event}/proof", "regulator")
    try:
        file.write_text(json.dumps(proof, indent=1) + "\n")
    except OSError as error:
        raise NotWritable(file, error) from None
    if as_json:
        print(json.dumps({"file": str(file), "position": proof["position"]}))
        return 0
    show.out.print(f"[green]✓[/] receipt of {event} in {file}")
    show.out.print(f"  sandbox log verify {file} --vkey '{running.endpoints['log_vkey']}'")
    return 0


def export(folder: Path, data_dir: Path, as_json: bool) -> int:
    """Write the log of the running sandbox as static files."""
    running = Running.of(data_dir)
    try:
        checkpoint = exports.export_url(running.endpoints["api"], running.key("regulator"), folder)
    except Unreadable as error:
        raise LogUnreadable(str(error)) from None
    except OSError as error:
        raise NotWritable(folder, error) from None
    if as_json:
        print(json.dumps({"folder": str(folder), "size": checkpoint.size}), flush=True)
    else:
        show.out.print(f"[green]✓[/] {checkpoint.size} entries in {folder}")
        show.out.print(f"  sandbox log verify {folder} --vkey '{running.endpoints['log_vkey']}'")
    return 0
