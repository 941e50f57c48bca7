"""What a holder burns by itself stands on the stray desk, and its tenge are paid once."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from sandbox.bank import registry
from sandbox.core.db import Database
from sandbox.ledger import accounts
from sandbox.reserve import burns, intake_checks
from tests.opened import Opening, Openings
from tests.reserve.two_chains import IBAN, OPENED, OTHER_IBAN, PAYEE, Json, TwoChains

STRAYS = "/v1/stray_transfers"


@pytest.fixture
def opening(request: pytest.FixtureRequest) -> Opening | None:
    return OPENED if "world" in request.fixturenames else None


@pytest.fixture
async def world(database: Database, openings: Openings) -> AsyncIterator[TwoChains]:
    world = TwoChains.copied(database, openings.kept(OPENED))
    yield world
    await world.audit()
    await world.end()


async def burned(world: TwoChains, units: int = 1_000) -> Json:
    """The stray of a final burn."""
    world.plain.burn_own(world.holder, units)
    await world.finalize()
    listed = (await world.get(STRAYS)).json()["data"]
    first: Json = listed[0]
    return first


async def faults(world: TwoChains) -> list[str]:
    async with world.database.transaction() as db:
        return [one.detail for one in await burns.burns_match(db) if not one.ok]


async def test_neither_a_burn_that_is_not_final_nor_a_wrong_payee_is_paid(world: TwoChains) -> None:
    assert await world.refused("burns/str_0/redeem", PAYEE) == (404, "not_found")
    world.plain.burn_own(world.holder, 7)
    world.plain.mine()
    await world.follow()
    [stray] = (await world.get(STRAYS)).json()["data"]
    assert (stray["proposal"], stray["chain_state"]) == ("holder_burn", "confirmed")
    path = f"burns/{stray['id']}/redeem"
    assert await world.refused(path, PAYEE) == (409, "stray_not_final")
    await world.finalize()
    for changed, refusal in (
        ({"iban": "KZ32601A000000000001"}, (422, "iban_invalid")),
        ({"tax_number": "260340000003"}, (422, "tax_number_invalid")),
        ({"kbe": "19"}, (422, "kbe_contradicts_payee")),
        ({"amount_tiyn": 5}, (422, "invalid_request")),
    ):
        assert await world.refused(path, PAYEE | changed) == refusal
    assert await world.owed("l:unidentified:") == 7


async def test_less_than_a_tiyn_has_nothing_to_pay(database: Database) -> None:
    world = TwoChains(database, decimals=6)
    await world.begin()
    stray = await burned(world, 9_999)
    path = f"burns/{stray['id']}/redeem"
    assert await world.refused(path, PAYEE) == (409, "less_than_a_tiyn")
    assert await faults(world) == []
    await world.end()


async def test_the_stray_desk_shows_it_to_the_operator_and_to_no_merchant(
    world: TwoChains,
) -> None:
    first, second = await burned(world, 300), await burned(world, 400)
    path = f"{STRAYS}/{second['id']}"
    assert (await world.get(path)).json() == second
    assert (second["amount_units"], second["proposal"], second["status"]) == (
        *(400, "holder_burn"), "open",
    )  # fmt: skip
    newest = (await world.get(f"{STRAYS}?limit=1")).json()
    assert (newest["data"], newest["has_more"]) == ([second], True)
    older = (await world.get(f"{STRAYS}?limit=1&starting_after={second['id']}")).json()
    assert (older["data"], older["has_more"]) == ([first], False)
    newer = (await world.get(f"{STRAYS}?ending_before={first['id']}")).json()
    assert newer["data"] == [second]
    assert (await world.get(path, "merchant")).status_code == 404
    assert (await world.get(STRAYS, "merchant")).json()["data"] == []
    asked = await world.post(f"{path}/resolve", {"action": "refund"})
    assert (asked.status_code, asked.json()["code"]) == (409, "stray_burned")
    assert await world.owed("l:unidentified:") == 700


async def test_its_tenge_are_paid_as_a_redemptions_are_and_once(world: TwoChains) -> None:
    stray = await burned(world)
    path = f"/v1/reserve/burns/{stray['id']}/redeem"
    answers = await asyncio.gather(*(world.post(path, PAYEE) for _ in range(4)))
    assert sorted(one.status_code for one in answers) == [201, 409, 409, 409]
    assert {one.json().get("code") for one in answers} == {None, "stray_already_resolved"}
    [made] = [one.json() for one in answers if one.status_code == 201]
    assert (made["status"], made["burn_tx"], made["remainder_units"]) == (
        *("pending", stray["tx"]), 0,
    )  # fmt: skip
    shown = (await world.get(f"{STRAYS}/{stray['id']}")).json()
    assert (shown["status"], shown["redemption"]) == ("resolved", made["id"])
    assert await world.owed("l:unidentified:") == 0
    assert await world.owed("l:redemption:") == 1_000
    await world.audit()
    await world.set_clock("2026-11-20T10:00")
    await world.bank()
    assert (await world.read(made))["status"] == "paid"
    assert await world.posted(accounts.reserve_bank()) == 99_000
    for act in ("cancel", "retry", "send_back"):
        assert (await world.post(f"/v1/reserve/redemptions/{made['id']}/{act}", {})).is_error


async def test_a_payout_that_comes_back_goes_to_another_account(world: TwoChains) -> None:
    async with world.database.transaction() as db:
        await registry.refuse_payments_to(db, IBAN)
    stray = await burned(world)
    made = await world.done(f"burns/{stray['id']}/redeem", PAYEE, 201)
    await world.bank()
    assert (await world.read(made))["status"] == "rejected"
    await world.audit()
    await world.done(f"redemptions/{made['id']}/retry", {"iban": OTHER_IBAN})
    await world.set_clock("2026-11-25T10:00")
    await world.bank()
    assert (await world.read(made))["status"] == "paid"


async def test_an_altered_row_turns_i2_red_and_is_named(database: Database, owner_url: str) -> None:
    world = TwoChains(database)
    await world.begin()
    kept, stray = await burned(world, 5), await burned(world)
    made = await world.done(f"burns/{stray['id']}/redeem", PAYEE, 201)
    owner = await asyncpg.connect(owner_url)
    await owner.execute("SET session_replication_role = replica")
    burn, claim = f"WHERE id = '{stray['id']}'", f"WHERE id = '{made['id']}'"
    await owner.execute(f"""UPDATE intake SET option = '{{"method": "transfer"}}' {claim}""")
    async with database.transaction() as db:
        [check] = await intake_checks.receipts_match(db)
    assert f"intake {made['id']}: is burned, its burn was never asked for" in check.detail
    await owner.execute(f"""UPDATE intake SET option = '{{"method": "own_burn"}}' {claim}""")
    for altered, undone, fault in (
        (
            f"UPDATE holder_burn SET amount_units = 1001 {burn}",
            f"UPDATE holder_burn SET amount_units = 1000 {burn}",
            f"holder_burn {stray['id']}: 1001 units, entry ent_",
        ),
        (
            f"UPDATE holder_burn SET status = 'reverted' {burn}",
            f"UPDATE holder_burn SET status = 'final' {burn}",
            f"holder_burn {stray['id']}: is reverted, entry ent_",
        ),
        (
            f"UPDATE intake SET amount_tiyn = 999 {claim}",
            f"UPDATE intake SET amount_tiyn = 1000 {claim}",
            f"redemption {made['id']} pays 999",
        ),
        (
            f"DELETE FROM holder_burn WHERE id = '{kept['id']}'",
            "",
            f"l:unidentified:{kept['tx']} holds 5",
        ),
    ):
        await owner.execute(altered)
        assert fault in "; ".join(await faults(world))
        if undone:
            await owner.execute(undone)
            assert await faults(world) == []
    await owner.close()
    await world.end()
