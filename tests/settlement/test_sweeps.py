"""Batches whose units lie at deposit addresses: swept, deferred, swept by strangers."""

import asyncio
from typing import Any

from sqlalchemy import text

from sandbox.bank import registry
from sandbox.chains.memory import Move
from sandbox.chains.memory_deposits import DepositMemoryChain
from sandbox.ledger import accounts
from sandbox.ledger import service as ledger
from sandbox.payments import sweeping
from sandbox.settlement import jobs, service
from tests.settlement.conftest import SHOP_IBAN, Town


def deposits(town: Town) -> DepositMemoryChain:
    assert isinstance(town.chain, DepositMemoryChain)
    return town.chain


async def paid(town: Town, amount_tiyn: int) -> tuple[str, str]:
    """A paid and captured checkout: its payment and its deposit address."""
    payment = await town.pay(amount_tiyn)
    session = (await town.get(f"/v1/payments/{payment}"))["session"]
    return payment, deposits(town).deposit_address(session)


def freeze(town: Town, address: str) -> None:
    town.chain.send(Move("freeze", destination=address))


def thaw(town: Town, address: str) -> None:
    town.chain.send(Move("thaw", destination=address))


def sweep_by_stranger(town: Town, *addresses: str) -> str:
    """Anyone may call the public sweep."""
    return town.chain.send(*(Move("sweep", address, town.chain.treasury) for address in addresses))


async def confirm(town: Town) -> None:
    """One block, seen and not final."""
    town.chain.mine()
    await town.world.follow()


async def final(town: Town) -> None:
    town.chain.mine_final()
    await town.world.follow()


async def told(town: Town, type_: str) -> list[dict[str, Any]]:
    """The data of the events of a type, as the log has them."""
    async with town.database.transaction() as db:
        rows = await db.execute(
            text(
                "SELECT convert_from(leaf, 'UTF8')::json -> 'data' AS data FROM event"
                " WHERE type = :type ORDER BY id"
            ),
            {"type": type_},
        )
        return [row.data for row in rows]


async def unswept(town: Town) -> ledger.Balance:
    async with town.database.transaction() as db:
        return await ledger.balance(db, accounts.unswept(town.chain.name))


async def is_settled(town: Town, settlement_id: str) -> dict[str, Any]:
    found = await town.settlement(settlement_id)
    assert found["status"] == "settled"
    assert found["check"]["unexplained_tiyn"] == 0
    await town.audit()
    return found


