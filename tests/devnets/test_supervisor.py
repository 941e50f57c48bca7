"""The supervisor with real children: order, health, new starts, and the ordered stop."""

import asyncio
import json
import os
import signal
import socket
import stat
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from sandbox.devnets import postgres
from sandbox.devnets.children import LOG_CAP_BYTES, ChildFailed, ChildSpec, Context, http_answers
from sandbox.devnets.datadir import NotADataDir, OtherVersion, read_endpoints
from sandbox.devnets.ports import PortInUse, Wanted, any_free
from sandbox.devnets.processes import Process
from sandbox.devnets.supervisor import KeepsDying, Patience, Progress, Supervisor, down
from tests.devnets.stack import STUBBORN, nothing, server

QUICK = Patience(deaths=4, window_s=30, first_pause_s=0.01, longest_pause_s=0.01)


def python(name: str, code: str, **more: Any) -> ChildSpec:
    return ChildSpec(name, [sys.executable, "-c", code], **more)


async def _done(_: Context) -> int:
    return 0


async def alive_for_ever(_: Context) -> int:
    await asyncio.Event().wait()
    raise AssertionError


class Told:
    """Everything that a supervisor reported, and a way to wait for it."""

    def __init__(self) -> None:
        self.all: list[Progress] = []

    def __call__(self, progress: Progress) -> None:
        self.all.append(progress)

    def kinds(self, child: str | None) -> list[str]:
        return [each.kind for each in self.all if each.child == child]

    async def wait_for(self, kind: str, child: str | None = None) -> Progress:
        async with asyncio.timeout(10):
            while True:
                for each in self.all:
                    if (each.kind, each.child) == (kind, child):
                        return each
                await asyncio.sleep(0.01)


@pytest.fixture
def told() -> Told:
    return Told()


def _children() -> list[int]:
    listed = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return [int(pid) for pid in listed.split()]


@pytest.fixture
def children_of_ours() -> Callable[[], list[int]]:
    """The children that this test made; the test run has a PostgreSQL of its own."""
    before = _children()
    return lambda: [pid for pid in _children() if pid not in before]


async def test_a_one_shot_that_fails_ends_everything_with_its_last_words(
    data_dir: Path, told: Told
) -> None:
    children = [
        server("first", data_dir),
        python("migrate", "import sys; sys.exit('no such table')", one_shot=True),
        server("never", data_dir),
    ]
    with pytest.raises(ChildFailed, match="migrate ended with status 1: no such table") as failed:
        await Supervisor(data_dir, [[child] for child in children], report=told).run(nothing)
    assert "migrate.log" in failed.value.remedy
    assert told.kinds("never") == []
    assert told.kinds("first") == ["starting", "ready", "stopped"]
    assert read_endpoints(data_dir) is None


async def test_the_children_of_a_stage_start_together_and_the_next_stage_after_them(
    data_dir: Path, told: Told
) -> None:
    ready = set()

    def waits_for(name: str, other: str) -> ChildSpec:
        async def met(_: Context) -> bool:
            ready.add(name)
            return other in ready

        return python(name, "import time; time.sleep(60)", ready=met, timeout_s=10)

    async def done(_: Context) -> int:
        return 0

    stages = [[waits_for("left", "right"), waits_for("right", "left")], [server("next", data_dir)]]
    await Supervisor(data_dir, stages, report=told).run(nothing, done)
    said = [(each.kind, each.child) for each in told.all]
    assert max(said.index(("ready", name)) for name in ("left", "right")) < said.index(
        ("starting", "next")
    )


async def test_what_a_one_shot_ends_with_is_done_while_others_of_its_stage_wait_for_it(
    data_dir: Path, told: Told
) -> None:
    made = asyncio.Event()

    async def begin() -> None:
        made.set()

    async def has_begun(_: Context) -> bool:
        return made.is_set()

    async def done(context: Context) -> int:
        recorded = json.loads((context.data_dir / "children.json").read_text())
        assert [each["name"] for each in recorded] == ["waits"]
        return 0

    stage = [
        python("waits", "import time; time.sleep(60)", ready=has_begun),
        python("made", "pass", one_shot=True, on_ready=begin),
    ]
    await Supervisor(data_dir, [stage], report=told).run(nothing, done)
    assert [each.child for each in told.all if each.kind == "ready"] == ["made", "waits"]


