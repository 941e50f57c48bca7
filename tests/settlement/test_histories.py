"""Random histories of sales, refunds, batches, accidents and the bank; the books always add up."""

import random
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from sandbox.bank import registry, simulator
from sandbox.chains.memory import Move, new_address
from sandbox.core.errors import NotFound
from sandbox.ledger import accounts
from sandbox.ledger import service as ledger
from sandbox.parties import checks as parties_checks
from sandbox.parties import plans
from sandbox.parties import service as parties
from sandbox.payments import row_checks as payment_row_checks
from sandbox.settlement import jobs, row_checks, terms
from sandbox.settlement.terms import Mode
from tests.settlement.conftest import SHOP_IBAN, Town

STEPS = 70


class Play:
    """One step after the other, chosen by a seeded generator."""

    def __init__(self, town: Town, seed: int) -> None:
        self.town, self.random = town, random.Random(seed)
        self.now = datetime(2026, 11, 19, 12)
        self.wallet = new_address()

    async def sell(self) -> None:
        await self.verify()
        await self.town.pay(self.random.randint(1, 900))

    async def refund(self) -> None:
        # Settled ones are paid from the refund reserve, if it has enough.
        open_ = [
            one
            for one in (await self.town.get("/v1/payments?limit=100"))["data"]
            if one["settlement_state"] in ("unsettled", "settled")
        ]
        if open_:
            body = {
                "payment": self.random.choice(open_)["id"],
                "amount_tiyn": self.random.randint(1, 500),
            }
            answer = await self.town.world.post("/v1/refunds", body, "shop")
            assert answer.status_code in (201, 409, 422), answer.text

    async def settle(self) -> None:
        body = {"retry_payout": self.random.random() < 0.5}
        answer = await self.town.world.post("/v1/settlements", body, "shop")
        assert answer.status_code in (201, 409), answer.text

    async def carry_out(self) -> None:
        await self.town.world.carry_out()

    async def lose(self) -> None:
        self.town.chain.losing = True
        for _ in range(self.random.randint(1, 12)):
            await self.town.world.runner.step()
            self.town.chain.mine(30)
            await self.town.world.follow()
        self.town.chain.losing = False

    async def bank(self) -> None:
        await simulator.step(self.town.database)

    async def books(self) -> None:
        await jobs.step(self.town.database)

    async def account(self) -> None:
        async with self.town.database.transaction() as db:
            if self.random.random() < 0.5:
                await registry.refuse_payments_to(db, SHOP_IBAN)
            else:
                await registry.accept_payments_to(db, SHOP_IBAN)

    async def give_back(self) -> None:
        for payout in (await self.town.get("/v1/payouts?limit=100"))["data"]:
            if payout["status"] == "completed" and self.random.random() < 0.5:
                async with self.town.database.transaction() as db:
                    try:
                        await simulator.return_payment(db, payout["id"])
                    except NotFound:  # returned before, and the books have not heard of it
                        return

    async def wait(self) -> None:
        self.now += timedelta(hours=self.random.randint(1, 30))
        await self.town.set_clock(self.now.isoformat())
        await jobs.cut_off(self.town.database, self.town.world.chains)

    # What else happens on a chain: half a block's way, reorgs, strangers, frozen addresses.

    async def confirm(self) -> None:
        await self.town.world.runner.step()
        self.town.chain.mine()
        await self.town.world.follow()

    async def go_on(self) -> None:
        await self.town.world.go_on()

    async def reorg(self) -> None:
        chain = self.town.chain
        if chain.reversible:
            depth = self.random.randint(1, chain.reversible)
            chain.reorg(depth, what=self.random.choice(["return", "return", "drop"]))
            chain.mine(depth + 1)
            await self.town.world.follow()

    async def sessions(self) -> list[dict[str, Any]]:
        return list((await self.town.get("/v1/checkout/sessions?limit=100"))["data"])

    async def pay_more(self) -> None:
        """Money that no session waits for any more, or does."""
        known = await self.sessions()
        for session in self.random.sample(known, k=min(2, len(known))):
            self.town.send_to(session, self.random.randint(1, 60))
        self.town.chain.mine(self.random.choice([1, 5]))
        await self.town.world.follow()

    async def accept(self) -> None:
        for stray in (await self.town.get("/v1/stray_transfers?limit=100", "operator"))["data"]:
            action = self.random.choice(["accept", "refund"])
            answer = await self.town.world.post(
                f"/v1/stray_transfers/{stray['id']}/resolve", {"action": action}, "operator"
            )
            assert answer.status_code in (200, 409), answer.text

    async def addresses(self, count: int) -> list[str]:
        known = await self.sessions()
        return [
            str(session["options"][0].get("address", ""))
            for session in self.random.sample(known, k=min(count, len(known)))
        ]

    async def stranger(self) -> None:
        if self.town.chain.sweep_batch:
            moves = [
                Move("sweep", address, self.town.chain.treasury)
                for address in await self.addresses(3)
            ]
            if moves:
                self.town.chain.send(*moves)
            await self.confirm()

    async def freeze(self) -> None:
        if self.town.chain.sweep_batch:
            for address in await self.addresses(2):
                self.town.chain.send(Move("freeze", destination=address))
            await self.confirm()

    async def thaw(self) -> None:
        for session in await self.sessions():
            address = str(session["options"][0].get("address", ""))
            if await self.town.chain.is_frozen(address):
                self.town.chain.send(Move("thaw", destination=address))
        await self.confirm()

    # What the merchant and the operator decide.

    async def terms(self) -> None:
        mode: Mode = self.random.choice(["payout", "hold", "split"])
        async with self.town.database.transaction() as db:
            await terms.choose(
                db,
                self.town.shop,
                self.town.world.chains,
                mode=mode,
                split_bps=self.random.randint(1, 9999) if mode == "split" else None,
                wallets={} if mode == "payout" else {self.town.chain.name: self.wallet},
                refund_reserve_tiyn=self.random.choice([0, 200, 900]),
            )

    async def plan(self) -> None:
        async with self.town.database.transaction() as db:
            offered = await plans.offer(
                db,
                self.town.shop,
                fee_bps=self.random.choice([0, 100, 900]),
                fixed_tiyn=self.random.choice([0, 0, 60]),
                minimum_tiyn=self.random.choice([0, 0, 90]),
                from_at=None,
            )
            await plans.consent(db, self.town.shop, offered.version)

    async def suspend(self) -> None:
        async with self.town.database.transaction() as db:
            await parties.set_status(db, self.town.shop, "suspended", None)
        await self.confirm()

    async def verify(self) -> None:
        async with self.town.database.transaction() as db:
            await parties.set_status(db, self.town.shop, "active", None)

    async def frozen_wallet(self) -> None:
        action = "thaw" if await self.town.chain.is_frozen(self.wallet) else "freeze"
        self.town.chain.send(Move(action, destination=self.wallet))
        await self.confirm()

    async def anything(self) -> None:
        steps = (
            self.sell, self.sell, self.sell, self.refund, self.refund, self.settle, self.settle,
            self.carry_out, self.lose, self.bank, self.bank, self.books, self.books, self.account,
            self.give_back, self.give_back, self.wait, self.wait, self.confirm, self.confirm,
            self.go_on, self.reorg, self.pay_more, self.accept, self.stranger, self.freeze,
            self.thaw, self.terms, self.terms, self.plan, self.suspend, self.verify, self.verify,
            self.frozen_wallet,
        )  # fmt: skip
        await self.random.choice(steps)()


