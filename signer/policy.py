"""Whether vouchers may be sealed: pure judging over `signer.facts`, no database, no key, no clock.

What is asked is never believed. A voucher is sealed if it stands in the library exactly as asked, if what it orders is
what the rows behind it order, if every needed reviewer approved those rows as they are now (with the UKey where the
region asks for one), and if the person who has it sealed may do so and, with the UKey, has said so.
Source: docs/signer.md, docs/duties.md, docs/signatures.md §4.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import compress
from typing import Any
from uuid import UUID

from cryptography.x509 import load_der_x509_certificate
from cryptography.x509.oid import NameOID

from budget.methods import BY_TYPE, METHODS, Clearing, Method, Side, method_of
from core.digests import sm3_hex
from core.money import ZERO, wire_yuan
from parties.chain_rules import is_complete
from parties.duties import DELEGABLE, UNIT_POSTS, Post, of_side
from seals.certificates import (
    DIGITAL_SIGNATURE,
    ParsedCertificate,
    parse_certificate,
    verify_certificate_signature,
)
from seals.errors import (
    CertificateRefused,
    KeyNotUsable,
    SealNotUsable,
    SignatureRequired,
    StatementOutdated,
    StatementRefused,
    StatementSignatureInvalid,
)
from seals.models import SealKind
from seals.signing import Order, Warrant
from seals.statements import Item, Statement, check_items, check_time, parse_item, parse_statement, tbs, verify_item
from seals.suites import get_suite
from signer.errors import refused
from signer.facts import (
    CORRECTION_TYPES,
    LIMIT_NOTICE,
    NOTICE_TYPES,
    REFUND_ORDER,
    Approval,
    CaseRow,
    Codes,
    CorrectionRow,
    Document,
    Facts,
    Notice,
    OfficerKey,
    Payment,
    Position,
    RegionRow,
    VoucherRow,
    case_key,
)
from vouchers.checks import wire_amount
from vouchers.errors import WireAmountInvalid
from vouchers.messages import VoucherContent
from vouchers.schema import voucher_type

UNIT_NAME = NameOID.ORGANIZATIONAL_UNIT_NAME  # where `signer.issuing` writes whose certificate it is
SEAL_ACTIONS = frozenset({"seal", "stamp"})

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def judge(
    orders: Sequence[Order],
    warrant: Warrant,
    facts: Facts,
    *,
    authorities: Sequence[ParsedCertificate],
    now: datetime,
) -> None:
    """Accept all orders, or refuse the first that does not hold.

    :param authorities: who may vouch for officers' certificates; they come from the signer's own disk, not from the
        register, so that a row added to the register is no UKey.
    :raises SealingRefused: with the codes of docs/signer.md.
    :raises SealNotUsable, SignatureRequired, StatementRefused: as their classes say.
    """
    _Judge(warrant, facts, authorities, now).all(orders)


@dataclass
class _Judge:
    """One call: what holds for the warrant is found out once, and so is each payment that several orders ask about."""

    warrant: Warrant
    facts: Facts
    authorities: Sequence[ParsedCertificate]
    now: datetime
    _statements: dict[str, tuple[Statement, Mapping[str, Item]]] = field(default_factory=dict)  # by region
    _signatures: dict[tuple[str, bytes, str], bool] = field(default_factory=dict)
    _vouchers: dict[str, bool] = field(default_factory=dict)  # by officer certificate
    _sealed_here: set[UUID] = field(default_factory=set)
    _limits_here: dict[UUID, Decimal] = field(default_factory=lambda: defaultdict(lambda: ZERO))

    def all(self, orders: Sequence[Order]) -> None:
        by_voucher: dict[UUID, list[Order]] = defaultdict(list)
        for order in orders:
            by_voucher[order.voucher_id].append(order)
        # Those a 5108 follows from come first.
        for group in sorted(by_voucher.values(), key=lambda group: group[0].voucher_type == LIMIT_NOTICE):
            self._voucher(group)

    def _voucher(self, orders: Sequence[Order]) -> None:
        order = orders[0]
        if any((o.text, _identity(o), o.organisation_code) != (order.text, _identity(order), order.organisation_code)
               for o in orders):  # fmt: skip
            raise refused("orders_disagree", "同一凭证的签章请求彼此不一致。", voucher_no=order.voucher_no)
        content = self.facts.contents.get(order.voucher_id)
        if content is None:
            raise refused("text_malformed", "请求签章的原文不是规范的凭证。", voucher_no=order.voucher_no)
        stated = (content.voucher_type, content.adm_div_code, content.fiscal_year, content.voucher_no)
        if stated != _identity(order):
            raise refused(
                "identity_differs", "凭证原文的类型、区划、年度或号码与请求不同。", stated="/".join(map(str, stated))
            )
        for one in orders:
            self._seal(one)
        if order.voucher_type in BY_TYPE:
            self._payment_voucher(orders, content)
        elif order.voucher_type in NOTICE_TYPES:
            self._notice_voucher(orders, content)
        elif order.voucher_type == LIMIT_NOTICE:
            self._limit_notice(orders, content)
        elif order.voucher_type in CORRECTION_TYPES:
            self._correction_voucher(orders, content)
        elif order.voucher_type == REFUND_ORDER:
            self._refund_order(orders, content)
        else:
            raise refused("voucher_type_not_ours", "本系统不签发这种凭证。", voucher_type=order.voucher_type)

    # Payment vouchers -------------------------------------------------------------------------------------------

    def _payment_voucher(self, orders: Sequence[Order], content: VoucherContent) -> None:
        order = orders[0]
        row = self._waiting(order)
        payment = self.facts.payments.get(row.id)
        if payment is None:
            raise refused("request_unknown", "没有支付申请对应这张凭证。", voucher_no=order.voucher_no)
        method = METHODS.get(payment.payment_mode)
        if method is None or method not in BY_TYPE[order.voucher_type]:
            raise refused("voucher_type_differs", "该支付方式不用这种凭证。", payment_mode=payment.payment_mode)
        self._payment(payment, row, self._step(orders, row))
        region = self._region(order)
        finance = method.office.side is Side.FINANCE
        _check_organisation(order, row, region.finance_organisation if finance else payment.unit_organisation)
        _check_payer(payment, method)
        _check_payment_text(content, payment, row, region)

    def _payment(self, payment: Payment, row: VoucherRow, step: Sequence[Position]) -> None:
        """Whether this person may now take this step on this payment's voucher."""
        if row.id in self._sealed_here:
            return
        document = payment.document
        if document.state != "vouchered":
            raise refused("request_not_vouchered", "支付申请不在「已生成凭证」状态，不能签章。", state=document.state)
        self._approved(document)
        self._person(row, _involved(document, row), step, payment.unit_code)
        self._said(row, str(document.id), row.digest, document.amount, step)
        if any(position.kind == SealKind.SIGNATURE for position in step):
            self._sealed_here.add(row.id)

    # Quota notices ----------------------------------------------------------------------------------------------

    def _notice_voucher(self, orders: Sequence[Order], content: VoucherContent) -> None:
        order = orders[0]
        row = self._waiting(order)
        notice = self.facts.notices.get(row.id)
        if notice is None or row.id != (
            notice.quota_voucher_id if row.voucher_type == "5105" else notice.limit_voucher_id
        ):
            raise refused("notice_unknown", "没有额度通知单对应这张凭证。", voucher_no=order.voucher_no)
        _check_organisation(order, row, self._region(order).finance_organisation)
        if not notice.plans:
            raise refused("approvals_incomplete", "额度通知单没有用款计划。")
        for plan in notice.plans:
            if plan.document.state != "notified":
                raise refused("plan_not_notified", "用款计划不在「已下达」状态，不能签章。", state=plan.document.state)
            self._approved(plan.document)
        step = self._step(orders, row)
        involved: set[UUID | None] = {notice.maker_id}
        for plan in notice.plans:
            involved |= _involved(plan.document, row)
        self._person(row, involved, step, "")
        self._said(row, str(notice.id), self._notice_digest(notice), abs(notice.amount), step)
        _check_notice_text(content, notice, row)

    def _notice_digest(self, notice: Notice) -> str:
        """What is signed for a notice: its two vouchers' digests, 5105 first."""
        ids = [pk for pk in (notice.quota_voucher_id, notice.limit_voucher_id) if pk is not None]
        return sm3_hex("".join(self.facts.vouchers[pk].digest for pk in ids).encode("ascii"))

    # Clearing limits --------------------------------------------------------------------------------------------

    def _limit_notice(self, orders: Sequence[Order], content: VoucherContent) -> None:
        """A 5108 follows from its payment, and comes while the caller's transaction is still open."""
        order = orders[0]
        row = self.facts.vouchers.get(order.voucher_id)
        if row is not None:
            self._waiting(order)
        number = (order.adm_div_code, order.fiscal_year, content.main["PayVoucherNo"])
        payment = self.facts.payments_by_number.get(number)
        if payment is None or METHODS[payment.payment_mode].clearing is not Clearing.BY_PAYMENT:
            raise refused(
                "payment_unknown", "清算额度通知单所指的支付凭证不存在。", voucher_no=content.main["PayVoucherNo"]
            )
        region = self._region(order)
        if order.organisation_code != region.finance_organisation:
            raise refused(
                "organisation_differs", "清算额度通知单只能由财政部门签发。", organisation=order.organisation_code
            )
        amount = _check_limit_text(content, payment, region)
        self._every_position(orders)
        given = sum((change for pk, change in payment.limits if pk != order.voucher_id), ZERO)
        given += self._limits_here[payment.document.id]
        self._limits_here[payment.document.id] += amount
        if amount > 0:
            self._limit_given(order, payment, amount, given)
        elif -amount > given:
            raise refused(
                "limit_taken_twice",
                "收回的清算额度超过该笔支付尚有的额度。",
                taken=wire_yuan(-amount),
                left=wire_yuan(given),
            )

    def _limit_given(self, order: Order, payment: Payment, amount: Decimal, given: Decimal) -> None:
        document = payment.document
        if amount != document.amount:
            raise refused(
                "limit_amount_differs",
                "清算额度与支付金额不同。",
                stated=wire_yuan(amount),
                paid=wire_yuan(document.amount),
            )
        if given or any(change > 0 for voucher_id, change in payment.limits if voucher_id != order.voucher_id):
            raise refused("limit_given_before", "该笔支付已下达过清算额度。", voucher_no=payment.voucher_no)
        row = self.facts.vouchers.get(payment.voucher_id)
        if row is None:
            raise refused("voucher_unknown", "支付凭证不存在。", voucher_no=payment.voucher_no)
        signing = [p for p in self._positions_of(row) if p.kind == SealKind.SIGNATURE]
        step = [p for p in self._positions_of(row) if p.ordinal == signing[-1].ordinal] if signing else []
        if not row.signature:  # it is being sealed in the same act: that step must be open to this person now
            self._is_next(row, step)
            self._payment(payment, row, step)
            return
        if document.state not in ("sealed", "accepted"):
            raise refused("limit_too_late", "该笔支付已有结果，不再下达清算额度。", state=document.state)
        self._approved(document)
        self._person(row, _involved(document, row), step, payment.unit_code)
        self._said(row, str(document.id), row.digest, document.amount, step)

    # Corrections and refund orders ------------------------------------------------------------------------------

    def _correction_voucher(self, orders: Sequence[Order], content: VoucherContent) -> None:
        """5253 and 5351: codes change, nothing else, as every needed reviewer approved."""
        order = orders[0]
        row = self._waiting(order)
        correction = self.facts.corrections.get(row.id)
        if correction is None:
            raise refused("correction_unknown", "没有更正申请对应这张凭证。", voucher_no=order.voucher_no)
        _check_organisation(order, row, self._region(order).finance_organisation)
        document = correction.document
        if document.state != "vouchered":
            raise refused(
                "correction_not_vouchered", "更正申请不在「已生成凭证」状态，不能签章。", state=document.state
            )
        _check_crossing(correction)
        self._approved(document)
        step = self._step(orders, row)
        self._person(row, _involved(document, row), step, "")
        self._said(row, str(document.id), row.digest, document.amount, step)
        _check_correction_text(content, correction, row)

    def _refund_order(self, orders: Sequence[Order], content: VoucherContent) -> None:
        """An 8252 pays nobody: it follows from what two persons have said of money a bank could not place."""
        order = orders[0]
        if self.facts.vouchers.get(order.voucher_id) is not None:
            self._waiting(order)
        region = self._region(order)
        if order.organisation_code != region.finance_organisation:
            raise refused("organisation_differs", "退款凭证只能由财政部门签发。", organisation=order.organisation_code)
        case = self.facts.cases.get(case_key(content))
        if case is None or case.state != "identified" or case.refunded != case.amount:
            raise refused("case_not_identified", "待查退款尚未核定，不能通知银行。", voucher_no=order.voucher_no)
        if None in (case.proposed_by, case.confirmed_by) or case.proposed_by == case.confirmed_by:
            raise refused("case_not_confirmed", "待查退款须由两人认定。", voucher_no=order.voucher_no)
        if case.ordered_by not in (None, order.voucher_id):
            raise refused("case_ordered_before", "该笔待查退款已通知过银行。", voucher_no=order.voucher_no)
        self._every_position(orders)
        _check_refund_order_text(content, case)

    # What is asked for, where, and by whom ----------------------------------------------------------------------

    def _waiting(self, order: Order) -> VoucherRow:
        """The committed row, if the order is exactly about it and it waits for marks."""
        row = self.facts.vouchers.get(order.voucher_id)
        if row is None:
            raise refused("voucher_unknown", "凭证库中没有这张凭证。", voucher_no=order.voucher_no)
        if (row.voucher_type, row.adm_div_code, row.fiscal_year, row.voucher_no) != _identity(order):
            raise refused("identity_differs", "凭证库中该凭证的标识与请求不同。", voucher_no=row.voucher_no)
        if row.text != order.text or row.digest != sm3_hex(order.text):
            raise refused("text_differs", "请求签章的原文与凭证库中的不同。", voucher_no=row.voucher_no)
        if row.sender != order.organisation_code:
            raise refused("organisation_differs", "凭证不是该机构的。", organisation=order.organisation_code)
        if row.state != "generated":
            raise refused("not_waiting_for_seal", "凭证不在待签章状态。", state=row.state)
        return row

    def _positions_of(self, voucher: Order | VoucherRow) -> tuple[Position, ...]:
        """Every mark a voucher of this region, year and type bears, in order."""
        kind = voucher.voucher_type
        found = self.facts.positions.get((voucher.adm_div_code, voucher.fiscal_year, kind), ())
        region = self.facts.regions.get(voucher.adm_div_code)
        sender = voucher.organisation_code if isinstance(voucher, Order) else voucher.sender
        unit = region is None or sender != region.finance_organisation
        mine = of_side([position.post for position in found], unit=unit)
        kept = tuple(position for position, is_mine in zip(found, mine, strict=True) if is_mine)
        if kept:
            return kept
        return (Position(voucher_type(kind).document_positions.signature, SealKind.SIGNATURE, 1, "", True),)

    def _asked(self, orders: Sequence[Order]) -> list[Position]:
        """The positions the orders name, each once, each with what belongs there."""
        known = {position.position: position for position in self._positions_of(orders[0])}
        asked = [order.position for order in orders]
        if len(set(asked)) != len(asked) or not set(asked) <= known.keys():
            raise refused("positions_differ", "请求的签章位置不是该凭证的。", asked=asked, expected=sorted(known))
        for order in orders:
            if (order.seal_id is None) != (known[order.position].kind == SealKind.SIGNATURE):
                raise refused("positions_differ", "该位置要求的是另一种签章。", asked=asked, position=order.position)
        return [known[position] for position in asked]

    def _every_position(self, orders: Sequence[Order]) -> None:
        """What follows from another voucher gets all its marks in one act."""
        missing = {p.position for p in self._positions_of(orders[0]) if p.required}
        missing -= {position.position for position in self._asked(orders)}
        if missing:
            raise refused("positions_differ", "请求的签章位置不完整。", missing=sorted(missing))

    def _step(self, orders: Sequence[Order], row: VoucherRow) -> list[Position]:
        """The positions asked for, if they are one whole step, and the one the voucher waits for."""
        step = self._asked(orders)
        ordinals = {position.ordinal for position in step}
        missing = {p.position for p in self._positions_of(row) if p.ordinal in ordinals and p.required}
        missing -= {position.position for position in step}
        if len(ordinals) != 1 or missing:
            raise refused("positions_differ", "请求的签章位置不是完整的一步。", missing=sorted(missing))
        self._is_next(row, step)
        return step

    def _is_next(self, row: VoucherRow, step: Sequence[Position]) -> None:
        done = {stamp.position for stamp in self.facts.stamps.get(row.id, ())}
        if row.signature:
            done |= {position.position for position in self._positions_of(row) if position.kind == SealKind.SIGNATURE}
        taken = done & {position.position for position in step}
        if taken:
            raise refused("position_taken", "该位置已有签章。", positions=sorted(taken))
        earlier = {p.position for p in self._positions_of(row) if p.required and p.ordinal < step[0].ordinal} - done
        if earlier:
            raise refused("earlier_step_missing", "前面的签章步骤还没有办理。", missing=sorted(earlier))

    def _post(self, row: VoucherRow, position: Position) -> str:
        """Whose step it is; where a region has configured nothing, the office that issues the voucher decides."""
        payment = self.facts.payments.get(row.id)
        method = METHODS.get(payment.payment_mode) if payment is not None else None
        return position.post or (method.office.sealer if method is not None else Post.SEAL_KEEPER)

    def _person(self, row: VoucherRow, involved: set[UUID | None], step: Sequence[Position], unit_code: str) -> None:
        """Whether the person holds the step's post today and has had no other part in this voucher."""
        person = self.warrant.person_id
        if person is None:
            raise refused("person_required", "签章须有签章人。", voucher_no=row.voucher_no)
        for position in step:
            post = self._post(row, position)
            where = unit_code if post in UNIT_POSTS else ""
            if (row.adm_div_code, post, where) not in self.facts.posts:
                raise refused("post_not_held", "签章人今天不在该岗位。", post=post, unit=where)
        if person in involved:
            raise refused("acted_before", "签章人经办、审核或制作过本单（岗位分离）。", voucher_no=row.voucher_no)
        others = {s.person_id for s in self.facts.stamps.get(row.id, ()) if s.ordinal != step[0].ordinal}
        if all(position.kind != SealKind.SIGNATURE for position in step):
            others.add(row.sealer_id)
        if person in others:
            raise refused("sealed_another_step", "签章人已在该凭证的另一步骤签章。", voucher_no=row.voucher_no)

    def _region(self, order: Order) -> RegionRow:
        region = self.facts.regions.get(order.adm_div_code)
        if region is None:
            raise refused("region_unknown", "没有这个行政区划。", adm_div_code=order.adm_div_code)
        return region

    def _seal(self, order: Order) -> None:
        """The seal, if one is asked for: of this organisation, in use, for this type and position."""
        if order.seal_id is None:
            return
        seal = self.facts.seals.get(order.seal_id)
        if seal is None:
            raise _unusable("seal_unknown", "没有登记过这枚印章。")
        if seal.organisation_code != order.organisation_code:
            raise _unusable("seal_of_other_organisation", "印章不属于该凭证的签发机构。", es_id=seal.es_id)
        if (seal.status, seal.certificate_status) != ("active", "active"):
            raise _unusable("seal_revoked", "印章或其证书已停用。", es_id=seal.es_id)
        starts = max(seal.valid_from, seal.certificate_valid_from)
        if not starts <= self.now <= min(seal.valid_to, seal.certificate_valid_to):
            raise _unusable("seal_not_current", "印章或其证书不在有效期内。", es_id=seal.es_id)
        if seal.voucher_types and order.voucher_type not in seal.voucher_types:
            raise _unusable("seal_not_for_type", "印章不能用于这种凭证。", es_id=seal.es_id)
        if any(p.position == order.position and p.kind != seal.kind for p in self._positions_of(order)):
            raise _unusable("seal_kind_differs", "印章的种类与该位置要求的不同。", es_id=seal.es_id, kind=seal.kind)

    # What was approved, and what the person said ----------------------------------------------------------------

    def _approved(self, document: Document) -> None:
        """Every needed node approved this revision, each another person, none the clerk, the content as it is now."""
        given = _current(document)
        if not is_complete(document.needed, [(a.ordinal, a.post) for a in given]):
            missing = {node.ordinal for node in document.needed} - {a.ordinal for a in given}
            outdated = missing and missing <= {a.ordinal for a in document.approvals if a.revision != document.revision}
            code = "approval_outdated" if outdated else "approvals_incomplete"
            raise refused(code, "审核意见不完整，或不是对当前版本的意见。", document_no=document.number)
        persons = frozenset[UUID]().union(*(a.persons for a in given))
        if len(persons) != sum(len(a.persons) for a in given):
            raise refused("approvers_not_distinct", "同一人（或其委托人）审核了两次。", document_no=document.number)
        for approval in given:
            _check_delegation(document, approval)
        if document.clerk_id in persons:
            raise refused("approved_by_clerk", "经办人审核了自己的单据。", document_no=document.number)
        if document.digest_now != document.digest_kept:
            raise refused("content_changed", "单据内容与送审时不同。", document_no=document.number)
        if any(a.content_digest != document.digest_now for a in given):
            raise refused("digest_not_approved", "审核通过的不是单据现在的内容。", document_no=document.number)
        region = self.facts.regions.get(document.adm_div_code)
        if region is None or region.ukey_required:
            former = ""
            for approval in given:
                former = self._approval_signed(document, approval, former)

    def _approval_signed(self, document: Document, approval: Approval, former: str) -> str:
        """Check one approval's signature; returns its digest, which the next one names as its former."""
        step = approval.step
        if step is None:
            raise refused("approval_not_signed", "审核意见没有 UKey 签名。", document_no=document.number)
        facts: dict[str, Any] = {"document_no": document.number, "ordinal": approval.ordinal}
        try:
            statement, item = parse_statement(step.statement), parse_item(step.item)
            check_time(statement, step.signed_at)
        except StatementRefused as error:
            raise refused("approval_signature_invalid", f"审核签名的声明不成立：{error.message}", **facts) from error
        said = (item.document_id, item.revision, item.digest, item.amount, item.former)
        expected = (str(document.id), document.revision, document.digest_now, wire_yuan(document.amount), former)
        about = (step.document_id, step.revision, step.action, statement.action, step.post, statement.adm_div_code)
        if (
            said != expected
            or about != (document.id, document.revision, "approve", "approve", approval.post, document.adm_div_code)
            or statement.post not in ("", approval.post)
            or step.signature_sm3 != sm3_hex(step.signature)
            or not verify_item(statement, step.item, step.index, step.path)
        ):
            raise refused("approval_signature_invalid", "审核签名签的不是这张单据的这一步。", **facts)
        key = step.key
        if not self._is_officers(key, approval.person_id, statement, step.signed_at) or not self._holds_signature(
            key, step.statement, step.signature
        ):
            raise refused("approval_signature_invalid", "审核签名不成立，或不是审核人的证书签的。", **facts)
        return step.signature_sm3

    def _is_officers(self, key: OfficerKey, person_id: UUID, statement: Statement, at: datetime) -> bool:
        """Whether the certificate was this person's and good when the statement was signed."""
        return (
            key.person_id == person_id
            and statement.person_id == str(person_id)
            and statement.certificate_sm3 == key.certificate_sm3
            and key.status in ("active", "revoked")
            and key.valid_from <= at < key.valid_to
            and (key.revoked_at is None or key.revoked_at > at)
        )

    def _holds_signature(self, key: OfficerKey, statement: str, signature: bytes) -> bool:
        known = (statement, signature, key.certificate_sm3)
        if known not in self._signatures:
            self._signatures[known] = self._vouched(key) and _signed_by(key, statement, signature)
        return self._signatures[known]

    def _vouched(self, key: OfficerKey) -> bool:
        """Whether an authority vouches for the certificate, and for this person where it names one by id."""
        if key.certificate_sm3 not in self._vouchers:
            self._vouchers[key.certificate_sm3] = _issued_to(key, self.authorities)
        return self._vouchers[key.certificate_sm3]

    def _said(self, row: VoucherRow, document_id: str, digest: str, amount: Decimal, step: Sequence[Position]) -> None:
        """Where the region asks for the UKey: the person signed, within minutes, that exactly this be sealed."""
        region = self.facts.regions.get(row.adm_div_code)
        if region is not None and not region.ukey_required and not self.warrant.statement:
            return
        if row.adm_div_code not in self._statements:
            self._statements[row.adm_div_code] = self._verified(row.adm_div_code)
        statement, items = self._statements[row.adm_div_code]
        if statement.post and statement.post not in {self._post(row, position) for position in step}:
            raise StatementOutdated("声明所写岗位不是办理这一步的岗位。", field="statement", post=statement.post)
        item = items.get(document_id)
        if item is None:
            raise StatementOutdated("签名的清单里没有这张单据。", field="items", document_id=document_id)
        if (item.digest, item.amount) != (digest, wire_yuan(amount)):
            raise StatementOutdated(
                "签名时看到的内容或金额与要签章的不同。", field="items", stated=item.amount, amount=wire_yuan(amount)
            )

    def _verified(self, adm_div_code: str) -> tuple[Statement, Mapping[str, Item]]:
        """The warrant's statement and what it names, by document, if this person signed it for this region."""
        warrant, key = self.warrant, self.facts.officer_key
        if not warrant.statement or not warrant.signature:
            raise SignatureRequired("本区划签章须用 UKey 签名。", field="signature")
        statement = parse_statement(warrant.statement)
        items = check_items(statement, warrant.items)
        check_time(statement, self.now)
        if statement.action not in SEAL_ACTIONS or statement.adm_div_code != adm_div_code:
            raise StatementOutdated("声明不是为在本区划签章作出的。", field="statement", action=statement.action)
        if (
            key is None
            or warrant.person_id is None
            or key.status != "active"
            or not self._is_officers(key, warrant.person_id, statement, self.now)
        ):
            raise StatementSignatureInvalid("签名所用证书不是签章人当前有效的 UKey 证书。", field="certificate_serial")
        if not self._holds_signature(key, warrant.statement, warrant.signature):
            raise StatementSignatureInvalid("UKey 签名与声明不符。", field="signature")
        return statement, {item.document_id: item for item in items}


