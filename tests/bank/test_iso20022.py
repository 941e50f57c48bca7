"""ISO 20022 messages: what is refused by name, messages of others, and every round trip."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.bank.errors import PaymentCodeInvalid
from sandbox.bank.iso20022 import errors, messages, statements, values
from sandbox.bank.models import Kind
from sandbox.core.errors import SandboxError

AT = datetime(2026, 11, 19, 7, tzinfo=UTC)
RESERVE, SHOP = "KZ639480000000000001", "KZ31601A000000000001"

references = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=35)
bank_references = st.text(
    st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=64
)
names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=140).filter(
    values.is_text
)
amounts = st.integers(1, 10**15)
days = st.dates(date(2024, 1, 1), date(2030, 12, 31)).map(date.isoformat)
moments = st.datetimes(datetime(2024, 1, 1), datetime(2030, 12, 31)).map(
    lambda at: at.isoformat(timespec="milliseconds") + "Z"
)
ibans = st.sampled_from([RESERVE, SHOP, "KZ41722C000000000001"])
reasons = st.sampled_from(["AC01", "AC04", "AM04", "MS03"])

BODIES: dict[Kind, st.SearchStrategy[dict[str, Any]]] = {
    Kind.credit_transfer: st.fixed_dictionaries(
        {
            "end_to_end_id": references,
            "debtor_iban": ibans,
            "debtor_name": names,
            "creditor_iban": ibans,
            "creditor": references,
            "creditor_name": names,
            "amount_tiyn": amounts,
            "currency": st.just("KZT"),
            "value_date": days,
            "knp": st.sampled_from(["710", "859", "010"]),
            "kod": st.sampled_from(["15", "24"]),
            "kbe": st.sampled_from(["17", "19", "29"]),
            "rail": st.sampled_from(["rtgs", "instant"]),
        }
    ).map(lambda body: {**body, "uetr": values.uetr(body["end_to_end_id"])}),
    Kind.accepted: st.fixed_dictionaries({"end_to_end_id": references, "reason": st.none()}),
    Kind.queued: st.fixed_dictionaries({"end_to_end_id": references, "reason": st.none()}),
    Kind.rejected: st.fixed_dictionaries({"end_to_end_id": references, "reason": reasons}),
    Kind.returned: st.fixed_dictionaries(
        {
            "end_to_end_id": references,
            "iban": ibans,
            "amount_tiyn": amounts,
            "bank_reference": references,
            "reason": reasons,
            "value_date": days,
            "booked_at": moments,
        }
    ),
    Kind.credit_notice: st.fixed_dictionaries(
        {
            "iban": ibans,
            "amount_tiyn": amounts,
            "currency": st.just("KZT"),
            "bank_reference": bank_references,
            "customer": names,
            "value_date": days,
            "booked_at": moments,
        }
    ),
    Kind.debit_notice: st.fixed_dictionaries(
        {
            "iban": ibans,
            "creditor_iban": ibans,
            "amount_tiyn": amounts,
            "currency": st.just("KZT"),
            "bank_reference": references,
            "end_to_end_id": references,
            "value_date": days,
            "booked_at": moments,
        }
    ),
    Kind.pending_notice: st.fixed_dictionaries(
        {
            "iban": ibans,
            "amount_tiyn": amounts,
            "currency": st.just("KZT"),
            "bank_reference": bank_references,
            "customer": names,
        }
    ),
    Kind.reversal_notice: st.fixed_dictionaries(
        {
            "iban": ibans,
            "amount_tiyn": amounts,
            "currency": st.just("KZT"),
            "bank_reference": references,
            "reversed_reference": bank_references,
            "customer": names,
            "booked_at": moments,
        }
    ),
}


def ref_of(kind: Kind, body: dict[str, Any]) -> str:
    if kind == Kind.reversal_notice:
        return str(body["reversed_reference"])
    return str(body["bank_reference" if kind.startswith("camt") else "end_to_end_id"])


ORDER: dict[str, Any] = {
    "end_to_end_id": "po_1",
    "uetr": values.uetr("po_1"),
    "debtor_iban": RESERVE,
    "debtor_name": "KZTE issuer",
    "creditor_iban": SHOP,
    "creditor": "mch_shop",
    "creditor_name": "Кітап әлемі",
    "amount_tiyn": 7920,
    "currency": "KZT",
    "value_date": "2026-11-20",
    "knp": "710",
    "kod": "15",
    "kbe": "17",
    "rail": "rtgs",
}
XML = messages.build(Kind.credit_transfer, "po_1", ORDER, AT)


@pytest.mark.parametrize(
    ("old", "new", "refusal"),
    [
        ("<?xml", '<!DOCTYPE x [<!ENTITY a "b">]><?xml', errors.MessageUnsafe),
        ("Кітап әлемі", "&a;", errors.MessageNotXml),
        ("</Document>", "", errors.MessageNotXml),
        ("pacs.008.001.08", "pacs.008.001.99", errors.MessageUnknown),
        ("pacs.008.001.08", "pain.001.001.09", errors.MessageUnknown),
        ("<ChrgBr>SLEV</ChrgBr>", "<ChrgBr>SLEV</ChrgBr><Colour>red</Colour>", errors.TagUnknown),
        ("<ChrgBr>SLEV</ChrgBr>", "", errors.TagMissing),
        ("<IntrBkSttlmDt>2026-11-20</IntrBkSttlmDt>", "", errors.TagMissing),
        ("<ChrgBr>SLEV</ChrgBr>", "<ChrgBr>NONE</ChrgBr>", errors.TagInvalid),
        ("<ChrgBr>SLEV</ChrgBr>", "<ChrgBr>SLEV</ChrgBr><ChrgBr>SLEV</ChrgBr>", errors.TagOrder),
        (
            "<EndToEndId>po_1</EndToEndId>",
            "",
            errors.TagMissing,
        ),
        (
            "<NbOfTxs>1</NbOfTxs><SttlmInf>",
            "<SttlmInf><SttlmMtd>CLRG</SttlmMtd></SttlmInf><NbOfTxs>1</NbOfTxs><SttlmInf>",
            errors.TagOrder,
        ),
        ("<NbOfTxs>1</NbOfTxs>", "<NbOfTxs>2</NbOfTxs>", errors.TagInvalid),
        (">po_1<", f">{'x' * 36}<", errors.TagInvalid),
        ('Ccy="KZT"', 'Ccy="USD"', errors.CurrencyNotTenge),
        ('Ccy="KZT"', 'Ccy="KZTE"', errors.CurrencyNotTenge),
        ('Ccy="KZT"', "", errors.TagMissing),
        (">79.20<", ">79.201<", errors.AmountNotTiyn),
        (">79.20<", ">0.00<", errors.AmountNotTiyn),
        (">79.20<", ">-1.00<", errors.AmountNotTiyn),
        (">79.20<", ">7.9e1<", errors.TagInvalid),
        (">79.20<", ">79,20<", errors.TagInvalid),
        (">79.20<", ">1\u00a0250.50<", errors.TagInvalid),
        (">79.20<", ">1\u202f250.50<", errors.TagInvalid),
        (">79.20<", ">1 250.50<", errors.TagInvalid),
        (">79.20<", ">NaN<", errors.TagInvalid),
        (">79.20<", ">1234567890123456789<", errors.TagInvalid),
        (">2026-11-20<", ">2026-02-30<", errors.TagInvalid),
        (values.uetr("po_1"), "01890a5d-ac96-774b-bcce-b302099a8057", errors.TagInvalid),
        (f"<DbtrAcct><Id><IBAN>{RESERVE}</IBAN></Id></DbtrAcct>", "", errors.TagMissing),
        ("<Purp><Prtry>710</Prtry></Purp>", "", PaymentCodeInvalid),
        ("<Dtls><Tp>KBE</Tp><Cd>17</Cd></Dtls>", "", PaymentCodeInvalid),
        (">ISMT<", ">SWIFT<", errors.TagInvalid),
    ],
)
def test_a_malformed_payment_is_refused_by_name(
    old: str, new: str, refusal: type[SandboxError]
) -> None:
    assert old in XML
    changed = XML.replace(old, new, 1)
    if new.startswith("<!DOCTYPE"):
        changed = XML.split("?>", 1)[0] + "?>" + new.split("<?xml")[0] + XML.split("?>", 1)[1]
    with pytest.raises(refusal):
        messages.parse(changed)


def test_a_message_without_an_end_is_refused_unread() -> None:
    with pytest.raises(errors.MessageTooLarge):
        messages.parse(XML.replace("</Document>", " " * 300_000 + "</Document>"))


def test_entities_that_grow_or_name_files_are_refused() -> None:
    bomb = '<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    for declared, used in (
        (bomb, "&b;"),
        ('<!DOCTYPE d [<!ENTITY f SYSTEM "/etc/passwd">]>', "&f;"),
    ):
        xml = XML.replace("Кітап әлемі", used).replace("?>", f"?>{declared}", 1)
        with pytest.raises(errors.MessageUnsafe):
            messages.parse(xml)
        with pytest.raises(errors.MessageUnsafe):
            messages.parse(xml.replace("UTF-8", "UTF-16").encode("utf-16"))


def test_there_is_a_round_trip_of_every_message() -> None:
    assert set(BODIES) == set(Kind)


@pytest.mark.parametrize("kind", list(BODIES))
def test_every_message_says_what_its_body_says(kind: Kind) -> None:
    @given(body=BODIES[kind])
    @settings(max_examples=40, deadline=None)
    def round_trip(body: dict[str, Any]) -> None:
        ref = ref_of(kind, body)
        parsed = messages.parse(messages.build(kind, ref, body, AT))
        assert (parsed.kind, parsed.ref, parsed.body) == (kind, ref, body)
        assert len(parsed.message_id) <= 35

    round_trip()


OTHERS = f"""<p:Document xmlns:p="urn:iso:std:iso:20022:tech:xsd:pacs.008.001.08"
    xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <!-- of another bank -->
  <p:FIToFICstmrCdtTrf>
    <p:GrpHdr><p:MsgId>HSBK-77</p:MsgId><p:CreDtTm>2026-11-20T10:00:00+05:00</p:CreDtTm>
      <p:BtchBookg>false</p:BtchBookg><p:NbOfTxs>1</p:NbOfTxs>
      <p:IntrBkSttlmDt>2026-11-20</p:IntrBkSttlmDt>
      <p:SttlmInf><p:SttlmMtd>CLRG</p:SttlmMtd></p:SttlmInf></p:GrpHdr>
    <p:CdtTrfTxInf><p:PmtId><p:InstrId>i</p:InstrId><p:EndToEndId>NOTPROVIDED-1</p:EndToEndId></p:PmtId>
      <p:IntrBkSttlmAmt Ccy="KZT">1250.5</p:IntrBkSttlmAmt><p:ChrgBr>SHAR</p:ChrgBr>
      <p:Dbtr><p:Nm>ТОО Ромашка</p:Nm><p:CtryOfRes>KZ</p:CtryOfRes></p:Dbtr>
      <p:DbtrAcct><p:Id><p:IBAN>{SHOP}</p:IBAN></p:Id><p:Ccy>KZT</p:Ccy></p:DbtrAcct>
      <p:DbtrAgt><p:FinInstnId><p:BICFI>HSBKKZKX</p:BICFI></p:FinInstnId></p:DbtrAgt>
      <p:CdtrAgt><p:FinInstnId><p:BICFI>EURIKZKA</p:BICFI></p:FinInstnId></p:CdtrAgt>
      <p:Cdtr><p:Nm>Issuer</p:Nm></p:Cdtr>
      <p:CdtrAcct><p:Id><p:IBAN>{RESERVE}</p:IBAN></p:Id></p:CdtrAcct>
      <p:Purp><p:Prtry>859</p:Prtry></p:Purp>
      <p:RgltryRptg><p:Dtls><p:Tp>KOD</p:Tp><p:Cd>17</p:Cd></p:Dtls></p:RgltryRptg>
      <p:RgltryRptg><p:Dtls><p:Tp>KBE</p:Tp><p:Cd>15</p:Cd></p:Dtls></p:RgltryRptg>
      <p:RmtInf><p:Ustrd>за книги</p:Ustrd></p:RmtInf></p:CdtTrfTxInf>
  </p:FIToFICstmrCdtTrf></p:Document>"""


def test_a_payment_of_another_bank_is_read() -> None:
    parsed = messages.parse(OTHERS)
    assert parsed.body["amount_tiyn"] == 125_050
    assert parsed.body["value_date"] == "2026-11-20"
    assert (parsed.body["knp"], parsed.body["kod"], parsed.body["kbe"]) == ("859", "17", "15")
    assert parsed.created_at == "2026-11-20T05:00:00.000Z"


lines = st.lists(
    st.fixed_dictionaries(
        {
            "ref": bank_references,
            "end_to_end_id": st.none() | references,
            "amount_tiyn": st.integers(1, 10**13),
            "side": st.sampled_from(["credit", "debit"]),
            "value_date": days,
            "booked_at": moments,
        }
    ),
    max_size=6,
    unique_by=lambda line: line["ref"],
)


def statement(opening_tiyn: int, given_lines: list[dict[str, Any]], day: str) -> dict[str, Any]:
    moved = sum(
        one["amount_tiyn"] if one["side"] == "credit" else -one["amount_tiyn"]
        for one in given_lines
    )
    return {
        "iban": RESERVE,
        "date": day,
        "opening_tiyn": opening_tiyn,
        "closing_tiyn": opening_tiyn + moved,
        "lines": given_lines,
    }


@given(made=lines, opening=st.integers(-(10**13), 10**13), day=days)
@settings(max_examples=40, deadline=None)
def test_a_statement_says_what_was_booked(
    made: list[dict[str, Any]], opening: int, day: str
) -> None:
    whole = statement(opening, made, day)
    read = statements.parse(statements.build(whole, AT))
    assert (read.iban, read.day.isoformat()) == (RESERVE, day)
    assert (read.opening_tiyn, read.closing_tiyn) == (opening, whole["closing_tiyn"])
    told = [
        (one["bank_reference"], one["side"], one["amount_tiyn"], one["end_to_end_id"])
        for one in read.lines
    ]
    assert told == [
        (one["ref"], one["side"], one["amount_tiyn"], one["end_to_end_id"]) for one in made
    ]


LINE = {
    "ref": "r1",
    "end_to_end_id": None,
    "amount_tiyn": 100,
    "side": "credit",
    "value_date": "2026-11-19",
    "booked_at": "2026-11-19T07:00:00.000Z",
}
DAY = statements.build(statement(500, [LINE], "2026-11-19"), AT)


@pytest.mark.parametrize(
    ("old", "new", "refusal"),
    [
        (">6.00<", ">7.00<", errors.StatementSumWrong),
        ("<Cd>OPBD</Cd>", "<Cd>ITBD</Cd>", errors.TagMissing),
        ("<Sum>1.00</Sum>", "<Sum>2.00</Sum>", errors.TagInvalid),
        ("<NbOfNtries>1<", "<NbOfNtries>2<", errors.TagInvalid),
        ('Ccy="KZT">1.00<', 'Ccy="USD">1.00<', errors.CurrencyNotTenge),
        ("<Ccy>KZT</Ccy>", "<Ccy>USD</Ccy>", errors.CurrencyNotTenge),
        ("<Sts><Cd>BOOK</Cd></Sts>", "<Sts><Cd>PDNG</Cd></Sts>", errors.TagInvalid),
    ],
)
def test_a_statement_that_does_not_add_up_is_refused_by_name(
    old: str, new: str, refusal: type[SandboxError]
) -> None:
    assert old in DAY
    with pytest.raises(refusal):
        statements.parse(DAY.replace(old, new, 1))


def test_a_statement_of_another_account_twice_out_of_order_or_with_a_gap_is_refused() -> None:
    read = statements.parse(DAY)
    with pytest.raises(errors.StatementOtherAccount):
        statements.check_follows(SHOP, None, read)
    with pytest.raises(errors.StatementTwice):
        statements.check_follows(RESERVE, (date(2026, 11, 19), 600), read)
    with pytest.raises(errors.StatementOutOfOrder):
        statements.check_follows(RESERVE, (date(2026, 11, 20), 600), read)
    with pytest.raises(errors.StatementGap):
        statements.check_follows(RESERVE, (date(2026, 11, 18), 499), read)
    statements.check_follows(RESERVE, (date(2026, 11, 17), 500), read)
    statements.check_follows(RESERVE, None, read)
