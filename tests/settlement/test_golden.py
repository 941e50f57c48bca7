"""The golden example, rows 9 to 13 (CONTRACT 10), with the token's decimals and with six."""

from typing import Any

from sandbox.core.money import units_from_tiyn
from sandbox.ledger import service as ledger
from tests.settlement.conftest import SHOP_IBAN, Town


async def legs(town: Town, ref: str) -> list[tuple[str, str, int]]:
    """(account, side, amount in tiyn whatever the book) of the one entry under `ref`."""
    per_tiyn = units_from_tiyn(1, town.chain.decimals)
    async with town.database.transaction() as db:
        (entry,) = await ledger.entries_for(db, ref)
    return [
        (
            leg.account.code,
            leg.side,
            leg.amount if leg.account.book == "issuer" else leg.amount // per_tiyn,
        )
        for leg in entry.legs
    ]


async def in_tiyn(town: Town) -> dict[str, int]:
    per_tiyn = units_from_tiyn(1, town.chain.decimals)
    return {
        name: value // per_tiyn if name in ("supply", "treasury", "custody", "merchant") else value
        for name, value in (await town.figures()).items()
    }


def is_balanced(check: dict[str, int]) -> bool:
    left = check["opening_tiyn"] + check["gross_tiyn"] - check["fees_tiyn"] - check["refunds_tiyn"]
    return left == check["paid_tiyn"] + check["carried_tiyn"] and check["unexplained_tiyn"] == 0


async def test_the_golden_batch_moves_what_the_contract_says(any_town: Town) -> None:
    town, chain = any_town, any_town.chain.name
    first, second = await town.pay(6000), await town.pay(4000)
    await town.refund(first, 2000)
    before = await in_tiyn(town)
    assert (before["supply"], before["custody"], before["merchant"]) == (100_000, 78_000, 8000)

    # 9: the lines are fixed, and the burn is asked for.
    made = await town.settle()
    id_ = made["id"]
    assert made["status"] == "pending"
    assert made["value_date"] == "2026-11-20"
    assert [
        (line["payment"], line["amount_tiyn"], line["fee_tiyn"], line["refunded_tiyn"])
        for line in made["lines"]
    ] == sorted([(first, 6000, 40, 2000), (second, 4000, 40, 0)])
    assert all(line["entry"].startswith("ent_") and line["tx"] for line in made["lines"])
    assert made["check"] == {
        "opening_tiyn": 0,
        "gross_tiyn": 10_000,
        "fees_tiyn": 80,
        "refunds_tiyn": 2000,
        "paid_tiyn": 7920,
        "carried_tiyn": 0,
        "to_wallet_tiyn": 0,
        "reserved_tiyn": 0,
        "unexplained_tiyn": 0,
    }
    assert await legs(town, f"{id_}:lines:{chain}") == [
        (f"merchant:{town.shop}", "D", 8000),
        (f"settling:{id_}", "C", 8000),
    ]
    at_9 = await in_tiyn(town)
    assert (at_9["supply"], at_9["custody"], at_9["merchant"]) == (100_000, 78_000, 0)
    payout = made["payout"]
    assert (payout["status"], payout["iban"]) == ("pending", SHOP_IBAN)

    # 10: the burn is final, the batch settled, the bank not yet asked.
    assert await legs(town, f"{id_}:burn:{chain}:1") == [
        (f"supply:{chain}", "D", 8000),
        (f"treasury:{chain}", "C", 8000),
        (f"settling:{id_}", "D", 8000),
        ("custody", "C", 8000),
        (f"l:outstanding:{chain}", "D", 8000),
        (f"l:payout:{town.shop}", "C", 7920),
        ("i:fees", "C", 69),
        ("l:vat", "C", 11),
    ]
    await town.world.carry_out()
    settled = await town.settlement(id_)
    assert settled["status"] == "settled"
    (burn,) = settled["burns"]
    assert burn["units"] == units_from_tiyn(8000, town.chain.decimals)
    assert burn["tx"]
    assert (burn["vat_percent"], burn["vat_version"]) == (16, "214-VIII")
    assert (await town.chain.supply()).units == units_from_tiyn(92_000, town.chain.decimals)
    at_10 = await in_tiyn(town)
    assert at_10 == {
        "1010": 100_000,
        "1090": 0,
        "1110": 0,
        "2010": 92_000,
        "2040": 7920,
        "2070": 11,
        "4010": 69,
        "supply": 92_000,
        "treasury": 70_000,
        "custody": 70_000,
        "merchant": 0,
        "bank": 100_000,
        "bank, own": 0,
    }

    # 11: the bank accepts.
    await town.bank_and_books()
    assert await legs(town, f"{payout['id']}:sent:1") == [
        (f"l:payout:{town.shop}", "D", 7920),
        ("a:reserve:in-transit", "C", 7920),
    ]
    assert await in_tiyn(town) == at_10 | {"2040": 0, "1090": -7920}
    assert (await town.get(f"/v1/payouts/{payout['id']}"))["status"] == "sent"

    # 12 and 13: the value date has come.
    await town.set_clock("2026-11-20T09:00")
    await town.bank_and_books()
    assert await legs(town, f"{id_}:fee:1") == [
        ("a:own:operating", "D", 80),
        ("a:reserve:bank:eurasian", "C", 80),
    ]
    assert await legs(town, f"{payout['id']}:booked") == [
        ("a:reserve:in-transit", "D", 7920),
        ("a:reserve:bank:eurasian", "C", 7920),
    ]
    assert await in_tiyn(town) == at_10 | {
        "1010": 92_000,
        "1110": 80,
        "2040": 0,
        "bank": 92_000,
        "bank, own": 80,
    }
    done = await town.settlement(id_)
    assert (done["fee_status"], done["payout"]["status"]) == ("paid", "completed")
    assert is_balanced(done["check"])
    assert [one["settlement_state"] for one in (await town.get("/v1/payments"))["data"]] == [
        "settled",
        "settled",
    ]
    # The day is over: fee and payout each have their lines on what the bank sent.
    await town.set_clock("2026-11-21T09:00")
    await town.audit()
    assert await town.world.count("bank_statement_line") == 5