class TestSwept:
    async def test_units_are_reserved_at_their_addresses_before_anything_is_sent(
        self, swept_town: Town
    ) -> None:
        town = swept_town
        await paid(town, 6000)
        made = await town.ask()
        (sweep,) = made["sweeps"]
        assert (sweep["status"], sweep["planned_units"]) == ("pending", 6000)
        assert (sweep["tx"], sweep["moved_units"]) == (None, None)
        assert [burn["status"] for burn in made["burns"]] == ["sweeping"]
        held = await unswept(town)
        assert (held.posted, held.available) == (6000, 0)
        async with town.database.transaction() as db:
            assert "burns that wait for sweeps: 1" in await service.busy(db)
        assert await jobs.follow_sweeps(town.database, town.world.chains) == 0
        await town.audit()

    async def test_the_burn_is_asked_for_once_by_any_number_of_workers(
        self, swept_town: Town
    ) -> None:
        town = swept_town
        await paid(town, 6000)
        made = await town.ask()
        await town.world.step()
        moved = await asyncio.gather(
            *(jobs.follow_sweeps(town.database, town.world.chains) for _ in range(4))
        )
        assert sum(moved) == 1
        (sweep,) = (await town.settlement(made["id"]))["sweeps"]
        assert (sweep["status"], sweep["moved_units"]) == ("final", 6000)
        assert (await unswept(town)).posted == 0
        await town.audit()
        await town.world.carry_out()
        await is_settled(town, made["id"])
        (event,) = await told(town, "sweep.final")
        assert (event["merchant"], event["settlement"]) == (town.shop, made["id"])

    async def test_more_sessions_than_one_sweep_takes_need_several(self, swept_town: Town) -> None:
        town = swept_town
        await town.pay_many(7, 100)
        made = await town.ask()
        assert [one["planned_units"] for one in made["sweeps"]] == [300, 300, 100]
        await town.world.carry_out()
        done = await is_settled(town, made["id"])
        assert [one["moved_units"] for one in done["sweeps"]] == [300, 300, 100]

    async def test_money_that_comes_in_between_is_swept_along_and_stays_whose_it_is(
        self, swept_town: Town
    ) -> None:
        town = swept_town
        payment, address = await paid(town, 6000)
        made = await town.ask()
        # Final before the sweep, and in the sweep's own block, and behind the sweep in it.
        town.chain.pay(town.customer, address, 50)
        await final(town)
        town.chain.pay(town.customer, address, 7)
        await town.world.runner.step()
        town.chain.pay(town.customer, address, 3)
        await final(town)
        (sweep,) = (await town.settlement(made["id"]))["sweeps"]
        assert (sweep["planned_units"], sweep["moved_units"]) == (6000, 6057)
        assert (await unswept(town)).posted == 3
        await town.audit()
        await town.world.carry_out()
        done = await is_settled(town, made["id"])
        assert [line["payment"] for line in done["lines"]] == [payment]
        assert done["check"]["gross_tiyn"] == 6000
        async with town.database.transaction() as db:
            states = {e.ref.partition(":")[2]: e.state for e in await ledger.entries_for(
                db, sweep["id"])}  # fmt: skip
        assert states == {"": "voided", "moved": "posted"}

    async def test_everything_of_the_merchant_is_swept_along_also_what_never_counts(
        self, swept_town: Town
    ) -> None:
        town = swept_town
        refunded, _ = await paid(town, 500)
        await town.refund(refunded, 500)
        session = await town.done("/v1/checkout/sessions", {"amount_tiyn": 900}, "shop")
        town.send_to(session, 40)
        await final(town)
        await paid(town, 6000)
        made = await town.settle()
        await town.world.carry_out()
        await is_settled(town, made["id"])
        assert (await unswept(town)).posted == 0

    async def test_a_payment_of_a_session_that_an_older_batch_sweeps_waits_for_that(
        self, swept_town: Town
    ) -> None:
        town = swept_town
        _, address = await paid(town, 6000)
        first = await town.ask()
        town.chain.pay(town.customer, address, 70)
        await final(town)
        (stray,) = (await town.get("/v1/stray_transfers", "operator"))["data"]
        answer = await town.world.post(
            f"/v1/stray_transfers/{stray['id']}/resolve", {"action": "accept"}, "operator"
        )
        assert answer.status_code == 200, answer.text
        second = await town.ask()
        assert second["sweeps"] == []
        await town.audit()
        await town.world.carry_out()
        for made in (first, second):
            await is_settled(town, made["id"])
        assert (await unswept(town)).posted == 0