async def test_a_failure_in_a_stage_ends_its_other_children(
    data_dir: Path, told: Told, children_of_ours: Callable[[], list[int]]
) -> None:
    stage = [
        server("sound", data_dir),
        python("sick", "import sys; sys.exit('out of luck')", one_shot=True),
    ]
    with pytest.raises(ChildFailed, match="sick ended with status 1: out of luck"):
        await Supervisor(data_dir, [stage], report=told).run(nothing)
    assert children_of_ours() == []


async def test_a_one_shot_that_does_not_finish_is_ended(
    data_dir: Path,
    children_of_ours: Callable[[], list[int]],
) -> None:
    slow = python("seed", "import time; time.sleep(60)", one_shot=True, timeout_s=0.2)
    with pytest.raises(ChildFailed, match=r"seed did not finish within 0\.2 s"):
        await Supervisor(data_dir, [[slow]]).run(nothing)
    assert children_of_ours() == []


async def test_a_child_that_never_gets_healthy_is_ended_and_named(
    data_dir: Path,
    children_of_ours: Callable[[], list[int]],
) -> None:
    async def never(_: Context) -> bool:
        return False

    deaf = python("deaf", "import time; time.sleep(60)", ready=never, timeout_s=0.3)
    with pytest.raises(ChildFailed, match=r"deaf was not ready within 0\.3 s"):
        await Supervisor(data_dir, [[deaf]]).run(nothing)
    assert children_of_ours() == []


async def test_a_child_that_keeps_dying_ends_everything_with_its_reason(
    data_dir: Path, children_of_ours: Callable[[], list[int]], told: Told
) -> None:
    children = [
        server("first", data_dir),
        python("sick", "import time, sys; time.sleep(0.05); sys.exit('out of luck')"),
    ]
    supervisor = Supervisor(data_dir, [[child] for child in children], report=told, patience=QUICK)
    with pytest.raises(KeepsDying, match=r"sick died 4 times within 30 s.*out of luck"):
        await supervisor.run(nothing, alive_for_ever)
    assert told.kinds("sick").count("died") == 3
    assert told.kinds("first")[-1] == "stopped"
    assert children_of_ours() == []


async def test_a_child_that_dies_before_it_is_ready_is_tried_again(
    data_dir: Path, told: Told
) -> None:
    late = "import pathlib, sys, time; first, second = map(pathlib.Path, sys.argv[1:])\n"
    late += "if not first.exists(): first.touch(); sys.exit(3)\nsecond.touch(); time.sleep(60)"
    first, second = data_dir / "logs" / "first", data_dir / "logs" / "second"

    async def ready(_: Context) -> bool:
        return second.exists()

    spec = ChildSpec("late", [sys.executable, "-c", late, str(first), str(second)], ready)
    supervisor = Supervisor(data_dir, [[spec]], report=told, patience=QUICK)

    async def done(_: Context) -> int:
        return 0

    assert await supervisor.run(nothing, done) == 0
    assert told.kinds("late") == ["starting", "died", "ready", "stopped"]


async def test_a_killed_child_is_started_again_and_a_line_says_so(
    data_dir: Path, children_of_ours: Callable[[], list[int]], told: Told
) -> None:
    supervisor = Supervisor(data_dir, [[server("first", data_dir)]], report=told, patience=QUICK)
    run = asyncio.create_task(supervisor.run(nothing))
    await told.wait_for("up")
    (former,) = children_of_ours()
    os.kill(former, signal.SIGKILL)
    died = await told.wait_for("died", "first")
    assert "first was ended by SIGKILL" in died.text
    assert "it is started again" in died.text
    await told.wait_for("restarted", "first")
    (now,) = children_of_ours()
    assert now != former
    supervisor.stop()
    assert await run == 0


async def test_a_child_that_comes_back_deaf_ends_everything(data_dir: Path, told: Told) -> None:
    async def only_before_up(_: Context) -> bool:
        return told.kinds(None) == []

    spec = python("deaf", "import time; time.sleep(60)", ready=only_before_up, timeout_s=0.3)
    supervisor = Supervisor(data_dir, [[spec]], report=told, patience=QUICK)

    async def kill_it(context: Context) -> int:
        children = json.loads((context.data_dir / "children.json").read_text())
        os.kill(children[0]["pid"], signal.SIGKILL)
        return await alive_for_ever(context)

    with pytest.raises(ChildFailed, match=r"deaf was not ready within 0\.3 s"):
        await supervisor.run(nothing, kill_it)
    assert told.kinds("deaf") == ["starting", "ready", "died", "stopped"]