def _signed_by(key: OfficerKey, statement: str, signature: bytes) -> bool:
    """Whether the certificate of that digest bears a key that signed this statement."""
    try:
        certificate = parse_certificate(key.pem)
        if sm3_hex(certificate.der) != key.certificate_sm3 or certificate.suite_id != key.suite_id:
            return False
        return get_suite(key.suite_id).verify(certificate.public_key, tbs(statement), signature)
    except (CertificateRefused, KeyNotUsable):
        return False


def _issued_to(key: OfficerKey, authorities: Sequence[ParsedCertificate]) -> bool:
    try:
        certificate = parse_certificate(key.pem)
    except CertificateRefused:
        return False
    issued = any(
        authority.is_authority
        and authority.subject_name == certificate.issuer_name
        and verify_certificate_signature(certificate, authority)
        for authority in authorities
    )
    usage = certificate.key_usage
    if not issued or certificate.is_authority or usage is None or DIGITAL_SIGNATURE not in usage:
        return False  # a UKey holds a certificate for encryption as well
    named = {
        unit.value for unit in load_der_x509_certificate(certificate.der).subject.get_attributes_for_oid(UNIT_NAME)
    }
    return all(name == str(key.person_id) for name in named if _UUID.fullmatch(str(name)))


def _identity(order: Order) -> tuple[str, str, int, str]:
    return order.voucher_type, order.adm_div_code, order.fiscal_year, order.voucher_no


