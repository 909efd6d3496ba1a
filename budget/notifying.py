"""Quota notices: approved authorised plans go to the bank as 5105 and to PBoC as 5106; the bank's 2104 makes them
quota. Source: docs/business.md §quotas."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from budget.codes import CodeKind
from budget.entries import Context, LimitPosting, post_limits
from budget.errors import ClearingLimitExceeded
from budget.limits import lock_limits
from budget.locking import context_for
from budget.methods import Control, control_in, year_of
from budget.models import PaymentMode, Quota, QuotaNotice, SpendingPlan
from budget.planning import lock_plans, settle_plans
from budget.selectors import code_names
from budget.states import PLAN_FLOW, PlanState
from core.actors import Actor
from core.digests import sm3_hex
from core.errors import Conflict, NotFound, TreasuryError
from core.money import ZERO, wire_yuan
from core.outcomes import Outcome, judge
from core.transitions import check_move, move
from parties.errors import ActedBefore
from parties.models import AgentBank, Region
from parties.review import earlier_deciders
from seals.approvals import Prepared, Proof, Shown, prepare_for, take
from vouchers.checks import wire_amount
from vouchers.models import Voucher
from vouchers.routing import Applied, InboundVoucher, Parked, Verdict
from vouchers.sealing import Steps, affix
from vouchers.services import Draft, generate_vouchers, lock_vouchers

SEALER = "seal_keeper"
MAX_DETAILS = 499  # one voucher carries fewer than 500 lines


@transaction.atomic(durable=True)
def issue_quota_notices(*, plan_ids: Sequence[UUID], maker: Actor, now: datetime) -> Outcome[SpendingPlan]:
    """Merge approved authorised plans by bank, month and fund nature into notices; generate a 5105 and a 5106 each.
    Reductions go into notices of their own, with negative amounts.

    Refused per item: role_required, acted_before, transition_not_allowed, not_found.
    """
    context = context_for(maker, now)
    year = year_of(context.adm_div_code, context.fiscal_year)
    plans = lock_plans(plan_ids, maker)
    deciders = earlier_deciders(plans)

    def check(plan: SpendingPlan) -> None:
        check_move(PLAN_FLOW, plan, "notify", maker)
        if control_in(year, plan.payment_mode, plan.indicator.fund_nature) is not Control.QUOTA:
            raise Conflict("只有授权支付计划需要额度通知单。", field="payment_mode")
        if maker.person_id in {*deciders[plan.id].persons, plan.created_by_id}:
            raise ActedBefore("您经办或审核过该计划，不能制单（岗位分离）。", field="maker")

    outcome = judge(plans, plan_ids, check)
    if not outcome.accepted:
        return outcome
    quotas = _quotas(outcome.accepted)
    groups: dict[tuple[UUID, int, str, bool], list[SpendingPlan]] = defaultdict(list)
    for plan in outcome.accepted:
        bank_id = quotas[plan.indicator_id].payer_account.agent_bank_id
        assert bank_id is not None, "a zero-balance account is kept at an agent bank"
        groups[bank_id, plan.month, plan.indicator.fund_nature, plan.signed_amount < 0].append(plan)
    for (bank_id, month, fund, _), members in sorted(groups.items()):
        bank = AgentBank.objects.get(pk=bank_id)
        for start in range(0, len(members), MAX_DETAILS):
            _notice(bank, month, fund, members[start : start + MAX_DETAILS], quotas, context, maker)
    move(PLAN_FLOW, outcome.accepted, "notify", by=maker, at=now)
    return outcome


class _ToSeal:
    """Notices whose 5105 and 5106 wait for a seal, with all that is needed to judge and to show them."""

    def __init__(self, notices: Sequence[QuotaNotice], vouchers: Mapping[UUID, Voucher]) -> None:
        self.notices = notices
        self._vouchers = vouchers
        self._plans = list(SpendingPlan.objects.filter(notice__in=notices))
        self._deciders = earlier_deciders(self._plans)
        self.steps = Steps(list(vouchers.values()))

    def vouchers(self, notice: QuotaNotice) -> list[Voucher]:
        """The notice's 5105 and 5106, in this order."""
        ids = (notice.voucher_id, notice.limit_voucher_id)
        return [self._vouchers[pk] for pk in ids if pk is not None and pk in self._vouchers]

    def post(self, notice: QuotaNotice) -> str:
        step = self.steps.next(self.vouchers(notice)[0])
        return (step.post if step is not None else "") or SEALER

    def shown(self, notice: QuotaNotice) -> Shown:
        """The notice as its sealer is shown it: one line for the two vouchers, digested together."""
        vouchers = self.vouchers(notice)
        return Shown(
            document_id=notice.id,
            document_no=f"{vouchers[0].voucher_type}/{vouchers[0].voucher_no}",
            revision=1,
            digest=sm3_hex("".join(voucher.digest for voucher in vouchers).encode("ascii")),
            amount=wire_yuan(abs(notice.amount)),
            payee=vouchers[0].receiver + ("（调减）" if notice.amount < 0 else ""),
        )

    def check(self, notice: QuotaNotice, sealer: Actor) -> None:
        """Whether this person may take the next step on both vouchers: none who took part in the plans or notice."""
        for voucher in self.vouchers(notice):
            self.steps.check(voucher, sealer, SEALER)
        involved = {notice.made_by_id}
        for plan in self._plans:
            if plan.notice_id == notice.id:
                involved |= {plan.created_by_id, *self._deciders[plan.id].persons}
        if sealer.person_id in involved:
            raise ActedBefore("您经办、审核或制作过该通知单，不能签章（岗位分离）。", field="sealer")


