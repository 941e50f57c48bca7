"""The zoo of simulated payers, as data: what each does, and the events that follow."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

PAID: Final = ("payment.confirmed", "checkout.session.completed")
STRAY: Final = ("stray.recorded",)


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
        PAID,
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
        PAID,
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
        PAID,
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
        (*PAID, "stray.recorded"),
        ("Екі рет төлеу", "Заплатить дважды", "Pay twice"),
        7,
    ),
    _payer(
        "wrong_token",
        "pays with another token than KZTE",
        STRAY,
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
        ("checkout.session.underpaid", *PAID),
        ("Екі бөлікпен", "Двумя частями", "In two parts"),
        11,
    ),
    _payer(
        "both_chains",
        "pays a half on this chain and the rest on another",
        ("checkout.session.underpaid", *PAID),
        ("Екі желіде", "В двух сетях", "On two networks"),
        12,
    ),
    _payer(
        "native_coin",
        "pays with the chain's own coin",
        STRAY,
        ("Желі монетасымен", "Монетой сети", "With the chain's coin"),
        13,
    ),
    _payer(
        "no_memo",
        "loses the memo; the reference is enough",
        PAID,
        ("Мемосыз", "Без мемо", "Without memo"),
        14,
        _NOT_HERE,
    ),
    _payer(
        "no_reference",
        "loses the reference; the memo is enough",
        PAID,
        ("Белгісіз", "Без метки", "Without reference"),
        15,
        _NOT_HERE,
    ),
    _payer(
        "bare",
        "sends to the plain address, without memo and reference: nobody knows what for",
        STRAY,
        ("Тек мекенжайға", "Просто на адрес", "To the bare address"),
        16,
        _NOT_HERE,
    ),
    _payer(
        "extra",
        "pays with a wallet that adds something of its own behind the transfer",
        PAID,
        ("Әмиян өзінікін қосады", "Кошелёк добавит своё", "Wallet adds its own"),
        17,
    ),
    _payer(
        "guarded",
        "pays with a wallet that wraps the transfer in limits and a check of its own",
        PAID,
        ("Қорғалған әмиян", "Кошелёк с защитой", "Guarded wallet"),
        18,
        _NOT_HERE,
    ),
    _payer(
        "spoofed",
        "pays after a stranger sent dust elsewhere under this session's reference",
        PAID,
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
        PAID,
        ("Комиссияға ақшасыз", "Без монет на комиссию", "No coin for the fee"),
        21,
        _NO,
    ),
    _payer(
        "omnibus",
        "is an exchange: pays this session and another one in one transaction",
        PAID,
        ("Биржадан, екі шот", "С биржи, два счёта", "From an exchange, two bills"),
        22,
    ),
    _payer(
        "frozen_afterwards",
        "pays exactly and is frozen by the issuer then: refunds of it fail",
        (*PAID, "payment.captured"),
        ("Төлеген соң бұғатталады", "После оплаты заморожен", "Frozen after paying"),
        23,
        note="waits until the payment is captured and the freeze is final",
    ),
)
