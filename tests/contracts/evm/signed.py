"""The four signed calls in both their forms: `bytes`, and `v, r, s`."""

from typing import Any

from tests.contracts.evm.calls import EVERYBODY
from tests.contracts.evm.world import Authorization, World, vrs

FORMS = ("bytes", "vrs")
TRANSFER, RECEIVE = "TransferWithAuthorization", "ReceiveWithAuthorization"


def parts(form: str, signature: bytes) -> tuple[Any, ...]:
    return (signature,) if form == "bytes" else vrs(signature)


def pay(
    world: World,
    form: str,
    what: Authorization,
    signature: bytes | None = None,
    *,
    struct: str = TRANSFER,
    sender: str = EVERYBODY,
) -> None:
    """Send an authorization of aigul's, signed here unless a signature is given."""
    if signature is None:
        signature = world.sign(world.aigul, struct, *what.terms)
    function = struct[0].lower() + struct[1:]
    getattr(world.kzte, function)(*what.terms, *parts(form, signature), sender=sender)


def cancel(world: World, form: str, nonce: bytes, signature: bytes | None = None) -> None:
    authorizer = world.aigul.address
    if signature is None:
        signature = world.sign(world.aigul, "CancelAuthorization", authorizer, nonce)
    world.kzte.cancelAuthorization(authorizer, nonce, *parts(form, signature))


def permit(
    world: World,
    form: str,
    spender: str,
    value: int,
    deadline: int,
    *,
    nonce: int | None = None,
    signature: bytes | None = None,
) -> None:
    if signature is None:
        values = world.permit_values(world.aigul, spender, value, deadline, nonce)
        signature = world.sign(world.aigul, "Permit", *values)
    world.kzte.permit(world.aigul.address, spender, value, deadline, *parts(form, signature))
