"""Reading what people typed into the forms of contracts, supplements and projects; no business rules."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from uuid import UUID

from django.http import QueryDict
from django.utils.dateparse import parse_date

from contracts.models import Contract, ContractAllocation, ContractTerm
from contracts.services import AccountInput, ContractInput, ProjectInput, SupplementInput, TermInput
from core.errors import AmountInvalid, TreasuryError, ValidationFailed
from core.money import wire_yuan, yuan
from dashboards.errors import ChoiceInvalid, TextInvalid

TERM_FIELDS = ("stage", "ratio", "amount", "condition", "due_on")
SHARE_FIELDS = ("indicator", "amount")
ACCOUNT_FIELDS = ("account_no", "bank_name", "bank_no")
SOURCE_FIELDS = ("source", "amount")
CONTRACT_ROWS = {"terms": TERM_FIELDS, "allocations": SHARE_FIELDS, "accounts": ACCOUNT_FIELDS}
SUPPLEMENT_ROWS = {"allocations": SHARE_FIELDS, "accounts": ACCOUNT_FIELDS}
PROJECT_ROWS = {"sources": SOURCE_FIELDS}
_ROW_KEY = re.compile(r"([a-z]+)-([0-9]{1,3})-([a-z_]+)", re.ASCII)
_ROW_FIELD = re.compile(r"([a-z]+)\.([0-9]+)\.(\w+)", re.ASCII)
_PERCENT = re.compile(r"[0-9]{1,3}(\.[0-9]{1,2})?", re.ASCII)

Row = dict[str, str]


@dataclass
class RowsForm:
    """A form as text: single fields, and lists of rows such as `terms-0-stage`."""

    values: dict[str, str] = field(default_factory=dict)
    rows: dict[str, list[Row]] = field(default_factory=dict)

    @classmethod
    def from_post(cls, post: QueryDict, kinds: Mapping[str, Sequence[str]]) -> "RowsForm":
        """Read the fields and the rows of these kinds, wholly empty rows left out."""
        found: dict[str, dict[int, Row]] = {kind: {} for kind in kinds}
        values = {}
        for key, value in post.items():
            match = _ROW_KEY.fullmatch(key)
            if match is None:
                values[key] = str(value).strip()
            elif match[1] in kinds and match[3] in kinds[match[1]]:
                row = found[match[1]].setdefault(int(match[2]), dict.fromkeys(kinds[match[1]], ""))
                row[match[3]] = str(value).strip()
        rows = {
            kind: [row for _, row in sorted(numbered.items()) if any(v for k, v in row.items() if k != "condition")]
            for kind, numbered in found.items()
        }
        return cls(values, rows)

    @staticmethod
    def drawn(post: QueryDict, kind: str) -> int:
        """How many rows of a kind the page had, the empty ones too."""
        matches = (_ROW_KEY.fullmatch(key) for key in post)
        return len({match[2] for match in matches if match is not None and match[1] == kind})

    def at_least(self, kind: str, count: int, blank: Row) -> None:
        """Add empty rows to write into."""
        rows = self.rows.setdefault(kind, [])
        rows.extend(dict(blank) for _ in range(count - len(rows)))


class Reader:
    """Reads values and gathers every finding, so that a person mends them all at once."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = values
        self.found: list[TreasuryError] = []

    def text(self, name: str, where: str = "") -> str:
        value = self.values.get(name, "")
        if not value.isprintable():
            self.found.append(TextInvalid("含有不可见字符。", field=where or name))
        return value

    def amount(self, name: str, where: str = "") -> Decimal:
        return self._signed(self.values.get(name, ""), where or name, signed=False)

    def change(self, name: str, where: str = "") -> Decimal:
        """An amount that may bear a minus; 0.00 if it is left empty."""
        value = self.values.get(name, "")
        return self._signed(value, where or name, signed=True) if value else Decimal("0.00")

    def _signed(self, value: str, where: str, *, signed: bool) -> Decimal:
        try:
            if signed and value.startswith("-"):
                return -yuan(value[1:], field=where)
            return yuan(value, field=where)
        except AmountInvalid as error:
            self.found.append(error)
            return Decimal("0.00")

    def percent(self, name: str, where: str = "") -> Decimal:
        value = self.values.get(name, "")
        if not _PERCENT.fullmatch(value):
            self.found.append(ChoiceInvalid("比例写作 30 或 12.5（%）。", field=where or name))
            return Decimal("0")
        return Decimal(value) / 100

    def day(self, name: str, where: str = "") -> date:
        try:
            day = parse_date(self.values.get(name, ""))
        except ValueError:
            day = None
        if day is None:
            self.found.append(ChoiceInvalid("请填写日期，如 2026-06-15。", field=where or name))
        return day or date.min

    def optional_day(self, name: str, where: str = "") -> date | None:
        return self.day(name, where) if self.values.get(name) else None

    def check(self) -> None:
        """:raises ValidationFailed: with every finding there was."""
        if self.found:
            raise ValidationFailed(self.found)