@transaction.atomic(durable=True)
def prepare_notice_sealing(*, notice_ids: Sequence[UUID], sealer: Actor, origin: str, now: datetime) -> Prepared:
    """Issue the statement by which this officer seals those of the notices that may be sealed now.

    :raises NoOfficerCertificate: if the officer has no key to sign with.
    """
    found = list(_notices(notice_ids, sealer))
    to_seal = _ToSeal(found, {v.id: v for v in Voucher.objects.filter(pk__in=_voucher_ids(found))})
    outcome = judge(found, notice_ids, lambda notice: to_seal.check(notice, sealer))
    return prepare_for(
        outcome.accepted,
        shown=to_seal.shown,
        post=to_seal.post,
        refused=outcome.refused,
        action="seal",
        by=sealer,
        origin=origin,
        now=now,
    )


@transaction.atomic(durable=True)
def seal_quota_notices(
    *, notice_ids: Sequence[UUID], sealer: Actor, now: datetime, proof: Proof | None = None
) -> Outcome[QuotaNotice]:
    """Take the next step of sealing the 5105 and 5106 of notices; the last one sends them, and what PBoC may clear
    grows by the 5106.

    Refused per item: role_required, acted_before, conflict (sealed before), statement_outdated, not_found.
    :raises SignatureRequired, StatementRefused: for a proof that is missing or does not count.
    """
    context = context_for(sealer, now)
    found = list(_notices(notice_ids, sealer).select_for_update())
    to_seal = _ToSeal(found, {voucher.id: voucher for voucher in lock_vouchers(_voucher_ids(found))})
    taken = take(proof, action="seal", by=sealer, now=now)
    taken.prepare_check([(notice.id, 1) for notice in found])

    def check(notice: QuotaNotice) -> None:
        to_seal.check(notice, sealer)
        taken.check(to_seal.shown(notice))

    outcome = judge(found, notice_ids, check)
    if not outcome.accepted:
        return outcome
    taken.record(outcome.accepted, revision=lambda _notice: 1, post=to_seal.post, now=now)
    vouchers = [voucher for notice in outcome.accepted for voucher in to_seal.vouchers(notice)]
    sealed = {v.id for v in affix(vouchers, to_seal.steps, by=sealer, warrant=taken.warrant, now=now)}
    _raise_limits([notice for notice in outcome.accepted if notice.limit_voucher_id in sealed], context)
    return outcome