def _current(document: Document) -> list[Approval]:
    """The approvals of the revision that is to be sealed, in the order of the nodes."""
    current = [a for a in document.approvals if a.revision == document.revision]
    return sorted(current, key=lambda a: (a.ordinal, a.seat))


def _check_delegation(document: Document, approval: Approval) -> None:
    """Whoever approved for another did so by a delegation that held at that moment, to him, for that post."""
    given = approval.acted_for
    if given is None:
        return
    if (
        (given.delegate_id, given.post) != (approval.person_id, approval.post)
        or given.delegator_id == given.delegate_id
        or given.post not in DELEGABLE
        or not given.valid_from <= given.day <= given.valid_to
        or not given.held
        or (given.revoked_at is not None and given.revoked_at <= approval.at)
    ):
        raise refused(
            "delegation_invalid",
            "代为审核所依据的委托当时无效。",
            document_no=document.number,
            ordinal=approval.ordinal,
        )


def _check_organisation(order: Order, row: VoucherRow, expected: str) -> None:
    if not order.organisation_code == row.sender == expected:
        raise refused("organisation_differs", "凭证不是该机构签发的。", organisation=order.organisation_code)


def _involved(document: Document, row: VoucherRow) -> set[UUID | None]:
    """Who has had another part in it: clerk, reviewers and those they acted for, maker."""
    reviewers = (person for approval in _current(document) for person in approval.persons)
    return {document.clerk_id, row.maker_id, *reviewers}


