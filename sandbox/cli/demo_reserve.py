"""`sandbox demo reserve`: tenge that come in, and every way they go out again, with the figures.

After each step the books' own lines are shown as sums, and as what changed since the demo began, so
that a reader can add them up: what the reserve has = what it owes + own money left in it.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from merchants.client import MerchantClient
from sandbox.cli import pay, show
from sandbox.cli.demo import CHAINS, StepFailed, to_value_date
from sandbox.cli.endpoints import JsonObject, Running, wait_for
from sandbox.cli.wallets import Wallet, wallet
from sandbox.core.money import format_tenge, units_from_tiyn
from sandbox.eventlog import export as exports
from sandbox.reserve import verify

DEPOSIT_TIYN: Final = 10_000_000
MINTED_TIYN: Final = 8_000_000
SALE_TIYN: Final = 2_500_000
REFUND_TIYN: Final = 500_000
REDEEMED_TIYN: Final = 1_000_000
MOVED_TIYN: Final = 1_500_000
# Invented: an account at Kaspi and a person's number with right check digits (KAZAKHSTAN 2.1).
PAYEE: Final = {
    "iban": "KZ41722C000000000001",
    "payee_name": "Айгүл Серікова",
    "tax_number": "900101400003",
    "knp": "342",
    "kbe": "19",
}
HOME, AWAY = CHAINS
HAS: Final = {"bank_tiyn": "at the bank", "in_transit_tiyn": "ordered, not yet booked"}
OWES: Final = {
    "outstanding_tiyn": "to holders of KZTE",
    "unminted_tiyn": "not minted yet",
    "payouts_tiyn": "to merchants",
    "redemptions_tiyn": "to redeemers",
    "bridge_tiyn": "between chains",
}


class _Figures:
    """The lines of the reserve and the resident's units, as what changed since the beginning."""

    def __init__(self, running: Running, wallets: Mapping[str, Wallet]) -> None:
        self._running, self._wallets = running, wallets
        self._before = self._read()
        self.before_tiyn = self._before["reserve_tiyn"]
        self.rows: list[dict[str, Any]] = []

    def _read(self) -> dict[str, int]:
        found = self._running.get("/v1/reserve", "issuer")
        units = found["outstanding_units"]
        kzte = self._running.endpoints["kzte"]
        scale = units_from_tiyn(1, kzte["decimals"])
        token = {"mint": kzte["solana_mint"], "token": kzte["evm_token"]}
        held = [asyncio.run(one.units(token)) for one in self._wallets.values()]
        return {
            **found["assets"],
            **found["debts"],
            "reserve_tiyn": found["reserve_tiyn"],
            "owed_tiyn": found["owed_tiyn"],
            "own_tiyn": found["reserve_tiyn"] - found["owed_tiyn"],
            "resident_tiyn": sum(held) // scale,
            **{f"{chain}_tiyn": units[chain] // scale for chain in CHAINS},
        }

    def show(self, step: str) -> dict[str, str]:
        """What the step left behind, in tenge; raises `StepFailed` when it does not add up."""
        now = self._read()
        row = {name: now[name] - self._before[name] for name in now}
        sides = {total: sum(row[name] for name in lines) for total, lines in _SIDES.items()}
        if any(row[total] != tiyn for total, tiyn in sides.items()):
            raise StepFailed(f"{step}: the figures do not add up", row)
        self.rows.append({"step": step, **row})
        said = {
            "the reserve has": _sum({words: row[name] for name, words in HAS.items()}),
            "it owes": _sum({words: row[name] for name, words in OWES.items()}),
        }
        if row["own_tiyn"]:
            said["own money left"] = f"{format_tenge(row['own_tiyn'])}, the fee, until it is booked"
        resident = row["resident_tiyn"]
        others = row["outstanding_tiyn"] - resident
        said["KZTE are held by"] = _sum({"the resident": resident, "the shop": others}, total=False)
        return said


_SIDES: Final = {"reserve_tiyn": HAS, "owed_tiyn": OWES}


def _sum(lines: Mapping[str, int], *, total: bool = True) -> str:
    """The lines that are not zero with their signs, and what they come to if there are several."""
    there = [(words, tiyn) for words, tiyn in lines.items() if tiyn]
    if not there:
        return "nothing"
    said = "".join(
        f" {'−' if tiyn < 0 else '+'} {format_tenge(abs(tiyn))} {words}" for words, tiyn in there
    ).removeprefix(" + ")
    if total and len(there) > 1:
        said += f" = {format_tenge(sum(tiyn for _, tiyn in there))}"
    return said.strip()


def play(running: Running, folder: Path, steps: show.Steps) -> dict[str, Any]:
    """Deposit, mint, sale, refund, settlement, returned payout, retry, redemption, move,
    attestation; the answer has the figures after each.
    """
    wallets = {chain: wallet(running.endpoints, folder, chain, "resident") for chain in CHAINS}
    for chain, one in wallets.items():
        pay.fund(running, chain, one.address, 1)  # coin for fees
    running.quiesce()
    figures = _Figures(running, wallets)
    steps.done(
        "The sandbox is up; its test float is backed already, so figures are changes from here on",
        in_the_reserve=format_tenge(figures.before_tiyn),
        to_be_checked="what the reserve has = what it owes + own money left, after every step",
    )

    deposit = _deposit(running)
    steps.done("Tenge reach the reserve account", **figures.show("deposit"))
    _mint(running, deposit, wallets[HOME].address)
    steps.done(f"A resident has them as KZTE on {CHAINS[HOME]}", **figures.show("mint"))
    with MerchantClient(running.endpoints["api"], running.key("merchant")) as shop:
        payment = _sale(running, folder, shop)
        steps.done(
            f"A sale of {format_tenge(SALE_TIYN)}: KZTE change hands, the reserve does not",
            payment=payment["id"],
            **figures.show("sale"),
        )
        _refund(shop, payment["id"])
        steps.done(f"{format_tenge(REFUND_TIYN)} of it go back", **figures.show("refund"))
        _paid_out_at_last(running, shop, steps, figures)
    _redeem(running, wallets[HOME], steps, figures)
    _move(running, wallets, steps, figures)
    attestation = _attest(running, folder, steps, figures)
    running.quiesce()
    audit = running.get("/v1/sandbox/audit")
    if not audit["ok"]:
        raise StepFailed("audit", [check for check in audit["checks"] if not check["ok"]])
    steps.audit(audit)
    return {
        "figures": figures.rows,
        "attestation": attestation["id"],
        "ratio": attestation["ratio"],
        "audit": "ok",
        "seconds": steps.seconds,
    }


def _deposit(running: Running) -> str:
    body = {"amount_tiyn": DEPOSIT_TIYN, "bank_reference": "demo-reserve-1"}
    made: str = running.post("/v1/reserve/deposits", body, "issuer")["id"]
    return made


def _mint(running: Running, deposit: str, recipient: str) -> None:
    asked = running.post(
        "/v1/reserve/issuances",
        {
            "deposit": deposit,
            "chain": HOME,
            "amount_tiyn": MINTED_TIYN,
            "recipient": recipient,
        },
        "issuer",
    )
    _until(running, f"/v1/reserve/issuances/{asked['id']}", "status", "issued", "failed")


def _until(running: Running, path: str, field: str, wanted: str, *bad: str) -> JsonObject:
    found: JsonObject = wait_for(
        f"{path} to be {wanted}",
        lambda: running.get(path, "issuer"),
        lambda shown: shown[field] in (wanted, *bad),
    )
    if found[field] != wanted:
        raise StepFailed(path, found)
    return found


def _sale(running: Running, folder: Path, shop: MerchantClient) -> JsonObject:
    session = shop.create_session(SALE_TIYN, description="A bicycle")
    pay.pay(running, folder, session["id"], HOME, "resident", None)
    final: JsonObject = wait_for(
        "the payment to be captured",
        lambda: shop.session(session["id"]),
        lambda found: found["payments"][0]["settlement_state"] == "unsettled",
    )
    payment: JsonObject = final["payments"][0]
    return payment


def _refund(shop: MerchantClient, payment: str) -> None:
    refund = shop.refund(payment, REFUND_TIYN, reason="A bell was missing")
    wait_for(
        "the refund to be final",
        lambda: shop.get(f"/v1/refunds/{refund['id']}"),
        lambda found: found["status"] == "completed",
    )


def _settled(shop: MerchantClient, merchant_id: str) -> JsonObject:
    made = shop.settle(merchant_id)
    settled: JsonObject = wait_for(
        "the batch to be settled and its payout with the bank",
        lambda: shop.get(f"/v1/settlements/{made['id']}"),
        lambda found: found["status"] == "settled" and found["payout"]["status"] != "pending",
    )
    return settled


def _paid_out_at_last(
    running: Running, shop: MerchantClient, steps: show.Steps, figures: _Figures
) -> None:
    """Settled; the bank sends the payout back, and the next batch pays it after all."""
    merchant_id = running.endpoints["keys"]["merchant_id"]
    settled = _settled(shop, merchant_id)
    check, payout = settled["check"], settled["payout"]
    running.quiesce()
    steps.done(
        "The day is settled: the shop's KZTE are burned, and the bank has the order",
        sum=f"{format_tenge(check['gross_tiyn'])} − refund {format_tenge(check['refunds_tiyn'])}"
        f" − fee {format_tenge(check['fees_tiyn'])} = {format_tenge(check['paid_tiyn'])}",
        **figures.show("settlement"),
    )
    running.post("/v1/sandbox/faults", {"fault": "bank.return", "times": 1}, "operator")
    to_value_date(running, payout["value_date"], steps)
    _ended(shop, payout["id"], "returned")
    running.quiesce()
    steps.done(
        "The bank sends the payout back; the fee has gone to the issuer's own account",
        **figures.show("returned payout"),
    )
    again = _settled(shop, merchant_id)
    to_value_date(running, again["payout"]["value_date"], steps)
    _ended(shop, again["payout"]["id"], "completed")
    running.quiesce()
    steps.done(
        "Settled again, it is paid out",
        opening=format_tenge(again["check"]["opening_tiyn"]),
        **figures.show("retried payout"),
    )


def _ended(shop: MerchantClient, payout: str, status: str) -> None:
    found = wait_for(
        f"the payout to be {status}",
        lambda: shop.get(f"/v1/payouts/{payout}"),
        lambda shown: shown["status"] in (status, "rejected"),
    )
    if found["status"] != status:
        raise StepFailed(f"payout {status}", found)


def _redeem(running: Running, holder: Any, steps: show.Steps, figures: _Figures) -> None:
    body = {"chain": HOME, "amount_tiyn": REDEEMED_TIYN, **PAYEE}
    asked = running.post("/v1/reserve/redemptions", body, "issuer")
    asyncio.run(holder.pay(asked["option"], asked["amount_units"]))
    path = f"/v1/reserve/redemptions/{asked['id']}"
    sent = _until(running, path, "payout_status", "sent", "rejected")
    steps.done(
        f"The resident redeems {format_tenge(REDEEMED_TIYN)}: burned, and the bank has the order",
        **figures.show("redemption"),
    )
    to_value_date(running, sent["value_date"], steps)
    _until(running, path, "payout_status", "paid", "rejected", "returned")
    steps.done("Tenge are on the resident's account", **figures.show("redeemed"))


def _move(running: Running, wallets: dict[str, Any], steps: show.Steps, figures: _Figures) -> None:
    asked = running.post(
        "/v1/reserve/moves",
        {
            "from_chain": HOME,
            "to_chain": AWAY,
            "amount_tiyn": MOVED_TIYN,
            "recipient": wallets[AWAY].address,
        },
        "issuer",
    )
    asyncio.run(wallets[HOME].pay(asked["option"], asked["amount_units"]))
    _until(running, f"/v1/reserve/moves/{asked['id']}", "mint_status", "minted", "stuck")
    said = figures.show("move")
    row = figures.rows[-1]
    steps.done(
        f"KZTE of {format_tenge(MOVED_TIYN)} move from {CHAINS[HOME]} to {CHAINS[AWAY]}",
        move=asked["id"],
        of_all_KZTE=_sum({f"on {CHAINS[chain]}": row[f"{chain}_tiyn"] for chain in CHAINS}),
        **said,
    )


def _attest(running: Running, folder: Path, steps: show.Steps, figures: _Figures) -> JsonObject:
    """Have it attested, and believe nothing but the log and its key."""
    running.quiesce()
    asked = running.post("/v1/reserve/attestations", {}, "issuer")
    made: JsonObject = wait_for(
        "the attestation to be in the log",
        lambda: running.get(f"/v1/reserve/attestations/{asked['id']}", "issuer"),
        lambda found: found["position"] is not None,
    )
    log = folder / "log"
    exports.export_url(running.endpoints["api"], running.key("regulator"), log)
    report = verify.verify(made, log, running.endpoints["log_vkey"], None)
    if not report.ok:
        raise StepFailed("attestation", report.as_json())
    steps.done(
        "Supply and reserve are attested, and the log alone gives the same figures",
        attestation=made["id"],
        reserve=f"{format_tenge(figures.before_tiyn)} at the beginning"
        f" + {format_tenge(made['reserve_tiyn'] - figures.before_tiyn)}"
        f" = {format_tenge(made['reserve_tiyn'])}",
        owed=format_tenge(made["owed_tiyn"]),
        ratio=made["ratio"],
        position=report.position,
    )
    return made
