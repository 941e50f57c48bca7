"""What a transaction pays: per signature, and the priority fee that it asks to pay.

As agave's fee and compute-budget-instruction crates count it; the tests hold it to LiteSVM's own.
"""

from __future__ import annotations

from typing import Final

from solders.message import Message, MessageV0, MessageV1

LAMPORTS_PER_SIGNATURE: Final = 5_000
MAX_UNITS: Final = 1_400_000
_MICRO: Final = 1_000_000
_BUDGET: Final = "ComputeBudget111111111111111111111111111111"
_PRECOMPILES: Final = {
    "Ed25519SigVerify111111111111111111111111111",
    "KeccakSecp256k11111111111111111111111111111",
    "Secp256r1SigVerify1111111111111111111111111",
}
# Units that an instruction reserves when the message names no limit: little for what is built in
# and no program on the chain, 200,000 for all else (SIMD-0170).
_UNITS, _BUILTIN_UNITS = 200_000, 3_000
_BUILTINS: Final = {
    "11111111111111111111111111111111",
    _BUDGET,
    "BPFLoader1111111111111111111111111111111111",
    "BPFLoader2111111111111111111111111111111111",
    "BPFLoaderUpgradeab1e11111111111111111111111",
    "LoaderV411111111111111111111111111111111111",
    "Ed25519SigVerify111111111111111111111111111",
    "KeccakSecp256k11111111111111111111111111111",
}
# Of each instruction of the compute budget: how long its data is at least.
_HEAP, _LIMIT, _PRICE, _LOADED = 1, 2, 3, 4
_SIZES: Final = {_HEAP: 5, _LIMIT: 5, _PRICE: 9, _LOADED: 5}


def fee_of(message: Message | MessageV0 | MessageV1) -> int:
    """Lamports: the base fee of every signature, plus the priority fee rounded up."""
    keys = [str(key) for key in message.account_keys]
    asked: dict[int, int] = {}
    signatures, units, is_readable = message.header.num_required_signatures, 0, True
    for instruction in message.instructions:
        program, data = keys[instruction.program_id_index], bytes(instruction.data)
        units += _BUILTIN_UNITS if program in _BUILTINS else _UNITS
        if program in _PRECOMPILES:
            signatures += data[0] if data else 0
        elif program == _BUDGET:
            tag = data[0] if data else 0
            # Unreadable or said twice: such a transaction is refused before it pays anything.
            is_readable &= tag not in asked and len(data) >= _SIZES.get(tag, len(data) + 1)
            asked[tag] = int.from_bytes(data[1 : _SIZES.get(tag, 0)], "little")
    limit = min(asked.get(_LIMIT, units), MAX_UNITS)
    priority = -(-limit * asked.get(_PRICE, 0) // _MICRO) if is_readable else 0
    return min(LAMPORTS_PER_SIGNATURE * signatures + priority, 2**64 - 1)
