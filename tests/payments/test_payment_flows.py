"""The life of requests, details and vouchers, against tables typed out by hand; and the same table in the database."""

import pytest
from django.db import DatabaseError, connection, transaction

from core.actors import Actor
from core.errors import RoleRequired, TransitionNotAllowed
from core.ids import new_id
from core.transitions import check_move
from demo import world
from payments.models import Correction, PaymentDetail, PaymentRequest, Recall, Refund, RefundCase
from payments.states import (
    CORRECTION_FLOW,
    CORRECTION_HOLDS,
    DETAIL_FLOW,
    EDITABLE,
    RECALL_FLOW,
    REFUND_CASE_FLOW,
    REQUEST_FLOW,
    RESERVING,
    CorrectionState,
    DetailState,
    RecallState,
    RefundCaseState,
    RequestState,
)
from tests import acts
from tests.conftest import NOW
from vouchers.models import Voucher
from vouchers.states import VOUCHER_FLOW, VoucherState

UNIT_CLERK = {"unit_clerk"}
REVIEWERS = {"unit_reviewer", "unit_leader", "section_reviewer", "payment_reviewer", "treasury_chief"}
MAKERS = {"voucher_maker", "unit_clerk"}
SEALERS = {"seal_keeper", "unit_sealer", "name_seal", "unit_name_seal"}
BANK, PBOC, OFFICER = {"agent_bank"}, {"pboc"}, {"monitor_officer"}
PAYERS = BANK | PBOC  # PBoC itself pays an appropriation

REQUESTS = {
    "draft": {
        "submit": ("in_review", UNIT_CLERK),
        "hold": ("on_hold", UNIT_CLERK),
        "block": ("blocked", UNIT_CLERK),
        "revise": ("draft", UNIT_CLERK),
        "cancel": ("voided", UNIT_CLERK),
    },
    "blocked": {"revise": ("draft", UNIT_CLERK), "cancel": ("voided", UNIT_CLERK)},
    "on_hold": {"pass_hold": ("in_review", OFFICER), "reject_hold": ("returned", OFFICER)},
    "in_review": {
        "advance": ("in_review", REVIEWERS),
        "countersign": ("in_review", REVIEWERS),
        "approve": ("approved", REVIEWERS),
        "hold": ("on_hold", REVIEWERS),
        "return": ("returned", REVIEWERS),
        "reject": ("voided", REVIEWERS),
    },
    "returned": {
        "submit": ("in_review", UNIT_CLERK),
        "hold": ("on_hold", UNIT_CLERK),
        "block": ("blocked", UNIT_CLERK),
        "revise": ("returned", UNIT_CLERK),
        "cancel": ("voided", UNIT_CLERK),
    },
    "approved": {"issue": ("vouchered", MAKERS), "give_up": ("voided", UNIT_CLERK)},
    "vouchered": {
        "cancel_voucher": ("approved", MAKERS),
        "stamp": ("vouchered", SEALERS),
        "seal": ("sealed", SEALERS),
        "print": ("on_paper", MAKERS),
    },
    "on_paper": {
        "pay_full": ("paid", {"treasury_chief"}),
        "pay_part": ("partially_paid", {"treasury_chief"}),
        "fail": ("failed", {"treasury_chief"}),
    },
    "sealed": {
        "accept": ("accepted", PAYERS),
        "bank_refuse": ("bank_refused", PAYERS),
        "pay_full": ("paid", PAYERS),
        "pay_part": ("partially_paid", PAYERS),
        "fail": ("failed", PAYERS),
    },
    "accepted": {
        "bank_refuse": ("bank_refused", PAYERS),
        "pay_full": ("paid", PAYERS),
        "pay_part": ("partially_paid", PAYERS),
        "fail": ("failed", PAYERS),
    },
    "bank_refused": {"void_refused": ("voided", MAKERS), "withdraw": ("withdrawn", {"system"})},
    "paid": {"clear": ("cleared", PBOC)},
    "partially_paid": {"clear": ("cleared", PBOC)},
    "failed": {},
    "cleared": {},
    "voided": {},
    "withdrawn": {},
}
AGREES = {"payment_reviewer", "treasury_chief"}
RECALLS = {
    "requested": {
        "approve": ("asking", AGREES),
        "reject": ("rejected", AGREES),
        "lapse": ("lapsed", UNIT_CLERK | BANK | {"system"}),
    },
    "asking": {
        "withdraw": ("withdrawn", {"system"}),
        "overtake": ("overtaken", BANK),
        "lapse": ("lapsed", BANK | {"system"}),
    },
    "rejected": {},
    "withdrawn": {},
    "overtaken": {},
    "lapsed": {},
}
CONFIRMERS = {"unit_reviewer", "payment_reviewer", "treasury_chief"}
CASES = {
    "open": {"propose": ("proposed", {"unit_clerk", "voucher_maker"})},
    "proposed": {"confirm": ("identified", CONFIRMERS), "decline": ("open", CONFIRMERS)},
    "identified": {},
}
KEEPERS, MAKER = {"seal_keeper", "name_seal"}, {"voucher_maker"}
CORRECTIONS = {
    "draft": {"submit": ("in_review", UNIT_CLERK), "cancel": ("voided", UNIT_CLERK)},
    "returned": {"submit": ("in_review", UNIT_CLERK), "cancel": ("voided", UNIT_CLERK)},
    "in_review": {
        "advance": ("in_review", REVIEWERS),
        "countersign": ("in_review", REVIEWERS),
        "approve": ("approved", REVIEWERS),
        "return": ("returned", REVIEWERS),
        "reject": ("voided", REVIEWERS),
    },
    "approved": {"issue": ("vouchered", MAKER)},
    "vouchered": {
        "cancel_voucher": ("approved", MAKER),
        "stamp": ("vouchered", KEEPERS),
        "seal": ("sealed", KEEPERS),
    },
    "sealed": {
        "accept": ("accepted", PBOC),
        "pboc_refuse": ("pboc_refused", PBOC),
        "execute": ("executed", PBOC),
        "fail": ("failed", PBOC),
    },
    "accepted": {
        "pboc_refuse": ("pboc_refused", PBOC),
        "execute": ("executed", PBOC),
        "fail": ("failed", PBOC),
    },
    "pboc_refused": {"void_refused": ("voided", MAKER)},
    "executed": {},
    "failed": {},
    "voided": {},
}
DETAILS = {"open": {"pay": ("paid", PAYERS), "fail": ("failed", PAYERS)}, "paid": {}, "failed": {}}
RECEIVERS = {"agent_bank", "pboc"}
VOUCHERS = {
    "generated": {
        "seal": ("sealed", SEALERS | {"system"}),
        "void": ("void", MAKERS),
        "print": ("paper", MAKERS | {"system"}),
    },
    "paper": {},
    "sealed": {
        "sign_for": ("signed_for", RECEIVERS),
        "refuse": ("refused", RECEIVERS),
        "return": ("returned", RECEIVERS),
        "receipt": ("receipted", RECEIVERS),
    },
    "signed_for": {"return": ("returned", RECEIVERS), "receipt": ("receipted", RECEIVERS)},
    "refused": {"void": ("void", MAKERS)},
    "returned": {"void": ("void", MAKERS)},
    "receipted": {},
    "void": {},
}
FLOWS = {
    "request": (REQUEST_FLOW, REQUESTS, RequestState),
    "detail": (DETAIL_FLOW, DETAILS, DetailState),
    "voucher": (VOUCHER_FLOW, VOUCHERS, VoucherState),
    "recall": (RECALL_FLOW, RECALLS, RecallState),
    "case": (REFUND_CASE_FLOW, CASES, RefundCaseState),
    "correction": (CORRECTION_FLOW, CORRECTIONS, CorrectionState),
}
EVERY_ROLE = (
    UNIT_CLERK | REVIEWERS | MAKERS | SEALERS | BANK | PBOC | OFFICER | {"system", "reconciler", "system_admin"}
)


