"""Where a net goes: to the bank, to the merchant's wallet, to the refund reserve, or below zero."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import text
from sqlmodel import col, select

from sandbox.bank import registry
from sandbox.bank.models import BankMessage, Kind
from sandbox.chains.memory import MemoryChain, Move, new_address
from sandbox.chains.memory_deposits import DepositMemoryChain
from sandbox.core.db import Database
from sandbox.ledger import accounts
from sandbox.ledger import service as ledger
from sandbox.ledger.journal import Account
from sandbox.parties import plans
from sandbox.parties import service as parties
from sandbox.payments import row_checks as payment_row_checks
from sandbox.reserve.replay import Figures
from sandbox.settlement import burns, checks, row_checks
from sandbox.settlement.verification import ReportWrong, verify
from tests.settlement.conftest import BIN, Town, open_town
from tests.settlement.logged import alterations, altered, report_of, sequenced


@pytest.fixture
def town(swept_town: Town) -> Town:
    """With deposit addresses, where more can happen between a batch and its burns."""
    return swept_town


@pytest.fixture(
    params=[(MemoryChain, 2), (DepositMemoryChain, 6)], ids=["treasury-2", "deposits-6"]
)
async def mixed_town(
    database: Database, owner_url: str, request: pytest.FixtureRequest
) -> AsyncIterator[Town]:
    """Both ways to be paid, and both numbers of decimals."""
    kind, decimals = request.param
    town = await open_town(database, owner_url, kind(decimals=decimals))
    yield town
    await town.world.end()


async def choose(town: Town, mode: str, **values: object) -> dict[str, Any]:
    answer = await try_to_choose(town, mode, **values)
    assert answer.status_code == 200, answer.text
    chosen: dict[str, Any] = answer.json()
    return chosen


async def try_to_choose(town: Town, mode: str, role: str = "shop", **values: object) -> Any:
    path = f"/v1/merchants/{town.shop}/settlement_terms"
    return await town.world.post(path, {"mode": mode, **values}, role)


async def held(town: Town, account: Account) -> int:
    async with town.database.transaction() as db:
        return (await ledger.balance(db, account)).posted


async def reserve(town: Town) -> int:
    return await held(town, accounts.refund_reserve(town.chain.name, town.shop))


async def sound(town: Town) -> None:
    """Books and rows: the invariants, and each row against the others and the log."""
    await town.audit()
    for check in (
        row_checks.lines_match,
        row_checks.orders_match,
        row_checks.settlements_as_told,
        payment_row_checks.arrivals_match,
        payment_row_checks.captures_match,
        payment_row_checks.checkout_as_told,
    ):
        async with town.database.transaction() as db:
            for found in await check(db):
                assert found.ok, found.detail


async def replay_agrees(town: Town) -> None:
    """What outsiders compute from the log's leaves alone is what the books say."""
    replayed = Figures({town.chain.name: town.chain.decimals})
    async with town.database.transaction() as db:
        rows = await db.execute(
            text("SELECT e.leaf FROM event e JOIN log_entry l ON l.event_id = e.id"
                 " ORDER BY l.position")
        )  # fmt: skip
        for row in rows:
            replayed.take(orjson.loads(row.leaf))
    figures = await town.figures()
    assert replayed.unknown == {}
    assert (replayed.assets["bank_tiyn"], replayed.assets["in_transit_tiyn"]) == (
        figures["1010"], figures["1090"],
    )  # fmt: skip
    assert (replayed.debts["payouts_tiyn"], replayed.debts["outstanding_tiyn"]) == (
        figures["2040"], figures["2010"],
    )  # fmt: skip


async def finish(town: Town) -> None:
    await town.world.carry_out()
    await town.bank_and_books()


async def agree(town: Town, fee_bps: int, fixed_tiyn: int, minimum_tiyn: int) -> None:
    async with town.database.transaction() as db:
        plan = await plans.offer(
            db, town.shop, fee_bps=fee_bps, fixed_tiyn=fixed_tiyn, minimum_tiyn=minimum_tiyn,
            from_at=None,
        )  # fmt: skip
        await plans.consent(db, town.shop, plan.version)