def _unusable(code: str, message: str, **facts: str) -> SealNotUsable:
    made = SealNotUsable(message, field="seal_id", **facts)
    made.code = code
    return made


# What the text says -------------------------------------------------------------------------------------------------

_PAYEE = ("PayeeAcctNo", "PayeeAcctName", "PayeeAcctBankName", "PayeeAcctBankNo")


def _check_payer(payment: Payment, method: Method) -> None:
    """F1: the nature of the money decides from which kind of account it may be paid."""
    if payment.payer_account_kind not in method.payer_kinds(payment.fund_nature):
        raise refused(
            "payer_not_allowed",
            "该资金性质不能从这种账户支付。",
            fund=payment.fund_nature,
            kind=payment.payer_account_kind,
        )


def _check_payment_text(content: VoucherContent, payment: Payment, row: VoucherRow, region: RegionRow) -> None:
    """How much, by which method, from which account, to whom, line by line: as the request says, in every field the
    type has."""
    document, kind = payment.document, voucher_type(content.voucher_type)
    expected = {
        "PayAmt": wire_yuan(document.amount),
        "PayTypeCode": payment.payment_mode,
        "FundTypeCode": payment.fund_nature,
        "TreCode": region.tre_code,
        "PayAcctNo": payment.payer_account_no,
        "PayAcctName": payment.payer_account_name,
        "PayBankCode": payment.bank_code,
        "SetModeCode": payment.settlement,
        "BusinessTypeCode": payment.business_type,
        "PaySummaryName": payment.purpose,
        "AgencyCode": payment.unit_code,
    }
    payees = [(line.account_no, line.name, line.bank_name, line.bank_no) for line in payment.lines]
    expected |= dict(zip(_PAYEE, payees[0] if len(payees) == 1 else ("",) * 4, strict=True))
    _compare(content.main, {tag: value for tag, value in expected.items() if tag in kind.main_by_tag})
    if row.amount != document.amount:
        raise _text_disagrees("PayAmt", wire_yuan(row.amount), wire_yuan(document.amount))
    number = "VoucherNo" if "VoucherNo" in kind.detail_by_tag else "VoucherDetailNo"
    tags = ("Id", number, "PayAmt", *_PAYEE, "Remark", "AgencyCode")
    known = [tag in kind.detail_by_tag for tag in tags]
    lines = [
        (str(line.seq), document.number, wire_yuan(line.amount), *payee, line.remark, payment.unit_code)
        for line, payee in zip(payment.lines, payees, strict=True)
    ]
    there = tuple(compress(tags, known))
    stated = [tuple(detail[tag] for tag in there) for detail in content.details]
    wanted = [tuple(compress(line, known)) for line in lines]
    _compare_lines(there, stated, wanted)
    if sum((line.amount for line in payment.lines), ZERO) != document.amount:
        raise _text_disagrees("PayAmt", "明细合计", wire_yuan(document.amount))