class TestDeferred:
    async def test_a_frozen_address_defers_its_line_and_the_next_batch_takes_it(
        self, swept_town: Town
    ) -> None:
        town = swept_town
        (kept, _), (frozen, address) = await paid(town, 6000), await paid(town, 4000)
        freeze(town, address)
        await final(town)
        made = await town.ask()
        await town.world.carry_out()
        done = await is_settled(town, made["id"])
        by_payment = {line["payment"]: line for line in done["lines"]}
        assert not by_payment[kept]["deferred"]
        assert by_payment[frozen]["deferred"]
        assert "deposit address" in by_payment[frozen]["reason"]
        (burn,) = done["burns"]
        assert (burn["units"], burn["fee_tiyn"], burn["vat_tiyn"]) == (6000, 60, 8)
        assert done["check"] == {
            "opening_tiyn": 0, "gross_tiyn": 6000, "fees_tiyn": 60, "refunds_tiyn": 0,
            "paid_tiyn": 5940, "to_wallet_tiyn": 0, "reserved_tiyn": 0, "carried_tiyn": 0,
            "unexplained_tiyn": 0,
        }  # fmt: skip
        assert done["payout"]["amount_tiyn"] == 5940
        (event,) = await told(town, "settlement.line_deferred")
        assert event["id"] == made["id"]
        again = await town.get(f"/v1/payments/{frozen}")
        assert (again["settlement_state"], again["settlement"]) == ("unsettled", None)
        await town.bank_and_books()
        await town.audit()

        thaw(town, address)
        await final(town)
        later = await town.ask()
        assert [line["payment"] for line in later["lines"]] == [frozen]
        await town.world.carry_out()
        assert (await is_settled(town, later["id"]))["payout"]["amount_tiyn"] == 3960
        await town.bank_and_books()
        await town.audit()

    async def test_a_batch_of_which_nothing_is_left_is_settled_and_pays_nothing(
        self, swept_town: Town
    ) -> None:
        town = swept_town
        _, address = await paid(town, 4000)
        freeze(town, address)
        await final(town)
        made = await town.ask()
        await town.world.carry_out()
        done = await is_settled(town, made["id"])
        assert (done["burns"], done["fee_status"]) == ([], "none")
        assert (done["payout"]["status"], done["payout"]["amount_tiyn"]) == ("canceled", 0)
        assert done["payout"]["instructed_at"] is None
        assert await town.world.count("bank_message WHERE direction = 'out'") == 0
        assert (await town.chain.supply()).units == 100_000
        async with town.database.transaction() as db:
            assert await service.busy(db) == []

    async def test_what_was_carried_is_paid_also_when_every_line_is_deferred(
        self, swept_town: Town
    ) -> None:
        town = swept_town
        await paid(town, 6000)
        first = await town.settle()
        await town.world.carry_out()
        async with town.database.transaction() as db:
            await registry.refuse_payments_to(db, SHOP_IBAN)
        await town.bank_and_books()
        async with town.database.transaction() as db:
            await registry.accept_payments_to(db, SHOP_IBAN)
        assert (await town.settlement(first["id"]))["payout"]["status"] == "rejected"
        _, address = await paid(town, 4000)
        freeze(town, address)
        await final(town)
        held = await town.ask(retry_payout=False)
        assert (held["payout"], held["check"]["carried_tiyn"]) == (None, 5940 + 3960)
        await town.world.carry_out()
        assert (await is_settled(town, held["id"]))["check"]["carried_tiyn"] == 5940
        made = await town.ask()
        assert made["payout"]["amount_tiyn"] == 5940 + 3960
        await town.world.carry_out()
        done = await is_settled(town, made["id"])
        assert (done["payout"]["status"], done["payout"]["amount_tiyn"]) == ("pending", 5940)
        await town.bank_and_books()
        assert (await town.settlement(made["id"]))["payout"]["status"] == "sent"
        await town.audit()

    async def test_a_sweep_that_is_lost_as_often_as_it_may_defers_its_lines(
        self, swept_town: Town
    ) -> None:
        town = swept_town
        payment, _ = await paid(town, 6000)
        made = await town.ask()
        await town.lose_everything_until("sweep.failed")
        (sweep,) = (await town.settlement(made["id"]))["sweeps"]
        assert (sweep["status"], sweep["attempt"]) == ("failed", sweeping.MAX_ATTEMPTS)
        assert (sweep["reason"], sweep["moved_units"]) == ("expired", 0)
        held = await unswept(town)
        assert (held.posted, held.available) == (6000, 6000)
        await town.audit()
        await town.world.go_on()
        done = await is_settled(town, made["id"])
        assert [line["reason"] for line in done["lines"]] == ["expired"]
        assert done["payout"]["status"] == "canceled"
        later = await town.settle()
        assert [line["payment"] for line in later["lines"]] == [payment]
        await town.world.carry_out()
        await is_settled(town, later["id"])

    async def test_a_sweep_that_fails_once_is_asked_for_again(self, swept_town: Town) -> None:
        town = swept_town
        await paid(town, 6000)
        made = await town.ask()
        town.chain.send(Move("pause"))
        await final(town)
        await town.world.runner.step()
        await final(town)
        (sweep,) = (await town.settlement(made["id"]))["sweeps"]
        assert (sweep["status"], sweep["attempt"]) == ("pending", 2)
        assert sweep["reason"] == "paused"
        await town.audit()
        town.chain.send(Move("resume"))
        await town.world.carry_out()
        await is_settled(town, made["id"])

    async def test_a_line_that_was_refunded_whole_waits_for_no_sweep(
        self, swept_town: Town
    ) -> None:
        town = swept_town
        (refunded, address), _ = await paid(town, 500), await paid(town, 6000)
        await town.refund(refunded, 500)
        freeze(town, address)
        await final(town)
        made = await town.ask()
        await town.world.carry_out()
        done = await is_settled(town, made["id"])
        assert not any(line["deferred"] for line in done["lines"])
        assert (done["check"]["gross_tiyn"], done["check"]["refunds_tiyn"]) == (6500, 500)
        assert (await unswept(town)).posted == 500

    async def test_a_batch_tries_each_address_once(self, swept_town: Town) -> None:
        town = swept_town
        _, address = await paid(town, 6000)
        await town.ask()
        town.chain.pay(town.customer, address, 70)
        await final(town)
        (stray,) = (await town.get("/v1/stray_transfers", "operator"))["data"]
        path = f"/v1/stray_transfers/{stray['id']}/resolve"
        assert (await town.world.post(path, {"action": "accept"}, "operator")).status_code == 200
        other, _ = await paid(town, 400)
        second = await town.ask()
        assert [one["planned_units"] for one in second["sweeps"]] == [400]
        await town.lose_everything_until("sweep.failed", 2)
        # Both failed: the first batch gives its line up, the second tries that address itself.
        await town.world.go_on()
        found = await town.settlement(second["id"])
        assert [one["planned_units"] for one in found["sweeps"]] == [400, 6070]
        assert {line["payment"] for line in found["lines"] if line["deferred"]} == {other}
        await town.world.carry_out()
        await is_settled(town, second["id"])

    async def test_many_deferred_lines_fit_into_the_leaves_that_tell_of_them(
        self, swept_town: Town
    ) -> None:
        town = swept_town
        await town.pay_many(105, 10)
        made = await town.ask()
        town.chain.send(Move("pause"))
        for _ in range(sweeping.MAX_ATTEMPTS):
            await town.world.step()
        assert len(await told(town, "sweep.failed")) == 35
        await town.world.go_on()
        town.chain.send(Move("resume"))
        await final(town)
        await is_settled(town, made["id"])
        events = await told(town, "settlement.line_deferred")
        assert len(events) == 3
        assert len(events[0]["sweeps"]) == 10
        assert events[0]["sweeps_left_out"] == 25
        longest = await town.world.count("event WHERE octet_length(leaf) > 60000")
        assert longest == 0