async def no_value_passes_altered(report: dict[str, Any], vkey: str, parts: list[str]) -> None:
    for part in parts:
        for path, value in alterations(report[part], (part,)):
            with pytest.raises(ReportWrong):
                verify(altered(report, path, value), vkey)


OF_ACCOUNT = "WHERE account_id IN (SELECT id FROM account WHERE code LIKE '{}')"


async def is_found(town: Town, check: Any, table: str, breach: str, word: str) -> None:
    """A row that somebody with every right altered is named; then it is as it was."""
    await town.as_owner(f"CREATE TABLE kept AS SELECT * FROM {table}; {breach}")
    async with town.database.transaction() as db:
        (red,) = await check(db)
    assert not red.ok, breach
    assert word in red.detail, breach
    await town.as_owner(
        f"DELETE FROM {table}; INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM kept;"
        " DROP TABLE kept"
    )


class TestTerms:
    async def test_terms_that_cannot_be_kept_are_refused_by_name(self, town: Town) -> None:
        mine, ours = {"memory": new_address()}, {"memory": town.chain.treasury}
        refused: list[tuple[str, dict[str, Any], str]] = [
            ("hold", {}, "wallet_missing"),
            ("split", {"wallets": mine}, "split_share_wrong"),
            ("hold", {"split_bps": 100, "wallets": mine}, "split_share_wrong"),
            ("hold", {"wallets": {"nowhere": mine["memory"]}}, "wallet_chain_unknown"),
            ("hold", {"wallets": {"memory": "no address"}}, "invalid_address"),
            ("hold", {"wallets": ours}, "wallet_is_ours"),
            ("split", {"split_bps": 10_000, "wallets": mine}, "invalid_request"),
            ("payout", {"refund_reserve_tiyn": -1}, "invalid_request"),
            ("payout", {"refund_reserve_tiyn": 1.5}, "invalid_request"),
            ("keep", {}, "invalid_request"),
        ]
        for mode, values, code in refused:
            answer = await try_to_choose(town, mode, **values)
            assert (answer.status_code, answer.json()["code"]) == (422, code), values
        async with town.database.transaction() as db:
            shop = await parties.merchant(db, town.shop)
            assert (shop.settlement_mode, shop.wallets) == ("payout", {})

    async def test_terms_are_the_merchants_own(self, town: Town) -> None:
        await town.merchant("other", "KZ41722C000000000001")
        answer = await try_to_choose(town, "payout", role="other")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert (await try_to_choose(town, "payout", role="regulator")).status_code == 403
        chosen = await choose(town, "hold", wallets={"memory": (wallet := new_address())})
        assert (chosen["settlement_mode"], chosen["wallets"]) == ("hold", {"memory": wallet})
        async with town.database.transaction() as db:
            await parties.set_status(db, town.shop, "closed", None)
        answer = await try_to_choose(town, "payout")
        assert (answer.status_code, answer.json()["code"]) == (409, "merchant_closed")