def _check_notice_text(content: VoucherContent, notice: Notice, row: VoucherRow) -> None:
    """5105 and 5106: the sum and every plan of the notice; below zero only where every plan is one that takes away."""
    expected = {
        "PlanAmt": wire_yuan(notice.amount),
        "SetMonth": f"{notice.month:02d}",
        "FundTypeCode": notice.fund_nature,
        "PayBankCode": notice.bank_code,
    }
    _compare(content.main, expected)
    total = sum((plan.amount for plan in notice.plans), ZERO)
    if len({plan.amount < 0 for plan in notice.plans}) != 1:
        raise _text_disagrees("PlanAmt", "同时有增加和调减的计划", wire_yuan(notice.amount))
    if not row.amount == notice.amount == total:
        raise _text_disagrees("PlanAmt", wire_yuan(total), wire_yuan(notice.amount))
    tags = ("Id", "AgencyCode", "ExpFuncCode", "AgencyAccoCode", "PlanAmt")
    stated = [tuple(detail.get(tag, "") for tag in tags) for detail in content.details]
    wanted = [
        (str(number), plan.unit_code, plan.function_code, plan.account_no, wire_yuan(plan.amount))
        for number, plan in enumerate(notice.plans, start=1)
    ]
    _compare_lines(tags, stated, wanted)


