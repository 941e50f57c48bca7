"""What a recording never holds: secrets of API keys and webhooks, wherever they stand."""

import re
from typing import Any

_KEY = re.compile(r"\b(sk_sbx_[0-9a-z]+)_[a-z2-7]{16,}\b")
# Standard Webhooks: shared secrets, and the private keys of asymmetric signatures.
_WEBHOOK = re.compile(r"\b(whsec|whsk)_[A-Za-z0-9+/=]+")
SHOWN_KEY = re.compile(r"\bsk_sbx_([0-9a-z]+)_\*\*\*")


def without(value: Any) -> Any:
    """The same JSON value or text with each secret as `***`."""
    if isinstance(value, str):
        return _WEBHOOK.sub(r"\1_***", _KEY.sub(r"\1_***", value))
    if isinstance(value, list):
        return [without(one) for one in value]
    if isinstance(value, dict):
        return {without(name): without(one) for name, one in value.items()}
    return value


def key_id(authorization: str | None) -> str | None:
    """The part of `Bearer sk_sbx_<id>_<secret>` that is no secret; None for anything else."""
    parts = (authorization or "").partition(" ")[2].strip().split("_")
    return parts[2] if len(parts) == 4 and parts[:2] == ["sk", "sbx"] else None