class TestBelowZero:
    async def test_a_fee_that_a_refund_left_too_little_for_is_carried_and_taken_from_the_next(
        self, town: Town, tmp_path: Path
    ) -> None:
        await agree(town, 100, 500, 0)
        payment = await town.pay(2000)
        await town.refund(payment, 1900)
        first = await town.settle()
        # 1 % of the 100 that are left, and 500: of 501 only 100 are there.
        assert first["check"] == {
            "opening_tiyn": 0, "gross_tiyn": 2000, "fees_tiyn": 501, "refunds_tiyn": 1900,
            "paid_tiyn": 0, "to_wallet_tiyn": 0, "reserved_tiyn": 0, "carried_tiyn": -401,
            "unexplained_tiyn": 0,
        }  # fmt: skip
        assert (first["payout"], first["burns"][0]["fee_tiyn"]) == (None, 100)
        await finish(town)
        await sound(town)
        assert await held(town, accounts.fees_due(town.shop)) == 401
        refused = await town.world.post("/v1/settlements", {}, "shop")
        assert refused.json()["code"] == "nothing_to_settle"
        # Still too little.
        await town.pay(600)
        second = await town.settle()
        assert (second["check"]["opening_tiyn"], second["check"]["carried_tiyn"]) == (-401, -307)
        await finish(town)
        await sound(town)
        # Now enough: 3000 less 530 of its own, less 307.
        await town.pay(3000)
        third = await town.settle()
        assert (third["check"]["paid_tiyn"], third["fee_debt"]["collected_tiyn"]) == (2163, 307)
        await finish(town)
        await town.set_clock("2026-11-20T09:00")
        await town.bank_and_books()
        await sound(town)
        figures = await town.figures()
        # All fees reached the issuer, VAT of each part besides.
        assert figures["bank, own"] == figures["1110"] == 501 + 506 + 530
        assert figures["4010"] + figures["2070"] == 501 + 506 + 530
        assert (figures["2040"], await held(town, accounts.fees_due(town.shop))) == (0, 0)
        vkey = await sequenced(town, tmp_path)
        await replay_agrees(town)
        for made in (first, second, third):
            report = await report_of(town, made["id"])
            assert verify(report, vkey).check == made["check"]
        assert report["fee"]["amount_tiyn"] == 530 + 307
        await no_value_passes_altered(report, vkey, ["fee_debt", "openings", "fee", "check"])

    async def test_a_fee_of_a_payment_that_was_refunded_whole_comes_from_the_others(
        self, town: Town
    ) -> None:
        await agree(town, 0, 0, 300)
        whole, _ = await town.pay(1000), await town.pay(4000)
        await town.refund(whole, 1000)
        made = await town.settle()
        assert (made["check"]["fees_tiyn"], made["check"]["paid_tiyn"]) == (600, 3400)
        await finish(town)
        await sound(town)

    async def test_a_batch_of_nothing_but_refunds_owes_its_fee(self, town: Town) -> None:
        await agree(town, 0, 50, 0)
        await town.refund(await town.pay(1000), 1000)
        made = await town.settle()
        assert (made["status"], made["burns"], made["check"]["carried_tiyn"]) == (
            "settled",
            [],
            -50,
        )
        await sound(town)

    async def test_a_deferred_line_leaves_a_debt_and_never_a_negative_payout(
        self, town: Town
    ) -> None:
        await agree(town, 0, 400, 0)
        refunded, payment = await town.pay(1000), await town.pay(5000)
        await town.refund(refunded, 1000)
        frozen = await town.get(f"/v1/payments/{payment}")
        address = town.chain.deposit_address(frozen["session"])  # type: ignore[attr-defined]  # of a chain with deposit addresses
        town.chain.send(Move("freeze", destination=address))
        made = await town.ask()
        assert made["check"]["paid_tiyn"] == 4200
        await finish(town)
        done = await town.settlement(made["id"])
        assert (done["status"], done["check"]["carried_tiyn"]) == ("settled", -400)
        assert done["payout"]["status"] == "canceled"
        await sound(town)
        town.chain.send(Move("thaw", destination=address))
        town.chain.mine_final()
        again = await town.ask()
        assert again["check"]["paid_tiyn"] == 4200
        await finish(town)
        await sound(town)

    async def test_an_altered_debt_is_found(self, town: Town) -> None:
        await agree(town, 100, 500, 0)
        await town.refund(await town.pay(2000), 1900)
        made = await town.settle()
        await finish(town)
        for table, breach, word in (
            ("settlement", "SET carried_tiyn = -400", f"settlement {made['id']}: -401 owed"),
            ("leg", f"SET amount = 1 {OF_ACCOUNT.format('a:fees-due:%')}", "unpaid fees"),
            ("leg", f"SET amount = 1 {OF_ACCOUNT.format('a:fees-due:%')}", "1220 holds 1"),
        ):
            await is_found(town, checks.batches_add_up, table, f"UPDATE {table} {breach}", word)
        await sound(town)


