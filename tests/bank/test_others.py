"""Messages as other banks write them, made by hand from the fields' rules: read or refused.

Other prefixes, optional tags, comments and line breaks, encodings, dates in other places; other
versions, batches and statuses that this bank does not take.
"""

from collections.abc import Callable
from typing import Any

import pytest

from sandbox.bank.iso20022 import errors, messages, statements
from sandbox.bank.models import Kind

RESERVE, SHOP = "KZ639480000000000001", "KZ31601A000000000001"
UETR = "8a562c67-ca16-48ba-b074-65581be6f001"
_XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'

# Halyk: prefixed, with a schema location, the original group, and a reason in words.
STATUS = f"""<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<ns2:Document xmlns:ns2="urn:iso:std:iso:20022:tech:xsd:pacs.002.001.10" {_XSI}
    xsi:schemaLocation="urn:iso:std:iso:20022:tech:xsd:pacs.002.001.10 pacs.002.001.10.xsd">
  <ns2:FIToFIPmtStsRpt>
    <ns2:GrpHdr><ns2:MsgId>HSBK/2026/77</ns2:MsgId>
      <ns2:CreDtTm>2026-11-20T14:05:09.120+05:00</ns2:CreDtTm>
      <ns2:InstgAgt><ns2:FinInstnId><ns2:BICFI>HSBKKZKX</ns2:BICFI></ns2:FinInstnId></ns2:InstgAgt>
    </ns2:GrpHdr>
    <ns2:OrgnlGrpInfAndSts><ns2:OrgnlMsgId>m-1</ns2:OrgnlMsgId>
      <ns2:OrgnlMsgNmId>pacs.008.001.08</ns2:OrgnlMsgNmId></ns2:OrgnlGrpInfAndSts>
    <!-- one payment -->
    <ns2:TxInfAndSts><ns2:StsId>77-1</ns2:StsId>
      <ns2:OrgnlInstrId>i-1</ns2:OrgnlInstrId><ns2:OrgnlEndToEndId>po_1</ns2:OrgnlEndToEndId>
      <ns2:OrgnlUETR>{UETR}</ns2:OrgnlUETR>
      <ns2:TxSts>RJCT</ns2:TxSts>
      <ns2:StsRsnInf><ns2:Orgtr><ns2:Nm>Halyk Bank</ns2:Nm></ns2:Orgtr>
        <ns2:Rsn><ns2:Cd>AC04</ns2:Cd></ns2:Rsn>
        <ns2:AddtlInf>Шот жабылған / счёт закрыт</ns2:AddtlInf></ns2:StsRsnInf>
      <ns2:AccptncDtTm>2026-11-20T14:05:00+05:00</ns2:AccptncDtTm></ns2:TxInfAndSts>
  </ns2:FIToFIPmtStsRpt>
</ns2:Document>"""

# Kaspi: no prefix, the date once for the group, amounts with one decimal, a reason of its own.
RETURN = f"""<Document xmlns="urn:iso:std:iso:20022:tech:xsd:pacs.004.001.09"><PmtRtr>
<GrpHdr><MsgId>CASP-R-1</MsgId><CreDtTm>2026-11-23T09:00:00Z</CreDtTm><NbOfTxs>1</NbOfTxs>
<TtlRtrdIntrBkSttlmAmt Ccy="KZT">79.2</TtlRtrdIntrBkSttlmAmt>
<IntrBkSttlmDt>2026-11-23</IntrBkSttlmDt><SttlmInf><SttlmMtd>CLRG</SttlmMtd></SttlmInf></GrpHdr>
<OrgnlGrpInf><OrgnlMsgId>m-1</OrgnlMsgId><OrgnlMsgNmId>pacs.008.001.08</OrgnlMsgNmId></OrgnlGrpInf>
<TxInf><RtrId>CASP-1</RtrId><OrgnlInstrId>i-1</OrgnlInstrId><OrgnlEndToEndId>po_1</OrgnlEndToEndId>
<OrgnlIntrBkSttlmAmt Ccy="KZT">79.20</OrgnlIntrBkSttlmAmt>
<RtrdIntrBkSttlmAmt Ccy="KZT">79.2</RtrdIntrBkSttlmAmt><ChrgBr>SLEV</ChrgBr>
<RtrRsnInf><Rsn><Prtry>UNKNOWN-PAYEE</Prtry></Rsn></RtrRsnInf>
<OrgnlTxRef><IntrBkSttlmDt>2026-11-20</IntrBkSttlmDt><Dbtr><Pty><Nm>Issuer</Nm></Pty></Dbtr>
<DbtrAcct><Id><IBAN>{RESERVE}</IBAN></Id><Ccy>KZT</Ccy></DbtrAcct></OrgnlTxRef></TxInf>
</PmtRtr></Document>"""