class TestStrangers:
    async def test_what_a_stranger_swept_before_needs_no_sweep_of_ours(
        self, swept_town: Town
    ) -> None:
        town = swept_town
        _, address = await paid(town, 6000)
        tx = sweep_by_stranger(town, address)
        await final(town)
        assert (await unswept(town)).posted == 0
        (event,) = await told(town, "sweep.final")
        assert (event["merchant"], event["settlement"], event["tx"]) == (None, None, tx)
        await town.audit()
        made = await town.ask()
        assert made["sweeps"] == []
        await town.world.carry_out()
        await is_settled(town, made["id"])

    async def test_a_stranger_who_is_faster_leaves_our_sweep_less_or_nothing(
        self, swept_town: Town
    ) -> None:
        town = swept_town
        (_, first), (_, second) = await paid(town, 6000), await paid(town, 4000)
        made = await town.ask()
        sweep_by_stranger(town, first)
        await final(town)
        held = await unswept(town)
        assert (held.posted, held.available) == (4000, 0)
        await town.audit()
        sweep_by_stranger(town, second)
        await final(town)
        assert (await unswept(town)).posted == 0
        (sweep,) = (await town.settlement(made["id"]))["sweeps"]
        assert (sweep["status"], sweep["planned_units"]) == ("pending", 0)
        await town.audit()
        await town.world.carry_out()
        done = await is_settled(town, made["id"])
        assert [one["moved_units"] for one in done["sweeps"]] == [0]
        assert not any(line["deferred"] for line in done["lines"])

    async def test_a_stranger_in_the_same_block_before_or_behind_ours(
        self, swept_town: Town
    ) -> None:
        town = swept_town
        for is_before in (True, False):
            (_, first), (_, second) = await paid(town, 600), await paid(town, 400)
            made = await town.ask()
            if is_before:
                sweep_by_stranger(town, first)
            await town.world.runner.step()
            if not is_before:
                town.chain.pay(town.customer, second, 5)
                sweep_by_stranger(town, first, second)
            await final(town)
            assert (await unswept(town)).posted == 0
            await town.audit()
            await town.world.carry_out()
            done = await is_settled(town, made["id"])
            assert [one["moved_units"] for one in done["sweeps"]] == [400 if is_before else 1000]

    async def test_two_strangers_in_one_block_lower_one_plan_twice(self, swept_town: Town) -> None:
        town = swept_town
        addresses = [(await paid(town, 100 * n))[1] for n in (1, 2, 3)]
        made = await town.ask()
        for address in addresses[:2]:
            sweep_by_stranger(town, address)
        await final(town)
        (sweep,) = (await town.settlement(made["id"]))["sweeps"]
        assert sweep["planned_units"] == 300
        assert (await unswept(town)).available == 0
        await town.audit()
        await town.world.carry_out()
        await is_settled(town, made["id"])

    async def test_a_stranger_may_sweep_what_our_sweep_left_behind(self, swept_town: Town) -> None:
        town = swept_town
        (_, first), _ = await paid(town, 600), await paid(town, 400)
        made = await town.ask()
        await town.world.runner.step()
        town.chain.pay(town.customer, first, 9)
        sweep_by_stranger(town, first)
        await final(town)
        assert (await unswept(town)).posted == 0
        await town.world.carry_out()
        await is_settled(town, made["id"])

    async def test_one_transaction_may_sweep_any_number_of_sessions(self, swept_town: Town) -> None:
        town = swept_town
        count = sweeping.STRANGERS_BATCH + 5
        await town.pay_many(count, 10)
        rows = (await town.get("/v1/payments?limit=100"))["data"]
        rows += (await town.get(f"/v1/payments?limit=100&starting_after={rows[-1]['id']}"))["data"]
        sweep_by_stranger(town, *(deposits(town).deposit_address(p["session"]) for p in rows))
        await final(town)
        assert [len(event["sessions"]) for event in await told(town, "sweep.final")] == [100, 5]
        assert (await unswept(town)).posted == 0
        await town.audit()

    async def test_units_that_no_payment_brought_are_in_no_book_of_a_stranger(
        self, swept_town: Town
    ) -> None:
        town = swept_town
        _, address = await paid(town, 600)
        sweep_by_stranger(town, address)
        await final(town)
        town.chain.mint_unasked(address, 50)
        sweep_by_stranger(town, address)
        await final(town)
        await paid(town, 100)
        assert len(await told(town, "sweep.final")) == 1

    async def test_units_that_no_payment_brought_do_not_stand_for_a_later_payment(
        self, swept_town: Town
    ) -> None:
        town = swept_town
        _, address = await paid(town, 600)
        made = await town.ask()
        town.chain.mint_unasked(address, 70)
        await town.world.runner.step()
        await confirm(town)
        town.chain.pay(town.customer, address, 70)
        await confirm(town)
        await final(town)
        assert (await town.settlement(made["id"]))["sweeps"][0]["moved_units"] == 670
        assert (await unswept(town)).posted == 70
        assert await town.world.count("chain_halt") == 0

    async def test_an_unasked_mint_at_a_deposit_address_stops_nobody(
        self, swept_town: Town
    ) -> None:
        town = swept_town
        _, address = await paid(town, 600)
        town.chain.mint_unasked(address, 50)
        town.chain.pay(town.customer, address, 70)
        await final(town)
        made = await town.ask()
        await town.world.carry_out()
        (sweep,) = (await town.settlement(made["id"]))["sweeps"]
        assert (sweep["status"], sweep["moved_units"]) == ("final", 720)
        assert (await town.settlement(made["id"]))["status"] == "settled"
        assert await town.world.count("chain_halt") == 0
        # What nobody explained is in no book, and the audit says so; all else is.
        assert (await unswept(town)).posted == 0
        assert "chain.unexplained_supply" in await town.world.event_types()