def _check_limit_text(content: VoucherContent, payment: Payment, region: RegionRow) -> Decimal:
    """5108: returns what it gives (positive) or takes (negative)."""
    main = content.main
    try:
        amount = wire_amount(main["PayAmt"], field="PayAmt")
    except WireAmountInvalid as error:
        raise refused("text_malformed", "清算额度通知单的金额格式不正确。", field="PayAmt") from error
    if not amount:
        raise _text_disagrees("PayAmt", main["PayAmt"], wire_yuan(payment.document.amount))
    expected = {"TreCode": region.tre_code, "PayAcctNo": payment.payer_account_no, "PayBankNo": payment.bank_no}
    _compare(main, expected)
    tags = ("DirectVoucherNo", "PayAmt", "AgencyCode")
    stated = [tuple(detail[tag] for tag in tags) for detail in content.details]
    _compare_lines(tags, stated, [(payment.voucher_no, wire_yuan(amount), payment.unit_code)])
    return amount


def _check_crossing(correction: CorrectionRow) -> None:
    """A correction stays within its unit, fund and bank, and within what the detail paid."""

    def kept(codes: Codes) -> tuple[str, str, str]:
        return codes.unit_code, codes.fund_nature, codes.bank_code

    if kept(correction.before) != kept(correction.after):
        raise refused(
            "correction_crosses", "更正不能换单位、资金性质或代理银行。", document_no=correction.document.number
        )
    if not ZERO < correction.document.amount <= correction.detail_amount:
        raise refused("correction_too_much", "更正金额超过原支付。", document_no=correction.document.number)