async def test_the_answer_of_what_it_was_started_for_is_its_own_answer(
    data_dir: Path, told: Told
) -> None:
    async def done(_: Context) -> int:
        return 7

    assert await Supervisor(data_dir, [], report=told).run(nothing, done) == 7
    assert told.kinds(None) == ["up", "stopping", "stopped"]


async def test_the_stop_goes_in_the_reverse_order(data_dir: Path, told: Told) -> None:
    names = ["database", "chain", "api"]
    supervisor = Supervisor(data_dir, [[server(name, data_dir)] for name in names], report=told)
    run = asyncio.create_task(supervisor.run(nothing))
    await told.wait_for("up")
    supervisor.stop()
    assert await run == 0
    assert (data_dir / "logs" / "order").read_text().split() == ["api", "chain", "database"]
    ready = [each.child for each in told.all if each.kind == "ready"]
    assert ready == names


async def test_a_child_that_ignores_the_request_is_made_to_stop(
    data_dir: Path,
    children_of_ours: Callable[[], list[int]],
) -> None:
    async def runs(context: Context) -> bool:
        return "runs" in (context.data_dir / "logs" / "stubborn.log").read_text()

    async def done(_: Context) -> int:
        return 5

    spec = python("stubborn", STUBBORN, ready=runs, stop_timeout_s=0.2)
    assert await Supervisor(data_dir, [[spec]]).run(nothing, done) == 5
    assert children_of_ours() == []


async def test_a_second_request_to_stop_does_not_wait(data_dir: Path, told: Told) -> None:
    async def runs(context: Context) -> bool:
        return "runs" in (context.data_dir / "logs" / "stubborn.log").read_text()

    spec = python("stubborn", STUBBORN, ready=runs, stop_timeout_s=3_600)
    supervisor = Supervisor(data_dir, [[spec]], report=told)
    run = asyncio.create_task(supervisor.run(nothing))
    await told.wait_for("up")
    supervisor.stop()
    await told.wait_for("stopping")
    supervisor.stop()
    assert await run == 0


WAITS_FOR_A_WORD = """
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("waits", flush=True)
os.read(int(os.environ["SANDBOX_CONTROL_FD"]), 1)
print("was told", flush=True)
"""


async def test_a_child_that_still_waits_for_our_word_is_not_left_to_wait_when_all_stops(
    data_dir: Path, told: Told
) -> None:
    async def say_nothing(line: socket.socket) -> None:
        with line:
            await asyncio.Event().wait()

    async def waits(context: Context) -> bool:
        return "waits" in (context.data_dir / "logs" / "child.log").read_text()

    spec = python("child", WAITS_FOR_A_WORD, ready=waits, on_line=say_nothing, stop_timeout_s=3600)
    supervisor = Supervisor(data_dir, [[spec]], report=told)
    run = asyncio.create_task(supervisor.run(nothing))
    await told.wait_for("up")
    supervisor.stop()
    async with asyncio.timeout(10):
        assert await run == 0
    assert "was told" in (data_dir / "logs" / "child.log").read_text()


async def test_a_stop_is_heard_while_a_child_is_prepared(data_dir: Path, told: Told) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def command(context: Context) -> list[str]:
        begun.set()
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()
        raise AssertionError

    supervisor = Supervisor(data_dir, [[ChildSpec("slow", command)]], report=told)
    run = asyncio.create_task(supervisor.run(nothing))
    await begun.wait()
    supervisor.stop()
    async with asyncio.timeout(10):
        assert await run == 0
    assert ended.is_set()
    assert told.kinds("slow") == ["starting"]


