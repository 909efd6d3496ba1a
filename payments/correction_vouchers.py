"""Corrections on their way: the voucher made out and sealed by the treasury, executed or refused by PBoC.

Nothing is carried differently before PBoC's receipt says so; a refusal gives back what was held. The old indicator's
paid falls, the new one's rises, the sum is nothing; the clearing limits are the same ones and do not move.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from budget.entries import Context, Posting, lock_balances, post
from core.actors import Actor
from core.batch import copy_rows, update_from_values
from core.errors import TreasuryError
from core.money import ZERO, wire_yuan
from core.outcomes import CHUNK, Outcome, judge
from core.transitions import check_move, move
from parties.errors import ActedBefore
from payments.approvals import Approvals
from payments.correcting import correction_digest, corrections_for, lock_corrected, lock_corrections, release
from payments.correction_messages import correction_draft, load_correction_names
from payments.errors import (
    FieldInvalid,
    PaymentUnknown,
    ReceiptAmountDiffers,
    ReceiptIncomplete,
)
from payments.exception_models import Correction, CorrectionReceipt
from payments.locking import check_reason, context_for
from payments.refunding import own_share
from payments.states import CORRECTION_FLOW, CorrectionState
from seals.approvals import Prepared, Proof, Shown, prepare_for, take
from vouchers.checks import wire_amount, wire_date
from vouchers.models import Voucher
from vouchers.routing import Applied, InboundVoucher, Verdict
from vouchers.sealing import Steps, affix
from vouchers.services import generate_vouchers, lock_vouchers, record_receipts, void_vouchers

SEALER = "seal_keeper"


@transaction.atomic(durable=True)
def issue_correction_vouchers(*, correction_ids: Sequence[UUID], maker: Actor, now: datetime) -> Outcome[Correction]:
    """Make out the 5253 or 5351 of each finally approved correction: number allotted, bytes frozen, not yet sealed.

    Refused per item: not_found, transition_not_allowed, role_required, acted_before, approvals_incomplete,
    content_changed. :raises DayClosed: if no business day is open.
    """
    context = context_for(maker, now)
    corrections = lock_corrections(correction_ids, maker)
    approvals = Approvals(corrections)

    def check(correction: Correction) -> None:
        check_move(CORRECTION_FLOW, correction, "issue", maker)
        if maker.person_id in {*approvals.persons(correction), correction.created_by_id}:
            raise ActedBefore("您经办或审核过本单，不能制单（岗位分离）。", field="maker")
        approvals.check(correction, correction_digest(correction))

    outcome = judge(corrections, correction_ids, check)
    if not outcome.accepted:
        return outcome
    names = load_correction_names(outcome.accepted)
    drafts = [correction_draft(c, names, context.business_date) for c in outcome.accepted]
    for correction, voucher in zip(outcome.accepted, generate_vouchers(drafts, by=maker, now=now), strict=True):
        correction.voucher = voucher
        correction.voucher_type, correction.voucher_no = voucher.voucher_type, voucher.voucher_no
    columns = {"voucher_id": "uuid", "voucher_type": "text", "voucher_no": "text"}
    rows = sorted((c.id, c.voucher_id, c.voucher_type, c.voucher_no) for c in outcome.accepted)
    update_from_values(Correction, columns, rows)
    move(CORRECTION_FLOW, outcome.accepted, "issue", by=maker, at=now)
    return outcome


@transaction.atomic(durable=True)
def cancel_correction_vouchers(
    *, correction_ids: Sequence[UUID], maker: Actor, reason: str, now: datetime
) -> Outcome[Correction]:
    """Void vouchers that are not sealed yet; the corrections are 已终审 again, the numbers stay used."""
    check_reason(reason)
    context_for(maker, now)
    corrections, vouchers = _with_vouchers(correction_ids, maker)
    outcome = judge(corrections, correction_ids, lambda c: check_move(CORRECTION_FLOW, c, "cancel_voucher", maker))
    void_vouchers(_of(outcome.accepted, vouchers), by=maker, now=now, reason=reason)
    ids = [correction.id for correction in outcome.accepted]
    Correction.objects.filter(pk__in=ids).update(voucher=None, voucher_type="", voucher_no="")
    move(CORRECTION_FLOW, outcome.accepted, "cancel_voucher", by=maker, at=now, reason=reason)
    return outcome


@transaction.atomic(durable=True)
def void_refused_corrections(
    *, correction_ids: Sequence[UUID], maker: Actor, reason: str, now: datetime
) -> Outcome[Correction]:
    """Give up corrections whose voucher PBoC refused or returned: void the voucher, release what was held."""
    check_reason(reason)
    context = context_for(maker, now)
    corrections, vouchers = _with_vouchers(correction_ids, maker)
    outcome = judge(corrections, correction_ids, lambda c: check_move(CORRECTION_FLOW, c, "void_refused", maker))
    void_vouchers(_of(outcome.accepted, vouchers), by=maker, now=now, reason=reason)
    release(outcome.accepted, context)
    move(CORRECTION_FLOW, outcome.accepted, "void_refused", by=maker, at=now, reason=reason)
    return outcome


def _with_vouchers(ids: Sequence[UUID], actor: Actor) -> tuple[list[Correction], dict[UUID, Voucher]]:
    """Lock vouchers, then payments and corrections: the order in which PBoC's answer comes to them as well."""
    if len(set(ids)) > CHUNK:
        raise FieldInvalid(f"一次最多办理 {CHUNK} 张单据。", field="ids", given=len(set(ids)))
    rows = Correction.objects.filter(pk__in=set(ids), adm_div_code=actor.adm_div_code, voucher__isnull=False)
    wanted = [pk for pk in rows.values_list("voucher_id", flat=True) if pk is not None]
    vouchers = {voucher.id: voucher for voucher in lock_vouchers(wanted)}
    corrections = lock_corrections(ids, actor)
    return [c for c in corrections if c.voucher_id is None or c.voucher_id in vouchers], vouchers