class TestReserve:
    async def test_without_a_reserve_a_settled_payment_cannot_be_refunded(self, town: Town) -> None:
        payment = await town.pay(6000)
        await town.settle()
        asked = {"payment": payment, "amount_tiyn": 100}
        for _ in range(2):
            answer = await town.world.post("/v1/refunds", asked, "shop")
            assert answer.json()["code"] == "insufficient_merchant_balance"
            await finish(town)
        # Unsettled money of another payment is its own line's.
        await town.pay(4000)
        answer = await town.world.post("/v1/refunds", asked, "shop")
        assert answer.json()["available_tiyn"] == 0
        await sound(town)

    async def test_a_reserve_is_kept_spent_filled_up_and_given_back(
        self, mixed_town: Town, tmp_path: Path
    ) -> None:
        town = mixed_town
        per_tiyn = 10 ** (town.chain.decimals - 2)
        await choose(town, "payout", refund_reserve_tiyn=3500)
        payment = await town.pay(6000)
        first = await town.settle()
        # At most half of the net of 5940.
        assert [one["amount_tiyn"] for one in first["reserve"]] == [2970]
        assert (first["check"]["reserved_tiyn"], first["check"]["paid_tiyn"]) == (2970, 2970)
        assert await reserve(town) == 0
        await finish(town)
        assert await reserve(town) == 2970 * per_tiyn
        await sound(town)
        answer = await town.world.post(
            "/v1/refunds", {"payment": payment, "amount_tiyn": 2971}, "shop"
        )
        assert answer.json()["available_tiyn"] == 2970
        await town.refund(payment, 2000)
        assert await reserve(town) == 970 * per_tiyn
        refunded = await town.get(f"/v1/payments/{payment}")
        # After settlement the fee stays (DESIGN 4.6).
        assert (refunded["refunded_units"], refunded["fee_tiyn"]) == (2000 * per_tiyn, 60)
        assert (await town.settlement(first["id"]))["check"]["refunds_tiyn"] == 0
        await sound(town)
        await town.pay(10_000)
        second = await town.settle()
        assert second["check"]["reserved_tiyn"] == 3500 - 970
        await finish(town)
        await sound(town)
        await choose(town, "payout", refund_reserve_tiyn=0)
        third = await town.settle()
        assert (third["lines"], third["check"]["reserved_tiyn"]) == ([], -3500)
        assert third["check"]["paid_tiyn"] == 3500
        await finish(town)
        assert await reserve(town) == 0
        await sound(town)
        vkey = await sequenced(town, tmp_path)
        await replay_agrees(town)
        for made in (first, second, third):
            report = await report_of(town, made["id"])
            assert verify(report, vkey).check == made["check"]
            await no_value_passes_altered(report, vkey, ["reserve"])

    async def test_what_is_owed_comes_before_the_reserve_and_who_is_closed_gets_it_back(
        self, town: Town
    ) -> None:
        await choose(town, "payout", refund_reserve_tiyn=500)
        await town.pay(6000)
        await town.settle()
        await finish(town)
        await choose(town, "payout", refund_reserve_tiyn=5000)
        await town.set_clock("2026-11-19T13:00")
        await agree(town, 0, 300, 0)
        await town.refund(await town.pay(1000), 1000)
        owing = await town.settle()
        assert (owing["check"]["carried_tiyn"], owing["reserve"]) == (-300, [])
        await town.pay(2000)
        paying = await town.settle()
        assert (paying["check"]["paid_tiyn"], paying["reserve"]) == (1400, [])
        await finish(town)
        async with town.database.transaction() as db:
            await parties.set_status(db, town.shop, "closed", None)
        last = await town.settle()
        assert (last["check"]["reserved_tiyn"], last["check"]["paid_tiyn"]) == (-500, 500)
        await finish(town)
        assert await reserve(town) == 0
        await sound(town)

    async def test_a_refund_from_the_reserve_that_cannot_happen_gives_it_back(
        self, town: Town
    ) -> None:
        await choose(town, "payout", refund_reserve_tiyn=1000)
        payment = await town.pay(6000)
        await town.settle()
        await finish(town)
        await town.done("/v1/refunds", {"payment": payment, "amount_tiyn": 900}, "shop")
        answer = await town.world.post(
            "/v1/refunds", {"payment": payment, "amount_tiyn": 101}, "shop"
        )
        assert answer.json()["available_tiyn"] == 100
        await town.lose_everything_until("refund.failed")
        assert await reserve(town) == 1000
        await sound(town)
        await town.refund(payment, 1000)
        assert await reserve(town) == 0
        await sound(town)

    async def test_a_deferred_line_takes_its_part_out_of_the_reserve(self, town: Town) -> None:
        await choose(town, "payout", refund_reserve_tiyn=4000)
        kept, frozen = await town.pay(2000), await town.pay(8000)
        session = (await town.get(f"/v1/payments/{frozen}"))["session"]
        address = town.chain.deposit_address(session)  # type: ignore[attr-defined]  # of a chain with deposit addresses
        town.chain.send(Move("freeze", destination=address))
        made = await town.ask()
        assert made["check"]["reserved_tiyn"] == 4000
        await finish(town)
        done = await town.settlement(made["id"])
        assert (done["status"], done["check"]["reserved_tiyn"]) == ("settled", 990)
        assert done["check"]["paid_tiyn"] == 990
        assert await reserve(town) == 990
        await sound(town)
        assert kept in {one["payment"] for one in done["lines"] if not one["deferred"]}

    async def test_an_altered_reserve_is_found(self, town: Town) -> None:
        await choose(town, "payout", refund_reserve_tiyn=1000)
        payment = await town.pay(6000)
        made = (await town.settle())["id"]
        await finish(town)
        await town.refund(payment, 300)
        (refund,) = (await town.get("/v1/refunds"))["data"]
        summed, told = checks.batches_add_up, row_checks.settlements_as_told
        arrivals, row = payment_row_checks.arrivals_match, f"settlement_reserve {made} memory"
        of_reserve = f"{OF_ACCOUNT.format('refund-reserve:%')} AND side = 'C'"
        for check, table, breach, word in (
            (summed, "settlement_reserve", "UPDATE {} SET units = units - 1", f"{made} memory"),
            (summed, "settlement_reserve", "DELETE FROM {}", f"{row}: is missing"),
            (told, "settlement_reserve", "UPDATE {} SET target_tiyn = 7", row),
            (arrivals, "refund", "UPDATE {} SET source = 'claims'", f"refund {refund['id']}"),
            (summed, "refund", "UPDATE {} SET amount_units = 1", "the refund reserve on memory"),
            (summed, "leg", f"UPDATE {{}} SET amount = 1 {of_reserve}", row),
        ):
            await is_found(town, check, table, breach.format(table), word)
        await sound(town)