async def test_a_stop_is_heard_while_an_orphan_takes_its_time_and_the_next_one_ends_it(
    data_dir: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    await Supervisor(data_dir, []).run(nothing, _done)
    orphan = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", STUBBORN), stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    try:
        assert orphan.stdout is not None
        assert await orphan.stdout.readline()
        process = Process.of(orphan.pid)
        assert process is not None
        record = {"pid": orphan.pid, "started": process.started, "name": "it", "stop": "SIGTERM"}
        (data_dir / "children.json").write_text(json.dumps([record]))
        monkeypatch.setattr("sandbox.devnets.supervisor._ORPHAN_S", 3600)
        supervisor = Supervisor(data_dir, [[server("first", data_dir)]], report=told)
        run = asyncio.create_task(supervisor.run(nothing))
        await asyncio.sleep(0.1)
        supervisor.stop()
        async with asyncio.timeout(10):
            assert await run == 0
        assert told.kinds("first") == []
        assert process.alive()
        monkeypatch.setattr("sandbox.devnets.supervisor._ORPHAN_S", 0.1)
        await Supervisor(data_dir, [], report=told).run(nothing, _done)
        assert told.kinds("it") == ["orphan_ended"]
        assert not process.alive()
    finally:
        if orphan.returncode is None:
            orphan.kill()
        await orphan.wait()


async def test_a_stop_is_heard_while_a_killed_postgresql_leaves_its_pid_file_to_another(
    data_dir: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that somebody else runs there is waited for."""
    monkeypatch.setattr("sandbox.devnets.postgres_cluster._LEAVING_TIMEOUT_S", 3600)
    await Supervisor(data_dir, []).run(nothing, _done)
    other = await asyncio.to_thread(postgres.start, data_dir, settings={"fsync": "off"})
    try:
        spec = postgres.child(settings={"fsync": "off"})
        supervisor = Supervisor(data_dir, [[spec]], report=told)
        run = asyncio.create_task(supervisor.run(nothing))
        await told.wait_for("starting", "postgres")
        await asyncio.sleep(0.1)
        supervisor.stop()
        async with asyncio.timeout(10):
            assert await run == 0
        assert other.alive()
    finally:
        await asyncio.to_thread(other.stop)


async def test_a_second_stop_does_not_wait_for_work_that_will_not_end(
    data_dir: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.devnets.supervisor._LET_GO_S", 3600)
    released = asyncio.Event()

    async def stubborn(_: Context) -> int:
        try:
            await asyncio.sleep(3600)
        finally:
            await released.wait()
        raise AssertionError

    supervisor = Supervisor(data_dir, [[server("first", data_dir)]], report=told)
    run = asyncio.create_task(supervisor.run(nothing, stubborn))
    await told.wait_for("up")
    supervisor.stop()
    await asyncio.sleep(0.1)
    assert told.kinds("first") == ["starting", "ready"]
    supervisor.stop()
    async with asyncio.timeout(10):
        assert await run == 0
    assert told.kinds("first") == ["starting", "ready", "stopped"]
    released.set()


async def test_the_stop_is_ordered_even_when_nobody_reads_what_is_told(data_dir: Path) -> None:
    def closed_pipe(_: Progress) -> None:
        raise BrokenPipeError

    async def done(_: Context) -> int:
        return 0

    children = [server("first", data_dir), server("second", data_dir)]
    assert (
        await Supervisor(data_dir, [[child] for child in children], report=closed_pipe).run(
            nothing, done
        )
        == 0
    )
    assert (data_dir / "logs" / "order").read_text().split() == ["second", "first"]


async def test_a_grandchild_does_not_outlive_its_parent(data_dir: Path, told: Told) -> None:
    code = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', "
    code += "'import os, time; print(os.getpid(), flush=True); time.sleep(60)']).wait()"

    async def runs(context: Context) -> bool:
        return (context.data_dir / "logs" / "parent.log").read_text().strip().isdigit()

    supervisor = Supervisor(data_dir, [[python("parent", code, ready=runs)]], report=told)
    run = asyncio.create_task(supervisor.run(nothing))
    await told.wait_for("up")
    grandchild = Process.of(int((data_dir / "logs" / "parent.log").read_text()))
    assert grandchild is not None
    supervisor.stop()
    await run
    assert await asyncio.to_thread(grandchild.wait, 5)


async def test_endpoints_are_private_and_there_only_while_it_is_up(
    data_dir: Path, told: Told
) -> None:
    async def endpoints(context: Context) -> Mapping[str, object]:
        return {"api": f"http://127.0.0.1:{context.ports.get('api')}"}

    supervisor = Supervisor(data_dir, [[server("first", data_dir)]], report=told)
    run = asyncio.create_task(supervisor.run(endpoints))
    await told.wait_for("up")
    path = data_dir / "endpoints.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700
    found = read_endpoints(data_dir)
    supervisor.stop()
    await run
    assert found is not None
    assert str(found["api"]).startswith("http://127.0.0.1:")
    assert read_endpoints(data_dir) is None
    # Later runs get the address that this one had.
    assert await Supervisor(data_dir, []).run(endpoints, _read_endpoints(data_dir, found)) == 0


def _read_endpoints(data_dir: Path, wanted: Mapping[str, object]) -> Any:
    async def compare(_: Context) -> int:
        return 0 if read_endpoints(data_dir) == wanted else 1

    return compare


async def test_wanted_ports_that_are_in_use_are_refused_before_anything_starts(
    data_dir: Path, told: Told
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        wanted = [Wanted("API", port, "--port")]
        children = [server("first", data_dir)], [server("second", data_dir)]
        with pytest.raises(PortInUse, match=f"port {port} for API is in use"):
            await Supervisor(data_dir, children, wanted=wanted, report=told).run(nothing)
    assert [each.kind for each in told.all] == ["stopping", "stopped"]


LISTENS = """
import socket, sys, time
made = socket.socket()
made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
made.bind(("127.0.0.1", int(sys.argv[1])))
made.listen()
print("listens", flush=True)
time.sleep(60)
"""


async def test_a_child_whose_chosen_port_went_to_another_program_gets_another_one(
    data_dir: Path, told: Told
) -> None:
    given: list[int] = []
    others: list[socket.socket] = []

    def command(context: Context) -> list[str]:
        given.append(context.ports.get("API"))
        if len(given) == 1:  # somebody is quicker than the child
            others.append(socket.create_server(("127.0.0.1", given[0])))
        return [sys.executable, "-c", LISTENS, str(given[-1])]

    async def listens(context: Context) -> bool:
        _, writer = await asyncio.open_connection("127.0.0.1", context.ports.get("API"))
        writer.close()
        return "listens" in (context.data_dir / "logs" / "api.log").read_text()

    async def done(context: Context) -> int:
        return context.ports.get("API")

    spec = ChildSpec("api", command, listens, ports=("API",))
    try:
        assert await Supervisor(data_dir, [[spec]], report=told).run(nothing, done) == given[1]
    finally:
        others[0].close()
    assert len(given) == 2
    assert given[0] != given[1]
    assert told.kinds("api") == ["starting", "ready", "stopped"]


async def test_a_former_port_that_is_taken_by_another_is_left_to_it(data_dir: Path) -> None:
    seen: list[int] = []

    async def endpoints(context: Context) -> Mapping[str, object]:
        seen.append(context.ports.get("api"))
        return {}

    async def done(_: Context) -> int:
        return 0

    await Supervisor(data_dir, []).run(endpoints, done)
    with socket.create_server(("127.0.0.1", seen[0])):
        await Supervisor(data_dir, []).run(endpoints, done)
    assert seen[0] != seen[1]


async def test_data_of_another_version_is_refused_with_the_remedy(data_dir: Path) -> None:
    data_dir.mkdir()
    (data_dir / "version").write_text("99\n")
    with pytest.raises(OtherVersion, match="version '99'") as refused:
        await Supervisor(data_dir, []).run(nothing)
    assert "move" in refused.value.remedy
    assert [path.name for path in data_dir.iterdir()] == ["version"]


async def test_a_folder_with_other_content_is_left_as_it_is(data_dir: Path) -> None:
    data_dir.mkdir(mode=0o755)
    (data_dir / "thesis.tex").write_text("mine")
    with pytest.raises(NotADataDir, match="has content but no version file"):
        await Supervisor(data_dir, []).run(nothing)
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o755
    assert [path.name for path in data_dir.iterdir()] == ["thesis.tex"]
    assert down(data_dir) is False


async def test_a_log_above_the_cap_is_put_aside_at_the_start(data_dir: Path) -> None:
    async def done(_: Context) -> int:
        return 0

    await Supervisor(data_dir, []).run(nothing, done)
    log = data_dir / "logs" / "first.log"
    log.write_text("old runs as" + " " * LOG_CAP_BYTES)
    await Supervisor(data_dir, [[server("first", data_dir)]]).run(nothing, done)
    assert log.stat().st_size < 1000
    assert log.with_suffix(".log.1").stat().st_size > LOG_CAP_BYTES


async def test_a_page_that_answers_200_is_health_and_nothing_else_is(data_dir: Path) -> None:
    port = any_free()
    page = python(
        "page",
        "import http.server, sys, os; os.chdir(sys.argv[1] if sys.argv[1:] else '/usr');"
        f"http.server.test(http.server.SimpleHTTPRequestHandler, port={port}, bind='127.0.0.1')",
        ready=http_answers(lambda _: f"http://127.0.0.1:{port}/"),
    )

    async def wrong_path(context: Context) -> int:
        return int(await http_answers(lambda _: f"http://127.0.0.1:{port}/no-such")(context))

    assert await Supervisor(data_dir, [[page]]).run(nothing, wrong_path) == 0
