"""Events as signed webhooks (Standard Webhooks 1.0.0) to a receiver, until it has them.

The body and the `webhook-id` are those that the sandbox itself would send to an endpoint.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import httpx2
from standardwebhooks.webhooks import Webhook

from sandbox.cli.endpoints import JsonObject

TIMEOUT_S: Final = 30.0
HEAD_BYTES: Final = 2_048
MOST_BYTES: Final = 64 * 1024
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 15.0
LONGEST_RETRY_AFTER_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request to the receiver. `status` is None without an answer, `again_s` None when done."""

    number: int
    status: int | None
    error: str | None
    duration_ms: int
    response_head: str
    again_s: float | None

    @property
    def delivered(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class Forwarder:
    """Posts events one after another; the next one only when the one before is done with."""

    def __init__(
        self,
        url: str,
        secret: str,
        headers: Mapping[str, str],
        *,
        skip_refused: bool = False,
        skip_verify: bool = False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._url, self._signer, self._headers = url, Webhook(secret), dict(headers)
        self._skip_refused, self._sleep = skip_refused, sleep
        self._http = httpx2.Client(
            follow_redirects=False,
            trust_env=False,
            verify=not skip_verify,
            timeout=httpx2.Timeout(TIMEOUT_S, connect=5),
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def deliver(self, event: JsonObject) -> Iterator[Attempt]:
        """Every attempt, until a 2xx; with `skip_refused` any answer at all ends it."""
        body = json.dumps(
            {**event, "timestamp": event["created"]}, ensure_ascii=False, separators=(",", ":")
        ).encode()
        number, wait_s = 0, FIRST_WAIT_S
        while True:
            number += 1
            attempt = self._post(number, f"e{event['epoch']}_{event['id']}", body, wait_s)
            yield attempt
            if attempt.again_s is None:
                return
            self._sleep(attempt.again_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    def _post(self, number: int, webhook_id: str, body: bytes, wait_s: float) -> Attempt:
        now = datetime.now(UTC)
        headers = {
            **self._headers,
            "Content-Type": "application/json",
            "User-Agent": "kzte-sandbox-listen/1",
            "webhook-id": webhook_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._signer.sign(webhook_id, now, body.decode()),
        }
        status, error, head, asked_s = None, None, b"", 0.0
        began = time.monotonic()
        try:
            with self._http.stream("POST", self._url, content=body, headers=headers) as answer:
                status = answer.status_code
                asked_s = _retry_after_s(answer.headers.get("retry-after"), now)
                head = _head(answer, began)
        except (httpx2.TransportError, OSError) as problem:
            # The status alone decides: a body that breaks off does not undo a 2xx.
            error = None if status else f"{type(problem).__name__}: {problem}"[:300]
        took_ms = round((time.monotonic() - began) * 1000)
        is_done = status is not None and (200 <= status < 300 or self._skip_refused)
        again_s = None if is_done else max(wait_s, asked_s)
        text = head[:HEAD_BYTES].decode(errors="replace")
        return Attempt(number, status, error, took_ms, text, again_s)


def _head(answer: httpx2.Response, began: float) -> bytes:
    """A body to its end, so that the connection can be used again; of an endless one a part."""
    read = b""
    for chunk in answer.iter_raw():
        read += chunk
        if len(read) > MOST_BYTES or time.monotonic() - began > TIMEOUT_S:
            break
    return read


def _retry_after_s(value: str | None, now: datetime) -> float:
    """What a Retry-After header asks for (RFC 9110, section 10.2.3), 0 without one."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), LONGEST_RETRY_AFTER_S)
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # an offset may have any number of digits
        return 0.0
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, min((until - now).total_seconds(), LONGEST_RETRY_AFTER_S))
