"""Why a Solana transaction failed, in the words that every chain uses (SOLANA.md, section 1).

By number, not by log text: some of the token program's refusals come without a line of log.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from contracts.solana_mint import SYSTEM, TOKEN_2022
from sandbox.chains.solana.tx import ATA_PROGRAM

_TOKEN, _SYSTEM, _ACCOUNTS = str(TOKEN_2022), str(SYSTEM), str(ATA_PROGRAM)
_BY_CODE: dict[tuple[str, int], str] = {
    (_TOKEN, 0x1): "insufficient funds",
    (_TOKEN, 0x3): "another mint",
    (_TOKEN, 0x4): "wrong authority",
    (_TOKEN, 0xB): "account not empty",
    (_TOKEN, 0xD): "invalid state",
    (_TOKEN, 0xF): "unsupported authority",
    (_TOKEN, 0x11): "frozen",
    (_TOKEN, 0x12): "wrong decimals",
    (_TOKEN, 0x1F): "unchecked transfer",
    (_TOKEN, 0x22): "immutable owner",
    (_TOKEN, 0x43): "paused",
    # The metadata interface's own numbers, which are hashes of their names.
    (_TOKEN, 0x35C2B5BF): "wrong authority",
    (_TOKEN, 0x35C2B5C0): "wrong authority",
    (_SYSTEM, 0x1): "insufficient lamports",
}
_BY_NAME = {
    # What is given as a token account is none: nobody made it.
    (_TOKEN, "IncorrectProgramId"): "no token account",
    (_ACCOUNTS, "IllegalOwner"): "token account exists",
}
_WHOLE = {
    "AccountNotFound": "unknown payer",
    "BlockhashNotFound": "expired",
    "InsufficientFundsForFee": "insufficient lamports",
}


def reason(error: Any, programs: Sequence[str]) -> str:
    """A transaction error as JSON-RPC gives it; `programs` of its outer instructions, in order."""
    if isinstance(error, str):
        return _WHOLE.get(error, error)
    if isinstance(error, dict) and isinstance(failed := error.get("InstructionError"), list):
        index, what = failed
        program = programs[index] if index < len(programs) else ""
        if isinstance(what, dict) and isinstance(code := what.get("Custom"), int):
            known = _BY_CODE.get((program, code))
            return known or f"instruction {index}: custom program error {code:#x}"
        if isinstance(what, str):
            return _BY_NAME.get((program, what)) or f"instruction {index}: {what}"
        return f"instruction {index}: {orjson.dumps(what).decode()}"
    if isinstance(error, dict) and "InsufficientFundsForRent" in error:
        return "insufficient lamports"
    return orjson.dumps(error).decode()
