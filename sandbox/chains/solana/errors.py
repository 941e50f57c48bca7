"""Why a Solana transaction failed, in words (SOLANA.md, section 1, Refusals)."""

from collections.abc import Sequence
from typing import Any

import orjson

from contracts.solana_mint import TOKEN_2022

# Codes of the Token-2022 program. Some come without a log line, so they are told by number.
_TOKEN_CODES = {
    0x1: "insufficient funds",
    0x3: "another mint",
    0x4: "wrong authority",
    0xD: "invalid state",
    0x11: "frozen",
    0x12: "wrong decimals",
    0x1F: "unchecked transfer",
    0x22: "immutable owner",
    0x43: "paused",
}


def reason(error: Any, programs: Sequence[str]) -> str:
    """A transaction error as JSON-RPC gives it; `programs` of its outer instructions, in order."""
    if isinstance(error, str):
        return error
    if isinstance(error, dict) and isinstance(failed := error.get("InstructionError"), list):
        index, what = failed
        if isinstance(what, dict) and isinstance(code := what.get("Custom"), int):
            of_token = index < len(programs) and programs[index] == str(TOKEN_2022)
            known = _TOKEN_CODES.get(code) if of_token else None
            return known or f"instruction {index}: custom program error {code:#x}"
        text = what if isinstance(what, str) else orjson.dumps(what).decode()
        return f"instruction {index}: {text}"
    return orjson.dumps(error).decode()