class TestAccidents:
    async def test_a_reorg_takes_a_sweep_back_and_it_comes_again_once(
        self, swept_town: Town
    ) -> None:
        town = swept_town
        await paid(town, 6000)
        made = await town.ask()
        for what in ("return", "drop"):
            await town.world.runner.step()
            await confirm(town)
            town.chain.reorg(1, what=what)
            await confirm(town)
            assert (await town.settlement(made["id"]))["sweeps"][0]["status"] == "pending"
        await town.world.carry_out()
        done = await is_settled(town, made["id"])
        assert [one["moved_units"] for one in done["sweeps"]] == [6000]
        assert len(await told(town, "sweep.final")) == 1

    async def test_a_sweep_that_comes_back_after_a_reorg_may_move_another_amount(
        self, swept_town: Town
    ) -> None:
        town = swept_town
        _, address = await paid(town, 600)
        made = await town.ask()
        town.chain.pay(town.customer, address, 30)
        await confirm(town)
        await town.world.runner.step()
        await confirm(town)
        town.chain.reorg(2, what="drop")
        await town.world.runner.step()
        await confirm(town)
        town.chain.pay(town.customer, address, 31)
        await final(town)
        assert (await town.settlement(made["id"]))["sweeps"][0]["moved_units"] == 600
        assert (await unswept(town)).posted == 31
        await town.world.carry_out()
        await is_settled(town, made["id"])

    async def test_a_sweep_that_comes_back_behind_a_strangers_moves_less(
        self, swept_town: Town
    ) -> None:
        town = swept_town
        addresses = sorted([(await paid(town, 600))[1], (await paid(town, 400))[1]])
        made = await town.ask()
        await town.world.runner.step()
        await confirm(town)
        town.chain.reorg(1, what="drop")
        sweep_by_stranger(town, addresses[0])
        await confirm(town)
        await town.world.runner.step()
        await final(town)
        assert (await unswept(town)).posted == 0
        (sweep,) = (await town.settlement(made["id"]))["sweeps"]
        assert sweep["moved_units"] in (400, 600)
        await town.audit()
        await town.world.carry_out()
        await is_settled(town, made["id"])

    async def test_a_watcher_that_dies_while_it_books_a_sweep_books_it_once(
        self, swept_town: Town
    ) -> None:
        town = swept_town
        await paid(town, 6000)
        made = await town.ask()
        await town.world.runner.step()
        town.chain.mine_final()
        real = town.world.watcher._record
        failures = iter([OSError("gone"), OSError("gone")])

        async def dies(*arguments: Any) -> None:
            await real(*arguments)
            for failure in failures:
                raise failure

        town.world.watcher._record = dies
        for _ in range(6):
            await town.world.follow()
        assert len(await told(town, "sweep.final")) == 1
        await town.world.carry_out()
        await is_settled(town, made["id"])


