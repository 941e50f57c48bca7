"""Money that pays no session, on every real chain: other tokens, coin, the wrong address."""

import pytest

from sandbox.chains.errors import PaymentRefused
from sandbox.chains.evm.calls import TRANSFER
from sandbox.chains.evm.tx import call_data
from sandbox.ledger import accounts
from tests.scenarios.on_evm import EvmGround
from tests.scenarios.world import World, completed

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_another_token_is_a_stray_of_its_session_without_legs(world: World) -> None:
    session = await world.session()
    token = await world.ground.other_token(world.customer)
    tx = await world.ground.send_other(world.customer, token, world.option(session), 777)
    await world.mine()
    await world.finalize()
    [stray] = await world.strays(tx)
    assert (stray["token"], stray["amount_units"], stray["session"], stray["chain_state"]) == (
        token, 777, session["id"], "final",
    )  # fmt: skip
    assert (stray["reasons"], stray["proposal"], stray["status"]) == (
        ["wrong_token"], "refund", "open",
    )  # fmt: skip
    read = await world.read(session)
    assert (completed(read), read["payments"]) == (("open", "none", []), [])
    assert await world.in_suspense(session["id"]) == 0
    answer = await world.post(f"/v1/stray_transfers/{stray['id']}/resolve", {"action": "refund"})
    assert (answer.status_code, answer.json()["code"]) == (409, "stray_not_refundable")


async def test_coin_where_a_session_is_paid_is_a_stray_and_the_session_stays_open(
    world: World,
) -> None:
    session = await world.session()
    place = world.place(session)
    before = await world.ground.coin(place)
    tx = await world.ground.send_coin(world.customer, place, 5_000_000)
    await world.mine()
    await world.finalize()
    [stray] = await world.strays(tx)
    assert (stray["token"], stray["amount_units"]) == (world.ground.native, 5_000_000)
    # Only an address of its own says which session was meant.
    assert stray["session"] == (session["id"] if world.chain.sweep_batch else None)
    assert (await world.read(session))["status"] == "open"
    assert await world.ground.coin(place) == before + 5_000_000


async def test_coin_at_the_treasury_is_a_stray_of_nobody(world: World) -> None:
    tx = await world.ground.send_coin(world.customer, world.ground.treasury, 6_000_000)
    await world.mine()
    [stray] = await world.strays(tx)
    assert (stray["token"], stray["session"], stray["reasons"]) == (
        world.ground.native, None, ["wrong_token"],
    )  # fmt: skip


async def test_units_straight_to_the_treasury_are_held_for_their_sender_and_sent_back(
    world: World,
) -> None:
    payer, treasury = await world.payer(700), world.ground.treasury
    tx = await world.ground.force(payer, treasury, world.units(700))
    await world.mine()
    assert await world.failure_of(tx) is None
    [stray] = await world.strays(tx)
    assert (stray["session"], stray["from_address"], stray["proposal"]) == (None, payer, "refund")
    await world.finalize()
    assert await world.in_suspense(stray["id"]) == world.units(700)
    path = f"/v1/stray_transfers/{stray['id']}/resolve"
    answer = await world.post(path, {"action": "refund"}, "operator")
    assert answer.status_code == 200, answer.text
    await world.carry_out()
    [stray] = await world.strays(tx)
    assert (stray["status"], stray["resolution"]) == ("resolved", "refunded")
    assert await world.ground.units(payer) == world.units(700)
    assert await world.in_suspense(stray["id"]) == 0


async def test_units_to_a_stranger_concern_nobody(world: World) -> None:
    stranger = await world.ground.payer()
    treasury = await world.posted(accounts.treasury(world.name))
    tx = await world.ground.force(world.customer, stranger, world.units(5))
    await world.mine()
    await world.finalize()
    assert await world.strays(tx) == []
    assert await world.posted(accounts.treasury(world.name)) == treasury


@pytest.mark.parametrize("ground", ["evm"], indirect=True)
async def test_units_for_the_tokens_own_address_are_refused_by_name_and_stay_with_their_sender(
    world: World,
) -> None:
    """Wallets that misread a payment link send there; the token refuses what would be lost."""
    ground = world.ground
    assert isinstance(ground, EvmGround)
    session = await world.session()
    payer = await world.payer(10_000)
    data = call_data(TRANSFER, ground.token, world.units(10_000))
    with pytest.raises(PaymentRefused, match="frozen"):
        await ground.ask(payer, ground.token, data)
    tx = await ground.force(payer, ground.token, world.units(10_000))
    await world.mine()
    assert await world.failure_of(tx) == "frozen"
    await world.finalize()
    assert await world.strays(tx) == []
    assert await ground.units(payer) == world.units(10_000)
    assert await ground.units(ground.token) == 0
    await world.pay(session, 10_000, payer)
    assert (await world.read(session))["status"] == "complete"


@pytest.mark.parametrize("ground", ["evm"], indirect=True)
async def test_coin_for_the_tokens_own_address_is_refused_too(world: World) -> None:
    ground = world.ground
    assert isinstance(ground, EvmGround)
    with pytest.raises(PaymentRefused):
        await ground.send_coin(world.customer, ground.token, 5)
    assert await ground.coin(ground.token) == 0
