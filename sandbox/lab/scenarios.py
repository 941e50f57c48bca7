"""What can be triggered, as data: simulated payers and scenarios, with the events that follow.

Light to import: the command line reads it for its help and completion. What runs is in `payers` and
`plays`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

ENDING_BASE: Final = 100
"""An amount's last two digits are whole tiyn, which no price in a shop has."""

_PAID: Final = ("payment.confirmed", "checkout.session.completed")
_STRAY: Final = ("stray.recorded",)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One thing that can be triggered. `events` are told unless the wallet or the chain refuses.

    `label` is its button on the payment page, by language; empty: it has none. `ending` are the
    last two digits of an amount that choose it. `refused`: codes it may be refused with, as it is
    meant to be. `is_payer`: it pays one session, a given one or one of its own.
    """

    name: str
    does: str
    events: tuple[str, ...]
    is_payer: bool = False
    label: Mapping[str, str] = field(default_factory=dict)
    ending: int | None = None
    refused: tuple[str, ...] = ()
    moves_clock: bool = False
    note: str = ""


def _payer(
    name: str,
    does: str,
    events: tuple[str, ...],
    label: tuple[str, str, str],
    ending: int | None = None,
    refused: tuple[str, ...] = (),
    *,
    moves_clock: bool = False,
    note: str = "",
) -> Scenario:
    words = dict(zip(("kk", "ru", "en"), label, strict=True))
    return Scenario(name, does, events, True, words, ending, refused, moves_clock, note)


_NO = ("payment_refused",)
_NOT_HERE = ("not_on_this_chain",)

PAYERS: Final = (
    _payer(
        "exact",
        "pays what is asked, once",
        _PAID,
        ("Дәл төлеу", "Заплатить точно", "Pay exactly"),
    ),
    _payer(
        "empty",
        "has no tokens: the wallet declines",
        (),
        ("Ақшасы жоқ", "Без денег", "No money"),
        1,
        _NO,
    ),
    _payer(
        "frozen",
        "is frozen by the issuer: the chain declines",
        (),
        ("Бұғатталған әмиян", "Замороженный кошелёк", "Frozen wallet"),
        2,
        _NO,
        note="the first time waits until the freeze is final",
    ),
    _payer(
        "resend",
        "gets no answer and sends the same signed transaction again: it counts once",
        _PAID,
        ("Жауап жоғалды, қайта жіберу", "Ответ потерян, отправить снова", "Answer lost, resend"),
        3,
    ),
    _payer(
        "short",
        "pays 1% too little, as an exchange keeps its fee",
        ("checkout.session.underpaid",),
        ("Кем төлеу", "Недоплатить", "Pay too little"),
        4,
    ),
    _payer(
        "over",
        "pays 1 ₸ too much",
        _PAID,
        ("Артық төлеу", "Переплатить", "Pay too much"),
        5,
    ),
    _payer(
        "late",
        "pays one second after the session has expired",
        ("checkout.session.expired", "stray.recorded"),
        ("Кеш төлеу", "Заплатить поздно", "Pay late"),
        6,
        moves_clock=True,
    ),
    _payer(
        "twice",
        "clicks twice: two payments of the whole amount",
        (*_PAID, "stray.recorded"),
        ("Екі рет төлеу", "Заплатить дважды", "Pay twice"),
        7,
    ),
    _payer(
        "wrong_token",
        "pays with another token than KZTE",
        _STRAY,
        ("Басқа токен", "Другой токен", "Wrong token"),
        8,
    ),
    _payer(
        "wrong_chain",
        "opens the link with a wallet of another chain, which cannot read it",
        (),
        ("Басқа желі", "Другая сеть", "Wrong network"),
        9,
        ("bad_payment_url",),
    ),
    _payer(
        "reorged",
        "pays exactly; after it is confirmed, a reorganisation takes its block away",
        ("payment.confirmed", "payment.reverted", "checkout.session.reverted", "chain.reorged"),
        ("Желі төлемді қайтарады", "Сеть отменит платёж", "The chain takes it back"),
        10,
        note="whatever else was in these blocks is lost too",
    ),
    _payer(
        "halves",
        "pays a half, then the rest",
        ("checkout.session.underpaid", *_PAID),
        ("Екі бөлікпен", "Двумя частями", "In two parts"),
        11,
    ),
    _payer(
        "both_chains",
        "pays a half on this chain and the rest on another",
        ("checkout.session.underpaid", *_PAID),
        ("Екі желіде", "В двух сетях", "On two networks"),
        12,
    ),
    _payer(
        "native_coin",
        "pays with the chain's own coin",
        _STRAY,
        ("Желі монетасымен", "Монетой сети", "With the chain's coin"),
        13,
    ),
    _payer(
        "no_memo",
        "loses the memo; the reference is enough",
        _PAID,
        ("Мемосыз", "Без мемо", "Without memo"),
        14,
        _NOT_HERE,
    ),
    _payer(
        "no_reference",
        "loses the reference; the memo is enough",
        _PAID,
        ("Белгісіз", "Без метки", "Without reference"),
        15,
        _NOT_HERE,
    ),
    _payer(
        "bare",
        "sends to the plain address, without memo and reference: nobody knows what for",
        _STRAY,
        ("Тек мекенжайға", "Просто на адрес", "To the bare address"),
        16,
        _NOT_HERE,
    ),
    _payer(
        "extra",
        "pays with a wallet that adds something of its own behind the transfer",
        _PAID,
        ("Әмиян өзінікін қосады", "Кошелёк добавит своё", "Wallet adds its own"),
        17,
    ),
    _payer(
        "guarded",
        "pays with a wallet that wraps the transfer in limits and a check of its own",
        _PAID,
        ("Қорғалған әмиян", "Кошелёк с защитой", "Guarded wallet"),
        18,
        _NOT_HERE,
    ),
    _payer(
        "spoofed",
        "pays after a stranger sent dust elsewhere under this session's reference",
        _PAID,
        ("Жалған белгіден кейін", "После ложной метки", "After a spoofed reference"),
        19,
        _NOT_HERE,
    ),
    _payer(
        "token_contract",
        "sends the tokens to the token's own contract; the token refuses, nothing moves",
        (),
        ("Токен келісімшартына", "На контракт токена", "To the token contract"),
        20,
        (*_NO, *_NOT_HERE),
    ),
    _payer(
        "no_gas",
        "has tokens and no coin: the sandbox pays the fee where it does, else the wallet declines",
        _PAID,
        ("Комиссияға ақшасыз", "Без монет на комиссию", "No coin for the fee"),
        21,
        _NO,
    ),
    _payer(
        "omnibus",
        "is an exchange: pays this session and another one in one transaction",
        _PAID,
        ("Биржадан, екі шот", "С биржи, два счёта", "From an exchange, two bills"),
        22,
    ),
    _payer(
        "frozen_afterwards",
        "pays exactly and is frozen by the issuer then: refunds of it fail",
        (*_PAID, "payment.captured"),
        ("Төлеген соң бұғатталады", "После оплаты заморожен", "Frozen after paying"),
        23,
        note="waits until the payment is captured and the freeze is final",
    ),
)

_SETTLED: Final = ("settlement.created", "settlement.burned", "settlement.settled", "payout.sent")

PLAYS: Final = (
    Scenario("session", "makes a session and leaves it open", ("checkout.session.created",)),
    Scenario(
        "session_expired",
        "makes a session and moves the clock past its end",
        ("checkout.session.created", "checkout.session.expired"),
        moves_clock=True,
    ),
    Scenario(
        "session_canceled",
        "makes a session and cancels it",
        ("checkout.session.created", "checkout.session.canceled"),
    ),
    Scenario(
        "final",
        "pays exactly and waits until the block is final",
        (*_PAID, "payment.final", "payment.captured"),
    ),
    Scenario(
        "reorg_healed",
        "pays; a reorganisation takes the block, and the new blocks have the payment again",
        ("payment.confirmed", "chain.reorged", "payment.captured"),
        note="waits until the payment is final",
    ),
    Scenario(
        "refunded",
        "pays, waits for the capture, refunds the whole",
        (*_PAID, "refund.requested", "refund.completed"),
    ),
    Scenario(
        "refund_failed",
        "pays, freezes the payer, refunds: the chain refuses, the merchant has the money again",
        (*_PAID, "refund.requested", "refund.failed"),
    ),
    Scenario(
        "overpaid_returned",
        "pays too much and sends the excess back",
        (*_PAID, "stray.recorded", "payment.resolved", "refund.completed"),
    ),
    Scenario(
        "stray_final",
        "pays with another token and waits until its block is final",
        ("stray.recorded", "stray.final"),
    ),
    Scenario(
        "stray_returned",
        "pays twice and sends the second payment back once it is final",
        (*_PAID, "stray.recorded", "stray.resolved"),
    ),
    Scenario(
        "late_accepted",
        "pays late; the merchant takes the money all the same",
        ("checkout.session.expired", "stray.recorded", "payment.resolved"),
        moves_clock=True,
    ),
    Scenario(
        "settled",
        "pays and settles: the units are burned, the bank has the payout's order",
        (*_PAID, *_SETTLED),
        note="`paid_out` moves the clock to where the bank books it",
    ),
    Scenario(
        "settle_race",
        "pays and settles ten times at once: one wins, nine find nothing to settle",
        (*_PAID, *_SETTLED),
    ),
    Scenario(
        "paid_out",
        "settles and moves the clock to the value date: the bank books payout and fee",
        (*_SETTLED, "payout.completed", "settlement.fee_paid"),
        moves_clock=True,
    ),
    Scenario(
        "payout_rejected",
        "settles while the bank rejects the order; the next batch opens with the money",
        ("settlement.settled", "payout.rejected"),
        moves_clock=True,
    ),
    Scenario(
        "payout_returned",
        "settles; the bank books the payout, and the payee's bank sends it back",
        ("settlement.settled", "payout.sent", "payout.returned"),
        moves_clock=True,
    ),
    Scenario(
        "deposit",
        "lets a payment reach the reserve account",
        ("reserve.deposit_received",),
    ),
    Scenario(
        "deposit_reversed",
        "lets a payment reach the reserve account, and the bank take it back",
        ("reserve.deposit_received", "reserve.deposit_reversed"),
    ),
    Scenario("faucet", "gives test tokens and coin to a customer", ("faucet.sent",)),
    Scenario("merchant", "signs a merchant up", ("merchant.created",)),
    Scenario("clock", "moves the clock by one minute", ("clock.moved",), moves_clock=True),
    Scenario(
        "day_ends",
        "moves the clock behind midnight in Almaty: statements are taken, the books are sealed",
        ("clock.moved", "bank.statement_received", "ledger.day_sealed"),
        moves_clock=True,
    ),
    Scenario(
        "rpc_trouble",
        "pays; the chain's node then answers nothing but errors for a while: nothing is lost",
        _PAID,
    ),
    Scenario(
        "broadcast_lost",
        "refunds while the node loses what it is sent: the worker finds out and sends anew",
        (*_PAID, "refund.requested", "refund.completed"),
        note="waits until the lost transaction can never happen any more",
    ),
)

ALL: Final = (*PAYERS, *PLAYS)
BY_NAME: Final[Mapping[str, Scenario]] = {one.name: one for one in ALL}
BY_ENDING: Final[Mapping[int, Scenario]] = {
    one.ending: one for one in PAYERS if one.ending is not None
}

BY_EVENT: Final[Mapping[str, str]] = {
    "checkout.session.created": "session",
    "checkout.session.underpaid": "short",
    "checkout.session.completed": "exact",
    "checkout.session.expired": "session_expired",
    "checkout.session.canceled": "session_canceled",
    "checkout.session.reverted": "reorged",
    "payment.confirmed": "exact",
    "payment.final": "final",
    "payment.reverted": "reorged",
    "payment.captured": "final",
    "payment.resolved": "overpaid_returned",
    "refund.requested": "refunded",
    "refund.completed": "refunded",
    "refund.failed": "refund_failed",
    "stray.recorded": "twice",
    "stray.resolved": "stray_returned",
    "stray.final": "stray_final",
    "settlement.created": "settled",
    "settlement.burned": "settled",
    "settlement.settled": "settled",
    "settlement.fee_paid": "paid_out",
    "payout.sent": "settled",
    "payout.completed": "paid_out",
    "payout.rejected": "payout_rejected",
    "payout.returned": "payout_returned",
    "merchant.created": "merchant",
    "reserve.deposit_received": "deposit",
    "reserve.deposit_reversed": "deposit_reversed",
    "chain.reorged": "reorged",
    "faucet.sent": "faucet",
    "clock.moved": "clock",
    "bank.statement_received": "day_ends",
    "ledger.day_sealed": "day_ends",
}
"""Event type → the scenario that ends with it most directly."""


def payer_for(amount_tiyn: int) -> Scenario:
    """The payer that an amount asks for by its last two digits; usually `exact`."""
    return BY_ENDING.get(amount_tiyn % ENDING_BASE, BY_NAME["exact"])


def named(name: str) -> Scenario | None:
    """The scenario of this name, or the one that brings about the event of this type."""
    return BY_NAME.get(BY_EVENT.get(name, name))
