"""A small client of the merchant API: sessions, refunds, settlements, webhooks."""

import base64
import json
import secrets
import time
from collections.abc import Iterable, Mapping
from typing import Any, Self

import httpx2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks.webhooks import Webhook

JsonObject = dict[str, Any]
TOLERANCE_S = 300


class ApiRefusal(Exception):
    """The sandbox refused a request by name; `code` is stable (RFC 9457)."""

    def __init__(self, problem: JsonObject) -> None:
        super().__init__(f"{problem.get('code')}: {problem.get('detail')}")
        self.problem = problem
        self.code: str = problem.get("code", "")
        self.status: int = problem.get("status", 0)


class NoAnswer(Exception):
    """The sandbox did not answer; what was asked may have happened: repeat with the same key."""


class MerchantClient:
    """Calls the API with one key. Each POST gets a fresh Idempotency-Key unless one is given.

    A POST that got no answer, or a 503, is repeated with the same key, so it cannot happen twice.
    """

    def __init__(self, base_url: str, key: str, *, timeout_s: float = 30, tries: int = 4) -> None:
        self._http = httpx2.Client(
            base_url=base_url, headers={"Authorization": f"Bearer {key}"}, timeout=timeout_s
        )
        self._tries = tries

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str, **query: str | int) -> JsonObject:
        """The object or list at `path`. Raises `ApiRefusal`, `NoAnswer`."""
        return self._call("GET", path, params=query)

    def post(self, path: str, body: Mapping[str, Any], *, key: str | None = None) -> JsonObject:
        """Send `body`, at most once per `key`. Raises `ApiRefusal`, `NoAnswer`."""
        headers = {"Idempotency-Key": key or secrets.token_urlsafe(24)}
        return self._call("POST", path, json=dict(body), headers=headers)

    def delete(self, path: str) -> JsonObject:
        """Delete the object at `path`. Raises `ApiRefusal`, `NoAnswer`."""
        return self._call("DELETE", path)

    def _call(self, method: str, path: str, **options: Any) -> JsonObject:
        for attempt in range(self._tries):
            if attempt:
                time.sleep(0.25 * 2**attempt)
            try:
                answer = self._http.request(method, path, **options)
            except httpx2.TransportError:
                continue
            if answer.status_code == 503 or (
                answer.status_code == 409 and answer.json().get("code") == "request_in_progress"
            ):
                continue
            if answer.is_error:
                raise ApiRefusal(answer.json())
            found: JsonObject = answer.json()
            return found
        raise NoAnswer(f"{method} {path}: no answer after {self._tries} tries")

    def create_session(
        self, amount_tiyn: int, *, key: str | None = None, **fields: Any
    ) -> JsonObject:
        """A checkout session of `amount_tiyn` tiyn (1 ₸ = 100 tiyn)."""
        body = {"amount_tiyn": amount_tiyn, "currency": "KZT", **fields}
        return self.post("/v1/checkout/sessions", body, key=key)

    def session(self, session_id: str) -> JsonObject:
        """The session as it is now."""
        return self.get(f"/v1/checkout/sessions/{session_id}")

    def refund(self, payment_id: str, amount_tiyn: int, *, reason: str = "") -> JsonObject:
        """Send `amount_tiyn` of a captured payment back to its payer."""
        body = {"payment": payment_id, "amount_tiyn": amount_tiyn, "reason": reason}
        return self.post("/v1/refunds", body)

    def settle(self, merchant_id: str) -> JsonObject:
        """Settle what is captured now instead of at the cut-off."""
        return self.post("/v1/settlements", {"merchant_id": merchant_id})


class BadWebhook(Exception):
    """No signature of the sandbox fits this request, or its timestamp is too far off."""


def verify_webhook_v1a(
    public_keys: Iterable[str], headers: Mapping[str, str], body: bytes
) -> JsonObject:
    """The event in a webhook request, checked with the sandbox's public keys (`v1a`): for whoever
    has no secret. Take the keys from `/.well-known/webhook-keys.json`, never from the request.

    Raises `BadWebhook`. The caller drops repeats by the `webhook-id` header.
    """
    given = {name.lower(): value for name, value in headers.items()}
    try:
        id_, timestamp = given["webhook-id"], given["webhook-timestamp"]
        signatures = given["webhook-signature"].split(" ")
        age_s = abs(time.time() - int(timestamp))
    except (KeyError, ValueError):
        raise BadWebhook("a header is missing or is no number") from None
    if age_s > TOLERANCE_S:
        raise BadWebhook("the timestamp is more than five minutes off")
    signed = f"{id_}.{timestamp}.".encode() + body
    for public_key in public_keys:
        raw = base64.b64decode(public_key.removeprefix("whpk_"))
        key = Ed25519PublicKey.from_public_bytes(raw)
        for version, _, signature in (one.partition(",") for one in signatures):
            if version == "v1a" and _fits(key, signature, signed):
                event: JsonObject = json.loads(body)
                return event
    raise BadWebhook("no signature fits")


def _fits(key: Ed25519PublicKey, signature: str, signed: bytes) -> bool:
    try:
        key.verify(base64.b64decode(signature), signed)
    except (InvalidSignature, ValueError):
        return False
    return True


def verify_webhook(secret: str, headers: Mapping[str, str], body: bytes) -> JsonObject:
    """The event in a webhook request, checked over its raw bytes (Standard Webhooks 1.0.0).

    Raises `standardwebhooks.webhooks.WebhookVerificationError` for a wrong signature or a
    timestamp more than five minutes off. The caller drops repeats by the `webhook-id` header.
    """
    event: JsonObject = Webhook(secret).verify(body, dict(headers))
    return event
