"""`sandbox listen` in a terminal, against a scripted sandbox: breaks, kills, gaps, refusals."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pexpect
import pytest
from standardwebhooks.webhooks import Webhook
from typer.testing import CliRunner

from sandbox.cli.commands import app
from sandbox.cli.endpoints import NotRunning
from sandbox.cli.listeners import (
    BadListenerName,
    Listener,
    ListenerTaken,
    ListenerUnreadable,
    Place,
    default_name,
)
from sandbox.core.errors import SandboxError
from tests.cli.servers import KEY, FakeSandbox, event, fake_sandbox, webhook_handler

COLOUR = "\x1b["


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeSandbox]:
    with fake_sandbox(tmp_path / "data") as made:
        yield made


@contextmanager
def terminal(tmp_path: Path, *arguments: str) -> Iterator[Any]:
    child = pexpect.spawn(
        sys.executable,
        ["-m", "sandbox.cli", "listen", "--data-dir", str(tmp_path / "data"), *arguments],
        encoding="utf-8",
        timeout=60,
        dimensions=(24, 80),
        env={**os.environ, "TERM": "xterm-256color"},
    )
    try:
        yield child
    finally:
        child.close(force=True)


def ended(child: Any) -> tuple[str, int | None]:
    """What it still said, and its exit status."""
    child.expect(pexpect.EOF)
    child.wait()
    return child.before, child.exitstatus


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--events", "payment.finall"), "did you mean payment.final"),
        (("--events", "coffee.made"), "docs/events.md"),
        (("--forward-to", "ftp://here/x"), "no address to forward to"),
        (("--forward-to", "http://"), "no address to forward to"),
        (("--forward-to", "3000", "--headers", "no colon"), "write 'Name: value'"),
        (("--forward-to", "3000", "--headers", "webhook-id: 1"), "part of the webhook itself"),
        (("--headers", "A: b"), "go with"),
        (("--print-secret",), "goes with"),
        (("--format", "yaml"), "text"),
    ],
)
def test_a_wrong_option_is_a_usage_error_that_says_what_is_right(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    refused = CliRunner().invoke(app, ["listen", *arguments, "--data-dir", str(tmp_path)])
    assert refused.exit_code == 2
    # The frame around it breaks lines.
    assert said in re.sub(r"[\s│]+", " ", refused.stderr)
    assert refused.stdout == ""


def test_without_a_sandbox_it_says_how_to_start_one(tmp_path: Path) -> None:
    for more in ((), ("--forward-to", "3000", "--print-secret")):
        asked = ["listen", *more, "--data-dir", str(tmp_path / "data")]
        refused = CliRunner().invoke(app, asked).exception
        assert isinstance(refused, NotRunning)
        assert "sandbox up" in refused.detail
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("since", "code"),
    [("99", "no_such_event"), ("evt_x", "not_found"), ("yesterday", "no_such_event")],
)
def test_a_beginning_that_is_not_there_is_refused(
    fake: FakeSandbox, tmp_path: Path, since: str, code: str
) -> None:
    fake.happen(event(1))
    asked = ["listen", "--since", since, "--data-dir", str(tmp_path / "data")]
    refused = CliRunner().invoke(app, asked).exception
    assert isinstance(refused, SandboxError)
    assert refused.code == code


def test_events_are_shown_in_eighty_columns_and_ctrl_c_ends_it_well(
    fake: FakeSandbox, tmp_path: Path
) -> None:
    fake.happen(event(1))
    with webhook_handler() as hooks, terminal(tmp_path, "--forward-to", hooks.url) as child:
        child.expect("listening to http")
        child.expect("forwarding to")
        fake.happen(event(2, type_="checkout.session.completed"))
        child.expect("Fri 2026-11-20, times in UTC")
        child.expect(r"(?m)^[^\r\n]*10:15:02.*checkout.session.completed.*204.* ms")
        line = re.sub(r"\x1b\[[0-9;]*m", "", child.after)
        assert len(line) <= 80
        assert COLOUR in child.after
        child.sendintr()
        said, status = ended(child)
    assert status == 0
    assert "stopped at sequence 2; the next run goes on from there" in said
    assert "Traceback" not in said
    assert hooks.sequences == [2]


def test_a_kill_while_the_receiver_is_down_loses_nothing(fake: FakeSandbox, tmp_path: Path) -> None:
    with webhook_handler() as hooks:
        port = int(hooks.url.split(":")[2].split("/")[0])
        with terminal(tmp_path, "--forward-to", hooks.url) as child:
            child.expect("forwarding to")
            fake.happen(event(1))
            child.expect("204")
    with terminal(tmp_path, "--forward-to", hooks.url) as child:
        child.expect("listening to")
        fake.happen(event(2), event(3))
        child.expect("no answer.*again in")
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    with webhook_handler(port) as again, terminal(tmp_path, "--forward-to", again.url) as child:
        again.wait(lambda hooks: len(hooks.got) == 2)
        child.sendintr()
        assert ended(child)[1] == 0
        assert again.sequences == [2, 3]
    # The listener of this URL began where it was: the events of before came once.
    assert fake.cursors == ["latest", "1:1", "1:1"]


def test_a_sandbox_that_restarts_elsewhere_is_found_again(tmp_path: Path) -> None:
    with webhook_handler() as hooks, ExitStack() as stack:
        with fake_sandbox(tmp_path / "data") as first:
            child = stack.enter_context(terminal(tmp_path, "--forward-to", hooks.url))
            child.expect("listening to")
            first.happen(event(1))
            hooks.wait(lambda hooks: len(hooks.got) == 1)
        child.expect("the sandbox is away")
        with fake_sandbox(tmp_path / "data") as second:
            second.happen(event(1), event(2))
            child.expect("the sandbox is back")
            hooks.wait(lambda hooks: len(hooks.got) == 2)
            child.sendintr()
            assert ended(child)[1] == 0
    assert hooks.sequences == [1, 2]


def test_a_gap_is_loud_and_filled_and_programs_get_lines_of_json(
    fake: FakeSandbox, tmp_path: Path
) -> None:
    fake.not_streamed, fake.not_listed = {2, 3}, {3}
    fake.happen(*(event(n) for n in range(1, 5)))
    arguments = ["--data-dir", str(tmp_path / "data"), "--since", "beginning"]
    with webhook_handler() as hooks:
        arguments += ["--forward-to", hooks.url, "--format", "json", "--events", "payment.*"]
        listening = subprocess.Popen(
            [sys.executable, "-m", "sandbox.cli", "listen", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert listening.stdout is not None
        lines = [json.loads(next(listening.stdout)) for _ in range(6)]
        fake.happen(event(5, type_="refund.completed"))
        fake.resend(event(1))
        lines.append(json.loads(next(listening.stdout)))
        listening.terminate()
        out, err = listening.communicate(timeout=60)
    lines += [json.loads(line) for line in out.splitlines()]
    assert COLOUR not in out + err
    assert "GAP: sequences 2 to 3" in err
    assert "LOST: 1 of sequences 2 to 3" in err
    assert [one["object"] for one in lines if one["object"] != "forwarded"] == [
        *("listening", "gap", "lost", "stopped")
    ]
    forwarded = [one for one in lines if one["object"] == "forwarded"]
    assert [(one["event"]["sequence"], one["filled"], one["resent"]) for one in forwarded] == [
        *((1, False, False), (2, True, False), (4, False, False), (1, False, True))
    ]
    assert {one["status"] for one in forwarded} == {204}
    assert lines[-1]["place"] == "1:5"
    assert listening.returncode == 1  # an event is nowhere


def test_the_secret_stays_and_verifies_and_only_its_owner_reads_it(
    fake: FakeSandbox, tmp_path: Path
) -> None:
    data_dir = ("--data-dir", str(tmp_path / "data"))
    with webhook_handler() as hooks:
        to = ("--forward-to", hooks.url)
        asked = ["listen", "--print-secret", *to, *data_dir]
        secret = CliRunner().invoke(app, asked).stdout.strip()
        assert secret.startswith("whsec_")
        told = CliRunner().invoke(app, [*asked, "--json"]).stdout
        assert json.loads(told) == {"secret": secret}
        with terminal(tmp_path, *to) as child:
            child.expect("forwarding to")
            fake.happen(event(1))
            hooks.wait(lambda hooks: len(hooks.got) == 1)
            second = CliRunner().invoke(app, ["listen", *to, *data_dir]).exception
            assert isinstance(second, ListenerTaken)
            assert f"pid {child.pid}" in second.detail
            assert "--name" in second.detail
    Webhook(secret).verify(hooks.got[0].body, hooks.got[0].headers)
    files = list((tmp_path / "data" / "listeners").iterdir())
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert all(secret not in file.name for file in files)


def test_a_cursor_that_was_damaged_is_refused_with_a_remedy(
    fake: FakeSandbox, tmp_path: Path
) -> None:
    folder = tmp_path / "data" / "listeners"
    folder.mkdir()
    (folder / "mine.cursor").write_text("1:")
    asked = ["listen", "--name", "mine", "--data-dir", str(tmp_path / "data")]
    refused = CliRunner().invoke(app, asked).exception
    assert isinstance(refused, ListenerUnreadable)
    assert "--since" in refused.detail


def test_a_place_is_read_back_as_it_was_written_last(tmp_path: Path) -> None:
    listener = Listener(tmp_path, "mine")
    with listener.held():
        assert listener.place() is None
        for place in (Place(1, 7), Place(1, 999_999_999), Place(22, 1)):
            listener.stand_at(place)
            # While it runs, as a kill would leave it.
            assert Listener(tmp_path, "mine").place() == place
        with (
            pytest.raises(ListenerTaken, match=str(os.getpid())),
            Listener(tmp_path, "mine").held(),
        ):
            pass
    with listener.held():
        listener.stand_at(Place(22, 2))
    assert Listener(tmp_path, "mine").place() == Place(22, 2)


@pytest.mark.parametrize("name", ["../mine", ".mine", "a/b", "", "x" * 81])
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadListenerName):
        Listener(tmp_path, name)


def test_a_listener_is_named_after_its_address_and_who_sees_the_events() -> None:
    name = default_name("http://localhost:3000/hooks", "merchant")
    assert name.startswith("localhost-3000-hooks-")
    others = [
        default_name("http://localhost:3000/hooks", KEY),
        default_name("http://localhost:3000/hooks", "operator"),
        default_name("http://localhost:3000/hooks/", "merchant"),
        default_name("https://localhost:3000/hooks", "merchant"),
        default_name("http://шай.kz/" + 90 * "x", "merchant"),
    ]
    assert len({name, *others}) == 6
    assert all(len(one) <= 49 and KEY not in one and one.isascii() for one in others)
