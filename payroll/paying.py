"""From a confirmed roster to payment requests, and from failed rows to their repetition.

Everything that pays goes through payments' own services: what is generated here is submitted, reviewed, made out and
sealed like any other request. Lock order: roster, then whatever payments locks.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from core.actors import Actor
from core.batch import copy_rows
from core.errors import NotFound
from core.outcomes import CHUNK, Outcome
from core.transitions import check_move, move
from payments import services as payments
from payments.models import BusinessType, PaymentDetail, PaymentRequest, WithholdingPayee
from payments.rules import MAX_DETAILS
from payments.services import DetailInput, RequestInput
from payments.states import RequestState
from payroll import progress
from payroll.deciding import FLOW_OF, LINK_OF, R, lock_rosters
from payroll.errors import LinesDiffer, NothingFailed, PayeeMissing
from payroll.models import BenefitList, BenefitRow, RosterPayment, SalaryBatch, SalaryRow, Withholding, WithholdingRoute

TRANSFER = "2"
_PAYEE = ("name", "card_no", "bank_name", "bank_no")


@dataclass(frozen=True)
class Correction:
    """What a clerk mends of one failed row before it is paid again; an empty text keeps what was."""

    card_no: str = ""
    bank_name: str = ""
    name: str = ""


@transaction.atomic(durable=True)
def generate_payments(*, model: type[R], roster_id: UUID, clerk: Actor, now: datetime) -> list[PaymentRequest]:
    """Make the payment requests of a confirmed roster, once: every person with pay, and each payee of a withholding.

    Requests of at most MAX_DETAILS lines, business type 3 (salary) or 4 (benefits), all from the roster's indicator.
    Details come in the order of the rows, withholdings last. The database compares rows and lines before anything
    stays.

    :raises NotFound, TransitionNotAllowed, RoleRequired, PayeeMissing, ValidationFailed, LinesDiffer.
    """
    found = lock_rosters(model, [roster_id], clerk)
    if not found:
        raise NotFound("批次不存在或不在您的权限范围内。", field="id")
    roster = found[0]
    check_move(FLOW_OF[model], roster, "generate", clerk)
    inputs = [_request(roster, tuple(lines)) for lines in _chunks(_lines(roster))]
    requests = payments.write_drafts(inputs=inputs, clerk=clerk, now=now)
    link = LINK_OF[model]
    copy_rows(
        [
            RosterPayment(
                adm_div_code=roster.adm_div_code,
                fiscal_year=roster.fiscal_year,
                ordinal=ordinal,
                request=request,
                **{link: roster},
            )
            for ordinal, request in enumerate(requests)
        ]
    )
    _link_rows(roster)
    move(FLOW_OF[model], [roster], "generate", by=clerk, at=now)
    return requests


def _lines(roster: SalaryBatch | BenefitList) -> Iterator[DetailInput]:
    """The payment lines of a roster; a person whose whole pay is withheld has none."""
    rows: Any
    if isinstance(roster, SalaryBatch):
        rows = SalaryRow.objects.filter(batch=roster, net__gt=0).order_by("row_no").values_list(*_PAYEE, "net")
    else:
        rows = BenefitRow.objects.filter(list=roster).order_by("row_no").values_list(*_PAYEE, "amount")
    for name, card_no, bank_name, bank_no, amount in rows.iterator(chunk_size=5000):
        yield DetailInput(name, card_no, bank_name, bank_no, amount)
    if isinstance(roster, SalaryBatch):
        yield from _withheld(roster)


def _withheld(batch: SalaryBatch) -> list[DetailInput]:
    """One line for each account to which something withheld is paid.

    :raises PayeeMissing: naming every withholding nobody is registered for.
    """
    routes = WithholdingRoute.objects.select_related("payee").filter(adm_div_code=batch.adm_div_code)
    payees = {route.withholding: route.payee for route in routes if route.payee.active}
    amounts = {kind: getattr(batch, kind) for kind in Withholding if getattr(batch, kind) > 0}
    missing = [kind.label for kind in amounts if kind not in payees]
    if missing:
        raise PayeeMissing(
            f"没有登记收款单位的代扣项目：{'、'.join(missing)}。请系统管理员先登记。", field="withholding"
        )
    together: dict[str, list[Withholding]] = defaultdict(list)
    for kind in amounts:
        together[payees[kind].account_no].append(kind)
    return [_withheld_line(payees[kinds[0]], kinds, amounts) for kinds in together.values()]


def _withheld_line(
    payee: WithholdingPayee, kinds: Sequence[Withholding], amounts: Mapping[Withholding, Decimal]
) -> DetailInput:
    remark = "代扣" + "、".join(kind.label for kind in kinds)
    return DetailInput(
        payee_name=payee.name,
        payee_account_no=payee.account_no,
        payee_bank_name=payee.bank_name,
        payee_bank_no=payee.bank_no,
        amount=sum((amounts[kind] for kind in kinds), Decimal("0.00")),
        remark=remark if len(remark.encode("gbk")) <= 60 else "代扣款项",
    )


def _chunks(lines: Iterator[DetailInput]) -> Iterator[list[DetailInput]]:
    chunk: list[DetailInput] = []
    for line in lines:
        chunk.append(line)
        if len(chunk) == MAX_DETAILS:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _request(roster: SalaryBatch | BenefitList, lines: tuple[DetailInput, ...]) -> RequestInput:
    salary = isinstance(roster, SalaryBatch)
    return RequestInput(
        indicator_id=roster.indicator_id,
        business_type=BusinessType.SALARY if salary else BusinessType.BATCH,
        settlement=TRANSFER,
        dept_economic_code=roster.dept_economic_code,
        purpose=roster.title,
        details=lines,
    )


_LINK = """
    UPDATE {rows} r SET detail_id = d.id
      FROM (SELECT id, row_number() OVER (ORDER BY row_no) - 1 AS place
              FROM {rows} WHERE {owner} = %(roster)s AND {amount} > 0) o
      JOIN payroll_rosterpayment p ON p.{link}_id = %(roster)s AND p.ordinal = o.place / %(size)s
      JOIN payments_paymentdetail d ON d.request_id = p.request_id AND d.seq = o.place %% %(size)s + 1
     WHERE r.id = o.id
