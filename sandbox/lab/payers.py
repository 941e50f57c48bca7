"""How each simulated payer pays: ordinary signed transactions, misused in one way each."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

from sandbox.chains.customers import Manner
from sandbox.chains.errors import NotSponsored
from sandbox.lab.errors import OneChainOnly
from sandbox.lab.stage import Stage

PREFIX = "sim-"
EXCHANGE_FEE_PERCENT = 1
TOO_MUCH_TIYN = 100
AWAY = f"{PREFIX}away"
"""Gets tokens without coin for fees, so it pays nobody."""

Act = Callable[[Stage, str], Awaitable[None]]


async def pay(stage: Stage, payer: str) -> None:
    """The payer pays the stage's session, or a new one. Raises what its wallet refuses with."""
    name = f"{PREFIX}{payer}"
    async with stage.turn(name):
        await ACTS[payer](stage, name)


def _shaped(manner: Manner) -> Act:
    async def act(stage: Stage, name: str) -> None:
        session = await stage.session()
        await stage.pay(name, session, await stage.left_tiyn(), manner)

    return act


async def _empty(stage: Stage, name: str) -> None:
    session = await stage.session()
    units = stage.units(session, await stage.left_tiyn())
    stage.say("its wallet holds nothing")
    await stage.people().pay(name, stage.option(session), units)


async def _frozen(stage: Stage, name: str) -> None:
    session = await stage.session()
    people, option = stage.people(), stage.option(session)
    address = people.address(name)
    if not await stage.house.chains[stage.chain].is_frozen(address):
        await stage.fund(name, session, await stage.left_tiyn())
        await stage.freeze(address)
    units = min(stage.units(session, await stage.left_tiyn()), await people.units(name, option))
    await people.pay(name, option, units)


async def _resend(stage: Stage, name: str) -> None:
    tx = await _exact(stage, name)
    await stage.people().resend(tx)
    stage.say("the same bytes were sent again")


async def _exact(stage: Stage, name: str) -> str:
    session = await stage.session()
    return await stage.pay(name, session, await stage.left_tiyn())


async def _plainly(stage: Stage, name: str) -> None:
    await _exact(stage, name)


