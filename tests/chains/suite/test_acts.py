"""The acts of authority, on every chain: seizing a holder's units, changing a role's key."""

from typing import Any

import pytest

from sandbox.chains.errors import NotRotatable, NotSeizable, NotSponsored
from sandbox.chains.port import Action, Command, Outcome, UnknownRecipient
from tests.chains.suite.worlds import World, carry_out, funded


def seize(case: str, holder: str, recipient: str, units: int) -> Command:
    return Command("seize", case, recipient, units, holder=holder)


async def frozen(world: World, units: int) -> str:
    holder = await funded(world, units)
    await world.confirmed(await carry_out(world, Command("freeze", f"f_{holder[:16]}", holder)))
    return holder


async def test_an_address_of_another_chain_is_neither_seized_from_nor_given_to(
    world: World,
) -> None:
    holder = await world.holder()
    for address in world.not_payable:
        with pytest.raises(UnknownRecipient):
            await world.chain.prepare(seize("case_1", address, holder, 5))
        with pytest.raises(UnknownRecipient):
            await world.chain.prepare(seize("case_1", holder, address, 5))


async def test_our_own_units_are_not_seized_and_what_is_seized_does_not_come_to_us(
    world: World,
) -> None:
    [treasury] = world.chain.own_addresses()
    holder = await world.holder()
    for source, recipient, why in (
        (treasury, holder, "is our treasury"),
        (holder, treasury, "is our treasury"),
        (holder, holder, "the same"),
    ):
        with pytest.raises(NotSeizable, match=why):
            await world.chain.prepare(seize("case_1", source, recipient, 5))


async def test_a_role_that_has_no_key_to_change_is_refused_by_name(world: World) -> None:
    for role in ("treasury", "fee_payer", "king"):
        with pytest.raises(NotRotatable, match=role):
            await world.chain.prepare(Command("rotate", "rot_1", role=role))


async def test_more_than_a_holder_has_is_not_seized_at_all_and_a_freeze_stays(
    world: World,
) -> None:
    holder, bailiff = await frozen(world, 100), await world.holder()
    signed = await world.chain.prepare(seize("case_1", holder, bailiff, 101))
    await world.chain.broadcast(signed)
    block = await world.final(signed.tx_id)
    assert block.tx_errors[signed.tx_id] == "insufficient funds"
    assert await world.chain.outcome(signed) is Outcome.not_done
    assert await world.chain.is_frozen(holder)
    assert (await world.chain.balance(holder)).units == 100


async def test_seized_units_go_where_the_order_says_and_the_holder_stays_frozen(
    world: World,
) -> None:
    holder, bailiff = await frozen(world, 100), await world.holder()
    signed = await world.chain.prepare(seize("case_1", holder, bailiff, 60))
    assert await world.chain.outcome(signed) is Outcome.unknown
    await world.chain.broadcast(signed)
    block = await world.confirmed(signed.tx_id)
    [moved] = [one for one in block.transfers if one.tx == signed.tx_id]
    assert (moved.kind, moved.source, moved.destination) == ("transfer", holder, bailiff)
    assert (moved.amount_units, moved.keys[0]) == (60, "memo:case_1")
    assert await world.chain.is_frozen(holder)
    await world.final(signed.tx_id)
    assert await world.chain.outcome(signed) is Outcome.done
    held = [(await world.chain.balance(one)).units for one in (holder, bailiff)]
    assert held == [40, 60]
    assert (await world.chain.supply()).units == 100
    # Who got them is as free as anybody, who had them is not.
    tx = await world.send_unchecked(holder, bailiff, 1)
    assert (await world.confirmed(tx)).tx_errors[tx] == "frozen"
    tx = await world.send_unchecked(bailiff, await world.holder(), 60)
    assert tx not in (await world.confirmed(tx)).tx_errors


async def test_a_holder_who_is_not_frozen_is_seized_from_where_the_token_lets_it(
    world: World,
) -> None:
    holder, bailiff = await funded(world, 100), await world.holder()
    signed = await world.chain.prepare(seize("case_1", holder, bailiff, 100))
    await world.chain.broadcast(signed)
    block = await world.final(signed.tx_id)
    if world.seizes_frozen_only:
        assert block.tx_errors[signed.tx_id] == "not frozen"
        assert await world.chain.outcome(signed) is Outcome.not_done
        return
    assert await world.chain.outcome(signed) is Outcome.done
    assert (await world.chain.balance(bailiff)).units == 100
    assert not await world.chain.is_frozen(holder)


