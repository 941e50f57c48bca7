"""The webhook receiver to develop with takes nothing that the sandbox did not sign."""

from collections.abc import Iterator
from datetime import UTC, datetime
from threading import Thread

import httpx2
import pytest
from standardwebhooks.webhooks import Webhook

from merchants.listen import Receiver, main

SECRET = "whsec_N4CokQQ/QDS6pYznlLc8LqQR80UrCm5Ur71FXDMYAIs="
BODY = '{"type": "payment.final", "data": {"id": "pay_1"}}'


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as made:
        made.secret = SECRET
        thread = Thread(target=made.serve_forever, daemon=True)
        thread.start()
        yield made
        made.shutdown()
        thread.join(5)


def deliver(receiver: Receiver, body: str, signed: str = BODY) -> int:
    now = datetime.now(UTC)
    headers = {
        "webhook-id": "e1_evt_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign("e1_evt_1", now, signed),
    }
    return httpx2.post(receiver.url, content=body.encode(), headers=headers).status_code


def test_a_body_that_was_not_signed_is_refused(
    receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deliver(receiver, BODY.replace("pay_1", "pay_2")) == 400
    assert httpx2.post(receiver.url, content=BODY.encode()).status_code == 400
    assert "payment.final" not in capsys.readouterr().out


def test_a_repeat_is_answered_and_told_once(
    receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [deliver(receiver, BODY), deliver(receiver, BODY)] == [204, 204]
    receiver.shutdown()
    assert capsys.readouterr().out == "payment.final pay_1\n"


def test_without_a_key_the_remedy_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("KEY", raising=False)
    monkeypatch.setenv("API", "http://127.0.0.1:9")
    assert main() == 2
    assert "sandbox env" in capsys.readouterr().err
