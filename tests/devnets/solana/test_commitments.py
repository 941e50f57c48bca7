"""Processed, confirmed and final: nothing is shown above the commitment that was asked for."""

import pytest
from solders.keypair import Keypair

from tests.devnets.solana.chain import SOL, Chain, Refused


async def test_slots_and_heights_of_the_three_levels(chain: Chain) -> None:
    await chain.advance(99)
    slots = {
        level: await chain.call("getSlot", {"commitment": level})
        for level in ("processed", "confirmed", "finalized")
    }
    assert slots == {"processed": 100, "confirmed": 99, "finalized": 68}
    assert await chain.call("getSlot") == 68
    info = await chain.call("getEpochInfo", {"commitment": "confirmed"})
    assert (info["absoluteSlot"], info["blockHeight"]) == (99, 99)


async def test_balances_rise_through_the_levels(chain: Chain) -> None:
    payer = await chain.wallet()
    await chain.advance(40)
    receiver = Keypair().pubkey()
    signature = await chain.pay(payer, receiver, SOL)

    async def seen() -> tuple[int, int, int]:
        return (
            await chain.balance(receiver, "processed"),
            await chain.balance(receiver, "confirmed"),
            await chain.balance(receiver, "finalized"),
        )

    assert await seen() == (SOL, 0, 0)
    assert (await chain.status(signature))["confirmationStatus"] == "processed"
    await chain.advance(1)
    assert await seen() == (SOL, SOL, 0)
    status = await chain.status(signature)
    assert (status["confirmationStatus"], status["confirmations"]) == ("confirmed", 1)
    await chain.advance(30)
    assert await seen() == (SOL, SOL, 0)
    assert (await chain.status(signature))["confirmations"] == 31
    await chain.advance(1)
    assert await seen() == (SOL, SOL, SOL)
    status = await chain.status(signature)
    assert (status["confirmationStatus"], status["confirmations"]) == ("finalized", None)


async def test_every_read_of_a_changing_account_is_of_its_slot(chain: Chain) -> None:
    payer, receiver = await chain.wallet(), Keypair().pubkey()
    await chain.advance(40)
    history = {}
    for step in range(1, 80):
        await chain.pay(payer, receiver, SOL // 100)
        history[await chain.advance(1) - 1] = step * (SOL // 100)
        for level in ("confirmed", "finalized"):
            answer = await chain.call("getBalance", str(receiver), {"commitment": level})
            assert answer["value"] == history.get(answer["context"]["slot"], 0)


async def test_transactions_appear_at_their_commitment(chain: Chain) -> None:
    payer, receiver = await chain.wallet(), Keypair().pubkey()
    signature = await chain.pay(payer, receiver, SOL)
    slot = await chain.call("getSlot", {"commitment": "processed"})
    confirmed, final = {"commitment": "confirmed"}, {"commitment": "finalized"}
    assert await chain.call("getTransaction", signature, confirmed) is None
    assert await chain.call("getSignaturesForAddress", str(receiver), confirmed) == []
    with pytest.raises(Refused) as refused:
        await chain.call("getBlock", slot, confirmed)
    assert refused.value.code == -32004
    await chain.advance(1)
    assert (await chain.call("getTransaction", signature, confirmed))["slot"] == slot
    assert len(await chain.call("getSignaturesForAddress", str(receiver), confirmed)) == 1
    assert len((await chain.call("getBlock", slot, confirmed))["transactions"]) == 2
    assert await chain.call("getTransaction", signature, final) is None
    assert await chain.call("getSignaturesForAddress", str(receiver)) == []
    assert slot not in await chain.call("getBlocks", 0, slot + 5)
    await chain.advance(31)
    assert (await chain.call("getTransaction", signature))["slot"] == slot
    assert len(await chain.call("getSignaturesForAddress", str(receiver))) == 1
    assert await chain.call("getBlocks", slot, slot + 5) == [slot]


async def test_history_is_not_shown_at_processed(chain: Chain) -> None:
    processed = {"commitment": "processed"}
    for method, first in (
        ("getSignaturesForAddress", str(Keypair().pubkey())),
        ("getTransaction", "1" * 64),
        ("getBlock", 0),
        ("getBlocks", 0),
    ):
        with pytest.raises(Refused) as refused:
            await chain.call(method, first, processed)
        assert refused.value.code == -32602


async def test_deeper_confirmation_and_other_finality_are_settings(chain: Chain) -> None:
    await chain.stop()
    chain._settings |= {"finality": 8, "confirmed_depth": 3}
    await chain.start()
    await chain.advance(19)
    slots = [
        await chain.call("getSlot", {"commitment": level})
        for level in ("processed", "confirmed", "finalized")
    ]
    assert slots == [20, 17, 12]
