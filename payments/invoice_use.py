"""Invoices a request rests on: written down with it, frozen with it, and used once among live requests.

Whether an invoice is taken is derived from the requests under a lock on the invoice's row; there is no flag that could
drift. Source: docs/attachments.md.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db import connection

from attachments.models import Invoice
from core.batch import copy_rows, update_from_values
from core.errors import AmountInvalid, TreasuryError
from core.money import check_positive
from monitoring.facts import InvoiceFacts
from payments.content import Details
from payments.errors import FieldInvalid, InvoiceUsed
from payments.models import InvoiceUse, PaymentRequest
from payments.rules import optional_text
from payments.states import LIVE

MOST_INVOICES = 100
_CODE = re.compile(r"([0-9]{10}|[0-9]{12})?", re.ASCII)
_NUMBER = re.compile(r"[0-9]{8}|[0-9]{20}", re.ASCII)
_TAX_ID = re.compile(r"[0-9A-Z]{15,20}", re.ASCII)
Key = tuple[str, str, str]  # region, code, number


@dataclass(frozen=True)
class InvoiceInput:
    """One invoice as the clerk reads it from the paper; `code` is empty for the new electronic kind."""

    number: str
    amount: Decimal
    seller_name: str
    seller_tax_id: str
    issued_on: date
    code: str = ""


# Writing them down --------------------------------------------------------------------------------------------------


def invoice_findings(given: Sequence[InvoiceInput]) -> list[TreasuryError]:
    """Return everything the clerk has to mend, each naming its field. Pure."""
    found: list[TreasuryError] = []
    if len(given) > MOST_INVOICES:
        found.append(FieldInvalid(f"一张申请最多 {MOST_INVOICES} 张发票。", field="invoices", given=len(given)))
    for index, invoice in enumerate(given, start=1):
        found += _findings(f"invoices.{index}", invoice)
    repeated = [key for key, times in Counter((i.code, i.number) for i in given).items() if times > 1]
    found += [FieldInvalid(f"发票 {_spelled(*key)} 填了两次。", field="invoices") for key in repeated]
    return found


def _findings(where: str, invoice: InvoiceInput) -> list[TreasuryError]:
    found: list[TreasuryError] = []
    if not _CODE.fullmatch(invoice.code):
        found.append(FieldInvalid("发票代码应为 10 或 12 位数字；数电票没有代码。", field=f"{where}.code"))
    if not _NUMBER.fullmatch(invoice.number):
        found.append(FieldInvalid("发票号码应为 8 位数字，数电票为 20 位。", field=f"{where}.number"))
    elif (len(invoice.number) == 20) == bool(invoice.code):
        found.append(FieldInvalid("8 位号码须有发票代码，20 位号码没有代码。", field=f"{where}.code"))
    if not _TAX_ID.fullmatch(invoice.seller_tax_id):
        found.append(FieldInvalid("销售方税号应为 15 至 20 位数字或大写字母。", field=f"{where}.seller_tax_id"))
    if not invoice.seller_name.strip():
        found.append(FieldInvalid("请填写销售方。", field=f"{where}.seller_name"))
    found += optional_text(f"{where}.seller_name", "销售方", invoice.seller_name, 120)
    if len(invoice.seller_name) > 60:
        found.append(FieldInvalid("销售方不超过 60 字。", field=f"{where}.seller_name"))
    try:
        check_positive(invoice.amount, field=f"{where}.amount")
    except AmountInvalid as refusal:
        found.append(refusal)
    return found


def name_invoices(given: Sequence[tuple[PaymentRequest, Sequence[InvoiceInput]]]) -> None:
    """Write down which invoices these drafts name; one unknown to the register is entered there. A step."""
    wanted: dict[Key, InvoiceInput] = {
        (request.adm_div_code, invoice.code, invoice.number): invoice
        for request, invoices in given
        for invoice in invoices
    }
    if not wanted:
        return
    entries = [
        Invoice(adm_div_code=key[0], code=key[1], number=key[2], **_facts(wanted[key])) for key in sorted(wanted)
    ]
    Invoice.objects.bulk_create(entries, ignore_conflicts=True)
    rows = Invoice.objects.filter(adm_div_code__in={key[0] for key in wanted}, number__in={key[2] for key in wanted})
    register = {(row.adm_div_code, row.code, row.number): row for row in rows}
    copy_rows(
        [
            InvoiceUse(
                adm_div_code=request.adm_div_code,
                fiscal_year=request.fiscal_year,
                request=request,
                invoice=register[request.adm_div_code, invoice.code, invoice.number],
                seq=seq,
                code=invoice.code,
                number=invoice.number,
                **_facts(invoice),
            )
            for request, invoices in given
            for seq, invoice in enumerate(invoices, start=1)
        ]
    )


def _facts(invoice: InvoiceInput) -> dict[str, object]:
    return {
        "amount": invoice.amount,
        "seller_name": invoice.seller_name,
        "seller_tax_id": invoice.seller_tax_id,
        "issued_on": invoice.issued_on,
    }


# Used once ----------------------------------------------------------------------------------------------------------


def refusals(requests: Sequence[PaymentRequest], details: Mapping[UUID, Details]) -> dict[UUID, list[TreasuryError]]:
    """Refuse what names an invoice of another live request, or of an earlier one of this batch. A step of submitting.

    Locks the invoices in key order, so that of two submissions at one moment the second sees the first. The facts of
    an accepted request become the register's. A request and what repeats its failed rows share their invoices.
    """
    uses = [use for request in requests for use in details[request.id].invoices]
    if not uses:
        return {}
    locked = Invoice.objects.select_for_update(no_key=True).filter(pk__in={use.invoice_id for use in uses})
    list(locked.order_by("pk"))
    found: dict[UUID, list[TreasuryError]] = {}
    taken = _taken(uses)
    roots = _roots([request.id for request in requests])
    kept: list[InvoiceUse] = []
    for request in requests:
        mine = details[request.id].invoices
        for use in mine:
            other = taken.get(use.invoice_id)
            if other is not None and other.root != roots[request.id]:
                found.setdefault(request.id, []).append(
                    InvoiceUsed(
                        f"发票 {use} 已用于 {other.number}。", field=f"invoices.{use.seq}.number", used_by=other.number
                    )
                )
        if request.id not in found:
            kept += mine
            for use in mine:
                taken[use.invoice_id] = _Taken(request.request_no, roots[request.id])
    _register(kept)
    return found


def invoice_facts(requests: Sequence[PaymentRequest]) -> dict[UUID, tuple[InvoiceFacts, ...]]:
    """What the monitoring rules are told of the invoices of these requests; three queries whatever the batch."""
    uses = list(InvoiceUse.objects.filter(request__in=requests).order_by("request_id", "seq"))
    taken = _taken(uses)
    roots = _roots([request.id for request in requests])
    facts: dict[UUID, list[InvoiceFacts]] = defaultdict(list)
    for use in uses:
        other = taken.get(use.invoice_id)
        used_by = other.number if other is not None and other.root != roots[use.request_id] else ""
        facts[use.request_id].append(InvoiceFacts(use.code, use.number, use.amount, used_by))
    return {request.id: tuple(facts[request.id]) for request in requests}


@dataclass(frozen=True)
class _Taken:
    """Who has an invoice: a live request's number, and the first of the requests whose failed rows it repeats."""

    number: str
    root: UUID