@pytest.mark.parametrize("seed", [1, 3, 9])
async def test_after_every_step_every_tiyn_is_explained(town: Town, seed: int) -> None:
    await jobs.cut_off(town.database, town.world.chains)
    play = Play(town, seed)
    for _ in range(STEPS):
        await play.anything()
        await town.audit()
    await play.thaw()
    await play.verify()
    if await town.chain.is_frozen(play.wallet):
        await play.frozen_wallet()
    # In the end everything reaches the merchant or the issuer, but for what no refund gave back.
    async with town.database.transaction() as db:
        await registry.accept_payments_to(db, SHOP_IBAN)
        await terms.choose(
            db, town.shop, town.world.chains, mode="payout", split_bps=None, wallets={},
            refund_reserve_tiyn=0,
        )  # fmt: skip
    for _ in range(8):
        for _ in range(8):
            await town.world.carry_out()
        await play.settle()
        await play.wait()
        await town.bank_and_books()
        await town.audit()
    await town.world.post("/v1/settlements", {}, "shop")
    await town.world.carry_out()
    play.now += timedelta(days=9)
    await town.set_clock(play.now.isoformat())
    await town.bank_and_books()
    await town.audit()
    for check in (
        row_checks.lines_match,
        row_checks.orders_match,
        row_checks.settlements_as_told,
        payment_row_checks.arrivals_match,
        parties_checks.merchants_as_told,
    ):
        async with town.database.transaction() as db:
            for result in await check(db):
                assert result.ok, result
    stuck = [
        gone
        for one in (await town.get("/v1/settlements?limit=100"))["data"]
        for gone in one["burns"] + one["transfers"]
        if gone["status"] not in ("burned", "sent")
    ]
    figures = await town.figures()
    assert (figures["merchant"], figures["2040"], figures["1090"]) == (0, 0, 0)
    async with town.database.transaction() as db:
        nobodys = await db.scalar(
            text(
                "SELECT coalesce(sum(b.posted), 0)::bigint FROM balance b"
                " JOIN account a ON a.id = b.account_id WHERE starts_with(a.code, 'suspense:')"
            )
        )
    assert figures["custody"] == 70_000 + nobodys + sum(burn["units"] for burn in stuck)
    assert figures["bank"] == figures["1010"]
    async with town.database.transaction() as db:
        due = (await ledger.balance(db, accounts.fees_due(town.shop))).posted
    assert figures["bank, own"] == figures["1110"] == figures["4010"] + figures["2070"] - due
