"""What `explain` says of the issuer's objects, of grants, and of a chain that is not followed."""

import pytest
from solders.pubkey import Pubkey
from sqlalchemy import text

from sandbox.chains.solana.tx import burn
from tests.scenarios import redeeming
from tests.scenarios.on_solana import SolanaGround
from tests.scenarios.test_explaining import codes, explained, of_session, one, waits
from tests.scenarios.world import Json, World

pytestmark = pytest.mark.asyncio(loop_scope="module")

on_one = pytest.mark.parametrize(
    "ground", ["solana", pytest.param("evm", marks=pytest.mark.long)], indirect=True
)


async def status_of(world: World, path: str, role: str) -> int:
    headers = {"Authorization": f"Bearer {world.keys[role]}"}
    return (await world.http.get(f"{path}/explain", headers=headers)).status_code


async def listed(world: World, path: str) -> Json:
    found = await world.get(f"{path}?limit=1", "issuer")
    return dict(found["data"][0])


@on_one
async def test_a_mint_is_told_from_its_deposit_to_its_final_transaction(world: World) -> None:
    holder = await world.ground.payer()
    await world.ask_issue({holder: 5_000})
    deposit = await listed(world, "/v1/reserve/deposits")
    path = f"/v1/reserve/deposits/{deposit['id']}"
    due = await explained(world, path, "issuer")
    assert "order_due" in waits(due)
    await world.carry_out()
    found = await explained(world, path, "issuer")
    assert (found["summary"]["code"], waits(found)) == ("deposit.minted", [])
    assert [code for code in codes(found) if code.startswith("order.")] == [
        "order.signed", "order.done",
    ]  # fmt: skip
    issuance = await listed(world, "/v1/reserve/issuances")
    minted = await explained(world, f"/v1/reserve/issuances/{issuance['id']}", "operator")
    assert minted["summary"]["code"] == "issuance.issued"
    sent = one(minted, "order.signed")["values"]
    assert (sent["tx"], sent["transaction"]["state"]) == (issuance["tx"], "final")
    assert issuance["recipient"] in str(sent["transaction"]["acts"])
    legs = [step["values"]["legs"] for step in minted["steps"] if step["kind"] == "entry"]
    assert all(legs)
    assert await status_of(world, path, "merchant") == 403


@on_one
async def test_a_redemption_is_told_from_its_units_to_its_tenge(world: World) -> None:
    asked = await redeeming.redeem(world, 5_000)
    path = f"/v1/reserve/redemptions/{asked['id']}"
    opened = await explained(world, path, "issuer")
    [wait] = opened["waits"]
    assert (wait["code"], wait["whose"], wait["until"]) == (
        "intake_open", "holder", asked["expires_at"],
    )  # fmt: skip
    await redeeming.send(world, asked, 5_000)
    await world.mine()
    came = await explained(world, path, "issuer")
    assert one(came, "units.confirmed")["values"]["amount_units"] == world.units(5_000)
    assert "block_final" in waits(came)
    await world.finalize()
    await redeeming.carry_out(world)
    await redeeming.bank(world)
    found = await explained(world, path, "issuer")
    assert (found["summary"]["code"], waits(found)) == ("redemption.sent", ["intake_sent"])
    assert {"units.final", "order.done", "bank.ordered", "bank.accepted"} <= set(codes(found))
    await world.pass_time(6 * 86_400)
    await redeeming.bank(world)
    paid = await explained(world, path, "issuer")
    assert (paid["summary"]["code"], waits(paid)) == ("redemption.paid", [])


@on_one
async def test_a_grant_is_told_to_whoever_may_ask_the_faucet(world: World) -> None:
    holder = await world.ground.payer()
    grant = await world.grant(holder, 3_000)
    path = f"/v1/sandbox/faucet/{grant['id']}"
    assert waits(await explained(world, path, "operator")) == ["order_due"]
    await world.carry_out()
    found = await explained(world, path, "merchant")
    assert (found["summary"]["code"], waits(found)) == ("faucet_grant.sent", [])
    legs = [step["values"]["legs"] for step in found["steps"] if step["kind"] == "entry"]
    assert legs == [[], []]
    assert await status_of(world, "/v1/sandbox/faucet/fau_nothing", "operator") == 404
    assert await status_of(world, path, "issuer") == 403


@on_one
async def test_a_chain_that_is_halted_is_said_with_what_the_operator_does(world: World) -> None:
    session = await world.session()
    await world.pay(session, 10_000)
    async with world.database.transaction() as db:
        await db.execute(
            text(
                "INSERT INTO chain_halt (chain, reason, height, since)"
                " VALUES (:chain, 'a bug of ours', 7, sandbox_now())"
            ),
            {"chain": world.name},
        )
    found = await of_session(world, session)
    wait = next(w for w in found["waits"] if w["code"] == "chain_halted")
    assert (wait["whose"], wait["values"]["height"]) == ("operator", 7)
    assert "a bug of ours" in wait["text"]
    resumed = f"/v1/sandbox/chains/{world.name}/resume"
    assert f"POST {resumed}" in wait["text"]
    answer = await world.post(resumed, {}, "operator")
    assert answer.status_code == 200, answer.text
    await world.finalize()
    assert waits(await of_session(world, session)) == ["settlement"]


@on_one
async def test_forms_and_languages_are_chosen_by_address_or_by_header(world: World) -> None:
    session = await world.session()
    path = f"/v1/checkout/sessions/{session['id']}/explain"
    key = {"Authorization": f"Bearer {world.keys['merchant']}"}
    asked = [
        ("", {}, "application/json", "kk"),
        ("?format=text&lang=ru", {"Accept": "image/svg+xml"}, "text/plain; charset=utf-8", "ru"),
        ("", {"Accept": "image/svg+xml", "Accept-Language": "en"}, "image/svg+xml", "en"),
        (
            "",
            {"Accept": "text/plain", "Accept-Language": "ru-KZ"},
            "text/plain; charset=utf-8",
            "ru",
        ),
    ]
    for query, headers, kind, language in asked:
        found = await world.http.get(path + query, headers=key | headers)
        assert found.status_code == 200, found.text
        assert (found.headers["content-type"], found.headers["content-language"]) == (
            kind, language,
        )  # fmt: skip
        assert session["id"] in found.text
    refused = await world.http.get(f"{path}?format=pdf", headers=key)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
    picture = await world.http.get(f"{path}?format=svg", headers=key)
    assert "sandbox" in picture.headers["content-security-policy"]


@pytest.mark.parametrize("ground", ["solana"], indirect=True)
async def test_units_that_their_holder_burned_are_explained_to_the_operator(world: World) -> None:
    ground = world.ground
    assert isinstance(ground, SolanaGround)
    payer = await world.payer(900)
    burned = burn(ground._token, Pubkey.from_string(payer), world.units(900))
    tx = await ground._wallets[payer].send([burned], wait=False)
    await world.mine()
    await world.finalize()
    desk = (await world.get("/v1/stray_transfers?limit=100", "operator"))["data"]
    [stray] = [one_ for one_ in desk if one_["tx"] == tx]
    path = f"/v1/stray_transfers/{stray['id']}"
    found = await explained(world, path, "operator")
    assert found["summary"]["code"] == "stray.open"
    assert waits(found) == ["desk_holder_burn"]
    assert one(found, "stray.holder_burn")["values"]["tx"] == tx
    assert await status_of(world, path, "merchant") == 404