@pytest.mark.parametrize("name", FLOWS)
def test_every_state_and_action_do_what_the_table_says(name):
    flow, table, states = FLOWS[name]
    assert set(table) == set(states.values)
    actions = {action for moves in table.values() for action in moves} | {move.action for move in flow.moves}
    for state in table:
        document = type("Document", (), {"state": state})()
        for action in actions:
            for role in EVERY_ROLE:
                actor = Actor(name="x", roles=frozenset({role}))
                target, roles = table[state].get(action, (None, set()))
                if target is None:
                    with pytest.raises(TransitionNotAllowed):
                        check_move(flow, document, action, actor)
                elif role not in roles:
                    with pytest.raises(RoleRequired):
                        check_move(flow, document, action, actor)
                else:
                    assert check_move(flow, document, action, actor).target == target, (state, action)


def test_money_is_held_exactly_between_submit_and_the_banks_answer():
    before = {"on_hold", "in_review", "approved", "vouchered"}
    assert before | {"sealed", "on_paper", "accepted", "bank_refused"} == RESERVING
    assert {"draft", "returned", "blocked"} == EDITABLE
    assert {"in_review", "approved", "vouchered", "sealed", "accepted", "pboc_refused"} == CORRECTION_HOLDS


def edges(table):
    return {(state, target) for state, moves in table.items() for target, _ in moves.values()}


def jumps(model, rows, table):
    """Try every jump by raw SQL, each undone at once; return those the database allows."""
    allowed = set()
    for source, row in rows.items():
        for target in [*table, "nonsense"]:
            try:
                with transaction.atomic(), connection.cursor() as cursor:
                    cursor.execute(f"UPDATE {model._meta.db_table} SET state = %s WHERE id = %s", [target, row.id])
                    allowed.add((source, target))
                    raise ZeroDivisionError
            except (ZeroDivisionError, DatabaseError):
                pass
    return {(source, target) for source, target in allowed if source != target}


