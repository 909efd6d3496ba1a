"""Reading what people typed: text as it stands, amounts strictly, choices by their codes; no business rules."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from django.http import QueryDict

from core.errors import AmountInvalid, TreasuryError, ValidationFailed
from core.money import wire_yuan, yuan
from dashboards.acting import uuid_or_none
from dashboards.errors import ChoiceInvalid, TextInvalid
from payments.drafting import reissuable_amount
from payments.models import InvoiceUse, PaymentDetail, PaymentRequest
from payments.services import DetailInput, InvoiceInput, RequestInput

FIELDS = (
    *("indicator", "business_type", "settlement", "dept_economic_code", "purpose", "contract_no", "cash_reason"),
    *("cash_purpose", "beneficiary_unit"),
)
REFERRING = ("indicator", "beneficiary_unit")  # a row, by its id
EXTRA = "extra-"  # before the key of an extension field
LINE_FIELDS = (
    *("payee_name", "payee_account_no", "payee_bank_name", "payee_bank_no", "amount", "remark"),
    *("reference", "reissue_of"),
)
INVOICE_FIELDS = ("code", "number", "amount", "seller_name", "seller_tax_id", "issued_on")
LABELS = {
    "indicator": "指标",
    "business_type": "业务类型",
    "settlement": "结算方式",
    "dept_economic_code": "部门经济分类",
    "purpose": "用途",
    "contract_no": "合同编号",
    "cash_reason": "现金理由",
    "cash_purpose": "现金用途",
    "beneficiary_unit": "受益单位",
    "payee_name": "收款人",
    "payee_account_no": "收款账号",
    "payee_bank_name": "收款银行",
    "payee_bank_no": "收款行号",
    "amount": "金额",
    "remark": "备注",
    "reference": "业务凭据号",
    "details": "收款明细",
    "code": "发票代码",
    "number": "发票号码",
    "seller_name": "销售方",
    "seller_tax_id": "销售方税号",
    "issued_on": "开票日期",
}
_LINE_KEY = re.compile(r"lines-([0-9]{1,4})-(" + "|".join(LINE_FIELDS) + r")", re.ASCII)
_INVOICE_KEY = re.compile(r"invoices-([0-9]{1,4})-(" + "|".join(INVOICE_FIELDS) + r")", re.ASCII)
_DETAIL_FIELD = re.compile(r"details\.([0-9]+)\.(\w+)", re.ASCII)
_INVOICE_FIELD = re.compile(r"invoices\.([0-9]+)\.(\w+)", re.ASCII)

Line = dict[str, str]


@dataclass
class PaymentForm:
    """A payment request as text: what stands in the fields, one dictionary for each payee line and each invoice."""

    values: dict[str, str] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    invoices: list[Line] = field(default_factory=list)
    extra: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_post(cls, post: QueryDict) -> "PaymentForm":
        """Read the fields; payee lines are `lines-N-<field>`, invoices `invoices-N-<field>`, in the order of N, wholly
        empty ones left out; extension fields are `extra-<key>`."""
        values = {name: post.get(name, "").strip() for name in FIELDS}
        invoices = _rows(post, _INVOICE_KEY, INVOICE_FIELDS)
        return cls(values, _rows(post, _LINE_KEY, LINE_FIELDS), invoices, _extra(post))

    @classmethod
    def from_request(cls, request: PaymentRequest) -> "PaymentForm":
        """Fill the form from a stored request."""
        values = {name: str(getattr(request, name)) for name in FIELDS if name not in REFERRING}
        details = list(request.details.all())
        repeated = dict(PaymentDetail.objects.filter(reissued_as__in=details).values_list("reissued_as_id", "pk"))
        lines = [_line(detail, repeated.get(detail.pk)) for detail in details]
        referred = {name: str(getattr(request, f"{name}_id") or "") for name in REFERRING}
        invoices = [_invoice_line(use) for use in request.invoices.all()]
        return cls({**referred, **values}, lines, invoices, dict(request.extra))

    @classmethod
    def repeating(cls, request: PaymentRequest, failed: list[PaymentDetail]) -> "PaymentForm":
        """Fill a new form with what failed or came back of a request."""
        form = cls.from_request(request)
        form.lines = [_line(detail, detail.pk) | {"amount": wire_yuan(reissuable_amount(detail))} for detail in failed]
        return form

    def overlaid(self, post: QueryDict) -> "PaymentForm":
        """Return this form with what was posted put over it: a field that was not posted keeps its value."""
        values = {name: post.get(name, value).strip() for name, value in self.values.items()}
        lines = [
            {name: post.get(f"lines-{number}-{name}", value).strip() for name, value in line.items()}
            for number, line in enumerate(self.lines)
            if not post.get(f"lines-{number}-left_out")
        ]
        invoices = [
            {name: post.get(f"invoices-{number}-{name}", value).strip() for name, value in line.items()}
            for number, line in enumerate(self.invoices)
        ]
        kept = [line for line in invoices if any(line.values())]
        return PaymentForm(values, lines, kept, self.extra | _extra(post))

    def parse(self) -> RequestInput:
        """Return the input of the service.

        :raises ValidationFailed: with every amount, choice or text that cannot be read.
        """
        found: list[TreasuryError] = [
            e for name in FIELDS for e in _text_findings(self.values.get(name, ""), name, LABELS[name])
        ]
        indicator_id = uuid_or_none(self.values.get("indicator"))
        if indicator_id is None:
            found.append(ChoiceInvalid("请选择指标。", field="indicator_id"))
        beneficiary = uuid_or_none(self.values.get("beneficiary_unit"))
        found += [e for key, value in self.extra.items() for e in _text_findings(value, f"extra.{key}", "扩展信息")]
        details = tuple(self._detail(number, line, found) for number, line in enumerate(self.lines, start=1))
        invoices = tuple(_invoice(number, line, found) for number, line in enumerate(self.invoices, start=1))
        if found or indicator_id is None:
            raise ValidationFailed(found)
        rest = {name: self.values[name] for name in FIELDS if name not in REFERRING}
        return RequestInput(
            indicator_id=indicator_id,
            beneficiary_unit_id=beneficiary,
            details=details,
            invoices=invoices,
            extra={key: value for key, value in self.extra.items() if value},
            **rest,
        )

    @staticmethod
    def _detail(number: int, line: Line, found: list[TreasuryError]) -> DetailInput:
        where = f"details.{number}"
        for name in LINE_FIELDS:
            found += _text_findings(line[name], f"{where}.{name}", f"第 {number} 行{LABELS.get(name, '')}")
        amount = Decimal("0.00")
        try:
            amount = yuan(line["amount"], field=f"{where}.amount")
        except AmountInvalid as error:
            found.append(AmountInvalid(f"第 {number} 行{error.message}", field=error.field, **error.facts))
        return DetailInput(
            amount=amount,
            reissue_of=uuid_or_none(line["reissue_of"]),
            **{name: line[name] for name in LINE_FIELDS if name not in ("amount", "reissue_of")},
        )

    @property
    def total(self) -> Decimal:
        """The sum of the amounts that can be read, for the panel beside the form."""
        total = Decimal("0.00")
        for line in self.lines:
            try:
                total += yuan(line["amount"])
            except AmountInvalid:
                continue
        return total


def _extra(post: QueryDict) -> dict[str, str]:
    return {key.removeprefix(EXTRA): str(value).strip() for key, value in post.items() if key.startswith(EXTRA)}


def _line(detail: PaymentDetail, reissue_of: UUID | None) -> Line:
    line = {name: str(getattr(detail, name)) for name in LINE_FIELDS if name not in ("amount", "reissue_of")}
    return line | {"amount": wire_yuan(detail.amount), "reissue_of": str(reissue_of or "")}


def _rows(post: QueryDict, key_form: re.Pattern[str], fields: tuple[str, ...]) -> list[Line]:
    rows: dict[int, Line] = {}
    for key, value in post.items():
        match = key_form.fullmatch(key)
        if match:
            rows.setdefault(int(match[1]), dict.fromkeys(fields, ""))[match[2]] = str(value).strip()
    return [rows[number] for number in sorted(rows) if any(rows[number].values())]


def _invoice_line(use: InvoiceUse) -> Line:
    texts = {name: str(getattr(use, name)) for name in INVOICE_FIELDS}
    return texts | {"amount": wire_yuan(use.amount), "issued_on": use.issued_on.isoformat()}


def _invoice(number: int, line: Line, found: list[TreasuryError]) -> InvoiceInput:
    where = f"invoices.{number}"
    for name in INVOICE_FIELDS:
        found += _text_findings(line[name], f"{where}.{name}", LABELS[name])
    amount, issued_on = Decimal("0.00"), date.min
    try:
        amount = yuan(line["amount"], field=f"{where}.amount")
    except AmountInvalid as error:
        found.append(error)
    try:
        issued_on = datetime.strptime(line["issued_on"], "%Y-%m-%d").date()
    except ValueError:
        found.append(TextInvalid("开票日期应写作 2026-06-15。", field=f"{where}.issued_on"))
    rest = {name: line[name] for name in INVOICE_FIELDS if name not in ("amount", "issued_on")}
    return InvoiceInput(amount=amount, issued_on=issued_on, **rest)


def _text_findings(value: str, name: str, label: str) -> list[TreasuryError]:
    if value.isprintable():
        return []
    return [TextInvalid(f"{label}含有不可见字符。", field=name)]


def html_id(name: str) -> str:
    """Return the id of the input a service's field name is about: `details.2.amount` → `lines-1-amount`."""
    match = _DETAIL_FIELD.fullmatch(name)
    if match:
        return f"lines-{int(match[1]) - 1}-{match[2]}"
    if name.startswith("extra."):
        return EXTRA + name.removeprefix("extra.")
    match = _INVOICE_FIELD.fullmatch(name)
    if match:
        return f"invoices-{int(match[1]) - 1}-{match[2]}"
    named = {"indicator_id": "indicator", "beneficiary_unit_id": "beneficiary_unit"}
    return (named | dict.fromkeys(("details", "amount", "reissue_of"), "lines")).get(name, name)