def contract_of(form: RowsForm) -> ContractInput:
    """:raises ValidationFailed: with every field that cannot be read."""
    reader = Reader(form.values)
    given = ContractInput(
        contract_no=reader.text("contract_no"),
        title=reader.text("title"),
        plan_no=reader.text("plan_no"),
        procurement_id=reader.text("procurement_id"),
        project_code=reader.text("project_code"),
        supplier_name=reader.text("supplier_name"),
        supplier_credit_code=reader.text("supplier_credit_code"),
        total=reader.amount("total"),
        signed_on=reader.day("signed_on"),
        prepayment_cap=reader.percent("prepayment_cap"),
        interim_cap=reader.percent("interim_cap"),
        terms=tuple(_term(row, f"terms.{n}", reader) for n, row in enumerate(form.rows.get("terms", []), start=1)),
        allocations=_shares(form, reader, signed=False),
        accounts=_accounts(form, reader),
    )
    reader.check()
    return given


def supplement_of(form: RowsForm) -> SupplementInput:
    """:raises ValidationFailed: with every field that cannot be read."""
    reader = Reader(form.values)
    given = SupplementInput(
        supplement_no=reader.text("supplement_no"),
        signed_on=reader.day("signed_on"),
        reason=reader.text("reason"),
        amount_change=reader.change("amount_change"),
        allocations=_shares(form, reader, signed=True),
        accounts=_accounts(form, reader),
    )
    reader.check()
    return given


def project_of(form: RowsForm, indicator_nos: Sequence[str]) -> ProjectInput:
    """:raises ValidationFailed: with every field that cannot be read."""
    reader = Reader(form.values)
    sources = []
    for number, row in enumerate(form.rows.get("sources", []), start=1):
        one = Reader(row)
        sources.append(
            (one.text("source", f"sources.{number}.source"), one.amount("amount", f"sources.{number}.amount"))
        )
        reader.found += one.found
    given = ProjectInput(
        code=reader.text("code"),
        name=reader.text("name"),
        approval_no=reader.text("approval_no"),
        approved_estimate=reader.amount("approved_estimate"),
        retention_ratio=reader.percent("retention_ratio"),
        retention_until=reader.optional_day("retention_until"),
        sources=tuple(sources),
        indicator_nos=tuple(indicator_nos),
    )
    reader.check()
    return given


def _term(row: Row, where: str, reader: Reader) -> TermInput:
    one = Reader(row)
    term = TermInput(
        stage=one.text("stage", f"{where}.stage"),
        condition=one.text("condition", f"{where}.condition"),
        ratio=one.percent("ratio", f"{where}.ratio") if row.get("ratio") else None,
        amount=one.amount("amount", f"{where}.amount") if row.get("amount") else None,
        due_on=one.optional_day("due_on", f"{where}.due_on"),
    )
    reader.found += one.found
    return term


def _shares(form: RowsForm, reader: Reader, *, signed: bool) -> tuple[tuple[str, Decimal], ...]:
    shares = []
    for number, row in enumerate(form.rows.get("allocations", []), start=1):
        one, where = Reader(row), f"allocations.{number}"
        amount = one.change("amount", f"{where}.amount") if signed else one.amount("amount", f"{where}.amount")
        shares.append((one.text("indicator", f"{where}.indicator"), amount))
        reader.found += one.found
    return tuple(shares)


def _accounts(form: RowsForm, reader: Reader) -> tuple[AccountInput, ...]:
    accounts = []
    for number, row in enumerate(form.rows.get("accounts", []), start=1):
        one, where = Reader(row), f"accounts.{number}"
        accounts.append(AccountInput(*(one.text(name, f"{where}.{name}") for name in ACCOUNT_FIELDS)))
        reader.found += one.found
    return tuple(accounts)


def form_of(contract: Contract) -> RowsForm:
    """Fill the form from a stored draft."""
    names = ("contract_no", "title", "plan_no", "procurement_id", "supplier_name", "supplier_credit_code")
    values = {name: str(getattr(contract, name)) for name in names} | {
        "total": wire_yuan(contract.total),
        "signed_on": contract.signed_on.isoformat(),
        "project_code": contract.project.code if contract.project else "",
        "prepayment_cap": percent(contract.prepayment_cap),
        "interim_cap": percent(contract.interim_cap),
    }
    terms = [
        {
            "stage": term.stage,
            "ratio": percent(term.ratio) if term.ratio is not None else "",
            "amount": wire_yuan(term.amount) if term.ratio is None else "",
            "condition": term.condition,
            "due_on": term.due_on.isoformat() if term.due_on else "",
        }
        for term in ContractTerm.objects.filter(contract=contract)
    ]
    shares = [
        {"indicator": no, "amount": wire_yuan(amount)}
        for no, amount in ContractAllocation.objects.filter(contract=contract)
        .order_by("indicator__indicator_no")
        .values_list("indicator__indicator_no", "amount")
    ]
    accounts = [dict(account) for account in contract.supplier_accounts]
    return RowsForm(values, {"terms": terms, "allocations": shares, "accounts": accounts})


def percent(ratio: Decimal) -> str:
    """Return 0.3000 as "30" and 0.1250 as "12.5"."""
    return f"{ratio * 100:.2f}".rstrip("0").rstrip(".")


def row_id(name: str) -> str:
    """Return the id of the input a field name is about: `terms.2.amount` → `terms-1-amount`."""
    match = _ROW_FIELD.fullmatch(name)
    return f"{match[1]}-{int(match[2]) - 1}-{match[3]}" if match else name


def pk_of(values: Mapping[str, str], name: str) -> UUID | None:
    try:
        return UUID(values.get(name, ""))
    except ValueError:
        return None
