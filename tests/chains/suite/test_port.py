"""What the port promises, of every chain."""

from itertools import pairwise

import pytest

from sandbox.chains.port import (
    TREASURY,
    UNSWEPT,
    Command,
    Outcome,
    Transfer,
    UnknownRecipient,
)
from tests.chains.suite.worlds import World, carry_out, funded


async def test_an_address_of_another_chain_is_refused_by_name(world: World) -> None:
    for address in ("", "nowhere", "1" * 32, *world.not_payable):
        with pytest.raises(UnknownRecipient):
            world.chain.check_recipient(address)
        with pytest.raises(UnknownRecipient):
            await world.chain.prepare(Command("mint", "iss_1", address, 5))


async def test_an_address_that_can_be_paid_is_told_as_transfers_show_it(world: World) -> None:
    holder = await world.holder()
    assert world.chain.check_recipient(holder) == holder


async def test_a_frozen_holder_cannot_pay_until_thawed(world: World) -> None:
    holder, other = await funded(world, 100), await world.holder()
    await world.confirmed(await carry_out(world, Command("freeze", "case_1", holder)))
    assert await world.chain.is_frozen(holder)
    tx = await world.send_unchecked(holder, other, 10)
    block = await world.confirmed(tx)
    assert block.tx_errors[tx] == "frozen"
    assert not [t for t in block.transfers if t.tx == tx]
    await world.confirmed(await carry_out(world, Command("thaw", "case_1:thaw", holder)))
    assert not await world.chain.is_frozen(holder)
    tx = await world.send_unchecked(holder, other, 11)
    assert tx not in (await world.confirmed(tx)).tx_errors


async def test_nothing_moves_while_the_token_is_paused(world: World) -> None:
    holder, other = await funded(world, 100), await world.holder()
    await world.confirmed(await carry_out(world, Command("pause", "case_2")))
    assert await world.chain.is_paused()
    tx = await world.send_unchecked(holder, other, 10)
    assert (await world.confirmed(tx)).tx_errors[tx] == "paused"
    mint = await carry_out(world, Command("mint", "iss_paused", holder, 5))
    assert (await world.confirmed(mint)).tx_errors[mint] == "paused"
    await world.confirmed(await carry_out(world, Command("resume", "case_2:resume")))
    assert not await world.chain.is_paused()


async def test_burning_more_than_the_treasury_holds_fails_on_chain(world: World) -> None:
    signed = await world.chain.prepare(Command("burn", "stl_1", amount_units=1))
    await world.chain.broadcast(signed)
    block = await world.final(signed.tx_id)
    assert block.tx_errors == {signed.tx_id: block.tx_errors[signed.tx_id]}
    assert await world.chain.outcome(signed) is Outcome.not_done


async def test_what_was_never_sent_is_unknown_until_it_can_never_happen(world: World) -> None:
    holder = await world.holder()
    signed = await world.chain.prepare(Command("mint", "iss_1", holder, 5))
    assert await world.chain.outcome(signed) is Outcome.unknown
    await world.outlive(signed)
    assert await world.chain.outcome(signed) is Outcome.not_done
    await world.chain.broadcast(signed)
    assert await world.chain.outcome(signed) is Outcome.not_done


async def test_a_command_is_unknown_until_final_and_then_done(world: World) -> None:
    holder = await world.holder()
    signed = await world.chain.prepare(Command("mint", "iss_1", holder, 500))
    await world.chain.broadcast(signed)
    block = await world.confirmed(signed.tx_id)
    [minted] = block.transfers
    assert minted.keys[0] == "memo:iss_1"
    assert minted == Transfer(signed.tx_id, 0, "mint", "", holder, 500, minted.keys)
    assert (await world.chain.balance(holder, final=False)).units == 500
    await world.final(signed.tx_id)
    assert await world.chain.outcome(signed) is Outcome.done
    supply = await world.chain.supply()
    assert supply.units == 500
    assert supply.height >= block.id.height