_TAKEN = """
WITH RECURSIVE family(id, number, invoice_id, parent, root) AS (
    SELECT r.id, r.request_no, u.invoice_id, r.reissue_of_id, r.id
      FROM payments_invoiceuse u JOIN payments_paymentrequest r ON r.id = u.request_id
     WHERE u.invoice_id = ANY(%s::uuid[]) AND r.state = ANY(%s)
     UNION ALL
    SELECT f.id, f.number, f.invoice_id, p.reissue_of_id, p.id
      FROM family f JOIN payments_paymentrequest p ON p.id = f.parent
)
SELECT invoice_id, number, root, id FROM family WHERE parent IS NULL ORDER BY invoice_id, id
"""

_ROOTS = """
WITH RECURSIVE family(id, parent, root) AS (
    SELECT r.id, r.reissue_of_id, r.id FROM payments_paymentrequest r WHERE r.id = ANY(%s::uuid[])
     UNION ALL
    SELECT f.id, p.reissue_of_id, p.id FROM family f JOIN payments_paymentrequest p ON p.id = f.parent
)
SELECT id, root FROM family WHERE parent IS NULL
"""


def _taken(uses: Sequence[InvoiceUse]) -> dict[UUID, _Taken]:
    """Who holds each of these invoices. Of one family several may; then the oldest is named."""
    found: dict[UUID, _Taken] = {}
    own = {(use.invoice_id, use.request_id) for use in uses}
    with connection.cursor() as cursor:
        cursor.execute(_TAKEN, [list({use.invoice_id for use in uses}), [str(state) for state in sorted(LIVE)]])
        for invoice_id, number, root, request_id in cursor.fetchall():
            if (invoice_id, request_id) not in own:
                found.setdefault(invoice_id, _Taken(number, root))
    return found


def _roots(request_ids: Sequence[UUID]) -> dict[UUID, UUID]:
    with connection.cursor() as cursor:
        cursor.execute(_ROOTS, [list(request_ids)])
        return dict(cursor.fetchall())


def _register(uses: Sequence[InvoiceUse]) -> None:
    columns = {"amount": "numeric", "seller_name": "text", "seller_tax_id": "text", "issued_on": "date"}
    rows = {use.invoice_id: (use.amount, use.seller_name, use.seller_tax_id, use.issued_on) for use in uses}
    update_from_values(Invoice, columns, sorted((pk, *facts) for pk, facts in rows.items()))


def _spelled(code: str, number: str) -> str:
    return f"{code}/{number}" if code else number
