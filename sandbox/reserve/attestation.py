"""What an attestation says and how it is signed: a C2SP signed note over its RFC 8785 form. Pure.

The key is the log's, under a name of its own (`<log>/attestation`), and the first line says what
the text is: no attestation can be taken for a checkpoint, nor the other way round.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from sandbox.core.canonical import canonical_exact, sha256_hex
from sandbox.eventlog.keys import LogKey, of_epoch
from sandbox.eventlog.leaf import public_data
from sandbox.eventlog.note import BadNote, Signer, Verifier, open_note

TITLE: Final = "kzte reserve attestation v1"
EVENT: Final = "reserve.attested"
_SIGNED_IN: Final = re.compile("^\u2014 [^ ]+/e([1-9][0-9]{0,8})/attestation ".encode(), re.M)


def _name(log_origin: str) -> str:
    return f"{log_origin}/attestation"


def sign(statement: Mapping[str, Any], key: LogKey, epoch: int) -> str:
    """The signed note over a statement; amounts stand in it as decimal strings, as in a leaf."""
    signer = Signer(_name(key.signer(epoch).name), key.private)
    return signer.sign(f"{TITLE}\n{canonical_exact(public_data(statement)).decode()}\n")


def open_signed(note: bytes, log: Verifier) -> dict[str, Any]:
    """What a note says that the key of the log `log` signed. Raises `BadNote`."""
    text = open_note(note, [Verifier(_name(log.name), log.public)])
    lines = text.split("\n")
    if len(lines) != 3 or lines[0] != TITLE or lines[2]:
        raise BadNote("not an attestation")
    try:
        said = orjson.loads(lines[1])
    except orjson.JSONDecodeError as error:
        raise BadNote("an attestation that is not JSON") from error
    if not isinstance(said, dict) or canonical_exact(said).decode() != lines[1]:
        raise BadNote("an attestation that is not in RFC 8785 form")
    return said


def open_of_any_epoch(note: bytes, log: Verifier) -> dict[str, Any]:
    """What a note says that the key of `log` signed, in whichever epoch. Raises `BadNote`.

    Whether that epoch is one of the world in question is for a log to tell.
    """
    signed_in = _SIGNED_IN.search(note)
    if signed_in is None:
        return open_signed(note, log)
    epoch = int(signed_in[1])
    said = open_signed(note, Verifier.parse(of_epoch(log.vkey, epoch)))
    if not isinstance(said.get("log"), dict) or said["log"].get("epoch") != epoch:
        raise BadNote(f"signed in epoch {epoch}, and it names another")
    return said


def statement_sha256(statement: Mapping[str, Any], lines: int) -> str:
    """The hash that stands for a bank statement: SHA-256 of the RFC 8785 form of its first lines.

    `statement` is one of `GET /v1/bank/statements`; amounts are written as decimal strings, and
    the closing balance is the one after `lines` lines: a day's statement may still grow.
    """
    kept = statement["lines"][:lines]
    closing = statement["opening_tiyn"] + sum(map(_signed, kept))
    form = {
        "iban": statement["iban"],
        "date": statement["date"],
        "opening_tiyn": str(statement["opening_tiyn"]),
        "closing_tiyn": str(closing),
        "lines": [
            {
                "ref": line["ref"],
                "end_to_end_id": line["end_to_end_id"],
                "amount_tiyn": str(line["amount_tiyn"]),
                "side": line["side"],
                "value_date": line["value_date"],
            }
            for line in kept
        ],
    }
    return sha256_hex(canonical_exact(form))


def _signed(line: Mapping[str, Any]) -> int:
    amount: int = line["amount_tiyn"]
    return amount if line["side"] == "credit" else -amount