def _notices(notice_ids: Sequence[UUID], sealer: Actor) -> QuerySet[QuotaNotice]:
    return QuotaNotice.objects.filter(pk__in=set(notice_ids), adm_div_code=sealer.adm_div_code).order_by("pk")


def _voucher_ids(notices: Sequence[QuotaNotice]) -> list[UUID]:
    return [pk for notice in notices for pk in (notice.voucher_id, notice.limit_voucher_id) if pk is not None]


def _raise_limits(notices: Sequence[QuotaNotice], context: Context) -> None:
    """What PBoC may clear for each bank changes by the sealed 5106.

    :raises ClearingLimitExceeded: if a negative one would take away more than is left uncleared.
    """
    if not notices:
        return
    keys = {(n.agent_bank_id, PaymentMode.AUTHORIZED.value, n.fund_nature) for n in notices}
    limits = lock_limits(context.adm_div_code, context.fiscal_year, keys)
    left = {key: limit.amount_available for key, limit in limits.items()}
    for notice in notices:
        key = (notice.agent_bank_id, PaymentMode.AUTHORIZED.value, notice.fund_nature)
        left[key] += notice.amount
        if left[key] < 0:
            raise ClearingLimitExceeded(
                f"{notice.agent_bank.name}的清算额度不足以调减 {-notice.amount:,.2f}，请先处理未清算的支付。",
                field="amount",
                asked=-notice.amount,
            )
    post_limits(
        [
            LimitPosting(
                limit_id=limits[n.agent_bank_id, PaymentMode.AUTHORIZED.value, n.fund_nature].id,
                kind="notice_5106",
                changes={"issued": n.amount},
                document_type=n._meta.label,
                document_id=n.id,
            )
            for n in notices
        ],
        context,
    )


def on_quota_arrival(messages: Sequence[InboundVoucher], now: datetime) -> Mapping[UUID, Verdict]:
    """Apply the bank's 2104: the notice it names has arrived, in full, line by line; its plans become quota."""
    context = context_for(messages[0].actor, now)
    verdicts: dict[UUID, Verdict] = {}
    for inbound in messages:
        try:
            verdicts[inbound.message.pk] = _arrive(inbound, context)
        except TreasuryError as refusal:
            verdicts[inbound.message.pk] = refusal
    return verdicts


def _arrive(inbound: InboundVoucher, context: Context) -> Verdict:
    main = inbound.content.main
    voucher = Voucher.objects.filter(
        adm_div_code=inbound.content.adm_div_code,
        fiscal_year=inbound.content.fiscal_year,
        voucher_type="5105",
        voucher_no=main["OriVoucherNo"],
        receiver=inbound.sender.organisation,
    ).first()
    if voucher is None:
        raise NotFound("没有发给该银行的额度通知单。", field="OriVoucherNo", given=main["OriVoucherNo"])
    notice = QuotaNotice.objects.select_for_update().get(voucher_id=voucher.id)
    if not voucher.signature:
        return Parked("notice_not_sealed", "额度通知单尚未签章发送。")
    if notice.amount_arrived != ZERO:
        raise Conflict("该额度通知单已到账。", field="OriVoucherNo")
    if wire_amount(main["PlanAmt"], field="PlanAmt") != notice.amount:
        raise Conflict("到账金额与额度通知单不符。", field="PlanAmt", expected=notice.amount)
    plans = list(
        SpendingPlan.objects.select_for_update()
        .select_related("indicator", "unit")
        .filter(notice=notice)
        .order_by("pk")
    )
    expected = sorted((str(i), plan.unit.code, wire_yuan(plan.signed_amount)) for i, plan in enumerate(plans, start=1))
    stated = sorted((d["Id"], d["AgencyCode"], d["PlanAmt"]) for d in inbound.content.details)
    if stated != expected:
        raise Conflict("到账明细与额度通知单不符。", field="Detail")
    QuotaNotice.objects.filter(pk=notice.pk).update(amount_arrived=notice.amount)
    move(PLAN_FLOW, plans, "arrive", by=inbound.actor, at=context.at)
    settle_plans(plans, context)
    return Applied()


