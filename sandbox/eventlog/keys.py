"""The log's private key: one Ed25519 key per world, in a file only its owner can read.

Every epoch signs under its own name with this one key (CONTRACT 7).
"""

import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sandbox.core import chance
from sandbox.eventlog.note import Signer, Verifier

FILE_NAME = "log.ed25519"
PUBLIC_FILE_NAME = "log.vkey"
FIRST_EPOCH = 1
_SEED_SIZE = 32


class BadKeyFile(RuntimeError):
    """The file holds no key, or others may read it; the message says what to do."""


@dataclass(frozen=True, slots=True)
class LogKey:
    """The key and the name of the log without its epoch, e.g. `kzte-sandbox.local/log`."""

    origin: str
    private: Ed25519PrivateKey

    def signer(self, epoch: int) -> Signer:
        """The signer of one epoch's checkpoints; its name is that log's origin."""
        return Signer(f"{self.origin}/e{epoch}", self.private)

    def vkey(self, epoch: int) -> str:
        """The verifier key of one epoch."""
        return self.signer(epoch).verifier.vkey


def of_epoch(vkey: str, epoch: int) -> str:
    """The verifier key of another epoch: the same key under that epoch's name. Raises `BadNote`."""
    known = Verifier.parse(vkey.strip())
    return Verifier(f"{known.name.rpartition('/e')[0]}/e{epoch}", known.public).vkey


def load_or_create(keys_dir: Path, origin: str) -> LogKey:
    """Read the key from `keys_dir`, or make one there (0600, in a folder of 0700).

    Its public half is written beside it, for processes that verify but never sign. Raises
    `BadKeyFile`; never replaces a file that is there.
    """
    if not (keys_dir / FILE_NAME).exists():
        _create(keys_dir / FILE_NAME)
    key = load(keys_dir, origin)
    (keys_dir / PUBLIC_FILE_NAME).write_text(key.vkey(FIRST_EPOCH) + "\n")
    (keys_dir / PUBLIC_FILE_NAME).chmod(0o600)
    return key


def load_vkey(keys_dir: Path, origin: str) -> str:
    """The verifier key of the first epoch; later ones differ in their name only.

    Raises `BadKeyFile`.
    """
    path = keys_dir / PUBLIC_FILE_NAME
    try:
        vkey = path.read_text().strip()
    except FileNotFoundError:
        raise BadKeyFile(f"{path} is missing: start the sandbox once to make it") from None
    if not vkey.startswith(f"{origin}/e{FIRST_EPOCH}+"):
        raise BadKeyFile(f"{path} is not a key of the log {origin}")
    return vkey


def load(keys_dir: Path, origin: str) -> LogKey:
    """Read the key from `keys_dir`. Raises `BadKeyFile`."""
    path = keys_dir / FILE_NAME
    if not path.exists():
        raise BadKeyFile(f"{path} is missing: start the sandbox once to make it")
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise BadKeyFile(f"{path} is readable by others ({mode:o}); run: chmod 600 {path}")
    try:
        seed = bytes.fromhex(path.read_text().strip())
    except ValueError as error:
        raise BadKeyFile(f"{path} is not a key of {_SEED_SIZE} bytes in hex") from error
    if len(seed) != _SEED_SIZE:
        raise BadKeyFile(f"{path} is not a key of {_SEED_SIZE} bytes in hex")
    return LogKey(origin, Ed25519PrivateKey.from_private_bytes(seed))


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(chance.key_bytes("log").hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
        # Unlike a rename, a link fails when another process was first.
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink()
