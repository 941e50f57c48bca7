"""One attempt: sign the body, post it to a checked address, read no more than the head."""

import asyncio
import hashlib
import hmac
import ssl
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from sandbox.webhooks import egress, wire
from sandbox.webhooks.errors import WebhookUrlRefused
from sandbox.webhooks.keys import WebhookKey
from sandbox.webhooks.schedule import retry_after_s

TIMEOUT_S = 15.0
HEAD_TIMEOUT_S = 2.0
HEAD_CHARACTERS = 2_048
USER_AGENT = "kzte-sandbox-webhooks/1"

_parsed = lru_cache(1_024)(egress.parse)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one attempt. `status` is None when there was no answer."""

    status: int | None
    error: str | None
    head: str | None
    retry_after_s: int = 0
    duration_ms: int = 0

    @property
    def delivered(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        """The receiver wants nothing more, ever (Standard Webhooks: 410)."""
        return self.status == 410


def client(*, allow_loopback: bool, tls: ssl.SSLContext | None = None) -> wire.Client:
    """A client that connects to addresses which `egress` lets through, and to no others.

    `tls` says whom it trusts; None: the authorities that browsers trust.
    """

    async def resolve(destination: egress.Destination) -> egress.IpAddress:
        return await egress.resolve(destination, allow_loopback=allow_loopback)

    return wire.Client(resolve, tls)


def signature_v1(secret: str, webhook_id: str, timestamp_s: int, body: bytes) -> str:
    """`v1,` and the base64 of the HMAC-SHA256 over id, timestamp and raw body."""
    signed = b"%b.%d.%b" % (webhook_id.encode(), timestamp_s, body)
    digest = hmac.new(b64decode(secret.removeprefix("whsec_")), signed, hashlib.sha256).digest()
    return "v1," + b64encode(digest).decode()


def signed_headers(
    secrets: Sequence[str],
    keys: Sequence[WebhookKey],
    webhook_id: str,
    body: bytes,
    now: datetime,
) -> dict[str, str]:
    """The three headers of Standard Webhooks; `now` is wall time, the moment of this attempt.

    Each of the endpoint's secrets gives a `v1` signature and each of the sandbox's keys a `v1a`
    one: a receiver takes any that it can verify.
    """
    timestamp_s = int(now.timestamp())
    signatures = [signature_v1(secret, webhook_id, timestamp_s, body) for secret in secrets]
    signatures += [key.sign(webhook_id, timestamp_s, body) for key in keys]
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join(signatures),
    }


async def post(
    http: wire.Client,
    url: str,
    headers: dict[str, str],
    body: bytes,
    *,
    allow_loopback: bool,
) -> Attempt:
    """Make one attempt; every failure of the receiver or the network is an `Attempt`."""
    loop = asyncio.get_running_loop()
    began = loop.time()

    def failed(why: str) -> Attempt:
        return Attempt(None, why[:500].replace("\0", ""), None, 0, _ms(began, loop.time()))

    try:
        async with asyncio.timeout(TIMEOUT_S):
            destination = _parsed(url, allow_loopback=allow_loopback)
            request = wire.request_bytes(
                destination,
                {
                    **headers,
                    "Content-Type": "application/json",
                    "User-Agent": USER_AGENT,
                    # What comes back is only looked at; nothing has to be unpacked.
                    "Accept-Encoding": "identity",
                },
                body,
            )
            answer = await http.post(destination, request, body_timeout_s=HEAD_TIMEOUT_S)
    except WebhookUrlRefused as error:
        return failed(error.detail)
    except TimeoutError:
        return failed(f"no answer within {TIMEOUT_S:.0f} seconds")
    except (wire.BadAnswer, wire.ConnectionLost, OSError, UnicodeError) as error:
        return failed(f"{type(error).__name__}: {error}")
    # PostgreSQL's text holds no NUL.
    head = answer.body.decode(errors="replace")[:HEAD_CHARACTERS].replace("\0", "\ufffd")
    wait_s = retry_after_s(answer.retry_after, datetime.now(UTC))
    return Attempt(answer.status, None, head, wait_s, _ms(began, loop.time()))


def _ms(began: float, ended: float) -> int:
    return int((ended - began) * 1_000)