class TestWallets:
    async def test_a_held_net_is_sent_to_the_wallet_and_only_the_fee_is_burned(
        self, mixed_town: Town, tmp_path: Path
    ) -> None:
        town = mixed_town
        per_tiyn = 10 ** (town.chain.decimals - 2)
        await choose(town, "hold", wallets={"memory": (wallet := new_address())})
        await town.pay(6000)
        made = await town.settle()
        await choose(town, "payout")
        assert (made["mode"], made["payout"], made["check"]["to_wallet_tiyn"]) == (
            "hold",
            None,
            5940,
        )
        (sent,) = made["transfers"]
        assert (sent["recipient"], sent["units"]) == (wallet, 5940 * per_tiyn)
        await finish(town)
        await town.set_clock("2026-11-20T09:00")
        await town.bank_and_books()
        done = await town.settlement(made["id"])
        assert (done["status"], done["transfers"][0]["status"]) == ("settled", "sent")
        assert (done["burns"][0]["units"], done["fee_status"]) == (60 * per_tiyn, "paid")
        assert (await town.chain.balance(wallet)).units == 5940 * per_tiyn
        assert (await town.chain.supply()).units == 99_940 * per_tiyn
        figures = await town.figures()
        assert (figures["2010"], figures["2040"], figures["bank, own"]) == (99_940, 0, 60)
        await sound(town)
        vkey = await sequenced(town, tmp_path)
        await replay_agrees(town)
        report = await report_of(town, made["id"])
        assert report["transfers"][0]["tx"] == done["transfers"][0]["tx"]
        assert verify(report, vkey).check == done["check"]
        await no_value_passes_altered(report, vkey, ["transfers", "mode"])
        page = await town.world.get(f"/v1/settlements/{made['id']}/report?format=html", "shop")
        assert wallet in page.text
        as_csv = await town.world.get(f"/v1/settlements/{made['id']}/report?format=csv", "shop")
        assert f"transfer,{wallet},sent" in as_csv.text

    async def test_a_split_pays_its_share_in_tenge_and_sends_the_rest(
        self, town: Town, tmp_path: Path
    ) -> None:
        await choose(
            town, "split", split_bps=3333, wallets={"memory": (wallet := new_address())},
            refund_reserve_tiyn=940,
        )  # fmt: skip
        await town.pay(6000)
        made = await town.settle()
        # 5940 less 940 for refunds; of 5000 the wallet gets 6667 in 10 000, rounded down.
        check = made["check"]
        assert (check["reserved_tiyn"], check["to_wallet_tiyn"], check["paid_tiyn"]) == (
            940, 3333, 1667,
        )  # fmt: skip
        assert made["burns"][0]["amount_tiyn"] == 1667 + 60
        await finish(town)
        await town.set_clock("2026-11-20T09:00")
        await town.bank_and_books()
        done = await town.settlement(made["id"])
        assert (done["status"], done["payout"]["status"]) == ("settled", "completed")
        assert (await town.chain.balance(wallet)).units == 3333
        await sound(town)
        vkey = await sequenced(town, tmp_path)
        await replay_agrees(town)
        report = await report_of(town, made["id"])
        verify(report, vkey)
        await no_value_passes_altered(report, vkey, ["split_bps", "burns", "reserve"])

    async def test_a_chain_without_a_wallet_and_a_batch_with_a_debt_are_paid_in_tenge(
        self, town: Town
    ) -> None:
        town.world.chains["other"] = town.chain
        await choose(town, "hold", wallets={"other": new_address()})
        del town.world.chains["other"]
        await town.pay(1000)
        assert (await town.settle())["check"]["paid_tiyn"] == 990
        await finish(town)
        await town.set_clock("2026-11-19T13:00")
        await agree(town, 0, 500, 0)
        await town.refund(await town.pay(2000), 1900)
        await town.settle()
        await finish(town)
        await choose(town, "hold", wallets={"memory": new_address()})
        await town.pay(3000)
        made = await town.settle()
        assert (made["mode"], made["transfers"], made["check"]["paid_tiyn"]) == ("payout", [], 2100)
        await finish(town)
        await sound(town)

    async def test_a_transfer_that_failed_is_sent_again_and_once(self, town: Town) -> None:
        await choose(town, "hold", wallets={"memory": (wallet := new_address())})
        await town.pay(6000)
        made = await town.settle()
        await town.lose_everything_until("settlement.transfer_failed")
        await town.audit()
        assert (await town.settlement(made["id"]))["status"] == "pending"
        await finish(town)
        done = await town.settlement(made["id"])
        assert (done["status"], done["transfers"][0]["attempt"]) == ("settled", 2)
        assert (await town.chain.balance(wallet)).units == 5940
        await sound(town)

    async def test_a_wallet_that_cannot_receive_stands_still_until_somebody_asks_again(
        self, town: Town
    ) -> None:
        wallet = new_address()
        await choose(town, "hold", wallets={"memory": wallet})
        await town.pay(6000)
        made = await town.settle()
        town.chain.send(Move("freeze", destination=wallet))
        for _ in range(burns.MAX_ATTEMPTS + 1):
            await finish(town)
        pending = await town.settlement(made["id"])
        assert (pending["status"], pending["transfers"][0]["status"]) == ("pending", "stuck")
        assert pending["transfers"][0]["reason"]
        await sound(town)
        town.chain.send(Move("thaw", destination=wallet))
        town.chain.mine_final()
        assert (await town.settle())["id"] == made["id"]
        await finish(town)
        assert (await town.settlement(made["id"]))["status"] == "settled"
        assert (await town.chain.balance(wallet)).units == 5940
        await sound(town)

    async def test_a_payout_that_came_back_holds_tenge_and_no_tokens(self, town: Town) -> None:
        await town.pay(6000)
        first = await town.settle()
        async with town.database.transaction() as db:
            await registry.refuse_payments_to(db, first["payout"]["iban"])
        await finish(town)
        await choose(town, "hold", wallets={"memory": (wallet := new_address())})
        await town.pay(1000)
        made = await town.settle(retry_payout=False)
        assert (made["hold"], made["mode"]) == ("payout_failed", "hold")
        assert (made["check"]["to_wallet_tiyn"], made["check"]["carried_tiyn"]) == (990, 5940)
        await finish(town)
        assert (await town.chain.balance(wallet)).units == 990
        await sound(town)

    async def test_a_fee_of_nothing_leaves_nothing_to_burn(self, town: Town) -> None:
        await choose(town, "hold", wallets={"memory": new_address()})
        await town.pay(50)
        made = await town.settle()
        assert (made["burns"], made["check"]["to_wallet_tiyn"]) == ([], 50)
        await finish(town)
        assert (await town.settlement(made["id"]))["status"] == "settled"
        await sound(town)

    async def test_an_altered_transfer_is_found(self, town: Town) -> None:
        await choose(town, "hold", wallets={"memory": new_address()})
        await town.pay(6000)
        made = (await town.settle())["id"]
        await finish(town)
        row, sent = f"settlement_transfer {made} memory", "settlement_transfer"
        of_transfer = (
            f"{OF_ACCOUNT.format('external:%')} AND entry_id IN"
            " (SELECT id FROM entry WHERE reason = 'settlement_transfer')"
        )
        for check, table, breach, word in (
            (checks.batches_add_up, sent, "UPDATE {} SET units = units - 1", f"{made} memory"),
            (checks.batches_add_up, sent, "UPDATE {} SET status = 'stuck'", f"{made} memory"),
            (checks.batches_add_up, sent, "DELETE FROM {}", f"{row}: is missing"),
            (checks.batches_add_up, "leg", f"UPDATE {{}} SET amount = 1 {of_transfer}", row),
            (row_checks.lines_match, sent, "UPDATE {} SET recipient = 'nobody'", row),
            (row_checks.lines_match, sent, "UPDATE {} SET tx = 'another'", row),
            (row_checks.lines_match, sent, "UPDATE {} SET sent_at = NULL", row),
            (row_checks.lines_match, "settlement", "UPDATE {} SET mode = 'payout'", row),
            (row_checks.settlements_as_told, sent, "UPDATE {} SET amount_tiyn = 7", row),
        ):
            await is_found(town, check, table, breach.format(table), word)
        await sound(town)


