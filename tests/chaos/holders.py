"""Holders of KZTE at the reserve while processes are killed: they pay tenge in, have them minted,
redeem, move between chains; and an auditor who asks for attestations.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from tests.chaos.payers import Customer, EvmCustomer, Lost, Paid, SolanaCustomer
from tests.journeys.customers import new_key

if TYPE_CHECKING:
    from tests.chaos.load import Answer, Load

REFERENCE = "chaos-"
EXPIRES_IN_S = 86_400
PAYEE = {
    "iban": "KZ41722C000000000001",
    "payee_name": "Айгүл Серікова",
    "tax_number": "900101400003",
    "knp": "342",
    "kbe": "19",
}
DEPOSITS = "/v1/reserve/deposits"
ISSUANCES = "/v1/reserve/issuances"
REDEMPTIONS = "/v1/reserve/redemptions"
MOVES = "/v1/reserve/moves"
ATTESTATIONS = "/v1/reserve/attestations"
CREDITS = "/v1/sandbox/bank/credits"
_REJECTED_OF_TEN = 3

Act = Callable[[], Awaitable[None]]


class Holders:
    """One holder per chain; `sent` is every transfer for a redemption or a move."""

    def __init__(self, load: "Load", chance: random.Random) -> None:
        self._load, self._chance = load, chance
        self.customers: list[Customer] = [
            SolanaCustomer(load, new_key("solana")),
            EvmCustomer(load, new_key("evm")),
        ]
        self.sent: list[Paid] = []
        self._number = 0
        self._free: Counter[str] = Counter()

    def begin(self, tiyn: int) -> None:
        """Each has been granted so much."""
        self._free.update({one.address: tiyn for one in self.customers})

    def acts(self) -> Sequence[tuple[Act, tuple[float, float]]]:
        """What they do again and again, and the pause after each in seconds."""
        return [
            (self._pay_in, (0.5, 1.5)),
            (self._redeem, (0.2, 1.0)),
            (self._move, (0.2, 1.0)),
            (self._ask_for_attestation, (1.0, 3.0)),
            (self._look_after_payouts, (0.5, 1.5)),
        ]

    # -- tenge become units

    async def _pay_in(self) -> None:
        """Tenge arrive, by a notice of the bank or by the mock deposit; two mints want them."""
        holder = self._chance.choice(self.customers)
        self._number += 1
        reference = f"{REFERENCE}{self._number}"
        body: dict[str, Any] = {
            "amount_tiyn": self._chance.randint(200_000, 2_000_000),
            "bank_reference": reference,
        }
        if self._number % 2:
            if self._number % 4 == 1:
                await self._load.ask(CREDITS, body | {"status": "PDNG"}, "operator")
            await self._load.ask(CREDITS, body | {"status": "BOOK"}, "operator")
            listed = await self._load.until(
                DEPOSITS, lambda found: self._of(found["data"], reference)
            )
            [deposit] = self._of(listed["data"], reference)
        else:
            deposit = (await self._load.ask(DEPOSITS, body, "issuer")).body
        mint = {
            "deposit": deposit["id"],
            "chain": holder.chain,
            "amount_tiyn": body["amount_tiyn"] * 6 // 10,
            "recipient": holder.address,
        }
        both = await asyncio.gather(*(self._load.ask(ISSUANCES, mint, "issuer") for _ in "ab"))
        made = [answer for answer in both if answer.status == 201]
        refused = [answer.body.get("code") for answer in both if answer.status != 201]
        if len(made) != 1 or refused != ["deposit_exhausted"]:
            raise Lost(f"of two mints of {deposit['id']}: {[answer.text for answer in both]}")
        self._load.go_on(self._minted(holder, made[0].body["id"], mint["amount_tiyn"]))

    async def _minted(self, holder: Customer, issuance: str, tiyn: int) -> None:
        path = f"{ISSUANCES}/{issuance}"
        end = await self._load.until(path, lambda shown: shown["status"] != "pending")
        if end["status"] != "issued":
            raise Lost(f"{path} is {end}")
        self._free[holder.address] += tiyn

    @staticmethod
    def _of(deposits: list[Any], reference: str) -> list[Any]:
        return [one for one in deposits if one["bank_reference"] == reference]

    # -- units become tenge, or go to the other chain

    async def _redeem(self) -> None:
        holder, tiyn = self._some()
        if holder is None:
            return
        body = {"chain": holder.chain, "amount_tiyn": tiyn, "expires_in_s": EXPIRES_IN_S}
        await self._send(holder, await self._load.ask(REDEMPTIONS, body | PAYEE, "issuer"))

    async def _move(self) -> None:
        holder, tiyn = self._some()
        if holder is None:
            return
        [target] = [one for one in self.customers if one is not holder]
        body = {
            "from_chain": holder.chain,
            "to_chain": target.chain,
            "amount_tiyn": tiyn,
            "recipient": target.address,
            "expires_in_s": EXPIRES_IN_S,
        }
        await self._send(holder, await self._load.ask(MOVES, body, "issuer"))

    def _some(self) -> tuple[Customer | None, int]:
        tiyn = self._chance.randint(1_000, 50_000)
        rich = [one for one in self.customers if self._free[one.address] >= tiyn]
        if not rich:
            return None, 0
        holder = self._chance.choice(rich)
        self._free[holder.address] -= tiyn
        return holder, tiyn

    async def _send(self, holder: Customer, asked: "Answer") -> None:
        if asked.status != 201:
            raise Lost(f"POST {asked.path} was answered {asked.text}")
        shown = asked.body
        sent = Paid(shown["id"], holder.chain, holder.address, shown["amount_tiyn"])
        self.sent.append(sent)
        await holder.pay({"options": [shown["option"]]}, sent)

    # -- what others do

    async def _ask_for_attestation(self) -> None:
        await self._load.ask(ATTESTATIONS, {}, "issuer")

    async def _look_after_payouts(self) -> None:
        """Now and then the bank rejects one; whoever looks asks for it again."""
        if self._chance.randrange(10) < _REJECTED_OF_TEN:
            await self.reject(1)
        await self.retry()

    async def reject(self, times: int) -> None:
        """How many of the next payouts the bank rejects, if the request gets through."""
        body = {"fault": "bank.reject", "times": times}
        await self._load.post("/v1/sandbox/faults", body, "no-key-needed", "operator")

    async def retry(self) -> None:
        """Ask again for every payout that was rejected."""
        for one in await self.with_status("rejected"):
            await self._load.ask(f"{REDEMPTIONS}/{one['id']}/retry", {}, "issuer")

    async def with_status(self, *statuses: str) -> list[Any]:
        """At most a hundred redemptions of each status, newest first."""
        found = []
        for status in statuses:
            page = await self._load.get(REDEMPTIONS, status=status, limit=100)
            found += page["data"]
        return found