# A credit as a Russian core system writes it: windows-1251, CDATA, five decimals, ultimate payer.
NOTICE = f"""<?xml version="1.0" encoding="windows-1251"?>
<a:Document xmlns:a="urn:iso:std:iso:20022:tech:xsd:camt.054.001.08">
 <a:BkToCstmrDbtCdtNtfctn>
  <a:GrpHdr><a:MsgId>N-1</a:MsgId><a:CreDtTm>2026-11-20T10:00:01+05:00</a:CreDtTm>
   <a:MsgPgntn><a:PgNb>1</a:PgNb><a:LastPgInd>true</a:LastPgInd></a:MsgPgntn></a:GrpHdr>
  <a:Ntfctn><a:Id>N-1-1</a:Id><a:CreDtTm>2026-11-20T10:00:01+05:00</a:CreDtTm>
   <a:Acct><a:Id><a:IBAN>{RESERVE}</a:IBAN></a:Id><a:Ccy>KZT</a:Ccy><a:Nm>Reserve</a:Nm></a:Acct>
   <a:Ntry><a:NtryRef>1</a:NtryRef><a:Amt Ccy="KZT">1250.50000</a:Amt>
    <a:CdtDbtInd>CRDT</a:CdtDbtInd><a:RvslInd>false</a:RvslInd><a:Sts><a:Cd>BOOK</a:Cd></a:Sts>
    <a:BookgDt><a:DtTm>2026-11-20T10:00:00+05:00</a:DtTm></a:BookgDt>
    <a:ValDt><a:Dt>2026-11-20</a:Dt></a:ValDt><a:AcctSvcrRef>FT26324-77</a:AcctSvcrRef>
    <a:BkTxCd><a:Domn><a:Cd>PMNT</a:Cd><a:Fmly><a:Cd>RCDT</a:Cd><a:SubFmlyCd>DMCT</a:SubFmlyCd>
     </a:Fmly></a:Domn></a:BkTxCd>
    <a:NtryDtls><a:TxDtls><a:Refs><a:EndToEndId>NOTPROVIDED</a:EndToEndId>
      <a:UETR>{UETR}</a:UETR></a:Refs>
     <a:RltdPties><a:Dbtr><a:Pty><a:Nm><![CDATA[ТОО «Ромашка & Ко»]]></a:Nm></a:Pty></a:Dbtr>
      <a:DbtrAcct><a:Id><a:IBAN>{SHOP}</a:IBAN></a:Id></a:DbtrAcct>
      <a:UltmtDbtr><a:Pty><a:Nm>Иванов</a:Nm></a:Pty></a:UltmtDbtr></a:RltdPties>
     <a:RmtInf><a:Ustrd>пополнение резерва</a:Ustrd></a:RmtInf></a:TxDtls></a:NtryDtls>
   </a:Ntry></a:Ntfctn>
 </a:BkToCstmrDbtCdtNtfctn>
</a:Document>"""

_LINE = """<Ntry><NtryRef>{n}</NtryRef><Amt Ccy="KZT">{amount}</Amt><CdtDbtInd>{side}</CdtDbtInd>
<Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>2026-11-20</Dt></BookgDt><ValDt><Dt>2026-11-20</Dt></ValDt>
<AcctSvcrRef>FT-{n}</AcctSvcrRef><BkTxCd><Prtry><Cd>MEMO</Cd><Issr>BANK</Issr></Prtry></BkTxCd>
<AddtlNtryInf>по договору № {n}</AddtlNtryInf></Ntry>
"""
# A statement with further balances, an available one and one of two pages, and days of booking.
STATEMENT = f"""<?xml version='1.0' encoding='utf-8'?>
<!-- ForteBank -->
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08" {_XSI}>
<BkToCstmrStmt><GrpHdr><MsgId>IRTY-S-1</MsgId><CreDtTm>2026-11-21T00:10:00+05:00</CreDtTm></GrpHdr>
<Stmt><Id>S-1</Id><StmtPgntn><PgNb>1</PgNb><LastPgInd>true</LastPgInd></StmtPgntn>
<ElctrncSeqNb>1</ElctrncSeqNb><LglSeqNb>324</LglSeqNb><CreDtTm>2026-11-21T00:10:00+05:00</CreDtTm>
<Acct><Id><IBAN>{RESERVE}</IBAN></Id><Ccy>KZT</Ccy><Ownr><Nm>Issuer</Nm></Ownr></Acct>
<Bal><Tp><CdOrPrtry><Cd>OPBD</Cd></CdOrPrtry></Tp><Amt Ccy="KZT">100</Amt>
<CdtDbtInd>DBIT</CdtDbtInd><Dt><Dt>2026-11-20</Dt></Dt></Bal>
<Bal><Tp><CdOrPrtry><Cd>CLBD</Cd></CdOrPrtry></Tp><Amt Ccy="KZT">850.5</Amt>
<CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-11-20</Dt></Dt></Bal>
<Bal><Tp><CdOrPrtry><Cd>CLAV</Cd></CdOrPrtry></Tp><Amt Ccy="KZT">0.00</Amt>
<CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-11-20</Dt></Dt></Bal>
{_LINE.format(n=1, amount="1250.50", side="CRDT")}{_LINE.format(n=2, amount="300.00", side="DBIT")}
</Stmt></BkToCstmrStmt></Document>"""