async def _short(stage: Stage, name: str) -> None:
    session = await stage.session()
    left = await stage.left_tiyn()
    await stage.pay(name, session, left - max(1, left * EXCHANGE_FEE_PERCENT // 100))


async def _over(stage: Stage, name: str) -> None:
    session = await stage.session()
    await stage.pay(name, session, await stage.left_tiyn() + TOO_MUCH_TIYN)


async def _late(stage: Stage, name: str) -> None:
    session = await stage.session()
    left = await stage.left_tiyn()
    await stage.fund(name, session, left)
    now = await stage.now()
    if session.expires_at >= now:
        await stage.advance((session.expires_at - now) // timedelta(seconds=1) + 2)
    await stage.pay(name, session, left)


async def _twice(stage: Stage, name: str) -> None:
    session = await stage.session()
    left = await stage.left_tiyn()
    await stage.fund(name, session, 2 * left)
    await stage.pay(name, session, left)
    await stage.pay(name, session, left)


async def _wrong_chain(stage: Stage, name: str) -> None:
    session = await stage.session()
    other = other_chain(stage)
    stage.say(f"a wallet on {other} opens the link for {stage.chain}")
    option = {**stage.option(session, other), "url": stage.option(session)["url"]}
    await stage.people(other).pay(name, option, 1)


async def _reorged(stage: Stage, name: str) -> None:
    await pay_and_reorganise(stage, name, kept=False)


async def pay_and_reorganise(stage: Stage, name: str, *, kept: bool, more_tiyn: int = 0) -> None:
    """Pay what is left and more; then other blocks replace the payment's, with or without it.

    Finality is held meanwhile: what is final cannot be taken away.
    """
    session = await stage.session()
    tiyn = await stage.left_tiyn() + more_tiyn
    await stage.fund(name, session, tiyn)
    async with stage.drilled("no_finality"):
        tx = await stage.pay(name, session, tiyn)
        await replace_blocks(stage, (await stage.seen(tx)).height, kept=kept)


async def replace_blocks(stage: Stage, height: int, *, kept: bool) -> None:
    """Reorganise the chain below a height, with or without the transactions of its blocks."""
    async with stage.drilled("no_blocks"):
        blocks = await stage.house.drills[stage.chain].depth(height)
        await stage.drill("reorg_kept" if kept else "reorg", blocks)


async def _halves(stage: Stage, name: str) -> None:
    session = await stage.session()
    left = await stage.left_tiyn()
    await stage.fund(name, session, left)
    await stage.seen(await stage.pay(name, session, left // 2))
    await stage.pay(name, session, left - left // 2)


async def _both_chains(stage: Stage, name: str) -> None:
    session = await stage.session()
    left, other = await stage.left_tiyn(), other_chain(stage)
    await stage.fund(name, session, left, other)
    await stage.seen(await stage.pay(name, session, left // 2))
    await stage.pay(name, session, left - left // 2, chain=other)


def other_chain(stage: Stage) -> str:
    """Raises `OneChainOnly`."""
    others = [chain for chain in stage.house.customers if chain != stage.chain]
    if not others:
        raise OneChainOnly(stage.chain)
    return others[0]


async def _no_gas(stage: Stage, name: str) -> None:
    """Tokens come from another customer, because the faucet gives coin too."""
    session = await stage.session()
    left, people, option = await stage.left_tiyn(), stage.people(), stage.option(session)
    units, giver = stage.units(session, left), f"{PREFIX}exact"
    if await people.units(name, option) < units:
        async with stage.turn(giver):
            await stage.fund(giver, session, left)
            given = await people.give(giver, people.address(name), option, units)
        stage.sent(f"another customer gave it {left} tiyn and no coin", given)
    port = stage.house.chains[stage.chain]
    try:
        offered = await port.sponsored_payment(option, people.address(name), units)
    except NotSponsored:
        stage.say("nobody pays its fee here")
        await people.pay(name, option, units)
        return
    tx = await people.pay_sponsored(name, option, units, offered)
    stage.sent(f"paid {left} tiyn, the sandbox paid the fee", tx)


async def _omnibus(stage: Stage, name: str) -> None:
    session = await stage.session()
    left = await stage.left_tiyn()
    other = await stage.new_session(session.amount_tiyn)
    await stage.fund(name, session, left + other.amount_tiyn)
    parts = [
        (stage.option(one), stage.units(one, tiyn))
        for one, tiyn in ((session, left), (other, other.amount_tiyn))
    ]
    tx = await stage.people().pay_together(name, parts)
    stage.sent(f"paid {session.id} and {other.id} in one transaction", tx)


async def _frozen_afterwards(stage: Stage, name: str) -> None:
    """A customer of its own each time: the last one is frozen."""
    session = await stage.session()
    fresh = f"{name}-{session.id}"
    await stage.pay(fresh, session, await stage.left_tiyn())
    await stage.captured()
    await stage.freeze(stage.people().address(fresh))


ACTS: Mapping[str, Act] = {
    "exact": _plainly,
    "empty": _empty,
    "frozen": _frozen,
    "resend": _resend,
    "short": _short,
    "over": _over,
    "late": _late,
    "twice": _twice,
    "wrong_token": _shaped("other_token"),
    "wrong_chain": _wrong_chain,
    "reorged": _reorged,
    "halves": _halves,
    "both_chains": _both_chains,
    "native_coin": _shaped("native_coin"),
    "no_memo": _shaped("no_memo"),
    "no_reference": _shaped("no_reference"),
    "bare": _shaped("bare"),
    "extra": _shaped("extra"),
    "guarded": _shaped("guarded"),
    "spoofed": _shaped("spoofed"),
    "token_contract": _shaped("token_contract"),
    "no_gas": _no_gas,
    "omnibus": _omnibus,
    "frozen_afterwards": _frozen_afterwards,
}