async def test_the_same_bytes_twice_happen_once(world: World) -> None:
    holder = await world.holder()
    signed = await world.chain.prepare(Command("mint", "iss_1", holder, 500))
    for _ in range(3):
        await world.chain.broadcast(signed)
    await world.final(signed.tx_id)
    await world.chain.broadcast(signed)
    await world.outlive(signed)
    assert (await world.chain.balance(holder)).units == 500


async def test_equal_commands_of_two_intents_are_two_transactions(world: World) -> None:
    holder = await world.holder()
    first = await world.chain.prepare(Command("mint", "iss_1", holder, 500))
    second = await world.chain.prepare(Command("mint", "iss_2", holder, 500), set(first.slots))
    assert first.tx_id != second.tx_id
    await world.chain.broadcast(first)
    await world.chain.broadcast(second)
    await world.final(first.tx_id)
    await world.final(second.tx_id)
    assert (await world.chain.balance(holder)).units == 1000


async def test_a_payment_by_the_option_reaches_us_with_its_keys(world: World) -> None:
    holder = await funded(world, 1000)
    option = world.chain.receive_option("cs_1", 250, "a shop")
    assert option.fields["amount_units"] == 250
    tx = await world.pay(holder, option, 250)
    block = await world.confirmed(tx)
    [transfer] = [t for t in block.transfers if t.tx == tx]
    there = transfer.destination
    assert transfer == Transfer(tx, 0, "transfer", holder, there, 250, transfer.keys)
    assert transfer.keys[0] == option.keys[0]
    assert set(transfer.keys) <= set(option.keys)
    assert there in world.chain.own_addresses() or world.chain.deposit_key(there) in option.keys
    assert not block.foreign
    await world.final(tx)
    assert (await world.chain.balance(there)).units == 250
    assert (await world.chain.balance(holder)).units == 750


async def test_what_lies_at_deposit_addresses_is_told_and_can_be_swept(world: World) -> None:
    holder = await funded(world, 1000)
    sessions = ["cs_1", "cs_2", "cs_3"]
    options = [world.chain.receive_option(session, 100, "") for session in sessions]
    for n in (1, 2):
        tx = await world.pay(holder, options[n - 1], 100 * n)
    await world.final(tx)
    held = (await world.chain.holdings(sessions)).by_place
    assert sum(held.values()) == 300
    assert held.get(UNSWEPT, 0) == (300 if world.chain.sweep_batch else 0)
    if world.chain.sweep_batch:
        sweep = Command("sweep", "swp_1", sessions=sessions)
        await world.final(await carry_out(world, sweep))
    swept = await world.chain.holdings(sessions)
    assert (swept.by_place.get(UNSWEPT, 0), swept.by_place[TREASURY]) == (0, 300)


async def test_options_of_two_sessions_share_no_key(world: World) -> None:
    first = world.chain.receive_option("cs_1", 250, "")
    second = world.chain.receive_option("cs_2", 250, "")
    assert not set(first.keys) & set(second.keys)
    again = world.chain.receive_option("cs_1", 250, "")
    address = str(first.fields.get("address", ""))
    if address:
        # A session has one deposit address, whoever asks.
        assert again.keys == first.keys == (world.chain.deposit_key(address),)
    else:
        assert first.keys[0] != again.keys[0]


async def test_the_treasury_sends_units_and_gas(world: World) -> None:
    [treasury] = world.chain.own_addresses()
    minted = Command("mint", "iss_1", treasury, 1000)
    await world.final(await carry_out(world, minted))
    holder = await world.holder()
    gas_before = await world.gas_of(holder)
    tx = await carry_out(world, Command("transfer", "fau_1", holder, 300, gas=True))
    block = await world.final(tx)
    [transfer] = block.transfers
    assert (transfer.kind, transfer.source, transfer.destination) == ("transfer", treasury, holder)
    assert "memo:fau_1" in transfer.keys
    assert not block.foreign
    assert await world.gas_of(holder) > gas_before
    assert (await world.chain.balance(treasury)).units == 700


