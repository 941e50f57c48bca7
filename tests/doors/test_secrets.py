"""After a day with everything that goes wrong, no secret is in a log, an answer or an open file."""

import json
import os
import secrets
import signal
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx2
import pytest

from sandbox.cli import pay
from sandbox.cli.endpoints import Running, wait_for
from sandbox.core.http.roles import RULES
from tests.doors.secrets_of import Secrets, command_lines, secret_files
from tests.doors.test_listeners import descendants
from tests.journeys.stack import Stack

CHAINS = ("solana", "evm")
VICTIMS = ("worker", "postgres", "api")
FAILING = {500: b"broken", 410: b"gone"}


class Trouble(ThreadingHTTPServer):
    """A webhook receiver that answers nothing but failures and keeps the signatures it saw."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, status: int) -> None:
        super().__init__(("127.0.0.1", 0), TroubleHandler)
        self.status = status
        self.signatures: set[str] = set()
        Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hooks"


class TroubleHandler(BaseHTTPRequestHandler):
    server: Trouble

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.server.signatures.add(self.headers["webhook-signature"])
        body = FAILING[self.server.status]
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@dataclass
class Day:
    """What was secret, and what was answered."""

    secrets: Secrets
    errors: list[str] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def day(stack: Stack) -> Day:
    sandbox = stack.running
    assert sandbox is not None
    lived = Day(Secrets())
    receivers = [Trouble(status) for status in FAILING]
    for url in (*(one.url for one in receivers), "http://127.0.0.1:9/nobody"):
        made = sandbox.post("/v1/webhook_endpoints", {"url": url}, "merchant")
        lived.secrets.add_webhook_secret(f"webhook {url}", made["secret"])
    for role in ("merchant", "developer"):
        owner = {"role": role, "merchant_id": sandbox.endpoints["keys"]["merchant_id"]}
        lived.secrets.add_api_key(f"made {role}", sandbox.post("/v1/api_keys", owner)["key"])
    for chain, victim in zip((*CHAINS, CHAINS[0]), VICTIMS, strict=True):
        paid_and_refunded(sandbox, stack, chain, victim)
    lived.secrets.add_endpoints(sandbox.endpoints)
    lived.secrets.add_folder(stack.data_dir)
    lived.errors.extend(refusals(sandbox))
    lived.shown.extend(everything_shown(sandbox))
    for receiver in receivers:
        assert receiver.signatures, "it was called"
        for number, signature in enumerate(receiver.signatures):
            lived.secrets.add_text(f"signature {number}", signature.removeprefix("v1,"))
        receiver.shutdown()
        receiver.server_close()
    return lived


def paid_and_refunded(sandbox: Running, stack: Stack, chain: str, victim: str) -> None:
    """A payment with a refund, and a part of the sandbox killed in the middle of it."""
    made = sandbox.post("/v1/checkout/sessions", {"amount_tiyn": 10_000}, "merchant")
    pay.pay(sandbox, stack.data_dir, made["id"], chain, "careless", 12_000)
    killed = stack.pids()[victim]
    os.kill(killed, signal.SIGKILL)
    wait_for(f"a new {victim}", lambda: stack.pids().get(victim), lambda pid: pid != killed)
    wait_for("its readiness", lambda: is_ready(sandbox), bool)
    sandbox.quiesce(120)
    [payment] = sandbox.get(f"/v1/checkout/sessions/{made['id']}")["payments"]
    asked = {"payment": payment["id"], "amount_tiyn": 1_000}
    sandbox.post("/v1/refunds", asked, "merchant")
    sandbox.quiesce(120)


def is_ready(sandbox: Running) -> bool:
    try:
        return httpx2.get(sandbox.endpoints["api"] + "/readyz", timeout=10).status_code == 200
    except httpx2.TransportError:
        return False


def refusals(sandbox: Running) -> Iterator[str]:
    """Bodies of errors, of the API and of both chains, to requests that hold real secrets."""
    keys = [value for name, value in sandbox.endpoints["keys"].items() if name != "merchant_id"]
    wrong = ["", "Basic x", "Bearer", "Bearer sk_sbx_x_y", *(f"Bearer {key[:-1]}" for key in keys)]
    wrong += [f"Bearer {key}x" for key in keys] + [f"bearer  {key} {key}" for key in keys]
    with httpx2.Client(base_url=sandbox.endpoints["api"], timeout=60) as http:
        for header in wrong:
            yield refused(http.get("/v1/payments", headers={"Authorization": header}))
        for (method, template), rule in RULES.items():
            # A reset has no body that could be malformed: it is carried out.
            if method == "POST" and "operator" in rule and template != "/v1/sandbox/reset":
                for body in malformed(keys[0]):
                    asked = {
                        "Authorization": f"Bearer {sandbox.key('operator')}",
                        "Idempotency-Key": secrets.token_hex(8),
                    }
                    yield refused(http.post(template, content=body, headers=asked))
        for key in keys:
            yield refused(http.get("/v1/payments", params={"key": key}))
            yield refused(http.get("/v1/payments", headers={"Host": "x", "Cookie": key}))
        for name in ("solana_rpc", "evm_rpc"):
            for body in malformed(keys[0]):
                yield http.post(sandbox.endpoints[name], content=body).text


def malformed(key: str) -> list[bytes]:
    """Bodies that fit nowhere, with a secret in them."""
    return [
        json.dumps({"key": key}).encode(),
        json.dumps([key]).encode(),
        json.dumps(key).encode(),
        json.dumps({"amount_tiyn": key, "url": 7, "chain": {"of": key}}).encode(),
        f'{{"key": "{key}'.encode(),
        f'{{"{key}": NaN}}'.encode(),
        b"\xff" + key.encode(),
    ]


def refused(answer: httpx2.Response) -> str:
    assert 400 <= answer.status_code < 500, answer.text
    return answer.text


def everything_shown(sandbox: Running) -> Iterator[str]:
    """Every list that the operator and the regulator may read, the document and the figures."""
    for path in ("/openapi.json", "/docs", "/healthz", "/readyz"):
        yield httpx2.get(sandbox.endpoints["api"] + path, timeout=60).text
    for role in ("operator", "regulator", "merchant"):
        headers = {"Authorization": f"Bearer {sandbox.endpoints['keys'][role]}"}
        for (method, template), rule in RULES.items():
            is_list = template.startswith("/v1/") and "{" not in template
            if method != "GET" or role not in rule or template == "/v1/events/stream":
                continue
            if is_list or template in ("/metrics", "/log/checkpoint", "/log/vkey"):
                answer = httpx2.get(
                    sandbox.endpoints["api"] + template, headers=headers, timeout=330
                )
                yield answer.text


def told(day: Day, texts: dict[str, str]) -> dict[str, list[str]]:
    """Name of a text → the secrets in it."""
    return {name: found for name, text in texts.items() if (found := day.secrets.told_in(text))}


def test_every_form_of_every_secret_is_found_where_it_stands(day: Day) -> None:
    names = " ".join(day.secrets.forms)
    for part in ("endpoints.json", "postgres.json", "keys/", "wallets/", "webhook", "signature"):
        assert part in names
    for name, forms in day.secrets.forms.items():
        for form in forms:
            assert len(form) >= 32, "nothing so short that it stands somewhere by chance"
            assert name in day.secrets.told_in(f'{{"line": "…{form}…"}}')


def logs_of(folder: Path) -> dict[str, str]:
    """Path → text of everything that a sandbox logs."""
    return {
        str(path): path.read_text(errors="replace")
        for path in (*(folder / "logs").iterdir(), *folder.rglob("*.log"))
        if path.is_file()
    }


def open_files_of(folder: Path) -> dict[str, str]:
    """Path → content of what others than the owner could read if the folder were open."""
    return {
        str(path): path.read_bytes().decode("latin-1")
        for path in folder.rglob("*")
        if path.is_file() and mode_of(path) & 0o077
    }


def test_a_secret_planted_in_a_log_or_an_open_file_is_found(day: Day, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    for number, (name, forms) in enumerate(day.secrets.forms.items()):
        log, opened = tmp_path / "logs" / f"worker-{number}", tmp_path / f"open-{number}"
        log.write_text(f"\ufffd a line\n{min(forms)} another\n")
        opened.write_bytes(b"\xff\0" + max(forms).encode() + b"\0")
        opened.chmod(0o640)
        log.chmod(0o600)
        assert name in told(day, logs_of(tmp_path))[str(log)]
        assert name in told(day, open_files_of(tmp_path))[str(opened)]
        log.unlink()
        opened.unlink()
    assert told(day, logs_of(tmp_path)) == told(day, open_files_of(tmp_path)) == {}


def test_no_log_holds_a_secret(day: Day, folder: Path) -> None:
    logs = logs_of(folder)
    assert {f"{name}.log" for name in ("api", "worker", "postgres", "solana", "evm")} <= {
        Path(path).name for path in logs
    }
    assert "webhook attempt" in logs[str(folder / "logs" / "worker.log")]
    assert told(day, logs) == {}


def test_what_the_supervisor_says_on_standard_error_holds_no_secret(day: Day, folder: Path) -> None:
    said = (folder.parent / "up.log").read_text()
    for victim in VICTIMS:
        assert victim in said, "it told of the kills"
    assert told(day, {"standard error": said}) == {}


def test_what_is_announced_at_the_start_holds_nothing_but_the_keys_to_try_it_with(
    day: Day, sandbox: Running
) -> None:
    announced = told(day, {"standard output": json.dumps(sandbox.endpoints)})["standard output"]
    files = {"keys/api_keys.json", "postgres.json app", "endpoints.json"}
    assert [name for name in announced if not name.startswith(tuple(files))] == []


def test_no_error_holds_a_secret(day: Day) -> None:
    assert len(day.errors) > 100
    assert told(day, dict(enumerate_texts(day.errors))) == {}


def test_no_answer_shows_a_secret_again(day: Day) -> None:
    assert any("webhook_delivery" in text for text in day.shown)
    assert told(day, dict(enumerate_texts(day.shown))) == {}


def enumerate_texts(texts: list[str]) -> Iterator[tuple[str, str]]:
    for text in texts:
        yield text[:500], text


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_command_line_holds_a_secret(day: Day, stack: Stack) -> None:
    assert stack.process is not None
    family = [stack.process.pid, *descendants(stack.process.pid)]
    lines = list(command_lines(family))
    assert any("sandbox.worker" in line for line in lines)
    assert told(day, {line: line for line in lines}) == {}


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_every_folder_is_its_owners_alone_though_the_shell_allowed_all(
    day: Day, folder: Path
) -> None:
    assert mode_of(folder) == 0o700
    for path in folder.rglob("*"):
        if path.is_dir():
            assert mode_of(path) == 0o700, path


def test_every_file_of_secrets_is_its_owners_alone(day: Day, folder: Path) -> None:
    named = [folder / name for name in ("endpoints.json", "postgres.json")]
    for path in (*named, *secret_files(folder)):
        assert mode_of(path) == 0o600, path


def test_what_others_could_read_holds_no_secret(day: Day, folder: Path) -> None:
    assert told(day, open_files_of(folder)) == {}
