"""C2SP tlog checkpoints: origin, size and root of a log as the text of a signed note. Pure."""

import base64
import binascii
import re
from dataclasses import dataclass

from sandbox.eventlog.merkle import HASH_SIZE
from sandbox.eventlog.note import BadNote, Signer, Verifier, open_note

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log commits to: its first `size` entries have this root."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    def sign(self, signer: Signer) -> str:
        """The signed note. The key's name is the log's origin (C2SP tlog-checkpoint)."""
        assert signer.name == self.origin
        return signer.sign(self.text)


def parse(text: str) -> Checkpoint:
    """Read a checkpoint's text. Raises `BadNote`.

    Extension lines are refused: nothing could audit them (LEDGER 3.1).
    """
    lines = text.split("\n")
    if len(lines) != 4 or lines[3] or not lines[0]:
        raise BadNote("a checkpoint has three lines: origin, size and root")
    origin, size, encoded = lines[:3]
    if _SIZE.fullmatch(size) is None:
        raise BadNote(f"not a size: {size!r}")
    try:
        root = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadNote("the root is not base64") from error
    if len(root) != HASH_SIZE or base64.b64encode(root).decode() != encoded:
        raise BadNote("the root is not a SHA-256 hash in base64")
    return Checkpoint(origin, int(size), root)


def open_checkpoint(note: bytes, verifier: Verifier) -> Checkpoint:
    """The checkpoint of a note signed by `verifier`, whose name is the origin. Raises `BadNote`."""
    found = parse(open_note(note, [verifier]))
    if found.origin != verifier.name:
        raise BadNote(f"the origin is {found.origin!r}, the key's name {verifier.name!r}")
    return found
