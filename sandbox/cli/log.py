"""`sandbox log verify` and `sandbox log export`."""

import json
from pathlib import Path

from sandbox.cli import show
from sandbox.cli.endpoints import Running
from sandbox.core.errors import SandboxError
from sandbox.eventlog import export as exports
from sandbox.eventlog import verify as verifier


class VkeyNeeded(SandboxError):
    """Verification trusts nothing but the public key, so it must come from outside."""

    code = "vkey_needed"

    def __init__(self) -> None:
        super().__init__("give the log's public key with --vkey (endpoints.json: log_vkey)")


def verify(
    source: str | None,
    vkey: str | None,
    since: Path | None,
    key: str | None,
    data_dir: Path,
    as_json: bool,
) -> int:
    """0 when every byte of the log is as it was signed, 1 otherwise."""
    if source is None:
        running = Running.of(data_dir)
        source = running.endpoints["api"]
        vkey = vkey or running.endpoints["log_vkey"]
        key = key or running.key("regulator")
    if vkey is None:
        raise VkeyNeeded
    if source.startswith(("http://", "https://")):
        report = verifier.verify_url(source, vkey, key, since)
    else:
        report = verifier.verify_export(Path(source), vkey, since)
    if as_json:
        print(json.dumps(report.as_json()), flush=True)  # noqa: T201 - the command's answer
        return 0 if report.ok else 1
    for finding in report.findings:
        show.out.print(f"[red]✗[/] [bold]{finding.code}[/] {finding.where}: {finding.detail}")
    if report.more_findings:
        show.out.print(f"  and {report.more_findings} more")
    if report.ok:
        since_text = f", still contains the first {report.since_size}" if since else ""
        show.out.print(
            f"[green]✓[/] {report.entries} of {report.size} entries read, root {report.root}"
            f"{since_text}"
        )
        if report.entries < report.size:
            show.out.print("  hash tiles only: entries need a regulator's key (--key)")
    return 0 if report.ok else 1


def export(folder: Path, data_dir: Path, as_json: bool) -> int:
    """Write the log of the running sandbox as static files."""
    running = Running.of(data_dir)
    checkpoint = exports.export_url(running.endpoints["api"], running.key("regulator"), folder)
    if as_json:
        print(  # noqa: T201 - the command's answer
            json.dumps({"folder": str(folder), "size": checkpoint.size}), flush=True
        )
    else:
        show.out.print(f"[green]✓[/] {checkpoint.size} entries in {folder}")
        show.out.print(f"  sandbox log verify {folder} --vkey '{running.endpoints['log_vkey']}'")
    return 0
