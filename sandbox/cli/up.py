"""`sandbox up` and `sandbox down`."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

from sandbox.cli import seeds, show
from sandbox.cli.stack import Plan, endpoints, stages
from sandbox.cli.world.keeping import Worlds
from sandbox.core import failpoints
from sandbox.devnets import ports, supervisor
from sandbox.devnets.children import Context
from sandbox.devnets.datadir import has_data


def run(plan: Plan, then: Callable[[Context], Awaitable[int]] | None = None) -> int:
    """Start the stack and stay up until asked to stop, or until `then` is done."""
    # Who kills children on purpose wants them back each time.
    patience = supervisor.Patience(deaths=10_000) if failpoints.is_test_build() else None
    worlds = Worlds()
    stack = supervisor.Supervisor(
        plan.data_dir,
        stages(plan, worlds),
        wanted=plan.wanted,
        report=show.progress,
        patience=patience,
    )

    async def work() -> int:
        return await stack.run(
            lambda context: endpoints(context, plan, worlds),
            lambda context: worlds.until_broken(context, then),
        )

    return asyncio.run(work())


def up(plan: Plan, as_json: bool) -> int:
    """Show where everything is, then stay. Raises `OtherSeed`."""
    if not has_data(plan.data_dir):
        # Nothing is written for one that cannot start. Where there was one before, what is left of
        # it may hold the ports: the supervisor looks when that has ended.
        ports.check(plan.wanted)
    plan = seeds.kept(plan)

    async def stay(context: Context) -> int:
        text = (context.data_dir / "endpoints.json").read_text()
        if as_json:
            print(json.dumps(json.loads(text)), flush=True)
        else:
            show.addresses(json.loads(text), plan.data_dir)
            show.err.print(
                "[dim]Ctrl-C stops everything; the next `sandbox up` goes on from here.[/]"
            )
        await asyncio.Event().wait()
        return 0

    return run(plan, stay)


def down(data_dir: Path, as_json: bool) -> int:
    """Stop the sandbox of this directory."""
    stopped = supervisor.down(data_dir)
    if as_json:
        print(json.dumps({"data_dir": str(data_dir), "stopped": stopped}), flush=True)
        return 0
    show.err.print(
        f"[green]●[/] the sandbox on {data_dir} is stopped"
        if stopped
        else f"no sandbox runs on {data_dir}"
    )
    return 0