class TestShort:
    async def test_a_refund_is_refused_by_name_while_the_treasury_is_short(
        self, swept_town: Town
    ) -> None:
        town = swept_town
        payment, _ = await paid(town, 6000)
        await town.as_owner(
            "UPDATE balance SET posted = 100 WHERE account_id ="
            " (SELECT id FROM account WHERE code LIKE 'treasury:%')"
        )
        body = {"payment": payment, "amount_tiyn": 101}
        answer = await town.world.post("/v1/refunds", body, "shop")
        assert (answer.status_code, answer.json()["code"]) == (409, "treasury_short")
        assert (answer.json()["asked_units"], answer.json()["available_units"]) == (101, 100)
        answer = await town.world.post("/v1/refunds", body | {"amount_tiyn": 100}, "shop")
        assert answer.status_code == 201

    async def test_a_burn_waits_until_the_treasury_has_its_units(self, swept_town: Town) -> None:
        town = swept_town
        await paid(town, 6000)
        made = await town.ask()
        await town.world.step()
        short = (
            "UPDATE balance SET posted = posted {} 71000 WHERE account_id ="
            " (SELECT id FROM account WHERE code LIKE 'treasury:%')"
        )
        await town.as_owner(short.format("-"))
        for _ in range(2):
            assert await jobs.follow_sweeps(town.database, town.world.chains) == 0
        (burn,) = (await town.settlement(made["id"]))["burns"]
        assert burn["status"] == "sweeping"
        assert burn["reason"] == "the treasury is short of 1000 units"
        await town.as_owner(short.format("+"))
        await town.world.carry_out()
        assert (await is_settled(town, made["id"]))["burns"][0]["reason"] is None