def at_line(name: str, message: str) -> str:
    """Return a finding with the number of the payee line it is about, if it is about one."""
    invoice = _INVOICE_FIELD.fullmatch(name)
    if invoice:
        return f"第 {invoice[1]} 张发票：{message}"
    match = _DETAIL_FIELD.fullmatch(name)
    return f"第 {match[1]} 行：{message}" if match and not message.startswith("第 ") else message


def text_of(post: Mapping[str, str], name: str, label: str, *, most: int = 300) -> str:
    """Return one line of text; line breaks become spaces.

    :raises TextInvalid: for control characters or more than `most` characters.
    """
    value = " ".join(post.get(name, "").split())
    if not value.isprintable():
        raise TextInvalid(f"{label}含有不可见字符。", field=name)
    if len(value) > most:
        raise TextInvalid(f"{label}过长（最多 {most} 字）。", field=name)
    return value


def amount_of(post: Mapping[str, str], name: str = "amount") -> Decimal:
    """:raises AmountInvalid: for any spelling but "1234.50"."""
    return yuan(post.get(name, "").strip(), field=name)


def uuid_of(post: Mapping[str, str], name: str, label: str) -> UUID:
    """:raises ChoiceInvalid: unless the field holds an id."""
    found = uuid_or_none(post.get(name))
    if found is None:
        raise ChoiceInvalid(f"请选择{label}。", field=name)
    return found


def month_of(post: Mapping[str, str], name: str = "month") -> int:
    """:raises ChoiceInvalid: unless the field holds 1 to 12."""
    text = post.get(name, "").strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 2 and 1 <= int(text) <= 12):
        raise ChoiceInvalid("月份应为 1 至 12。", field=name)
    return int(text)
