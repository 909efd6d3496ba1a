"""Checks of a request against the registers behind its kind: cash purposes, cheques, official cards, withholding
payees, units that pay for others. Source: docs/business-types.md.

Nothing here is stored twice: whether a purchase was repaid or a cheque used is read from the live payments, under a
lock on the row they meet at.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from uuid import UUID

from django.db.models import F

from cards.models import CardTransaction
from core.errors import TreasuryError
from parties.models import BankAccount
from payments.errors import AlreadyUsed, FieldInvalid
from payments.models import BusinessType, CashPurpose, PaymentDetail, PaymentRequest, WithholdingPayee
from payments.states import PAID_STATES, RESERVING, DetailState

LIVE = RESERVING | PAID_STATES
Details = Mapping[UUID, Sequence[PaymentDetail]]
Found = list[TreasuryError]


def refusals(requests: Sequence[PaymentRequest], details: Details, on: date) -> dict[UUID, Found]:
    """Return what speaks against each request, by id; requests without a finding are missing.

    The caller has locked requests, quotas and indicators; here follow payer accounts (cheques) and purchases, each in
    key order. The number of statements depends on the kinds of payment only.
    """
    found: dict[UUID, Found] = defaultdict(list)
    checks: dict[str, Callable[[Sequence[PaymentRequest], Details, date], Mapping[UUID, Found]]] = {
        BusinessType.CASH_CHEQUE: _cheques,
        BusinessType.OFFICIAL_CARD: _cards,
        BusinessType.WITHHOLDING: _withholding,
        BusinessType.ON_BEHALF: _on_behalf,
    }
    for kind, check in checks.items():
        mine = [request for request in requests if request.business_type == kind]
        if mine:
            for request_id, findings in check(mine, details, on).items():
                found[request_id] += findings
    return {request_id: findings for request_id, findings in found.items() if findings}


# Cash cheques -------------------------------------------------------------------------------------------------------


def _cheques(requests: Sequence[PaymentRequest], details: Details, on: date) -> Mapping[UUID, Found]:
    purposes = {
        purpose.code: purpose
        for purpose in CashPurpose.objects.filter(adm_div_code=requests[0].adm_div_code, active=True)
    }
    # Two drawings of one cheque meet at the account they draw on.
    accounts = BankAccount.objects.filter(pk__in={r.payer_account_id for r in requests}).order_by("pk")
    list(accounts.select_for_update(no_key=True))
    used = {
        (account_id, number): request_no
        for number, account_id, request_no in _live_references(requests, details, BusinessType.CASH_CHEQUE)
    }
    found: dict[UUID, Found] = defaultdict(list)
    for request in requests:
        [line] = details[request.id]
        purpose = purposes.get(request.cash_purpose)
        if purpose is None:
            found[request.id].append(
                FieldInvalid("现金用途不在本区划允许的用途之内。", field="cash_purpose", given=request.cash_purpose)
            )
        elif purpose.cap is not None and request.amount > purpose.cap:
            found[request.id].append(
                FieldInvalid(
                    f"「{purpose.name}」单张现金支票上限 {purpose.cap:,.2f} 元，"
                    f"本单 {request.amount:,.2f} 元。请改用转账。",
                    field="amount",
                    cap=purpose.cap,
                    asked=request.amount,
                )
            )
        key = (request.payer_account_id, line.reference)
        other = used.setdefault(key, request.request_no)
        if other != request.request_no:
            found[request.id].append(
                AlreadyUsed(f"支票 {line.reference} 已用于申请 {other}。", field="details.1.reference", used_by=other)
            )
    return found


# Official cards -----------------------------------------------------------------------------------------------------


def _cards(requests: Sequence[PaymentRequest], details: Details, on: date) -> Mapping[UUID, Found]:
    quoted = {line.reference for request in requests for line in details[request.id]}
    rows = CardTransaction.objects.select_for_update(of=("self",), no_key=True).filter(
        adm_div_code=requests[0].adm_div_code, transaction_no__in=quoted
    )
    purchases = {row.transaction_no: row for row in rows.order_by("pk")}
    used = {
        number: request_no
        for number, _account, request_no in _live_references(requests, details, BusinessType.OFFICIAL_CARD)
    }
    found: dict[UUID, Found] = defaultdict(list)
    for request in requests:
        quoted_here: set[str] = set()
        for number, line in enumerate(details[request.id], start=1):
            purchase = purchases.get(line.reference)
            found[request.id] += _purchase(number, line, request, purchase, on)
            other = used.setdefault(line.reference, request.request_no)
            if other != request.request_no or line.reference in quoted_here:
                found[request.id].append(
                    AlreadyUsed(
                        f"消费 {line.reference} 已在申请 {other} 中还款，一笔消费只还一次。",
                        field=f"details.{number}.reference",
                        used_by=other,
                    )
                )
            quoted_here.add(line.reference)
    return found


def _purchase(
    number: int, line: PaymentDetail, request: PaymentRequest, purchase: CardTransaction | None, on: date
) -> Found:
    where = f"details.{number}"
    if purchase is None or purchase.unit_id != request.unit_id:
        return [
            FieldInvalid(f"没有本单位的消费记录 {line.reference}，请从「公务卡消费」选择。", field=f"{where}.reference")
        ]
    found: Found = []
    if (line.payee_account_no, line.payee_name) != (purchase.card_no, purchase.holder_name):
        found.append(FieldInvalid("公务卡还款只能还到该笔消费的卡号和持卡人。", field=f"{where}.payee_account_no"))
    if line.amount > purchase.amount:
        found.append(
            FieldInvalid(
                f"还款 {line.amount:,.2f} 元超过消费金额 {purchase.amount:,.2f} 元。",
                field=f"{where}.amount",
                consumed=purchase.amount,
                asked=line.amount,
            )
        )
    if purchase.due_on < on:
        found.append(
            FieldInvalid(
                f"该笔消费的到期还款日 {purchase.due_on:%Y-%m-%d} 已过，请先由持卡人还款，再按普通转账报销。",
                field=f"{where}.reference",
                due_on=purchase.due_on.isoformat(),
            )
        )
    return found


# Withholding and paying for others ----------------------------------------------------------------------------------


def _withholding(requests: Sequence[PaymentRequest], details: Details, on: date) -> Mapping[UUID, Found]:
    rows = WithholdingPayee.objects.filter(adm_div_code=requests[0].adm_div_code, active=True)
    names = dict(rows.values_list("account_no", "name"))
    found: dict[UUID, Found] = defaultdict(list)
    for request in requests:
        for number, line in enumerate(details[request.id], start=1):
            if names.get(line.payee_account_no) != line.payee_name:
                found[request.id].append(
                    FieldInvalid(
                        "收款人不是登记的代扣代缴单位，户名和账号须与登记一致。",
                        field=f"details.{number}.payee_account_no",
                    )
                )
    return found


def _on_behalf(requests: Sequence[PaymentRequest], details: Details, on: date) -> Mapping[UUID, Found]:
    found: dict[UUID, Found] = defaultdict(list)
    for request in requests:
        if not request.unit.finance_agent:
            found[request.id].append(
                FieldInvalid("只有财政代列单位可以代其他单位支付。", field="business_type", unit=request.unit.code)
            )
        if request.beneficiary_unit_id == request.unit_id:
            found[request.id].append(FieldInvalid("受益单位不能是代列单位自己。", field="beneficiary_unit_id"))
    return found


def _live_references(requests: Sequence[PaymentRequest], details: Details, kind: str) -> list[tuple[str, UUID, str]]:
    """What other live payments of this kind quote of what these do: (reference, payer account, request number).

    A row the bank failed, or whose money came back whole, quotes nothing any more.
    """
    quoted = {line.reference for request in requests for line in details[request.id]}
    rows = (
        PaymentDetail.objects.filter(
            adm_div_code=requests[0].adm_div_code,
            reference__in=quoted,
            request__business_type=kind,
            request__state__in=LIVE,
            request__imported=False,
        )
        .exclude(state=DetailState.FAILED)
        .exclude(state=DetailState.PAID, amount_refunded=F("amount"))
        .exclude(request_id__in=[request.id for request in requests])
    )
    return list(rows.values_list("reference", "request__payer_account_id", "request__request_no"))