def _check_correction_text(content: VoucherContent, correction: CorrectionRow, row: VoucherRow) -> None:
    """One line less by the old codes, one line more by the new ones, nothing in all."""
    direct = row.voucher_type == "5253"
    if row.amount or row.voucher_type != method_of(correction.payment_mode).correction_type:
        raise _text_disagrees("PayAmt", wire_yuan(row.amount), wire_yuan(ZERO))
    before, after = correction.before, correction.after
    expected = {
        "PayAmt": wire_yuan(ZERO),
        "FundTypeCode": after.fund_nature,
        "PayBankCode": after.bank_code,
        "Hold1": correction.voucher_no,
        "Hold2": correction.document.number,
    }
    if direct:
        expected |= {
            "PayTypeCode": correction.payment_mode,
            "PayAcctNo": correction.payer_account_no,
            "PayeeAcctNo": correction.payee_account_no,
            "PayeeAcctName": correction.payee_name,
            "AgencyCode": after.unit_code,
            "ExpFuncCode": after.function_code,
            "ExpEcoCode": after.gov_economic_code,
        }
    _compare(content.main, expected)
    lines = _direct_line if direct else _authorised_line
    amount = correction.document.amount
    wanted = [lines(correction, "1", before, -amount), lines(correction, "2", after, amount)]
    tags = tuple(wanted[0])
    stated = [tuple(detail.get(tag, "") for tag in tags) for detail in content.details]
    _compare_lines(tags, stated, [tuple(line.values()) for line in wanted])