async def test_events_tell_the_batch_in_the_order_of_the_contract(town: Town) -> None:
    await town.pay(6000)
    await town.settle()
    await town.world.carry_out()
    await town.set_clock("2026-11-20T09:00")
    await town.bank_and_books()
    told = [
        type_
        for type_ in await town.world.event_types()
        if type_.startswith(("settlement.", "payout."))
    ]
    assert told[:4] == [
        "settlement.created",
        "settlement.burned",
        "settlement.settled",
        "payout.sent",
    ]
    assert sorted(told[4:]) == ["payout.completed", "settlement.fee_paid"]


async def test_a_refund_that_failed_leaves_the_whole_amount_to_burn(town: Town) -> None:
    first, _ = await town.pay(6000), await town.pay(4000)
    await town.done("/v1/refunds", {"payment": first, "amount_tiyn": 2000}, "shop")
    await town.lose_everything_until("refund.failed")
    made = await town.settle()
    await town.world.carry_out()
    (burn,) = (await town.settlement(made["id"]))["burns"]
    assert (burn["units"], burn["fee_tiyn"], burn["vat_tiyn"]) == (10_000, 100, 14)
    figures = await town.figures()
    assert (figures["2040"], figures["4010"], figures["2070"]) == (9900, 86, 14)


async def test_the_merchants_statement_shows_the_payout(town: Town) -> None:
    async def iban_of(_: Any, merchant: str) -> str | None:
        return SHOP_IBAN if merchant == town.shop else None

    town.world.app.state.iban_lookup = iban_of
    await town.pay(6000)
    made = await town.settle()
    await town.world.carry_out()
    await town.set_clock("2026-11-20T09:00")
    await town.bank_and_books()
    (today,) = (await town.get(f"/v1/bank/statements?account={SHOP_IBAN}"))["data"]
    (line,) = today["lines"]
    assert line["end_to_end_id"] == made["payout"]["id"]
    assert (line["amount_tiyn"], line["side"]) == (5940, "credit")
