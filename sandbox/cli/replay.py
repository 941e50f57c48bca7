"""`sandbox replay`: a recording sent again, or served offline."""

import json
from collections.abc import Sequence
from pathlib import Path
from threading import Thread

from sandbox.cassette import tape
from sandbox.cassette.offline import Server
from sandbox.cassette.replaying import Replay
from sandbox.cassette.tape import JsonObject
from sandbox.cassette.world import World
from sandbox.cli import pay, record, show
from sandbox.cli.endpoints import Running
from sandbox.cli.recorded import unrecorded
from sandbox.core.errors import SandboxError


class PortTaken(SandboxError):
    """Somebody else listens there."""

    code = "port_taken"

    def __init__(self, port: int) -> None:
        super().__init__(f"port {port} is taken: give another with --port, or 0 for any free one")


def replay(cassette: Path, data_dir: Path, out: Path | None, as_json: bool) -> int:
    """Send everything again; 0 when every request got an answer, whatever it was."""
    told = tape.read(cassette)
    if out is not None:
        record.check_writable(out)
    running = unrecorded(data_dir)

    def pays(asked: JsonObject) -> JsonObject:
        return {**asked, "tx": pay.act(running, data_dir, asked)["tx"]}

    world = World(Running.of(data_dir).endpoints)
    try:
        made = Replay(world, {"pay": pays}).play(told)
    finally:
        world.close()
    if out is not None:
        record.save(out, made)
    record.say(out, made, as_json)
    return 0


def offline(cassette: Path, port: int, command: Sequence[str], as_json: bool) -> int:
    """Serve until the command ends (its exit code) or until Ctrl-C (0)."""
    told = tape.read(cassette)
    try:
        server = Server(told, port)
    except OSError:
        raise PortTaken(port) from None
    serving = Thread(target=server.serve_forever, daemon=True)
    serving.start()
    try:
        if command:
            status = record.run(command, {"API": server.url, "KZTE_API": server.url})
        else:
            if as_json:
                print(json.dumps({"object": "offline_sandbox", "api": server.url}), flush=True)
            else:
                show.out.print(f"recorded answers at [bold]{server.url}[/]; Ctrl-C ends it")
            record.until_interrupted()
            status = 0
    finally:
        server.shutdown()
        serving.join()
        server.server_close()
    for asked in dict.fromkeys(server.missed):
        show.err.print(f"[yellow]not on the recording:[/] {asked}")
    return status
