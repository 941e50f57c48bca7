"""C2SP signed notes with Ed25519 keys: how checkpoints are signed and verified. Pure."""

import base64
import binascii
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ED25519 = 0x01
_DASH = "\u2014 "
_KEY_ID_SIZE = 4
_KEY_SIZE = 32
_MAX_SIGNATURES = 64


class BadNote(ValueError):
    """The note, its signature or the verifier key is not good."""


def _strict_base64(value: str) -> bytes:
    try:
        data = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadNote(f"not base64: {value[:80]!r}") from error
    # Two texts must not stand for one signature: unused bits have to be zero.
    if base64.b64encode(data).decode() != value:
        raise BadNote(f"not canonical base64: {value[:80]!r}")
    return data


def _check_name(name: str) -> None:
    if not name or "+" in name or any(c.isspace() for c in name):
        raise BadNote(f"not a key name: {name!r}")


def key_id(name: str, kind: int, public: bytes) -> bytes:
    """The 4 bytes that name a key on signature lines (C2SP signed-note)."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:_KEY_ID_SIZE]


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key and the name it signs under."""

    name: str
    public: bytes

    @classmethod
    def parse(cls, vkey: str) -> "Verifier":
        """Read `<name>+<hex key id>+<base64(type || key)>`. Raises `BadNote`."""
        parts = vkey.split("+", 2)
        if len(parts) != 3:
            raise BadNote("a verifier key has three parts: name, id and key")
        name, id_hex, encoded = parts
        _check_name(name)
        key = _strict_base64(encoded)
        if len(key) != 1 + _KEY_SIZE or key[0] != ED25519:
            raise BadNote("not an Ed25519 verifier key")
        verifier = cls(name, key[1:])
        if verifier.id.hex() != id_hex:
            raise BadNote("the key's id is not the hash of its name and key")
        return verifier

    @property
    def id(self) -> bytes:
        return key_id(self.name, ED25519, self.public)

    @property
    def vkey(self) -> str:
        encoded = base64.b64encode(bytes([ED25519]) + self.public).decode()
        return f"{self.name}+{self.id.hex()}+{encoded}"

    def verify(self, text: bytes, signature: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text)
        except InvalidSignature:
            return False
        return True


class Signer:
    """An Ed25519 key that signs notes under one name."""

    def __init__(self, name: str, private: Ed25519PrivateKey) -> None:
        _check_name(name)
        self._private = private
        public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.verifier = Verifier(name, public)

    @property
    def name(self) -> str:
        return self.verifier.name

    def sign(self, text: str) -> str:
        """The signed note: the text (which ends in a line feed), an empty line, our signature."""
        assert text.endswith("\n")
        signature = self._private.sign(text.encode())
        encoded = base64.b64encode(self.verifier.id + signature).decode()
        return f"{text}\n{_DASH}{self.name} {encoded}\n"


def _signature_line(line: str) -> tuple[str, bytes, bytes]:
    if not line.startswith(_DASH):
        raise BadNote(f"not a signature line: {line[:80]!r}")
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    _check_name(name)
    data = _strict_base64(encoded)
    if len(data) <= _KEY_ID_SIZE:
        raise BadNote("a signature line without a signature")
    return name, data[:_KEY_ID_SIZE], data[_KEY_ID_SIZE:]


def open_note(data: bytes, verifiers: Iterable[Verifier]) -> str:
    """The text of a note that at least one known key signed; unknown keys are ignored.

    Raises `BadNote` when none did, when a known key's signature fails, or for a malformed note.
    """
    try:
        note = data.decode()
    except UnicodeDecodeError as error:
        raise BadNote("not UTF-8") from error
    if any(c != "\n" and (ord(c) < 0x20 or ord(c) == 0x7F) for c in note):
        raise BadNote("a control character")
    text, separator, lines = note.rpartition("\n\n")
    if not separator or not lines.endswith("\n"):
        raise BadNote("no signatures behind an empty line")
    text += "\n"
    signatures = [_signature_line(line) for line in lines[:-1].split("\n")]
    if len(signatures) > _MAX_SIGNATURES:
        raise BadNote(f"more than {_MAX_SIGNATURES} signatures")
    known = {(verifier.name, verifier.id): verifier for verifier in verifiers}
    good = False
    for name, id_, signature in signatures:
        verifier = known.get((name, id_))
        if verifier is None:
            continue
        if not verifier.verify(text.encode(), signature):
            raise BadNote(f"the signature of {name} does not fit the text")
        good = True
    if not good:
        raise BadNote("no signature of a known key")
    return text