"""
# Every row with pay is one line with its own card and amount, and all lines together are the total of the roster.
_COMPARE = """
    SELECT (SELECT count(*) FROM {rows} r LEFT JOIN payments_paymentdetail d ON d.id = r.detail_id
             WHERE r.{owner} = %(roster)s AND r.{amount} > 0
               AND (d.id IS NULL OR d.amount <> r.{amount} OR d.payee_account_no <> r.card_no
                    OR d.payee_name <> r.name)),
           (SELECT COALESCE(sum(q.amount), 0) FROM payroll_rosterpayment p
              JOIN payments_paymentrequest q ON q.id = p.request_id WHERE p.{link}_id = %(roster)s)
"""


def _link_rows(roster: SalaryBatch | BenefitList) -> None:
    """Say of each row which payment line it is, and let the database compare both sides.

    :raises LinesDiffer: if a row is not its line, or the lines do not add up to the roster.
    """
    names = progress.NAMES[type(roster)]
    given: dict[str, Any] = {"roster": roster.id, "size": MAX_DETAILS}
    with connection.cursor() as cursor:
        cursor.execute(_LINK.format_map(names), given)
        cursor.execute(_COMPARE.format_map(names), given)
        wrong, total = cursor.fetchone()
    if wrong or total != roster.total:
        raise LinesDiffer("支付明细与批次不一致，未生成支付。", field="details", wrong=wrong, total=total)


def submit_payments(*, model: type[R], roster_id: UUID, clerk: Actor, now: datetime) -> Outcome[PaymentRequest]:
    """Submit every draft or returned request of a roster, in chunks; each chunk is a transaction of payments' own.

    Safe to call again: what was submitted before is no draft any more.
    """
    ids = progress.request_ids(model, roster_id, clerk, states=(RequestState.DRAFT, RequestState.RETURNED))
    return _submit(ids, clerk, now)


def _submit(ids: Sequence[UUID], clerk: Actor, now: datetime) -> Outcome[PaymentRequest]:
    outcome: Outcome[PaymentRequest] = Outcome()
    for start in range(0, len(ids), CHUNK):
        answer = payments.submit_payment_requests(request_ids=ids[start : start + CHUNK], clerk=clerk, now=now)
        outcome.accepted += answer.accepted
        outcome.refused |= answer.refused
    return outcome


def reissue_failed(
    *,
    model: type[R],
    roster_id: UUID,
    corrections: Mapping[UUID, Correction],
    clerk: Actor,
    now: datetime,
    only: Sequence[UUID] | None = None,
) -> Outcome[PaymentRequest]:
    """Pay the failed rows of a roster again: one request for each that had failures, each row once, and submit them.

    :param corrections: by failed payment detail: the card (and bank, and name) to pay to instead.
    :param only: of the failed details, those to repeat; all if not given.
    :raises NothingFailed: if nothing is left to repeat.
    :raises ReissueRefused: if somebody else repeats one of the rows at the same moment.
    :raises ValidationFailed: for a correction that cannot stand on a voucher.
    """
    failed = progress.failed_lines(model, roster_id, clerk)
    if only is not None:
        wanted = set(only)
        failed = [line for line in failed if line.detail.id in wanted]
    if not failed:
        raise NothingFailed("没有可以重发的失败行。", field="details")
    by_request: dict[UUID, list[PaymentDetail]] = defaultdict(list)
    for line in failed:
        by_request[line.detail.request_id].append(line.detail)
    inputs = [_again(details, corrections) for details in by_request.values()]
    made = payments.save_drafts(inputs=inputs, clerk=clerk, now=now)
    return _submit([request.id for request in made], clerk, now)


def _again(details: Sequence[PaymentDetail], corrections: Mapping[UUID, Correction]) -> RequestInput:
    original = details[0].request
    return RequestInput(
        indicator_id=original.indicator_id,
        business_type=original.business_type,
        settlement=original.settlement,
        dept_economic_code=original.dept_economic_code,
        purpose=original.purpose,
        details=tuple(_line_again(detail, corrections.get(detail.id, Correction())) for detail in details),
    )


def _line_again(detail: PaymentDetail, mended: Correction) -> DetailInput:
    return DetailInput(
        payee_name=mended.name or detail.payee_name,
        payee_account_no=mended.card_no or detail.payee_account_no,
        payee_bank_name=mended.bank_name or detail.payee_bank_name,
        payee_bank_no="" if mended.bank_name else detail.payee_bank_no,
        amount=detail.amount,
        remark=detail.remark,
        reissue_of=detail.id,
    )