def _direct_line(correction: CorrectionRow, number: str, codes: Codes, amount: Decimal) -> dict[str, str]:
    return {
        "Id": number,
        "VoucherNo": correction.request_no,
        "PayAmt": wire_yuan(amount),
        "PayeeAcctNo": correction.payee_account_no,
        "PayeeAcctName": correction.payee_name,
        "AgencyCode": codes.unit_code,
        "FundTypeCode": codes.fund_nature,
        "ExpFuncCode": codes.function_code,
        "ExpEcoCode": codes.gov_economic_code,
        "DepProCode": codes.project_code,
        "Hold1": correction.voucher_no,
        "Hold2": str(correction.detail_seq),
    }


def _authorised_line(correction: CorrectionRow, number: str, codes: Codes, amount: Decimal) -> dict[str, str]:
    return {
        "Id": number,
        "VoucherNo": correction.voucher_no,
        "SupDepCode": correction.department_code,
        "ExpFuncCode": codes.function_code,
        "PayAmt": wire_yuan(amount),
        "Hold1": codes.gov_economic_code,
        "Hold2": codes.dept_economic_code,
        "Hold3": codes.project_code,
        "Hold4": str(correction.detail_seq),
    }


def _check_refund_order_text(content: VoucherContent, case: CaseRow) -> None:
    """8252: how much, in which account of which bank, and of which payment."""
    amount = wire_yuan(-case.amount)
    _compare(content.main, {"PayAmt": amount, "PayBankCode": case.bank_code, "PayAcctNo": case.payer_account_no})
    tags = ("PayAmt", "AgencyCode", "PayAcctNo", "Hold1", "Hold2", "OriVoucherNo", "OriVouDetailNo")
    original = case.original_type, str(case.original_year), case.original_no, str(case.detail_seq)
    wanted = [(amount, case.unit_code, case.payer_account_no, *original)]
    _compare_lines(tags, [tuple(detail.get(tag, "") for tag in tags) for detail in content.details], wanted)


def _compare(stated: Mapping[str, str], expected: Mapping[str, str]) -> None:
    for tag, value in expected.items():
        if stated.get(tag, "") != value:
            raise _text_disagrees(tag, stated.get(tag, ""), value)


def _compare_lines(tags: Sequence[str], stated: Sequence[tuple[str, ...]], wanted: Sequence[tuple[str, ...]]) -> None:
    if len(stated) != len(wanted):
        raise _text_disagrees("DetailList", str(len(stated)), str(len(wanted)))
    for number, (said, meant) in enumerate(zip(stated, wanted, strict=True), start=1):
        for tag, one, other in zip(tags, said, meant, strict=True):
            if one != other:
                raise _text_disagrees(f"Detail[{number}].{tag}", one, other)


def _text_disagrees(tag: str, stated: str, expected: str) -> Exception:
    return refused(
        "text_disagrees", "凭证原文与审核通过的单据不同。", field=tag, stated=stated[:60], expected=expected[:60]
    )
