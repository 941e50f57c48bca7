"""Why an EVM transaction failed, in the words that every chain uses."""

from typing import Any

# Phrases of the contracts' revert texts (EVM.md, section 1), the first that occurs counts.
_WORDS = (
    ("not frozen", "not frozen"),
    ("frozen", "frozen"),
    ("paused", "paused"),
    ("exceeds balance", "insufficient funds"),
    ("exceeds allowance", "insufficient allowance"),
)
_ERROR_STRING = bytes.fromhex("08c379a0")
MAX_WORDS = 200


def reason(text: str) -> str:
    """A revert text as a short reason; `reverted` for one that says nothing."""
    lower = text.lower()
    for phrase, word in _WORDS:
        if phrase in lower:
            return word
    return text.strip()[:MAX_WORDS] or "reverted"


def revert_text(data: Any) -> str:
    """The text of `Error(string)` in the data of a refused call, else empty."""
    if not isinstance(data, str) or not data.startswith("0x"):
        return ""
    raw = bytes.fromhex(data[2:])
    if raw[:4] != _ERROR_STRING or len(raw) < 4 + 64:
        return ""
    length = int.from_bytes(raw[36:68], "big")
    return raw[68 : 68 + length].decode("utf-8", "replace").replace("\0", "\ufffd")