def _quotas(plans: Sequence[SpendingPlan]) -> dict[UUID, Quota]:
    rows = Quota.objects.select_related("payer_account__agent_bank").filter(
        indicator_id__in={plan.indicator_id for plan in plans}
    )
    return {quota.indicator_id: quota for quota in rows}


def _notice(
    bank: AgentBank,
    month: int,
    fund: str,
    plans: list[SpendingPlan],
    quotas: dict[UUID, Quota],
    context: Context,
    maker: Actor,
) -> None:
    plans = sorted(plans, key=lambda plan: plan.pk)
    assert maker.person_id is not None, "a maker is a person"
    notice = QuotaNotice.objects.create(
        adm_div_code=context.adm_div_code,
        fiscal_year=context.fiscal_year,
        agent_bank=bank,
        month=month,
        fund_nature=fund,
        amount=sum((plan.signed_amount for plan in plans), ZERO),
        made_by_id=maker.person_id,
        created_at=context.at,
    )
    for plan in plans:
        plan.notice = notice
    region = Region.objects.get(adm_div_code=context.adm_div_code)
    functions = code_names(context.fiscal_year, CodeKind.FUNCTION, [p.indicator.function_code for p in plans])
    funds = code_names(context.fiscal_year, CodeKind.FUND_NATURE, [fund])
    shared = {
        "PlanAmt": wire_yuan(notice.amount),
        "FundTypeCode": fund,
        "FundTypeName": funds.get(fund, ""),
        "SetMonth": f"{month:02d}",
        "PayBankCode": bank.code,
        "PayBankName": bank.name,
    }
    lines = [_line(i, plan, quotas[plan.indicator_id], functions) for i, plan in enumerate(plans, start=1)]
    common: dict[str, Any] = {
        "adm_div_code": context.adm_div_code,
        "fiscal_year": context.fiscal_year,
        "voucher_date": context.business_date,
        "sender": region.finance_organisation,
        "amount": notice.amount,
        "details": tuple(lines),
        "document_type": notice._meta.label,
        "document_id": notice.id,
    }
    quota_main = {
        **shared,
        "BgtTypeCode": "1",
        "BgtTypeName": "当年预算",
        "PayTypeCode": "12",
        "PayTypeName": "财政授权支付",
    }
    limit_main = {
        **shared,
        "TreCode": region.tre_code,
        "FinOrgCode": region.fin_org_code,
        "DeptNum": str(len({plan.unit.department_code for plan in plans})),
        "PayBankNo": bank.bank_no,
        "ClearBankCode": "001",
        "ClearBankName": region.treasury_name,
    }
    made = generate_vouchers(
        [
            Draft(voucher_type="5105", receiver=bank.organisation, main=quota_main, **common),
            Draft(voucher_type="5106", receiver=region.pboc_organisation, main=limit_main, **common),
        ],
        by=maker,
        now=context.at,
    )
    QuotaNotice.objects.filter(pk=notice.pk).update(voucher_id=made[0].id, limit_voucher_id=made[1].id)
    SpendingPlan.objects.filter(pk__in=[plan.pk for plan in plans], state=PlanState.APPROVED).update(notice=notice)


def _line(position: int, plan: SpendingPlan, quota: Quota, functions: dict[str, str]) -> dict[str, str]:
    function = plan.indicator.function_code
    return {
        "Id": str(position),
        "ProCatCode": "1",
        "ProCatName": "支出",
        "FundTypeCode": plan.indicator.fund_nature,
        "SupDepCode": plan.unit.department_code,
        "SupDepName": plan.unit.department_name,
        "AgencyCode": plan.unit.code,
        "AgencyName": plan.unit.name,
        "ExpFuncCode": function,
        "ExpFuncName": functions.get(function, ""),
        "DepProCode": plan.indicator.project_code,
        "DepProName": plan.indicator.project_name,
        "AgencyAccoCode": quota.payer_account.account_no,
        "AgencyBankName": quota.payer_account.bank_name,
        "PlanAmt": wire_yuan(plan.signed_amount),
    }