def _of(corrections: Sequence[Correction], vouchers: Mapping[UUID, Voucher]) -> list[Voucher]:
    return [vouchers[c.voucher_id] for c in corrections if c.voucher_id]


# Sealing --------------------------------------------------------------------------------------------------------------


class _ToSeal:
    """Corrections with vouchers that wait for a seal, with all that is needed to judge and to show them."""

    def __init__(self, corrections: Sequence[Correction], vouchers: Mapping[UUID, Voucher]) -> None:
        self.corrections = corrections
        self.vouchers = vouchers
        self.approvals = Approvals(corrections)
        self.steps = Steps(list(vouchers.values()))

    def voucher(self, correction: Correction) -> Voucher:
        assert correction.voucher_id is not None
        return self.vouchers[correction.voucher_id]

    def post(self, correction: Correction) -> str:
        step = self.steps.next(self.voucher(correction))
        return (step.post if step is not None else "") or SEALER

    def shown(self, correction: Correction) -> Shown:
        """The voucher as its sealer is shown it; what is signed is the digest of the text that will be sealed."""
        voucher = self.voucher(correction)
        return Shown(
            document_id=correction.id,
            document_no=f"{voucher.voucher_type}/{voucher.voucher_no}",
            revision=correction.revision,
            digest=voucher.digest,
            amount=wire_yuan(correction.amount),
            payee=f"更正 {correction.correction_no}",
        )

    def check(self, correction: Correction, sealer: Actor) -> None:
        CORRECTION_FLOW.find(correction.state, "seal")
        self.steps.check(self.voucher(correction), sealer, SEALER)
        involved = {*self.approvals.persons(correction), correction.created_by_id, self.voucher(correction).made_by_id}
        if sealer.person_id in involved:
            raise ActedBefore("您经办、审核或制作过本单，不能签章（岗位分离）。", field="sealer")
        self.approvals.check(correction, correction_digest(correction))


@transaction.atomic(durable=True)
def prepare_correction_sealing(
    *, correction_ids: Sequence[UUID], sealer: Actor, origin: str, now: datetime
) -> Prepared:
    """Issue the statement by which this officer seals those of the vouchers that may be sealed now.

    :raises NoOfficerCertificate: if the officer has no key to sign with.
    """
    corrections = list(corrections_for(sealer).filter(pk__in=set(correction_ids)).order_by("pk"))
    ids = [c.voucher_id for c in corrections if c.voucher_id]
    to_seal = _ToSeal(corrections, {voucher.id: voucher for voucher in Voucher.objects.filter(pk__in=ids)})
    outcome = judge(corrections, correction_ids, lambda c: to_seal.check(c, sealer))
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
def seal_correction_vouchers(
    *, correction_ids: Sequence[UUID], sealer: Actor, now: datetime, proof: Proof | None = None
) -> Outcome[Correction]:
    """Take the next step of sealing; the last one puts the voucher into the outbox for PBoC.

    Refused per item: as for issuing, and statement_outdated. :raises SignatureRequired, StatementRefused.
    :raises SealMissing, SealingRefused, SignerUnavailable: if a mark cannot be made; nothing is sealed then.
    """
    context_for(sealer, now)
    to_seal = _ToSeal(*_with_vouchers(correction_ids, sealer))
    taken = take(proof, action="seal", by=sealer, now=now)
    taken.prepare_check([(c.id, c.revision) for c in to_seal.corrections])

    def check(correction: Correction) -> None:
        to_seal.check(correction, sealer)
        taken.check(to_seal.shown(correction))

    outcome = judge(to_seal.corrections, correction_ids, check)
    if not outcome.accepted:
        return outcome
    taken.record(outcome.accepted, revision=lambda c: c.revision, post=to_seal.post, now=now)
    vouchers = _of(outcome.accepted, to_seal.vouchers)
    sealed = {v.id for v in affix(vouchers, to_seal.steps, by=sealer, warrant=taken.warrant, now=now)}
    for action, done in (("stamp", False), ("seal", True)):
        members = [c for c in outcome.accepted if (c.voucher_id in sealed) is done]
        move(CORRECTION_FLOW, members, action, by=sealer, at=now)
    return outcome


