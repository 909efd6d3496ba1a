"""A bank and PBoC in a test's hand: they answer with real bytes and real signatures, through the same inbox."""

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from budget.models import QuotaNotice
from demo import world
from payments.models import PaymentRequest, Refund
from seals.certificates import parse_certificate
from seals.suites import get_suite
from tests.conftest import NOW
from vouchers import inbox
from vouchers.codec import content_text, decode_content, encode_content, encode_envelope, receipt_of
from vouchers.messages import EnvelopeBody, SignatureMark, VoucherContent
from vouchers.models import ExchangePartner, Voucher


class Partner:
    """One organisation with its key. `send` goes through the real inbox."""

    def __init__(self, pki: Path, organisation: str, password: str = "") -> None:
        self.organisation = organisation
        self.certificate = parse_certificate((pki / organisation / "cert.pem").read_bytes())
        self.suite = get_suite(self.certificate.suite_id)
        pem = (pki / organisation / "key.pem").read_bytes()
        self.key = self.suite.load_private_key(pem, password.encode() or None)
        self.serial = 0

    def sign(self, text: bytes, position: str = "yh_qm") -> SignatureMark:
        value = base64.b64encode(self.suite.sign(self.key, text)).decode()
        return SignatureMark(position, self.certificate.serial_hex, value)

    def body(self, content: VoucherContent, flag: int) -> EnvelopeBody:
        text = content_text(encode_content(content))
        return EnvelopeBody(
            adm_div_code=content.adm_div_code,
            fiscal_year=content.fiscal_year,
            voucher_type=content.voucher_type,
            voucher_no=content.voucher_no,
            flag=flag,
            return_reason="",
            attach="",
            text=text,
            signatures=(self.sign(text),),
        )

    def send(self, *bodies: EnvelopeBody, now: datetime = NOW) -> list[inbox.InboxAnswer]:
        partner = ExchangePartner.objects.get(pk=self.organisation)
        return inbox.receive(raw=encode_envelope(bodies), sender=partner, now=now)

    def receipt(
        self,
        voucher: Voucher,
        *,
        failed: Mapping[str, str] | None = None,
        line_changes: Mapping[str, Mapping[str, str]] | None = None,
        **changes: str,
    ) -> EnvelopeBody:
        """The receipt of a payment voucher: every row paid, but those in `failed` (detail id → reason).

        `changes` and `line_changes` (by detail id) overwrite what an honest bank would say.
        """
        content, _ = decode_content(bytes(voucher.text))
        failed = failed or {}
        lines: dict[str, dict[str, str]] = {}
        total = 0
        for detail in content.details:
            paid = detail["Id"] not in failed
            self.serial += 1
            amount = detail["PayAmt"] if paid else "0.00"
            total += int(amount.replace(".", ""))
            lines[detail["Id"]] = {
                "XPayAmt": amount,
                "XPayDate": "20260615",
                "XAgentBusinessNo": f"{self.organisation}{self.serial:06d}" if paid else "",
                "XAddWord": failed.get(detail["Id"], ""),
            }
        for detail_id, values in (line_changes or {}).items():
            lines[detail_id] |= values
        main = {
            "XPayAmt": f"{total // 100}.{total % 100:02d}",
            "XPayDate": "20260615",
            "XAgentBusinessNo": f"{self.organisation}M{self.serial:06d}",
        }
        return self.body(receipt_of(content, main | changes, lines), 1)

    def refund(
        self,
        number: str,
        original: PaymentRequest,
        seq: int,
        amount: str,
        *,
        kind: str = "2204",
        of: str = "",
        **changes: str,
    ) -> EnvelopeBody:
        """A refund notice for one detail; `amount` positive here, negative on the wire; `of` is the type it names."""
        detail = {
            "Id": "1",
            "AgencyCode": original.unit.code,
            "PayAmt": f"-{amount}",
            "OriVoucherNo": original.voucher_no,
            "OriVouDetailNo": str(seq),
            "AgentBusinessNo": f"R{number}",
            "Remark": "收款账户退回",
            "Hold1": of,
        }
        main = {
            "Id": number,
            "PayBankCode": "103",
            "PayAcctNo": original.payer_account.account_no,
            "PayAmt": f"-{amount}",
            "PayDate": "20260615",
        } | changes
        return self.body(self.content(kind, number, main, [detail]), 0)

    def arrival(self, number: str, notice: QuotaNotice, **changes: str) -> EnvelopeBody:
        """The bank's 2104: the quota of a notice has arrived, line by line as it was announced."""
        announced = Voucher.objects.get(pk=notice.voucher_id)
        sent, _ = decode_content(bytes(announced.text))
        tags = ("Id", "FundTypeCode", "AgencyCode", "ExpFuncCode", "AgencyAccoCode", "PlanAmt")
        main = {
            "Id": number,
            "OriVtCode": "5105",
            "OriVoucherNo": announced.voucher_no,
            **{tag: sent.main[tag] for tag in ("FundTypeCode", "PayBankCode", "SetMonth", "PlanAmt")},
        }
        lines = [{tag: line[tag] for tag in tags} for line in sent.details]
        if "PlanAmt" in changes:
            lines[0]["PlanAmt"] = changes["PlanAmt"]
        return self.body(self.content("2104", number, main | changes, lines), 0)

    def content(
        self, kind: str, number: str, main: dict[str, Any], details: Sequence[dict[str, Any]]
    ) -> VoucherContent:
        return VoucherContent(kind, number, world.REGION, world.YEAR, world.DAY, main, tuple(details))


