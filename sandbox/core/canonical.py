"""RFC 8785 bytes of JSON values: what is hashed or signed is serialised here and nowhere else."""

import hashlib

import rfc8785

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]


def canonical(value: object) -> bytes:
    """The RFC 8785 (JCS) form of `value`.

    Raises `ValueError` for what that form cannot hold: integers beyond 2^53 - 1, NaN, other types.
    """
    try:
        return rfc8785.dumps(value)  # type: ignore[arg-type]  # its Json type is invariant
    except rfc8785.CanonicalizationError as error:
        raise ValueError(str(error)) from error


def sha256_hex(data: bytes) -> str:
    """SHA-256 in lower-case hex."""
    return hashlib.sha256(data).hexdigest()
