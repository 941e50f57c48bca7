"""One attempt: sign the body, post it to a checked address, read no more than the head."""

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

import httpx2
from standardwebhooks.webhooks import Webhook

from sandbox.webhooks import egress
from sandbox.webhooks.errors import WebhookUrlRefused
from sandbox.webhooks.schedule import retry_after_s

TIMEOUT_S = 15.0
HEAD_TIMEOUT_S = 2.0
HEAD_CHARACTERS = 2_048
_MAX_HEAD_BYTES = 4 * HEAD_CHARACTERS
USER_AGENT = "kzte-sandbox-webhooks/1"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one attempt. `status` is None when there was no answer."""

    status: int | None
    error: str | None
    head: str | None
    retry_after_s: int = 0

    @property
    def delivered(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        """The receiver wants nothing more, ever (Standard Webhooks: 410)."""
        return self.status == 410


@cache
def _trusted() -> ssl.SSLContext:
    """Which certificates count: read once, as that takes longer than opening a world otherwise."""
    return httpx2.create_ssl_context(trust_env=False)


def client() -> httpx2.AsyncClient:
    """A client that follows nothing, trusts no environment and keeps no connection.

    Two names may share an address; a kept TLS connection would serve one as the other.
    """
    return httpx2.AsyncClient(
        verify=_trusted(),
        follow_redirects=False,
        trust_env=False,
        timeout=TIMEOUT_S,
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=0),
    )


def signed_headers(secret: str, webhook_id: str, body: str, now: datetime) -> dict[str, str]:
    """The three headers of Standard Webhooks; `now` is wall time, the moment of this attempt."""
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(webhook_id, now, body),
    }


async def post(
    http: httpx2.AsyncClient,
    url: str,
    secret: str,
    webhook_id: str,
    body: bytes,
    *,
    allow_loopback: bool,
) -> Attempt:
    """Make one attempt; every failure of the receiver or the network is an `Attempt`."""
    now = datetime.now(UTC)
    headers = signed_headers(secret, webhook_id, body.decode(), now)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            destination = egress.parse(url, allow_loopback=allow_loopback)
            address = await egress.resolve(destination, allow_loopback=allow_loopback)
            return await _send(http, destination, address, headers, body, now)
    except WebhookUrlRefused as error:
        return Attempt(None, error.detail, None)
    except (TimeoutError, httpx2.TimeoutException):
        return Attempt(None, f"no answer within {TIMEOUT_S:.0f} seconds", None)
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, UnicodeError) as error:
        return Attempt(None, f"{type(error).__name__}: {error}"[:500].replace("\0", ""), None)


async def _send(
    http: httpx2.AsyncClient,
    destination: egress.Destination,
    address: egress.IpAddress,
    headers: Mapping[str, str],
    body: bytes,
    now: datetime,
) -> Attempt:
    async with http.stream(
        "POST",
        destination.at(address),
        content=body,
        headers={
            **headers,
            "Host": destination.authority,
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            # What comes back is only looked at; nothing has to be unpacked.
            "Accept-Encoding": "identity",
        },
        extensions={"sni_hostname": destination.host},
    ) as answer:
        head = await _head(answer)
        return Attempt(
            answer.status_code,
            None,
            head,
            retry_after_s(answer.headers.get("retry-after"), now),
        )


async def _head(answer: httpx2.Response) -> str:
    """The first characters of the body, or what came of it: the status alone decides."""
    data = b""
    with suppress(TimeoutError, httpx2.HTTPError):
        async with asyncio.timeout(HEAD_TIMEOUT_S):
            async for chunk in answer.aiter_raw():
                data += chunk
                if len(data) >= _MAX_HEAD_BYTES:
                    break
    head = data[:_MAX_HEAD_BYTES].decode(errors="replace")
    # PostgreSQL's text holds no NUL.
    return head[:HEAD_CHARACTERS].replace("\0", "\ufffd")
