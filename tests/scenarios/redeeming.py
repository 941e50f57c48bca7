"""Redemptions and moves as an issuer asks for them and a holder pays for them, on real chains."""

from sandbox.ledger import accounts
from tests.scenarios.world import Json, World

PAYEE = {
    "iban": "KZ31601A000000000001",
    "payee_name": "Кітап дүкені",
    "tax_number": "260340000002",
    "knp": "859",
    "kbe": "17",
}


async def redeem(world: World, tiyn: int) -> Json:
    body = {"chain": world.name, "amount_tiyn": tiyn} | PAYEE
    return await done(world, "redemptions", body, 201)


async def done(world: World, path: str, body: Json, status: int = 200) -> Json:
    answer = await world.post(f"/v1/reserve/{path}", body, "issuer")
    assert answer.status_code == status, answer.text
    made: Json = answer.json()
    return made


async def read(world: World, asked: Json) -> Json:
    kind = "redemptions" if asked["object"] == "redemption" else "moves"
    return await world.get(f"/v1/reserve/{kind}/{asked['id']}", "issuer")


async def send(world: World, asked: Json, tiyn: int) -> str:
    """By the option's URL, with an ordinary wallet."""
    return await world.ground.pay(world.customer, asked["option"], world.units(tiyn))


async def carry_out(*worlds: World) -> None:
    """Until no chain has anything of ours to do, and the worker finds no step."""
    for _ in range(20):
        moved = await worlds[0].run("redemptions")
        await worlds[0].send_due()
        for world in worlds:
            await world.finalize()
        moved |= await worlds[0].run("redemptions")
        if not moved and not await worlds[0].under_way():
            return
    raise AssertionError("redemptions and moves do not come to rest")


async def bank(world: World) -> None:
    """Until bank and books have nothing to tell each other."""
    for _ in range(20):
        if not await world.run("bank") | await world.run("redemption-messages"):
            return
    raise AssertionError("bank and books do not come to rest")


async def redeemed(world: World, tiyn: int) -> Json:
    """One whose units are burned and whose payout the bank has."""
    made = await redeem(world, tiyn)
    await send(world, made, tiyn)
    await world.mine()
    await world.finalize()
    await carry_out(world)
    await bank(world)
    found = await read(world, made)
    assert found["status"] == "sent", found
    return found


async def at_addresses(world: World) -> int:
    return await world.posted(accounts.redeem(world.name))