def test_a_status_of_another_bank_is_read() -> None:
    read = messages.parse(STATUS)
    assert (read.kind, read.end_to_end_id, read.body["reason"]) == (Kind.rejected, "po_1", "AC04")
    assert read.created_at == "2026-11-20T09:05:09.120Z"


def test_a_return_of_another_bank_is_read() -> None:
    read = messages.parse(RETURN)
    assert (read.kind, read.ref) == (Kind.returned, "po_1")
    assert read.body == {
        "end_to_end_id": "po_1",
        "iban": RESERVE,
        "amount_tiyn": 7920,
        "bank_reference": "CASP-1",
        "reason": "UNKNOWN-PAYEE",
        "value_date": "2026-11-23",
        "booked_at": "2026-11-23T09:00:00.000Z",
    }


@pytest.mark.parametrize(
    "encoded",
    [
        lambda xml: xml,
        lambda xml: "\ufeff" + xml,
        lambda xml: xml.encode("windows-1251"),
        lambda xml: xml.replace("windows-1251", "UTF-16").encode("utf-16"),
        lambda xml: b"\xef\xbb\xbf" + xml.replace("windows-1251", "utf-8").encode(),
    ],
)
def test_a_notice_of_another_bank_is_read_whatever_its_bytes(
    encoded: Callable[[str], str | bytes],
) -> None:
    read = messages.parse(encoded(NOTICE))
    assert (read.kind, read.ref) == (Kind.credit_notice, "FT26324-77")
    assert read.body == {
        "iban": RESERVE,
        "currency": "KZT",
        "amount_tiyn": 125_050,
        "bank_reference": "FT26324-77",
        "value_date": "2026-11-20",
        "booked_at": "2026-11-20T05:00:00.000Z",
        "customer": "ТОО «Ромашка & Ко»",
    }


def test_a_statement_of_another_bank_is_read() -> None:
    read = statements.parse(STATEMENT)
    assert (read.iban, read.day.isoformat(), read.message_id) == (RESERVE, "2026-11-20", "IRTY-S-1")
    assert (read.opening_tiyn, read.closing_tiyn) == (-10_000, 85_050)
    assert [(one["bank_reference"], one["side"], one["amount_tiyn"]) for one in read.lines] == [
        ("FT-1", "credit", 125_050),
        ("FT-2", "debit", 30_000),
    ]


def read(xml: str) -> Any:
    return statements.parse(xml) if "BkToCstmrStmt" in xml else messages.parse(xml)


_TX = STATUS[STATUS.index("<ns2:TxInfAndSts>") : STATUS.index("</ns2:TxInfAndSts>") + 18]
_ENTRY = NOTICE[NOTICE.index("<a:Ntry>") : NOTICE.index("</a:Ntry>") + 9]
_DETAILS = NOTICE[NOTICE.index("<a:TxDtls>") : NOTICE.index("</a:TxDtls>") + 11]


