"""What the token's contract says of itself: names, figures, and who holds which role."""

from collections.abc import Mapping
from typing import Any

from eth_utils.crypto import keccak

from sandbox.chains.evm import calls, tx
from sandbox.chains.evm.rpc import Node
from sandbox.chains.port import TokenTruth

NAME, SYMBOL, DECIMALS = "name()", "symbol()", "decimals()"
ROLES = {
    "admin": "admin()",
    "master_minter": "masterMinter()",
    "pauser": "pauser()",
    "freezer": "freezer()",
    "confiscator": "confiscator()",
    "rescuer": "rescuer()",
}
"""Role → the view that names its holder; minters are many, and asked for one by one."""
MINTERS = ("minter", "treasury")
"""The operators that are minters: the one issues, the other burns."""


async def read_token(
    node: Node, token: str, operators: Mapping[str, str], height: int
) -> TokenTruth:
    """All of it at one block. `operators`: role → address of those that sign for us."""
    views = [NAME, SYMBOL, DECIMALS, calls.TOTAL_SUPPLY, calls.IS_PAUSED, *ROLES.values()]
    minters = {role: operators[role] for role in MINTERS}
    datas = [tx.call_data(view) for view in views]
    datas += [tx.call_data(calls.IS_MINTER, address) for address in minters.values()]
    code, *answers = await node.batch(
        [
            ("eth_getCode", [token, hex(height)]),
            *(_call(token, data, height) for data in datas),
        ]
    )
    words = [bytes.fromhex(answer[2:]) for answer in answers]
    decimals, supply, paused = (int.from_bytes(word) for word in words[2:5])
    named = zip(ROLES, words[5:], strict=False)
    holders = {role: _address(word) for role, word in named}
    for (role, address), is_one in zip(minters.items(), words[-len(minters) :], strict=True):
        holders[role] = address if any(is_one) else ""
    return TokenTruth(
        address=token,
        program="0x" + keccak(hexstr=code).hex(),
        name=_text(words[0]),
        symbol=_text(words[1]),
        uri="",
        decimals=decimals,
        supply_units=supply,
        height=height,
        is_paused=bool(paused),
        authorities=holders,
        extensions=(),
    )


def _call(token: str, data: bytes, height: int) -> tuple[str, list[Any]]:
    return "eth_call", [{"to": token, "data": "0x" + data.hex()}, hex(height)]


def _text(answer: bytes) -> str:
    """A string as a view answers it; empty where no contract is."""
    size = int.from_bytes(answer[32:64])
    return answer[64 : 64 + size].decode("utf-8", "replace")


def _address(answer: bytes) -> str:
    """An address as a view answers it, lower case; empty for zero."""
    return "0x" + answer[-20:].hex() if any(answer) else ""
