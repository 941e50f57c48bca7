"""Calldata that no library makes: native coin, truncated, dirty, longer, unknown (T20, T21)."""

from typing import Any

import boa
import pytest

from contracts import evm
from tests.contracts.evm.calls import (
    EVERYBODY,
    Contract,
    Reverted,
    refused,
    selector,
    signature,
    types,
)
from tests.contracts.evm.signed import RECEIVE, TRANSFER
from tests.contracts.evm.world import MAX, Authorization, World, address, vrs

FUNCTIONS = [dict(e) for e in evm.load("kzte").abi if e["type"] == "function"]
WITH_ARGUMENTS = [e for e in FUNCTIONS if e["inputs"]]
AIGUL, SHOP = address("aigul"), address("shop")
WHAT = Authorization(AIGUL, SHOP)


def size(entry: dict[str, Any]) -> int:
    """Bytes of the arguments when nothing dynamic has contents."""
    return 32 * sum(2 if kind == "bytes" else 1 for kind in types(entry["inputs"]))


@pytest.mark.parametrize("entry", FUNCTIONS, ids=signature)
def test_every_function_refuses_native_coin(kzte: Contract, entry: dict[str, Any]) -> None:
    boa.env.set_balance(EVERYBODY, 10)
    with refused(""):
        kzte.raw(selector(entry) + bytes(size(entry)), value=1)
    assert boa.env.get_balance(kzte.address) == 0


def test_plain_native_coin_and_short_calldata_are_refused(kzte: Contract) -> None:
    boa.env.set_balance(EVERYBODY, 10)
    with refused(""):
        kzte.raw(b"", value=1)
    for data in (b"", b"\xa9", b"\xa9\x05\x9c"):
        with refused("kzte: unknown function"):
            kzte.raw(data)


@pytest.mark.parametrize("data", ["00000000", "deadbeef", "40c10f19", "f2fde38b", "3659cfe6"])
def test_an_unknown_function_is_refused(kzte: Contract, data: str) -> None:
    with refused("kzte: unknown function"):
        kzte.raw(bytes.fromhex(data) + bytes(320))


@pytest.mark.parametrize("entry", WITH_ARGUMENTS, ids=signature)
def test_truncated_arguments_are_refused(kzte: Contract, entry: dict[str, Any]) -> None:
    least = 32 * len(entry["inputs"])
    for length in (0, least - 1):
        with refused(""):
            kzte.raw(selector(entry) + bytes(length))


@pytest.mark.parametrize(
    "entry", [e for e in WITH_ARGUMENTS if "address" in types(e["inputs"])], ids=signature
)
def test_an_address_with_dirty_upper_bits_is_refused(kzte: Contract, entry: dict[str, Any]) -> None:
    for place in (i for i, kind in enumerate(types(entry["inputs"])) if kind == "address"):
        arguments = bytearray(size(entry))
        arguments[32 * place + 11] = 1
        with refused(""):
            kzte.raw(selector(entry) + bytes(arguments))


def test_a_dirty_v_is_refused(world: World, kzte: Contract) -> None:
    world.give(AIGUL, 1000)
    signed = vrs(world.sign(world.aigul, TRANSFER, *WHAT.terms))
    data = bytearray(kzte.calldata("transferWithAuthorization", *WHAT.terms, *signed))
    assert data[4 + 7 * 32 - 1] in (27, 28)
    data[4 + 7 * 32 - 2] = 1
    with refused(""):
        kzte.raw(bytes(data))


def test_bytes_behind_the_arguments_are_ignored_in_every_form(world: World, kzte: Contract) -> None:
    world.give(AIGUL, 1000)
    kzte.raw(kzte.calldata("transfer", SHOP, 1) + b"junk", sender=AIGUL)
    transfer = vrs(world.sign(world.aigul, TRANSFER, *WHAT.terms))
    kzte.raw(kzte.calldata("transferWithAuthorization", *WHAT.terms, *transfer) + b"junk")
    again = WHAT.but(nonce=b"\x02" * 32)
    receive = vrs(world.sign(world.aigul, RECEIVE, *again.terms))
    data = kzte.calldata("receiveWithAuthorization", *again.terms, *receive)
    kzte.raw(data + b"junk", sender=SHOP)
    canceling = vrs(world.sign(world.aigul, "CancelAuthorization", AIGUL, b"\x03" * 32))
    kzte.raw(kzte.calldata("cancelAuthorization", AIGUL, b"\x03" * 32, *canceling) + b"junk")
    values = world.permit_values(world.aigul, SHOP, 5, MAX)
    permit = vrs(world.sign(world.aigul, "Permit", *values))
    kzte.raw(kzte.calldata("permit", AIGUL, SHOP, 5, MAX, *permit) + b"junk")
    assert kzte.balanceOf(SHOP) == 201
    assert kzte.allowance(AIGUL, SHOP) == 5
    assert kzte.authorizationState(AIGUL, b"\x03" * 32)


def test_a_signature_whose_length_points_outside_is_refused(world: World, kzte: Contract) -> None:
    data = bytearray(kzte.calldata("permit", AIGUL, SHOP, 5, MAX, b"\x01" * 65))
    for offset in (0, 2**32, 2**255):
        data[4 + 4 * 32 : 4 + 5 * 32] = offset.to_bytes(32, "big")
        with pytest.raises(Reverted):
            kzte.raw(bytes(data))
    assert kzte.allowance(AIGUL, SHOP) == 0