async def test_the_same_seizure_sent_twice_happens_once(world: World) -> None:
    holder, bailiff = await frozen(world, 100), await world.holder()
    signed = await world.chain.prepare(seize("case_1", holder, bailiff, 30))
    for _ in range(3):
        await world.chain.broadcast(signed)
    await world.final(signed.tx_id)
    await world.chain.broadcast(signed)
    await world.outlive(signed)
    assert (await world.chain.balance(bailiff)).units == 30


async def test_the_chain_tells_what_the_token_is(world: World) -> None:
    await funded(world, 500)
    told = await world.chain.token_truth()
    assert (told.decimals, told.symbol) == (world.chain.decimals, "KZTE")
    assert told.supply_units == 500
    assert not told.is_paused
    assert told.height <= (await world.chain.heads()).final
    assert all([told.address, told.program, told.name, *told.authorities.values()])
    await world.final(await carry_out(world, Command("pause", "case_1")))
    assert (await world.chain.token_truth()).is_paused


ACTS: tuple[tuple[Action, str, dict[str, Any]], ...] = (
    ("mint", "mint", {"amount_units": 5}),
    ("freeze", "freeze", {}),
    ("thaw", "freeze", {}),
    ("pause", "pause", {}),
    ("resume", "pause", {}),
)


def role_of(world: World, part: str) -> str:
    """The role of that chain whose name has this in it."""
    return next(role for role in world.chain.rotatable if part in role)


async def test_every_role_acts_with_its_new_key_and_with_the_old_one_no_more(
    world: World,
) -> None:
    if not world.chain.rotatable:
        with pytest.raises(NotRotatable):
            await world.chain.prepare(Command("rotate", "rot_1", role="minter"))
        return
    holder = await funded(world, 1)
    for action, part, more in ACTS:
        role = role_of(world, part)
        # Signed by the old key, and late: nothing in this suite holds it back, as the runner does.
        late = await world.chain.prepare(Command("pause", f"late_{action}"))
        if part != "pause":
            late = await world.chain.prepare(Command(action, f"late_{action}", holder, **more))
        before = (await world.chain.token_truth()).authorities
        turned = await world.chain.prepare(Command("rotate", f"rot_{action}", role=role))
        assert await world.chain.outcome(turned) is Outcome.unknown
        await world.chain.broadcast(turned)
        await world.final(turned.tx_id)
        assert await world.chain.outcome(turned) is Outcome.done
        after = (await world.chain.token_truth()).authorities
        assert {name for name in after if after[name] != before[name]} == {role}
        await world.chain.broadcast(late)
        assert (await world.confirmed(late.tx_id)).tx_errors[late.tx_id] == "wrong authority"
        recipient = "" if part == "pause" else holder
        done = await carry_out(world, Command(action, f"new_{action}", recipient, **more))
        assert done not in (await world.confirmed(done)).tx_errors


async def test_a_rotation_that_never_happened_leaves_the_old_key_at_work(world: World) -> None:
    if not world.chain.rotatable:
        return
    holder, role = await world.holder(), role_of(world, "mint")
    signed = await world.chain.prepare(Command("rotate", "rot_1", role=role))
    await world.outlive(signed)
    assert await world.chain.outcome(signed) is Outcome.not_done
    minted = await carry_out(world, Command("mint", "iss_1", holder, 5))
    assert minted not in (await world.confirmed(minted)).tx_errors
    again = await carry_out(world, Command("rotate", "rot_1", role=role))
    assert again not in (await world.confirmed(again)).tx_errors


async def test_a_chain_that_pays_nobodys_fees_says_so(world: World) -> None:
    holder = await world.holder()
    option = world.chain.receive_option("cs_1", 5, "")
    assert not world.chain.sponsors
    with pytest.raises(NotSponsored):
        await world.chain.sponsored_payment(option.fields, holder, 5)
