"""`sandbox events`, `sandbox logs` and `sandbox open` against a scripted sandbox."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from sandbox.cli.commands import app
from sandbox.cli.endpoints import NotAnId, NotRunning
from tests.cli.servers import FakeSandbox, event, fake_sandbox
from tests.journeys.stack import command, last_json

Sandbox = Callable[..., Result]


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeSandbox]:
    with fake_sandbox(tmp_path / "data") as made:
        yield made


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments, "--data-dir", str(tmp_path / "data")])

    return run


def request(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "object": "request_log",
        "id": f"req_{number:024}",
        "method": "GET",
        "path": "/v1/checkout/sessions",
        "query": "limit=3",
        "status": 200,
        "code": None,
        "duration_ms": 12,
        "replayed": False,
        "created_at": "2026-11-20T10:15:02Z",
        **fields,
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ("events", "list"),
        ("events", "get", "evt_1"),
        ("events", "resend", "evt_1"),
        ("logs", "tail"),
        ("logs", "show", "req_1"),
        ("open",),
        ("open", "docs"),
    ],
)
def test_without_a_sandbox_every_command_says_so(
    sandbox: Sandbox, arguments: tuple[str, ...]
) -> None:
    refused = sandbox(*arguments)
    assert isinstance(refused.exception, NotRunning)
    assert "sandbox up" in refused.exception.detail


def test_a_refusal_of_the_api_comes_in_its_own_words_also_for_programs(
    fake: FakeSandbox, tmp_path: Path
) -> None:
    refused = command("events", "get", "evt_x", "--json", "--data-dir", str(tmp_path / "data"))
    assert refused.returncode == 1
    assert refused.stderr == "sandbox: not_found: no event of this id\n"
    said = last_json(refused.stdout)
    assert (said["object"], said["code"]) == ("error", "not_found")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("evt_1", "--type", "payment.*"),
        ("--type", "payment.*", "--after-sequence", "1"),
        ("pay_1",),
        ("--from", "yesterday"),
        ("--type", "payment.finall", "--from", "2026-11-20T00:00:00Z"),
        ("--type", "payment.*,refund.*", "--from", "2026-11-20T00:00:00Z"),
    ],
)
def test_what_to_send_again_must_be_said_in_one_way(
    fake: FakeSandbox, sandbox: Sandbox, arguments: tuple[str, ...]
) -> None:
    assert sandbox("events", "resend", *arguments).exit_code == 2
    assert fake.asked == []


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        (("evt_1", "evt_2"), {"events": ["evt_1", "evt_2"]}),
        (("evt_1", "--endpoint", "we_1"), {"events": ["evt_1"], "endpoint": "we_1"}),
        (
            ("--type", "payment.*", "--from", "2026-11-20T09:00:00Z"),
            {"type": "payment.*", "from": "2026-11-20T09:00:00Z"},
        ),
        (
            ("--after-sequence", "0", "--to-sequence", "6"),
            {"after_sequence": 0, "to_sequence": 6},
        ),
    ],
)
def test_events_are_asked_for_again_by_id_type_or_range(
    fake: FakeSandbox, sandbox: Sandbox, arguments: tuple[str, ...], body: dict[str, Any]
) -> None:
    done = sandbox("events", "resend", *arguments)
    assert done.exit_code == 0, done.exception
    assert fake.asked == [("/v1/events/resend", body)]
    assert "events sent again: 2, deliveries to webhook endpoints: 0" in done.output
    assert "sandbox listen" in done.output


def test_the_newest_events_are_listed_the_newest_last(fake: FakeSandbox, sandbox: Sandbox) -> None:
    assert sandbox("events", "list").output == "no events\n"
    fake.happen(*(event(n) for n in range(1, 331)))
    fake.happen(event(331, type_="refund.completed"))
    shown = sandbox("events", "list", "--limit", "3").output.splitlines()
    assert [line.split()[0] for line in shown] == ["329", "330", "331"]
    assert max(map(len, shown)) <= 80
    many = json.loads(sandbox("events", "list", "--limit", "100", "--json").output)
    assert [one["sequence"] for one in many["data"]] == list(range(232, 332))
    first = json.loads(sandbox("events", "list", "--after", "0", "--limit", "2", "--json").output)
    assert [one["sequence"] for one in first["data"]] == [1, 2]
    one = event(7)
    assert json.loads(sandbox("events", "get", one["id"]).output) == one
    assert json.loads(sandbox("events", "get", one["id"], "--json").output) == one


def test_a_wrong_status_and_a_wrong_page_are_usage_errors(
    fake: FakeSandbox, sandbox: Sandbox
) -> None:
    assert sandbox("logs", "tail", "--status", "6xx").exit_code == 2
    wrong = sandbox("open", "doc")
    assert wrong.exit_code == 2
    assert "checkout" in wrong.stderr


def test_requests_are_shown_with_their_refusal_in_a_line(
    fake: FakeSandbox, sandbox: Sandbox
) -> None:
    fake.requests = [request(1), request(2, status=409, code="key_reused", replayed=True)]
    shown = sandbox("logs", "tail", "--no-follow").output.splitlines()
    assert shown == [
        "Fri 2026-11-20, times in UTC",
        "10:15:02 200 GET    /v1/checkout/sessions?limit=3 12 ms req_" + f"{1:024}",
        "10:15:02 409 GET    /v1/checkout/sessions?limit=3 12 ms req_"
        + f"{2:024} key_reused replayed",
    ]
    one = json.loads(sandbox("logs", "show", f"req_{2:024}", "--json").output)
    assert one == fake.requests[1]


@pytest.mark.parametrize(
    "arguments",
    [
        ("events", "get", ""),
        ("events", "get", "../request_logs"),
        ("events", "get", "evt_1?role=operator"),
        ("events", "get", "evt_٣"),
        ("logs", "show", ".."),
        ("open", "cs_1/../../events"),
        ("snapshot", "delete", "a b"),
        ("listen", "--since", "evt_#"),
    ],
)
def test_what_cannot_be_an_id_is_refused_before_it_leads_anywhere_else(
    fake: FakeSandbox, sandbox: Sandbox, arguments: tuple[str, ...]
) -> None:
    refused = sandbox(*arguments).exception
    assert isinstance(refused, NotAnId)
    assert "letters, digits" in refused.detail


def test_requests_are_filtered_by_their_path(fake: FakeSandbox, sandbox: Sandbox) -> None:
    fake.requests = [request(1, path="/v1/refunds/re_1"), request(2)]
    shown = sandbox("logs", "tail", "--no-follow", "--path", "/v1/refunds", "--json").output
    assert [json.loads(line)["id"] for line in shown.splitlines()] == [f"req_{1:024}"]


def test_where_nothing_was_asked_and_nothing_is_sent_it_is_said(
    fake: FakeSandbox, sandbox: Sandbox
) -> None:
    nothing = sandbox("logs", "tail", "--no-follow")
    assert (nothing.exit_code, nothing.stdout) == (0, "")
    assert nothing.stderr == "no requests; --role operator shows everybody's\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("listen",),
        ("events", "list"),
        ("events", "get", "evt_1"),
        ("logs", "tail"),
        ("logs", "show", "req_1"),
    ],
)
def test_a_merchants_key_and_another_role_are_not_given_together(
    sandbox: Sandbox, arguments: tuple[str, ...]
) -> None:
    refused = sandbox(*arguments, "--key", "sk_sbx_1", "--role", "regulator")
    assert refused.exit_code == 2
    assert "without --role" in refused.stderr


def test_requests_of_another_day_come_behind_its_date_and_programs_get_whole_moments(
    fake: FakeSandbox, sandbox: Sandbox
) -> None:
    days = ("2026-11-20T23:59:59Z", "2026-11-21T00:00:00Z", "2026-11-21T00:00:01Z")
    fake.requests = [
        request(n, created_at=at) for n, at in enumerate((*days, "2027-01-04T09:00:00Z"))
    ]
    shown = sandbox("logs", "tail", "--no-follow").output.splitlines()
    assert [line.partition(" 200 ")[0] for line in shown] == [
        "Fri 2026-11-20, times in UTC",
        "23:59:59",
        "Sat 2026-11-21, times in UTC",
        "00:00:00",
        "00:00:01",
        "Mon 2027-01-04, times in UTC",
        "09:00:00",
    ]
    for_programs = sandbox("logs", "tail", "--no-follow", "--json").output.splitlines()
    assert [json.loads(line)["created_at"] for line in for_programs[:3]] == list(days)


def test_the_log_of_requests_is_followed_over_a_restart_without_gap_or_repeat(
    tmp_path: Path,
) -> None:
    data_dir = tmp_path / "data"
    arguments = ["logs", "tail", "--limit", "0", "--format", "json", "--data-dir", str(data_dir)]
    old = [request(n) for n in range(1, 4)]
    with fake_sandbox(data_dir) as first:
        first.requests = old
        tailing = subprocess.Popen(
            [sys.executable, "-m", "sandbox.cli", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert tailing.stdout is not None
        assert tailing.stderr is not None
        while not first.polled:
            time.sleep(0.01)
        first.requests = [*old, request(4)]
        assert json.loads(next(tailing.stdout))["id"] == f"req_{4:024}"
    assert "away" in next(tailing.stderr)
    with fake_sandbox(data_dir) as second:
        second.requests = [*old, request(4), *(request(n) for n in range(5, 120))]
        seen = [json.loads(next(tailing.stdout))["id"] for _ in range(115)]
        assert seen == [f"req_{n:024}" for n in range(5, 120)]
        tailing.send_signal(signal.SIGINT)
        out, err = tailing.communicate(timeout=60)
    assert (out, tailing.returncode) == ("", 0)
    assert "Traceback" not in err


def test_a_page_is_opened_by_the_browser_of_the_user_and_its_address_printed(
    fake: FakeSandbox, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {seen}\n')
    browser.chmod(0o755)
    opened = subprocess.run(
        [sys.executable, "-m", "sandbox.cli", "open", "docs", "--data-dir", str(tmp_path / "data")],
        capture_output=True,
        text=True,
        env={**os.environ, "BROWSER": f"{browser} %s"},
    )
    url = opened.stdout.strip()
    assert url.endswith("/docs")
    assert (seen.read_text(), opened.stderr) == (url + "\n", "")


@pytest.mark.parametrize("page", ["docs", "openapi", "ready", "log", "solana", "evm"])
def test_without_a_browser_the_address_is_printed_only(
    fake: FakeSandbox, sandbox: Sandbox, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BROWSER", raising=False)
    told = json.loads(sandbox("open", page, "--no-browser", "--json").output)
    assert told["page"] == page
    assert told["url"].startswith("http://127.0.0.1:")
    assert told["opened"] is False