# What PBoC says -------------------------------------------------------------------------------------------------------


def on_correction_answer(vouchers: Sequence[Voucher], action: str, *, by: Actor, reason: str, now: datetime) -> None:
    """Move corrections when PBoC signs for, refuses or returns their voucher; what is held stays held until then."""
    corrections = _lock_of(vouchers)
    verb = "accept" if action == "sign_for" else "pboc_refuse"
    movable = [c for c in corrections if verb in CORRECTION_FLOW.actions_from(c.state)]
    move(CORRECTION_FLOW, movable, verb, by=by, at=now, reason=reason[:300])


def _lock_of(vouchers: Sequence[Voucher]) -> list[Correction]:
    wanted = Correction.objects.filter(voucher_id__in=[voucher.id for voucher in vouchers])
    lock_corrected(list(wanted.values_list("detail__request_id", flat=True)))
    rows = wanted.select_related("detail").order_by("pk")
    return list(rows.select_for_update(of=("self",), no_key=True))


@dataclass(frozen=True)
class _Receipt:
    inbound: InboundVoucher
    correction: Correction
    executed: bool
    dealt_on: date
    reason: str


def apply_correction_receipts(messages: Sequence[InboundVoucher], now: datetime) -> Mapping[UUID, Verdict]:
    """Apply PBoC's receipts of 5253 or 5351: executed, and the books carry it differently; or not, and it is released.

    Both lines or none. A step; runs in the inbox's transaction.
    """
    context = context_for(messages[0].actor, now)
    by_voucher = {c.voucher_id: c for c in _lock_of([m.voucher for m in messages if m.voucher is not None])}
    verdicts: dict[UUID, Verdict] = {}
    receipts: list[_Receipt] = []
    for inbound in messages:
        try:
            correction = by_voucher.get(inbound.voucher.id) if inbound.voucher else None
            waiting = (CorrectionState.SEALED, CorrectionState.ACCEPTED)
            if correction is None or correction.state not in waiting:
                raise PaymentUnknown("没有等待该回单的更正。", field="VoucherNo")
            receipts.append(_read(inbound, correction, context.business_date))
            verdicts[inbound.message.pk] = Applied()
        except TreasuryError as refusal:
            verdicts[inbound.message.pk] = refusal
    if receipts:
        _store(receipts, messages[0].actor, context)
    return verdicts


def _read(inbound: InboundVoucher, correction: Correction, today: date) -> _Receipt:
    executed, stated, reason = (_read_5253 if inbound.content.voucher_type == "5253" else _read_5351)(inbound)
    dealt_on = wire_date(stated, field="XPayDate", receipt=True) if stated else today
    if not inbound.content.voucher_date <= dealt_on <= today:
        raise ReceiptIncomplete("处理日期须在凭证日期与业务日之间。", field="XAccDate")
    return _Receipt(inbound, correction, executed, dealt_on, reason)


def _read_5351(inbound: InboundVoucher) -> tuple[bool, str, str]:
    results = {line.get("XDealResult", "") for line in inbound.content.details}
    if results not in ({"1"}, {"0"}):
        raise ReceiptAmountDiffers("更正的两行须同时成功或同时失败。", field="XDealResult", stated=sorted(results))
    executed = results == {"1"}
    return executed, inbound.content.main.get("XAccDate", ""), "" if executed else _why(inbound)