def test_raw_sql_moves_a_request_only_along_the_table(city):
    request = acts.draft("I1", "1.00")
    rows = {}
    for state in REQUESTS:
        request.pk, request.request_no, request.state = new_id(), f"X-{state}", state
        request.action_key = None
        request.save(force_insert=True)
        rows[state] = PaymentRequest.objects.get(pk=request.pk)

    allowed = jumps(PaymentRequest, rows, REQUESTS)

    assert allowed == {(a, b) for a, b in edges(REQUESTS) if a != b}


def test_raw_sql_moves_a_detail_only_along_the_table(city):
    request = acts.draft("I1", "1.00", "1.00", "1.00")
    rows = {}
    for state, detail in zip(DETAILS, request.details.all(), strict=True):
        PaymentDetail.objects.filter(pk=detail.pk).update(state=state)
        rows[state] = detail

    assert jumps(PaymentDetail, rows, DETAILS) == edges(DETAILS)


def test_raw_sql_moves_a_voucher_only_along_the_table(city):
    voucher = acts.sent("I1", "1.00").voucher
    sealed, rows, unsigned = voucher.signature, {}, {}
    for number, state in enumerate([*VOUCHERS, "generated"]):
        voucher.pk, voucher.voucher_no, voucher.digest, voucher.state = new_id(), f"X{number}", f"d{number}", state
        voucher.signature, found = sealed, rows
        if state == "paper" or state in rows:  # what goes out on paper bears no signature, what is sealed does
            voucher.signature, found = "", unsigned
        voucher.save(force_insert=True)
        found[state] = Voucher.objects.get(pk=voucher.pk)

    assert jumps(Voucher, unsigned, VOUCHERS) == {("generated", "paper"), ("generated", "void")}
    assert jumps(Voucher, rows, VOUCHERS) | {("generated", "paper")} == edges(VOUCHERS)


def test_raw_sql_moves_a_recall_only_along_the_table(city):
    rows = {}
    person = world.officer("u101001-jb").person_id
    for number, state in enumerate(RECALLS):
        request = acts.sent("I1", f"{number + 1}.00")
        rows[state] = Recall.objects.create(
            adm_div_code=request.adm_div_code,
            fiscal_year=request.fiscal_year,
            recall_no=f"X{number}",
            request=request,
            voucher=request.voucher,
            reason="x",
            state=state,
            asked_by_id=person,
            decided_by_id=world.officer("gk-sh").person_id,
            created_at=NOW,
            next_attempt_at=NOW,
        )

    assert jumps(Recall, rows, RECALLS) == edges(RECALLS)


def test_raw_sql_moves_a_correction_only_along_the_table(city):
    detail = acts.sent("I1", "1.00").details.get()
    target = world.indicator("I1")
    rows = {}
    for number, state in enumerate(CORRECTIONS):
        rows[state] = Correction.objects.create(
            adm_div_code=detail.adm_div_code,
            fiscal_year=detail.fiscal_year,
            correction_no=f"X{number}",
            unit=target.unit,
            detail=detail,
            from_indicator=target,
            from_quota=target.quota,
            to_indicator=target,
            to_quota=target.quota,
            dept_economic_code="30201",
            amount="1.00",
            reason="x",
            state=state,
            created_by_id=world.officer("u101001-jb").person_id,
            created_at=NOW,
            executed_on=world.DAY,
        )

    assert jumps(Correction, rows, CORRECTIONS) == {(a, b) for a, b in edges(CORRECTIONS) if a != b}


def test_raw_sql_moves_a_case_only_along_the_table(city, bank_b):
    original = PaymentRequest.objects.get(voucher_no=world.HISTORIC_VOUCHER)
    detail, rows = original.details.get(), {}
    for number, state in enumerate(CASES):
        bank_b.send(bank_b.refund(f"TK{number}", original, 1, "1.00"))
        refund = Refund.objects.get(notice_no=f"TK{number}")
        rows[state] = RefundCase.objects.create(
            adm_div_code=refund.adm_div_code,
            fiscal_year=refund.fiscal_year,
            message=refund.message,
            position=9,
            notice_type="2204",
            notice_no=refund.notice_no,
            agent_bank=original.payer_account.agent_bank,
            payer_account_no=original.payer_account.account_no,
            amount="1.00",
            refunded_on=world.DAY,
            opened_on=world.DAY,
            due_on=world.DAY,
            state=state,
            detail=detail,
            proposed_by_id=world.officer("u205001-jb").person_id,
            confirmed_by_id=world.officer("u205001-fh").person_id,
            refund=refund,
            created_at=NOW,
        )

    assert jumps(RefundCase, rows, CASES) == edges(CASES)
