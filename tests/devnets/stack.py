"""A stack of tiny real processes, run as a program of its own so that it may be killed."""

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path

from sandbox.devnets import postgres
from sandbox.devnets.children import ChildSpec, Context
from sandbox.devnets.errors import DevnetError
from sandbox.devnets.supervisor import Progress, Supervisor

# Answers TERM by an orderly end, and tells in which order it came.
SERVER = """
import os, signal, sys, time
def end(*_):
    print(sys.argv[1], "ends in order", flush=True)
    with open(sys.argv[2], "a") as order:
        order.write(sys.argv[1] + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print(sys.argv[1], "runs as", os.getpid(), flush=True)
while True:
    time.sleep(0.05)
"""
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("stubborn runs", flush=True)
while True:
    time.sleep(0.05)
"""


def server(name: str, data_dir: Path) -> ChildSpec:
    """Ready once it can be ended in order."""

    async def ready(context: Context) -> bool:
        return "runs as" in (context.data_dir / "logs" / f"{name}.log").read_text()

    order = str(data_dir.absolute() / "logs" / "order")
    return ChildSpec(name, [sys.executable, "-c", SERVER, name, order], ready)


async def nothing(_: Context) -> Mapping[str, object]:
    return {"here": "nothing"}


def show(progress: Progress) -> None:
    print(progress.kind, progress.child or "-", progress.text, flush=True)


def main() -> int:
    data_dir = Path(sys.argv[1])
    children = [server("first", data_dir), server("second", data_dir)]
    if "postgres" in sys.argv:
        children.insert(0, postgres.child(settings={"fsync": "off"}))
    try:
        return asyncio.run(
            Supervisor(data_dir, [[child] for child in children], report=show).run(nothing)
        )
    except DevnetError as error:
        print(f"failed {error.code} {error.message} / {error.remedy}", flush=True)
        return 1


if __name__ == "__main__":
    sys.exit(main())