class TestSuspended:
    async def test_a_suspension_holds_the_payout_of_a_batch_made_before_it(
        self, town: Town
    ) -> None:
        await town.pay(6000)
        made = await town.settle()
        async with town.database.transaction() as db:
            await parties.set_status(db, town.shop, "suspended", None)
        await finish(town)
        done = await town.settlement(made["id"])
        assert (done["status"], done["hold"]) == ("settled", "suspended")
        assert (done["payout"]["status"], done["payout"]["reason"]) == (
            "canceled", "the merchant is suspended",
        )  # fmt: skip
        assert (done["check"]["paid_tiyn"], done["check"]["carried_tiyn"]) == (0, 5940)
        assert (await town.figures())["2040"] == 5940
        await sound(town)
        async with town.database.transaction() as db:
            await parties.set_status(db, town.shop, "active", None)
        again = await town.settle()
        assert (again["hold"], again["check"]["paid_tiyn"]) == (None, 5940)
        await finish(town)
        async with town.database.transaction() as db:
            orders = select(BankMessage).where(
                col(BankMessage.kind) == Kind.credit_transfer,
                col(BankMessage.end_to_end_id).startswith("po_"),
            )
            assert len((await db.exec(orders)).all()) == 1
        await sound(town)

    async def test_a_suspension_holds_what_was_not_sent_to_the_wallet(self, town: Town) -> None:
        await choose(town, "hold", wallets={"memory": (wallet := new_address())})
        await town.pay(6000)
        made = await town.ask()
        async with town.database.transaction() as db:
            await parties.set_status(db, town.shop, "suspended", None)
        await finish(town)
        waiting = await town.settlement(made["id"])
        assert (waiting["status"], waiting["burns"][0]["status"]) == ("pending", "burned")
        assert waiting["transfers"][0]["reason"] == "the merchant is suspended"
        assert (await town.chain.balance(wallet)).units == 0
        await sound(town)
        async with town.database.transaction() as db:
            await parties.set_status(db, town.shop, "active", None)
        await finish(town)
        assert (await town.settlement(made["id"]))["status"] == "settled"
        assert (await town.chain.balance(wallet)).units == 5940
        await sound(town)

    async def test_a_transfer_that_failed_is_not_sent_again_to_who_was_suspended_meanwhile(
        self, mixed_town: Town
    ) -> None:
        town = mixed_town
        await choose(town, "hold", wallets={"memory": (wallet := new_address())})
        await town.pay(6000)
        made = await town.settle()
        town.chain.losing = True
        await town.world.runner.step()
        async with town.database.transaction() as db:
            await parties.set_status(db, town.shop, "suspended", None)
        await town.lose_everything_until("settlement.transfer_failed")
        await finish(town)
        (waiting,) = (await town.settlement(made["id"]))["transfers"]
        assert (waiting["status"], waiting["attempt"]) == ("sweeping", 2)
        assert waiting["reason"] == "the merchant is suspended"
        await sound(town)
        async with town.database.transaction() as db:
            await parties.set_status(db, town.shop, "active", None)
        await finish(town)
        assert (await town.settlement(made["id"]))["status"] == "settled"
        assert (await town.chain.balance(wallet)).units == 5940 * 10 ** (town.chain.decimals - 2)
        await sound(town)

    async def test_who_is_suspended_is_carried_whatever_its_mode(self, town: Town) -> None:
        await choose(
            town, "hold", wallets={"memory": new_address()}, refund_reserve_tiyn=500
        )  # fmt: skip
        await town.pay(6000)
        async with town.database.transaction() as db:
            await parties.set_status(db, town.shop, "suspended", None)
        made = await town.settle()
        assert (made["mode"], made["transfers"], made["reserve"]) == ("payout", [], [])
        assert (made["hold"], made["check"]["carried_tiyn"]) == ("suspended", 5940)
        await finish(town)
        await sound(town)


async def test_a_payout_names_the_merchants_tax_number_to_the_bank(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bank judges the KBe by it; it repeats the number to nobody."""
    given: list[str | None] = []
    hand_over = burns.payouts.bank.hand_over

    async def seen(db: Any, order: Any) -> None:
        if order.end_to_end_id.startswith("po_"):
            given.append(order.creditor_tax)
        await hand_over(db, order)

    monkeypatch.setattr(burns.payouts.bank, "hand_over", seen)
    await town.pay(6000)
    await town.settle()
    await finish(town)
    assert given == [BIN]
