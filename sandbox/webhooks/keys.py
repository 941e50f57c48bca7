"""The sandbox's own signing keys for `v1a` (Standard Webhooks 1.0.0): Ed25519, in one private file.

Anyone verifies a webhook with their public halves, which the API publishes. A rotation adds a key;
the one before goes on signing until it retires, so that receivers have time to read the document.
"""

import base64
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sandbox.core import chance
from sandbox.core.clock import iso

FILE_NAME = "webhooks.ed25519.json"
PUBLIC_FILE_NAME = "webhooks.public.json"
MAX_OVERLAP_S = 30 * 86_400
_SEED_SIZE = 32


class BadKeyFile(RuntimeError):
    """The file holds no keys, or others may read it; the message says what to do."""


@dataclass(frozen=True, slots=True)
class WebhookKey:
    """One key pair; `retired_at` is the sandbox time from which it signs no more."""

    private: Ed25519PrivateKey
    created_at: str
    retired_at: str | None = None

    @property
    def public(self) -> str:
        """`whpk_` and the base64 of the 32 bytes (Standard Webhooks, signature scheme v1a)."""
        return "whpk_" + base64.b64encode(self.private.public_key().public_bytes_raw()).decode()

    def as_public(self) -> dict[str, Any]:
        """An entry of the public document."""
        return {
            "id": "whk_" + hashlib.sha256(self.public.encode()).hexdigest()[:16],
            "scheme": "v1a",
            "type": "ed25519",
            "public_key": self.public,
            "created_at": self.created_at,
            "retired_at": self.retired_at,
        }

    def signs_at(self, moment: str) -> bool:
        """Whether it signs at a sandbox time in the one form of `core.clock.iso`."""
        return self.retired_at is None or moment < self.retired_at

    def sign(self, webhook_id: str, timestamp_s: int, body: bytes) -> str:
        """`v1a,` and the base64 of the signature over id, timestamp and raw body."""
        signed = b"%b.%d.%b" % (webhook_id.encode(), timestamp_s, body)
        return "v1a," + base64.b64encode(self.private.sign(signed)).decode()


class Keyring:
    """The keys of a running process; a rotation by another one is noticed at the next look."""

    def __init__(self, keys_dir: Path) -> None:
        self._keys_dir, self._stamp = keys_dir, 0
        self._keys: Sequence[WebhookKey] = ()
        self._look()

    def signing(self, now: datetime) -> list[WebhookKey]:
        """The keys that sign at the sandbox time `now`, newest first. Raises `BadKeyFile`."""
        self._look()
        moment = iso(now)
        return [key for key in self._keys if key.signs_at(moment)]

    def _look(self) -> None:
        stamp = _stat(self._keys_dir / FILE_NAME).st_mtime_ns
        if stamp != self._stamp:
            self._keys, self._stamp = load(self._keys_dir), stamp


def load_or_create(keys_dir: Path, now: datetime) -> list[WebhookKey]:
    """Read the keys, newest first, or make the first one (0600, in a folder of 0700).

    Their public halves are written beside them, for processes that sign nothing. Raises
    `BadKeyFile`; never replaces keys that are there.
    """
    if not (keys_dir / FILE_NAME).exists():
        keys_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write(keys_dir, [_new(iso(now))], replace=False)
    keys = load(keys_dir)
    _publish(keys_dir, keys)
    return keys


def load(keys_dir: Path) -> list[WebhookKey]:
    """Read the keys, newest first. Raises `BadKeyFile`."""
    path = keys_dir / FILE_NAME
    mode = _stat(path).st_mode & 0o777
    if mode & 0o077:
        raise BadKeyFile(f"{path} is readable by others ({mode:o}); run: chmod 600 {path}")
    try:
        keys = [
            WebhookKey(_private(one["seed"]), one["created_at"], one["retired_at"])
            for one in orjson.loads(path.read_bytes())["keys"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise BadKeyFile(f"{path} holds no keys of {_SEED_SIZE} bytes in hex") from error
    if not keys:
        raise BadKeyFile(f"{path} holds no key")
    return keys


def rotate(keys_dir: Path, now: datetime, overlap_s: int) -> list[WebhookKey]:
    """Add a key; those before it sign for `overlap_s` more seconds of sandbox time.

    Keys that have retired stay in the document: what they signed is still to be verified.
    """
    assert 0 <= overlap_s <= MAX_OVERLAP_S
    moment, until = iso(now), iso(now + timedelta(seconds=overlap_s))
    before = [
        WebhookKey(key.private, key.created_at, key.retired_at or until) for key in load(keys_dir)
    ]
    keys = [_new(moment), *before]
    _write(keys_dir, keys, replace=True)
    _publish(keys_dir, keys)
    return keys


def public_document(keys_dir: Path) -> dict[str, Any]:
    """What the API publishes: every key there was, newest first. Raises `BadKeyFile`."""
    path = keys_dir / PUBLIC_FILE_NAME
    try:
        document: dict[str, Any] = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        raise BadKeyFile(f"{path} is missing: start the sandbox once to make it") from None
    return document


def _private(seed: str) -> Ed25519PrivateKey:
    data = bytes.fromhex(seed)
    if len(data) != _SEED_SIZE:
        raise ValueError("not a seed")
    return Ed25519PrivateKey.from_private_bytes(data)


def _new(moment: str) -> WebhookKey:
    drawn = chance.key_bytes(f"webhooks {moment}")
    return WebhookKey(Ed25519PrivateKey.from_private_bytes(drawn), moment)


def _stat(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except FileNotFoundError:
        raise BadKeyFile(f"{path} is missing: start the sandbox once to make it") from None


def _publish(keys_dir: Path, keys: Sequence[WebhookKey]) -> None:
    document = {"object": "webhook_keys", "keys": [key.as_public() for key in keys]}
    _put(keys_dir / PUBLIC_FILE_NAME, orjson.dumps(document), replace=True)


def _write(keys_dir: Path, keys: Sequence[WebhookKey], *, replace: bool) -> None:
    stored = [
        {
            "seed": key.private.private_bytes_raw().hex(),
            "created_at": key.created_at,
            "retired_at": key.retired_at,
        }
        for key in keys
    ]
    _put(keys_dir / FILE_NAME, orjson.dumps({"keys": stored}), replace=replace)


def _put(path: Path, data: bytes, *, replace: bool) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data + b"\n")
            file.flush()
            os.fsync(file.fileno())
        if replace:
            draft.rename(path)
            return
        # Unlike a rename, a link fails when another process was first.
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink(missing_ok=True)