@pytest.mark.parametrize(
    ("xml", "old", "new", "refusal", "said"),
    [
        # Other versions of each.
        (STATUS, "pacs.002.001.10", "pacs.002.001.03", errors.MessageUnknown, "001.03"),
        (RETURN, "pacs.004.001.09", "pacs.004.001.02", errors.MessageUnknown, "001.02"),
        (NOTICE, "camt.054.001.08", "camt.054.001.02", errors.MessageUnknown, "001.02"),
        (STATEMENT, "camt.053.001.08", "camt.053.001.02", errors.MessageUnknown, "001.02"),
        (STATUS, ' xmlns:ns2="urn:iso', ' xmlns:ns2="urn:other', errors.MessageUnknown, "other"),
        # pacs.002
        (STATUS, _TX, "", errors.TagMissing, "TxInfAndSts"),
        (STATUS, _TX, _TX + _TX, errors.TagInvalid, "more than once"),
        (STATUS, ">RJCT<", ">ACSC<", errors.TagInvalid, "ACSC"),
        (STATUS, "<ns2:Rsn><ns2:Cd>AC04</ns2:Cd></ns2:Rsn>", "", errors.TagMissing, "Rsn"),
        (STATUS, UETR, UETR.upper(), errors.TagInvalid, "UETR"),
        (STATUS, ".120+05:00", ".120", errors.TagInvalid, "time zone"),
        # pacs.004
        (RETURN, "<IntrBkSttlmDt>2026-11-23</IntrBkSttlmDt>", "", errors.TagMissing, "SttlmDt"),
        (RETURN, f"<IBAN>{RESERVE}</IBAN>", "<Othr><Id>1</Id></Othr>", errors.TagMissing, "IBAN"),
        (RETURN, '<RtrdIntrBkSttlmAmt Ccy="KZT">', '<RtrdIntrBkSttlmAmt Ccy="RUB">',
            errors.CurrencyNotTenge, "RUB"),
        (RETURN, ">79.2</Rtrd", ">79.205</Rtrd", errors.AmountNotTiyn, "79.205"),
        (RETURN, "<RtrId>CASP-1</RtrId>", "", errors.TagMissing, "RtrId"),
        # camt.054
        (NOTICE, _ENTRY, _ENTRY + _ENTRY, errors.TagInvalid, "more than once"),
        (NOTICE, _DETAILS, _DETAILS + _DETAILS, errors.TagInvalid, "more than one payment"),
        (NOTICE, "<a:Dt>2026-11-20</a:Dt>", "<a:DtTm>2026-11-20T10:00:00Z</a:DtTm>",
            errors.TagMissing, "ValDt"),
        (NOTICE, ">1250.50000<", ">1250.50001<", errors.AmountNotTiyn, "1250.50001"),
        (NOTICE, ">1250.50000<", ">1250.500000<", errors.TagInvalid, "decimals"),
        (NOTICE, ">FT26324-77<", "> FT26324-77<", errors.TagInvalid, "no reference"),
        (NOTICE, "<a:Cd>BOOK</a:Cd>", "<a:Cd>INFO</a:Cd>", errors.TagInvalid, "not booked"),
        (NOTICE, "<a:Ccy>KZT</a:Ccy>", "<a:Ccy>USD</a:Ccy>", errors.CurrencyNotTenge, "USD"),
        (NOTICE, "<a:NtryRef>1</a:NtryRef>", "<b:NtryRef xmlns:b='x'>1</b:NtryRef>",
            errors.TagUnknown, "NtryRef"),
        # camt.053
        (STATEMENT, ">OPBD<", ">PRCD<", errors.TagMissing, "OPBD"),
        (STATEMENT, ">CLAV<", ">CLBD<", errors.TagInvalid, "more than once"),
        (STATEMENT, ">850.5<", ">850.51<", errors.StatementSumWrong, "85051"),
        (STATEMENT, ">FT-2<", ">FT-1<", errors.TagInvalid, "two entries"),
        (STATEMENT, "<BookgDt><Dt>2026-11-20</Dt></BookgDt>", "", errors.TagMissing, "BookgDt"),
        (STATEMENT, "<AcctSvcrRef>FT-1</AcctSvcrRef>", "", errors.TagMissing, "AcctSvcrRef"),
        (STATEMENT, "</Stmt>", "</Stmt>" + STATEMENT[STATEMENT.index("<Stmt>") :].partition(
            "</Stmt>")[0] + "</Stmt>", errors.TagInvalid, "one account and day"),
        (STATEMENT, "BkToCstmrStmt", "BkToCstmrAcctRpt", errors.MessageRefused, ""),
    ],
)  # fmt: skip
def test_what_another_bank_may_not_write_is_refused_by_name(
    xml: str, old: str, new: str, refusal: type[errors.MessageRefused], said: str
) -> None:
    assert old in xml
    times = -1 if old == "BkToCstmrStmt" else 1
    with pytest.raises(refusal) as refused:
        read(xml.replace(old, new, times))
    assert said in refused.value.detail


def test_a_message_of_one_kind_in_the_place_of_another_is_refused() -> None:
    with pytest.raises(errors.MessageUnknown):
        messages.parse(STATEMENT)
    with pytest.raises(errors.MessageUnknown):
        statements.parse(NOTICE)