async def test_the_treasury_burns_and_so_may_a_holder_where_the_token_lets_it(
    world: World,
) -> None:
    [treasury] = world.chain.own_addresses()
    await world.final(await carry_out(world, Command("mint", "iss_t", treasury, 1000)))
    holder = await funded(world, 100)
    mine = await carry_out(world, Command("burn", "stl_1:burn:1", amount_units=400))
    [burned] = (await world.confirmed(mine)).transfers
    assert (burned.kind, burned.source, burned.destination) == ("burn", treasury, "")
    assert burned.keys == ("memo:stl_1:burn:1",)
    theirs = await world.burn(holder, 30)
    block = await world.confirmed(theirs)
    own = [t for t in block.transfers if t.tx == theirs]
    if world.holders_burn:
        assert [(t.kind, t.source, t.amount_units) for t in own] == [("burn", holder, 30)]
    else:
        assert own == []
        assert theirs in block.tx_errors
    await world.final(theirs)
    await world.final(mine)
    left = 1000 + 100 - 400 - (30 if world.holders_burn else 0)
    assert (await world.chain.supply()).units == left


async def test_blocks_join_by_hash_and_headers_agree_with_them(world: World) -> None:
    holder = await world.holder()
    await world.final(await carry_out(world, Command("mint", "iss_1", holder, 5)))
    heads = await world.chain.heads()
    assert heads.final < heads.confirmed
    first = max(0, heads.final - 10)
    blocks = await world.chain.blocks(first, heads.final)
    ids = await world.chain.block_ids(first, heads.final)
    assert [block.id for block in blocks] == ids
    assert blocks[-1].id.height == heads.final
    for before, after in pairwise(blocks):
        assert after.id.parent_hash == before.id.hash
        assert after.time >= before.time


async def test_a_holder_of_nothing_has_a_balance_of_zero(world: World) -> None:
    holder = await world.holder()
    assert (await world.chain.balance(holder)).units == 0
    assert not await world.chain.is_frozen(holder)


async def test_the_genesis_names_the_chain(world: World) -> None:
    assert await world.chain.genesis() == await world.chain.genesis() != ""


async def test_the_clock_of_a_chain_with_control_can_be_moved(world: World) -> None:
    assert await world.chain.set_clock(0, None)


async def test_sessions_that_nobody_paid_have_nothing_to_sweep(world: World) -> None:
    assert (await world.chain.holdings(["cs_1"])).by_place.get(UNSWEPT, 0) == 0


async def test_a_transaction_nobody_sent_is_not_decoded(world: World) -> None:
    assert await world.chain.decode("nothing of the kind") is None
    assert await world.chain.decode("0x" + "ab" * 32) is None


async def test_a_payment_is_decoded_with_who_paid_whom_and_its_state(world: World) -> None:
    holder = await funded(world, 900)
    option = world.chain.receive_option("cs_decoded", 700, "Shop")
    tx = await world.pay(holder, option, 700)
    block = await world.confirmed(tx)
    found = await world.chain.decode(tx)
    assert found is not None
    assert (found.tx, found.height, found.error) == (tx, block.id.height, None)
    assert found.time == block.time
    [transfer] = [one for one in block.transfers if one.tx == tx]
    named = {address for act in found.acts for _, address in act.accounts}
    assert {transfer.source, transfer.destination} <= named
    assert 700 in [act.values.get("amount_units") for act in found.acts]
    await world.final(tx)
    found = await world.chain.decode(tx)
    assert found is not None
    assert found.state == "final"


async def test_a_transaction_that_failed_is_decoded_with_the_reason_the_block_has(
    world: World,
) -> None:
    poor, other = await world.holder(), await world.holder()
    await carry_out(world, Command("mint", "iss_poor", poor, 5))
    tx = await world.send_unchecked(poor, other, 10)
    block = await world.confirmed(tx)
    found = await world.chain.decode(tx)
    assert found is not None
    assert found.error == block.tx_errors[tx]
