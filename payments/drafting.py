"""Writing down a request: drafts, their details and invoices, and the reissue of what failed or came back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from budget.methods import Receiver, method_of
from budget.models import Quota
from core.actors import Actor
from core.batch import copy_rows, update_from_values
from core.errors import NotFound, TreasuryError, ValidationFailed
from core.money import ZERO
from core.numbering import take_numbers
from core.transitions import check_move, move
from parties.models import BudgetUnit
from payments.errors import FieldInvalid, ReissueRefused
from payments.extensions import Extensions
from payments.invoice_use import InvoiceInput, invoice_findings, name_invoices
from payments.locking import (
    action_keys,
    context_for,
    lock_requests,
    lock_requests_of_action,
    made_before,
    require_role,
)
from payments.models import BusinessType, InvoiceUse, PaymentDetail, PaymentRequest, Settlement
from payments.rules import DetailFacts, RequestFacts, findings, optional_text
from payments.states import REQUEST_FLOW, DetailState, RequestState

_BY_PBOC = (BusinessType.ORDINARY, BusinessType.BATCH)


@dataclass(frozen=True)
class DetailInput:
    """One payee line; `reissue_of` is the failed or refunded detail it repeats, if it does."""

    payee_name: str
    payee_account_no: str
    payee_bank_name: str
    payee_bank_no: str
    amount: Decimal
    remark: str = ""
    reference: str = ""
    reissue_of: UUID | None = None


@dataclass(frozen=True)
class RequestInput:
    """What a clerk fills in. The unit, the payer account and the method follow from the indicator."""

    indicator_id: UUID
    business_type: str
    settlement: str
    dept_economic_code: str
    purpose: str
    details: tuple[DetailInput, ...]
    contract_no: str = ""
    cash_reason: str = ""
    cash_purpose: str = ""
    beneficiary_unit_id: UUID | None = None
    extra: Mapping[str, str] = field(default_factory=dict)
    invoices: tuple[InvoiceInput, ...] = ()


@transaction.atomic(durable=True)
def save_drafts(
    *, inputs: Sequence[RequestInput], clerk: Actor, now: datetime, action_key: str = ""
) -> list[PaymentRequest]:
    """Store new requests as drafts, as a use case of its own: see `write_drafts`."""
    return write_drafts(inputs=inputs, clerk=clerk, now=now, action_key=action_key)


@transaction.atomic(savepoint=False)
def write_drafts(
    *, inputs: Sequence[RequestInput], clerk: Actor, now: datetime, action_key: str = ""
) -> list[PaymentRequest]:
    """Store new requests as drafts: all of them or none; a step. Nothing is reserved yet.

    Requests and details go in by COPY, each in one statement, whatever their number.

    A caller that may have to ask again after a lost answer gives an `action_key`; the same key then returns the
    requests it made the first time, whatever became of them since.

    :raises ValidationFailed: with every finding of the first request that has any.
    :raises NotFound: if an indicator is not of the clerk's own units or has no quota row.
    :raises ReissueRefused: if a line repeats a detail that neither failed nor came back, or was repeated already.
    """
    require_role(clerk, "unit_clerk")
    context = context_for(clerk, now)
    keys = action_keys(action_key, len(inputs))
    made = {r.action_key or "": r for r in lock_requests_of_action(keys, clerk)}
    if made:
        return made_before(made, keys)
    quotas = _quotas(inputs, clerk)
    extensions = Extensions(clerk.adm_div_code)
    for given in inputs:
        _check(given, quotas[given.indicator_id], extensions)
    numbers = take_numbers(
        adm_div_code=context.adm_div_code, fiscal_year=context.fiscal_year, kind="request", count=len(inputs)
    )
    originals = _failed_details(inputs, clerk)
    requests: list[PaymentRequest] = []
    details: list[PaymentDetail] = []
    for given, number in zip(inputs, numbers, strict=True):
        request = _request(given, quotas[given.indicator_id], number, clerk, now)
        request.reissue_of = _reissued_request(given, originals)
        request.action_key = keys[len(requests)] if keys else None
        requests.append(request)
        details += _details(request, given)
    copy_rows(requests)
    copy_rows(details)
    name_invoices([(request, given.invoices) for request, given in zip(requests, inputs, strict=True)])
    _link_reissues(inputs, requests, details)
    return requests


@transaction.atomic(durable=True)
def revise_draft(*, request_id: UUID, given: RequestInput, clerk: Actor, now: datetime) -> PaymentRequest:
    """Replace the content of a draft, a returned or a blocked request; the indicator may change as well.

    :raises NotFound, ValidationFailed, TransitionNotAllowed, RoleRequired: and nothing is changed then.
    """
    context_for(clerk, now)
    found = lock_requests([request_id], clerk)
    if not found:
        raise NotFound("单据不存在或不在您的权限范围内。", field="id")
    request = found[0]
    check_move(REQUEST_FLOW, request, "revise", clerk)
    quota = _quotas([given], clerk)[given.indicator_id]
    _check(given, quota, Extensions(clerk.adm_div_code))
    if request.state == RequestState.BLOCKED:
        request.revision += 1
    replacement = _request(given, quota, request.request_no, clerk, now)
    kept = ("revision", "created_at", "state", "action_key")
    for column in PaymentRequest._meta.concrete_fields:
        if column.attname not in ("id", *kept):
            setattr(request, column.attname, getattr(replacement, column.attname))
    unlink_reissues([request])
    request.reissue_of = _reissued_request(given, _failed_details([given], clerk))
    PaymentDetail.objects.filter(request=request).delete()
    InvoiceUse.objects.filter(request=request).delete()
    request.save(force_update=True)
    details = _details(request, given)
    copy_rows(details)
    name_invoices([(request, given.invoices)])
    _link_reissues([given], [request], details)
    move(REQUEST_FLOW, [request], "revise", by=clerk, at=now)
    return request


def _quotas(inputs: Sequence[RequestInput], clerk: Actor) -> dict[UUID, Quota]:
    """Return the quota row of each indicator the clerk may use.

    :raises NotFound: for an unknown or a foreign one, without telling which.
    """
    rows = Quota.objects.select_related("indicator", "unit", "payer_account").filter(
        indicator_id__in={given.indicator_id for given in inputs},
        adm_div_code=clerk.adm_div_code,
        unit__code__in=clerk.units,
        unit__active=True,
    )
    found = {quota.indicator_id: quota for quota in rows}
    if any(given.indicator_id not in found for given in inputs):
        raise NotFound("指标不存在、没有额度或不属于本单位。", field="indicator_id")
    return found


def _check(given: RequestInput, quota: Quota, extensions: Extensions) -> None:
    found: list[TreasuryError] = []
    if given.business_type not in BusinessType.values:
        found.append(FieldInvalid("业务类型不在代码表内。", field="business_type"))
    if given.settlement not in Settlement.values:
        found.append(FieldInvalid("结算方式不在代码表内。", field="settlement"))
    if method_of(quota.payment_mode).receiver is Receiver.PBOC:
        found += _for_pboc(given)
    found += optional_text("contract_no", "合同编号", given.contract_no, 40)
    found += optional_text("cash_reason", "现金理由", given.cash_reason, 100)
    facts = RequestFacts(
        purpose=given.purpose,
        settlement=given.settlement,
        cash_reason=given.cash_reason,
        dept_economic_code=given.dept_economic_code,
        payment_mode=quota.payment_mode,
        details=tuple(
            DetailFacts(
                d.payee_name, d.payee_account_no, d.payee_bank_name, d.payee_bank_no, d.amount, d.remark, d.reference
            )
            for d in given.details
        ),
        business_type=given.business_type,
        contract_no=given.contract_no,
        cash_purpose=given.cash_purpose,
        beneficiary_unit_id=given.beneficiary_unit_id,
    )
    found += findings(facts)
    found += extensions.findings(given.extra, business_type=given.business_type, unit_code=quota.unit.code)
    found += invoice_findings(given.invoices)
    if found:
        raise ValidationFailed(found)


def _for_pboc(given: RequestInput) -> list[TreasuryError]:
    """PBoC pays by bank number, one payee or a batch (messages of 5207)."""
    found: list[TreasuryError] = []
    if given.business_type in BusinessType.values and given.business_type not in _BY_PBOC:
        names = "或".join(BusinessType(kind).label for kind in _BY_PBOC)
        found.append(FieldInvalid(f"资金实拨的业务类型只能是{names}。", field="business_type"))
    for index, detail in enumerate(given.details, start=1):
        if not detail.payee_bank_no:
            found.append(FieldInvalid("资金实拨须填写收款行号。", field=f"details.{index}.payee_bank_no"))
    return found


def _request(given: RequestInput, quota: Quota, number: str, clerk: Actor, now: datetime) -> PaymentRequest:
    unit: BudgetUnit = quota.unit
    return PaymentRequest(
        adm_div_code=quota.adm_div_code,
        fiscal_year=quota.fiscal_year,
        request_no=number,
        unit=unit,
        indicator=quota.indicator,
        quota=quota,
        payer_account=quota.payer_account,
        payment_mode=quota.payment_mode,
        business_type=given.business_type,
        settlement=given.settlement,
        dept_economic_code=given.dept_economic_code,
        purpose=given.purpose,
        contract_no=given.contract_no,
        cash_reason=given.cash_reason,
        cash_purpose=given.cash_purpose,
        beneficiary_unit_id=given.beneficiary_unit_id,
        extra=dict(given.extra),
        amount=sum((detail.amount for detail in given.details), Decimal("0.00")),
        created_by_id=clerk.person_id,
        created_at=now,
    )


def _details(request: PaymentRequest, given: RequestInput) -> list[PaymentDetail]:
    return [
        PaymentDetail(
            adm_div_code=request.adm_div_code,
            fiscal_year=request.fiscal_year,
            request=request,
            seq=seq,
            payee_name=line.payee_name,
            payee_account_no=line.payee_account_no,
            payee_bank_name=line.payee_bank_name,
            payee_bank_no=line.payee_bank_no,
            amount=line.amount,
            remark=line.remark,
            reference=line.reference,
        )
        for seq, line in enumerate(given.details, start=1)
    ]


# Reissue ------------------------------------------------------------------------------------------------------------


def _failed_details(inputs: Sequence[RequestInput], clerk: Actor) -> dict[UUID, PaymentDetail]:
    named = [line.reissue_of for given in inputs for line in given.details if line.reissue_of is not None]
    wanted = set(named)
    if not wanted:
        return {}
    if len(named) > len(wanted):
        raise ReissueRefused("同一失败明细只能重发一次。", field="reissue_of")
    rows = (
        PaymentDetail.objects.select_for_update(of=("self",), no_key=True)
        .select_related("request")
        .filter(pk__in=wanted, adm_div_code=clerk.adm_div_code, request__unit__code__in=clerk.units)
        .order_by("pk")
    )
    found = {detail.id: detail for detail in rows}
    for detail_id in wanted:
        detail = found.get(detail_id)
        if detail is None or reissuable_amount(detail) == ZERO:
            raise ReissueRefused("只有银行答复失败或已退款的明细可以重发。", field="reissue_of")
        if detail.reissued_as_id is not None:
            raise ReissueRefused("该明细已经重发过。", field="reissue_of")
    return found


def reissuable_amount(detail: PaymentDetail) -> Decimal:
    """Return how much of a detail did not reach its payee or came back from there."""
    return detail.amount if detail.state == DetailState.FAILED else detail.amount_refunded


def _reissued_request(given: RequestInput, originals: dict[UUID, PaymentDetail]) -> PaymentRequest | None:
    repeated = [(line, originals[line.reissue_of]) for line in given.details if line.reissue_of is not None]
    if not repeated:
        return None
    requests = {original.request_id for _, original in repeated}
    if len(repeated) != len(given.details) or len(requests) != 1:
        raise ReissueRefused("一张重发申请只能重发同一张原申请的明细。", field="details")
    if any(line.amount > reissuable_amount(original) for line, original in repeated):
        raise ReissueRefused("重发金额不得超过失败或退回的金额。", field="amount")
    if repeated[0][1].request.indicator_id != given.indicator_id:
        raise ReissueRefused("重发须使用原指标。", field="indicator_id")
    return repeated[0][1].request


def unlink_reissues(requests: Sequence[PaymentRequest]) -> None:
    """Let the failed rows these requests repeat be repeated by another one."""
    PaymentDetail.objects.filter(reissued_as__request__in=requests).update(reissued_as=None)


def _link_reissues(
    inputs: Sequence[RequestInput], requests: Sequence[PaymentRequest], details: Sequence[PaymentDetail]
) -> None:
    by_key = {(detail.request_id, detail.seq): detail.id for detail in details}
    rows = [
        (line.reissue_of, by_key[request.id, seq])
        for given, request in zip(inputs, requests, strict=True)
        for seq, line in enumerate(given.details, start=1)
        if line.reissue_of is not None
    ]
    update_from_values(PaymentDetail, {"reissued_as_id": "uuid"}, sorted(rows))