def clearing(
    bank: Partner, pboc: Partner, number: str, lines: Sequence[tuple[PaymentRequest, int]], **changes: str
) -> tuple[EnvelopeBody, EnvelopeBody]:
    """A 2301 with one line for each (request, detail seq): the bank's document, and PBoC's receipt of it."""
    details, total = [], 0
    for position, (request, seq) in enumerate(lines, start=1):
        detail = request.details.get(seq=seq)
        total += int(detail.amount * 100)
        details.append(
            {
                "Id": str(position),
                "VoucherNo": request.voucher_no,
                "DAVoucherNo": str(seq),
                "Hold1": request.voucher_type,
                "SupDepCode": request.unit.department_code,
                "ExpFuncCode": request.indicator.function_code,
                "PayAmt": f"{detail.amount:.2f}",
                "XPayAmt": f"{detail.amount:.2f}",
            }
        )
    first = lines[0][0]
    bank_row = first.payer_account.agent_bank
    amount = f"{total // 100}.{total % 100:02d}"
    main = {
        "Id": number,
        "TreCode": "9901000000",
        "FinOrgCode": "990100000000",
        "FundTypeCode": "11",
        "PayTypeCode": first.payment_mode,
        "PayTypeName": first.get_payment_mode_display(),
        "AgentAcctNo": bank_row.clearing_account_no,
        "AgentAcctName": bank_row.name,
        "AgentAcctBankName": bank_row.name,
        "ClearAcctNo": "990100271000000001",
        "ClearAcctName": "临江市财政局",
        "ClearAcctBankName": "国家金库临江市支库",
        "PayAmt": amount,
        "PayBankName": bank_row.name,
        "PayBankNo": bank_row.bank_no,
        "XClearDate": "20260615",
        "XPayAmt": amount,
    } | changes
    asked_main = {tag: value for tag, value in main.items() if not tag.startswith("X")}
    asked = [{tag: value for tag, value in line.items() if not tag.startswith("X")} for line in details]
    return (
        bank.body(bank.content("2301", number, asked_main, asked), 0),
        pboc.body(pboc.content("2301", number, main, details), 1),
    )


def refund_clearing(
    bank: Partner, pboc: Partner, number: str, refunds: Sequence[Refund], **changes: str
) -> tuple[EnvelopeBody, EnvelopeBody]:
    """A 2302 with one line for each refund: the bank's document, and PBoC's receipt of it."""
    details, total = [], 0
    for position, refund in enumerate(refunds, start=1):
        request = refund.detail.request
        total += int(refund.amount * 100)
        details.append(
            {
                "Id": str(position),
                "VoucherNo": refund.notice_no,
                "OriVoucherNo": request.voucher_no,
                "OriVouDetailNo": str(refund.detail.seq),
                "Hold1": request.voucher_type,
                "SupDepCode": request.unit.department_code,
                "ExpFuncCode": request.indicator.function_code,
                "PayAmt": f"-{refund.amount:.2f}",
            }
        )
    first = refunds[0].detail.request
    bank_row = first.payer_account.agent_bank
    amount = f"-{total // 100}.{total % 100:02d}"
    asked = {
        "Id": number,
        "TreCode": "9901000000",
        "FinOrgCode": "990100000000",
        "FundTypeCode": "11",
        "PayTypeCode": first.payment_mode,
        "AgentAcctNo": bank_row.clearing_account_no,
        "AgentAcctName": bank_row.name,
        "ClearAcctNo": "990100271000000001",
        "ClearAcctName": "临江市财政局",
        "PayAmt": amount,
        "PayBankName": bank_row.name,
        "PayBankNo": bank_row.bank_no,
        "TKLX": "1",
    }
    done = asked | {"XClearDate": "20260615", "XPayAmt": amount} | changes
    return (
        bank.body(bank.content("2302", number, asked, details), 0),
        pboc.body(pboc.content("2302", number, done, details), 1),
    )