def _read_5253(inbound: InboundVoucher) -> tuple[bool, str, str]:
    """A 5253 answers with the receipt fields of a 5201: the lines as asked, or 0.00 with the reason."""
    wanted, stated = [], []
    for position, line in enumerate(inbound.content.details, start=1):
        wanted.append(wire_amount(line["PayAmt"]))
        stated.append(wire_amount(line.get("XPayAmt") or "0.00", field=f"Detail[{position}].XPayAmt"))
    executed = stated == wanted
    if not executed and any(stated):
        raise ReceiptAmountDiffers("更正的两行须同时成功或同时失败。", field="XPayAmt", stated=[str(a) for a in stated])
    reason = "" if executed else _why(inbound)
    if executed and not inbound.content.main.get("XPayDate"):
        raise ReceiptIncomplete("回单缺少处理日期。", field="XPayDate")
    return executed, inbound.content.main.get("XPayDate", ""), reason


def _why(inbound: InboundVoucher) -> str:
    words = [line["XAddWord"] for line in inbound.content.details if line.get("XAddWord")]
    return "；".join(dict.fromkeys(words))[:200] or "国库未说明原因"


def _store(receipts: Sequence[_Receipt], pboc: Actor, context: Context) -> None:
    facts = []
    for r in receipts:
        assert r.inbound.voucher is not None, "found by its voucher"
        facts.append(
            CorrectionReceipt(
                adm_div_code=r.correction.adm_div_code,
                fiscal_year=r.correction.fiscal_year,
                correction=r.correction,
                voucher_id=r.inbound.voucher.id,
                message=r.inbound.message,
                executed=r.executed,
                dealt_on=r.dealt_on,
                reason=r.reason,
                business_date=context.business_date,
                at=context.at,
            )
        )
    copy_rows(facts)
    record_receipts([r.inbound.voucher for r in receipts if r.inbound.voucher], by=pboc, now=context.at)
    done = [r for r in receipts if r.executed]
    failed = [r for r in receipts if not r.executed]
    shares = _own_shares([r.correction for r in done])
    update_from_values(Correction, {"executed_on": "date"}, sorted((r.correction.id, r.dealt_on) for r in done))
    move(CORRECTION_FLOW, [r.correction for r in done], "execute", by=pboc, at=context.at)
    _carry([r.correction for r in done], shares, context)
    for reason in dict.fromkeys(r.reason for r in failed):
        members = [r.correction for r in failed if r.reason == reason]
        move(CORRECTION_FLOW, members, "fail", by=pboc, at=context.at, reason=reason)
    release([r.correction for r in failed], context)


def _own_shares(corrections: Sequence[Correction]) -> dict[UUID, Decimal]:
    """What each detail's own indicator carries at this moment."""
    ids = {correction.detail_id for correction in corrections}
    executed: dict[UUID, list[Correction]] = {pk: [] for pk in ids}
    for other in Correction.objects.filter(detail_id__in=ids, state=CorrectionState.EXECUTED):
        executed[other.detail_id].append(other)
    return {c.detail_id: own_share(c.detail, executed[c.detail_id]) for c in corrections}


def _carry(corrections: Sequence[Correction], shares: dict[UUID, Decimal], context: Context) -> None:
    """Move what was paid from one indicator to the other, and with it what came back while PBoC had the correction."""
    moving = [c for c in corrections if c.to_indicator_id != c.from_indicator_id]
    lock_balances(
        [pk for c in moving for pk in (c.from_indicator_id, c.to_indicator_id)],
        [pk for c in moving for pk in (c.from_quota_id, c.to_quota_id)],
    )
    postings: list[Posting] = []
    came_back: dict[UUID, Decimal] = {}
    for correction in corrections:
        back = max(ZERO, correction.amount - shares[correction.detail_id])
        shares[correction.detail_id] = max(ZERO, shares[correction.detail_id] - correction.amount)
        if back:
            came_back[correction.id] = back
        if correction in moving:
            postings += _postings(correction, back)
    update_from_values(Correction, {"amount_refunded": "numeric"}, sorted(came_back.items()))
    post(postings, context)


def _postings(correction: Correction, back: Decimal) -> list[Posting]:
    amount = correction.amount

    def posting(indicator_id: UUID, quota_id: UUID, paid: Decimal, refunded: Decimal, reserved: Decimal) -> Posting:
        changes = {"paid": paid, "refunded": refunded, "reserved": reserved}
        mine = {column: change for column, change in changes.items() if change}
        return Posting(
            indicator_id=indicator_id,
            kind="correct",
            indicator=mine,
            quota_id=quota_id,
            quota={("spent" if column == "paid" else column): change for column, change in mine.items()},
            document_type=correction._meta.label,
            document_id=correction.id,
            note=correction.correction_no,
        )

    return [
        posting(correction.from_indicator_id, correction.from_quota_id, -amount, -back, ZERO),
        posting(correction.to_indicator_id, correction.to_quota_id, amount, back, -amount),
    ]
