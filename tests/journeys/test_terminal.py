"""A developer at a terminal with a running sandbox: listens, breaks it, goes on, presses TAB."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pexpect
import pytest
from typer.testing import CliRunner

from merchants.client import MerchantClient
from sandbox.cli import completion
from sandbox.cli.commands import app
from sandbox.cli.endpoints import Running
from tests.cli.servers import Hooks, webhook_handler
from tests.journeys.stack import Stack, command

BIN = str(Path(sys.executable).parent)


@contextmanager
def terminal(stack: Stack, *words: str) -> Iterator[Any]:
    """A shell's child: `words` in a terminal of 80 columns."""
    child = pexpect.spawn(
        words[0],
        list(words[1:]),
        encoding="utf-8",
        timeout=60,
        dimensions=(24, 80),
        env={
            **os.environ,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "TERM": "xterm-256color",
            "SANDBOX_DATA_DIR": str(stack.data_dir),
        },
    )
    try:
        yield child
    finally:
        child.close(force=True)


@pytest.fixture
def shop(sandbox: Running) -> Iterator[MerchantClient]:
    with MerchantClient(sandbox.endpoints["api"], sandbox.key("merchant"), tries=8) as made:
        yield made


def ids(hooks: Hooks, type_: str) -> list[str]:
    return [one.event["data"]["id"] for one in hooks.got if one.event["type"] == type_]


def test_a_listener_lives_through_a_kill_of_the_api_and_gets_what_a_webhook_gets(
    stack: Stack, shop: MerchantClient
) -> None:
    created = "checkout.session.created"
    with webhook_handler() as local, webhook_handler() as endpoint:
        listen = ("sandbox", "listen", "--forward-to", local.url, "--events", "checkout.*")
        hook = shop.post("/v1/webhook_endpoints", {"url": endpoint.url, "types": ["checkout.*"]})
        with terminal(stack, *listen) as child:
            child.expect("forwarding to")
            first = shop.create_session(20_000)["id"]
            child.expect(f"{created}.*{first}.*204")
            os.kill(stack.pids()["api"], signal.SIGKILL)
            child.expect("the sandbox is away")
            child.expect("the sandbox is back at http")
            second = shop.create_session(30_000)["id"]
            child.expect(f"{created}.*{second}.*204")
            again = next(one.event for one in local.got if one.event["data"]["id"] == first)
            sent = command("events", "resend", again["id"], "--data-dir", str(stack.data_dir))
            assert "events sent again: 1, deliveries to webhook endpoints: " in sent.stdout
            child.expect(f"{created}.*{first}.*204.*resent")
            child.sendintr()
            child.expect("stopped at sequence [0-9]+; the next run goes on from there")
            child.expect(pexpect.EOF)
            child.wait()
            assert child.exitstatus == 0
        third = shop.create_session(40_000)["id"]
        with terminal(stack, *listen) as child:
            child.expect(f"{created}.*{third}.*204")
        endpoint.wait(lambda hooks: third in ids(hooks, created))
        shop.delete(f"/v1/webhook_endpoints/{hook['id']}")
    assert ids(local, created) == [first, second, first, third]
    by_id = {one.headers["webhook-id"]: one.event for one in endpoint.got}
    for one in local.got:
        assert by_id[one.headers["webhook-id"]] == one.event
    assert len({one.headers["webhook-id"] for one in local.got}) == 3


def test_events_pages_and_ids_are_found_from_the_shell(stack: Stack, shop: MerchantClient) -> None:
    session = shop.create_session(25_000)
    assert stack.running is not None
    stack.running.quiesce()

    def said(*words: str) -> str:
        answer = CliRunner().invoke(app, [*words, "--data-dir", str(stack.data_dir)])
        assert answer.exit_code == 0, answer.exception
        return answer.stdout

    listed = json.loads(said("events", "list", "--limit", "5", "--json"))
    sequences = [one["sequence"] for one in listed["data"]]
    assert sequences == list(range(sequences[0], sequences[0] + 5))
    [newest] = json.loads(said("events", "list", "--object", session["id"], "--json"))["data"]
    assert newest["type"] == "checkout.session.created"
    everybodys = said("events", "list", "--role", "operator", "--limit", "3")
    assert [len(line) <= 80 for line in everybodys.splitlines()] == [True] * 3
    assert "\x1b[" not in everybodys
    assert json.loads(said("events", "get", newest["id"]))["data"]["amount_tiyn"] == 25_000
    assert said("open", "checkout", "--no-browser") == session["url"] + "\n"
    assert session["url"] in said("open")


def test_the_shell_completes_commands_types_ids_wallets_and_roles(
    stack: Stack, sandbox: Running, shop: MerchantClient
) -> None:
    session = shop.create_session(15_000)["id"]
    hook = shop.post("/v1/webhook_endpoints", {"url": "http://127.0.0.1:9/x", "types": ["*"]})["id"]
    sandbox.quiesce()
    [newest] = sandbox.get("/v1/events", "merchant", before=completion.END, limit=1)["data"]
    event = newest["id"]
    [request, *_] = (one["id"] for one in sandbox.get("/v1/request_logs", "merchant")["data"])
    (stack.data_dir / "wallets").mkdir(exist_ok=True)
    (stack.data_dir / "wallets" / "zhanar.json").touch(0o600)
    with terminal(stack, "bash", "--norc", "-i") as shell:
        shell.sendline("PS1='ready> '; bind 'set bell-style none'")
        shell.sendline('eval "$(sandbox --show-completion)"; echo installed')
        shell.expect("[\r\n]installed")
        for typed, completed in (
            ("sandbox lis", "sandbox listen "),
            ("sandbox listen --forw", "sandbox listen --forward-to "),
            ("sandbox listen --events checkout.session.comp", "checkout.session.completed "),
            ("sandbox trigger stray_reve", "stray_reverted "),
            ("sandbox faults switch webhook.ans", "webhook.answer_lost "),
            ("sandbox snapshot restore init", "initial "),
            ("sandbox pay --chain ev", "evm "),
            (f"sandbox pay {session[:-3]}", session),
            ("sandbox pay --wallet zh", "zhanar "),
            ("sandbox open openap", "openapi "),
            ("sandbox token ro", "sandbox token rotate "),
            ("sandbox token rotate pau", "pause_authority "),
            ("sandbox token rotate --chain solana perm", "permanent_delegate "),
            ("sandbox token show --chain ev", "evm "),
            ("sandbox logs tail --role reg", "regulator "),
            (f"sandbox events get {event}", f"{event} "),
            (f"sandbox logs show {request[:-3]}", f"{request} "),
            (f"sandbox events resend --endpoint {hook[:-3]}", f"{hook} "),
        ):
            shell.send(typed + "\t")
            shell.expect_exact(completed)
            shell.sendcontrol("u")
        shell.sendline("exit")
        shell.expect(pexpect.EOF)
    (stack.data_dir / "wallets" / "zhanar.json").unlink()
    shop.delete(f"/v1/webhook_endpoints/{hook}")
