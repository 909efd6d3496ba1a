"""Salary batches from file to bank: who may do what, all or nothing, one of a month and kind, every figure derived."""

from decimal import Decimal

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from core.errors import NotFound, RoleRequired, TransitionNotAllowed, ValidationFailed
from core.models import Transition
from demo import world
from payments import services as payments
from payments.errors import FieldInvalid
from payments.models import PaymentDetail, PaymentRequest
from payroll import paying, services
from payroll.errors import (
    FileRefused,
    LinesDiffer,
    NothingFailed,
    PayeeMissing,
    RosterExists,
    RosterFieldInvalid,
    RowsInvalid,
)
from payroll.models import ImportRejection, RosterPayment, SalaryBatch, SalaryRow, WithholdingRoute
from payroll.progress import failed_lines, progress_of, request_ids, results_of
from payroll.services import Correction
from tests import acts
from tests.conftest import NOW
from tests.payroll import rosters

D = Decimal
ACTIONS = {"submit", "check", "return", "confirm", "generate", "void"}
STATES = {
    "draft": {"submit", "void"},
    "submitted": {"check", "return"},
    "checked": {"confirm", "return"},
    "confirmed": {"generate", "void"},
    "generated": {"void"},
    "voided": set(),
}


def standing(batch):
    return progress_of(SalaryBatch, [SalaryBatch.objects.get(pk=batch.pk)])[batch.pk]


def nothing_of(before):
    after = acts.everything()
    return {label: rows for label, rows in after.items() if rows != before[label]} == {} and not (
        SalaryBatch.objects.exists() or SalaryRow.objects.exists()
    )


# Import -------------------------------------------------------------------------------------------------------------


def test_rows_keep_what_is_needed_and_no_identity_number(city):
    batch = rosters.imported()
    first = batch.rows.first()
    assert (first.name, first.card_no, first.items, first.net) == (
        "张一", "6230000000010001", {"30101": "9800.00"}, D("7184.44")
    )  # fmt: skip
    assert first.identity_masked == f"990***********{rosters.identity(1)[-4:]}"
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM payroll_salaryrow r WHERE r::text LIKE %s", [f"%{rosters.identity(1)}%"])
        assert cursor.fetchone() == (0,)
    assert len(batch.file_digest) == 64 and batch.file_name == "工资.xlsx" and batch.roster_no == "GZ202600001"


def test_csv_gives_the_same_batch(city):
    file = rosters.csv_file(rosters.HEADER, rosters.teachers(), encoding="gb18030")
    batch = services.import_salary_batch(
        header=rosters.salary_header(), file=file, clerk=world.officer(rosters.CLERK), now=NOW
    )
    assert (batch.head_count, batch.gross, batch.net) == (3, D("26500.00"), D("19471.70"))


def test_the_code_of_the_largest_item_names_the_payment(city):
    header = [*rosters.HEADER[:4], "津贴补贴", *rosters.HEADER[4:]]
    rows = [[*row[:4], 20000.0, *row[4:10], row[10] + 20000.0] for row in rosters.teachers()]
    batch = rosters.imported(rows, header=header)
    assert (batch.dept_economic_code, batch.gross) == ("30102", D("86500.00"))


def test_one_bad_row_and_nothing_is_stored(city):
    before = acts.everything()
    rows = rosters.teachers()
    rows[1][10] = 6323.09
    rows[2][2] = 6230000000010003.0
    with pytest.raises(RowsInvalid) as refusal:
        rosters.imported(rows)
    assert [(error.row, error.column) for error in refusal.value.errors] == [(3, "实发"), (4, "卡号")]
    assert refusal.value.counted == 2 and nothing_of(before)


def test_a_file_without_persons_is_refused(city):
    with pytest.raises(RowsInvalid, match="没有人员"):
        rosters.imported([])


def test_a_file_that_breaks_half_way_is_refused_as_a_whole(city):
    text = rosters.csv_file(rosters.HEADER, rosters.teachers()).content.read() + b'\r\n"open'
    with pytest.raises(FileRefused, match="引号"):
        services.import_salary_batch(
            header=rosters.salary_header(),
            file=rosters.source(text, "a.csv"),
            clerk=world.officer(rosters.CLERK),
            now=NOW,
        )
    assert SalaryRow.objects.count() == 0


def test_the_errors_of_a_refused_file_are_kept(city):
    rows = rosters.teachers()
    rows[0][0] = ""
    file, clerk = rosters.xlsx(rosters.HEADER, rows), world.officer(rosters.CLERK)
    with pytest.raises(RowsInvalid) as refusal:
        services.import_salary_batch(header=rosters.salary_header(), file=file, clerk=clerk, now=NOW)
    kept = services.keep_rejection(
        refusal=refusal.value, what="salary", indicator_id=world.indicator("I2").id, file=file, clerk=clerk, now=NOW
    )
    assert ImportRejection.objects.get() == kept
    assert (kept.counted, kept.errors[0][:2], len(kept.file_digest)) == (1, [2, "姓名"], 64)


@pytest.mark.parametrize(
    ("changes", "field"), [({"month": 0}, "month"), ({"month": 13}, "month"), ({"kind": "x"}, "kind")]
)
def test_a_wrong_header_names_its_field(city, changes, field):
    with pytest.raises(ValidationFailed) as refusal:
        rosters.imported(**changes)
    assert refusal.value.field == field


def test_only_a_clerk_of_the_unit_imports(city):
    file = rosters.xlsx(rosters.HEADER, rosters.teachers())
    for who, refusal in (("u101001-jb", NotFound), ("u101002-fh", RoleRequired), ("gk-zd", RoleRequired)):
        with pytest.raises(refusal):
            services.import_salary_batch(header=rosters.salary_header(), file=file, clerk=world.officer(who), now=NOW)


def test_one_active_batch_of_a_unit_month_and_kind(city):
    first = rosters.imported()
    with pytest.raises(RosterExists):
        rosters.imported()
    rosters.imported(month=7)
    rosters.imported(kind="salary")
    void(first).raise_if_refused()
    assert rosters.imported().roster_no == "GZ202600004"


# The steps ----------------------------------------------------------------------------------------------------------


def submit(*batches, who=rosters.CLERK):
    return services.submit_salary_batches(batch_ids=acts.ids(batches), clerk=world.officer(who), now=NOW)


def check(*batches, who=rosters.CHECKER):
    return services.check_salary_batches(batch_ids=acts.ids(batches), checker=world.officer(who), now=NOW)


def confirm(*batches, who=rosters.SECTION):
    return services.confirm_salary_batches(batch_ids=acts.ids(batches), reviewer=world.officer(who), now=NOW)


def send_back(*batches, who=rosters.CHECKER, reason="人数不符"):
    officer = world.officer(who)
    return services.return_rosters(model=SalaryBatch, ids=acts.ids(batches), officer=officer, reason=reason, now=NOW)


def void(*batches, who=rosters.CLERK):
    clerk = world.officer(who)
    return services.void_rosters(model=SalaryBatch, ids=acts.ids(batches), clerk=clerk, reason="重做", now=NOW)


def generate(batch, who=rosters.CLERK):
    return services.generate_payments(model=SalaryBatch, roster_id=batch.id, clerk=world.officer(who), now=NOW)


def in_state(state):
    batch = rosters.imported()
    steps = {"submitted": [submit], "checked": [submit, check], "confirmed": [submit, check, confirm]}
    if state == "voided":
        steps["voided"] = [void]
    for step in steps.get(state, steps["confirmed"] if state == "generated" else []):
        step(batch).raise_if_refused()
    if state == "generated":
        generate(batch)
    return SalaryBatch.objects.get(pk=batch.pk)


@pytest.mark.parametrize("state", STATES)
def test_every_state_takes_its_own_actions_and_no_other(city, state):
    batch = in_state(state)
    assert batch.state == state
    calls = {
        "submit": lambda: submit(batch),
        "check": lambda: check(batch),
        "confirm": lambda: confirm(batch),
        "return": lambda: send_back(batch, who=rosters.SECTION if state == "checked" else rosters.CHECKER),
        "void": lambda: void(batch),
    }
    for action in sorted(ACTIONS - STATES[state]):
        if action == "generate":
            with pytest.raises(TransitionNotAllowed):
                generate(batch)
            continue
        [refusal] = calls[action]().refused.values()
        assert refusal.code == "transition_not_allowed", action
    batch.refresh_from_db()
    assert batch.state == state


@pytest.mark.parametrize("state", sorted(STATES))
@pytest.mark.parametrize("who", ["u101002-fh", "gk-zd", "gk-sh"])
def test_others_have_no_part_in_it(city, state, who):
    batch = in_state(state)
    steps = (submit, check, confirm, void)
    codes = {error.code for step in steps for error in step(batch, who=who).refused.values()}
    assert codes <= {"role_required", "transition_not_allowed"}
    batch.refresh_from_db()
    assert batch.state == state


def test_who_imported_or_checked_does_not_confirm(city):
    batch = in_state("submitted")
    acts.second_login(rosters.CLERK, "roster_checker")
    [refusal] = check(batch, who=f"{rosters.CLERK}-roster_checker").refused.values()
    assert refusal.code == "acted_before"
    check(batch).raise_if_refused()
    acts.second_login(rosters.CHECKER, "section_reviewer", section="教科文科")
    [refusal] = confirm(batch, who=f"{rosters.CHECKER}-section_reviewer").refused.values()
    assert refusal.code == "acted_before"
    confirm(batch).raise_if_refused()
    batch.refresh_from_db()
    assert batch.checked_by_id == world.officer(rosters.CHECKER).person_id
    assert batch.confirmed_by_id == world.officer(rosters.SECTION).person_id


def test_a_section_sees_its_own_units_only(city):
    batch = in_state("checked")
    [refusal] = confirm(batch, who="xzzf-sh").refused.values()
    assert refusal.code == "not_found"


def test_a_return_says_why_and_the_check_no_longer_counts(city):
    batch = in_state("checked")
    with pytest.raises(RosterFieldInvalid):
        send_back(batch, who=rosters.SECTION, reason=" ")
    send_back(batch, who=rosters.SECTION).raise_if_refused()
    batch.refresh_from_db()
    assert (batch.state, batch.checked_by_id) == ("draft", None)
    assert Transition.objects.filter(document_id=batch.id, action="return", reason="人数不符").count() == 1


# Payments -----------------------------------------------------------------------------------------------------------


def many(count, amount=100.0):
    header = (*rosters.HEADER[:5], "养老保险", "实发")
    rows = [
        [f"教师{n}", rosters.identity(n), f"62310{n:011d}", rosters.BANK, amount, 1.0, amount - 1.0]
        for n in range(count)
    ]
    return rosters.imported(rows, header=header)


@pytest.mark.parametrize(("count", "sizes"), [(498, [499]), (499, [499, 1]), (500, [499, 2])])
def test_a_request_holds_499_lines_withholdings_included(city, count, sizes):
    batch = many(count)
    requests = rosters.generated(batch)
    assert [request.details.count() for request in requests] == sizes
    assert sum(request.amount for request in requests) == batch.gross == D(100) * count
    last = requests[-1].details.order_by("seq").last()
    assert (last.payee_name, last.amount, last.remark) == ("市社会保险事业中心", D(count), "代扣养老保险")
    unlinked = SalaryRow.objects.filter(batch=batch).exclude(detail__payee_account_no__startswith="62310")
    assert unlinked.count() == 0
    for row in SalaryRow.objects.select_related("detail__request").order_by("row_no")[::97]:
        assert (row.detail.payee_account_no, row.detail.amount) == (row.card_no, row.net)


def test_the_number_of_statements_does_not_grow_with_the_rows(city):
    used = []
    for count in (10, 1100):
        batch = many(count, amount=10.0)
        rosters.confirmed(batch)
        with acts.statements() as seen:
            generate(batch)
        used.append(len(seen))
        [void_requests(batch), void(batch).raise_if_refused()]
    assert used[0] == used[1] <= 35


def void_requests(batch):
    clerk = world.officer(rosters.CLERK)
    ids = request_ids(SalaryBatch, batch.id, clerk)
    payments.cancel_payment_requests(request_ids=ids, clerk=clerk, now=NOW).raise_if_refused()


def test_a_person_without_net_pay_has_no_line(city):
    rows = [
        *rosters.teachers(),
        ["赵四", rosters.identity(4), "6230000000010004", rosters.BANK, 50.0, 50.0, *[""] * 4, 0.0],
    ]
    batch = rosters.imported(rows)
    [request] = rosters.generated(batch)
    assert (batch.head_count, request.details.count(), request.amount) == (4, 7, D("26550.00"))
    assert SalaryRow.objects.get(name="赵四").detail_id is None
    assert standing(batch).lines == 7


def test_payments_are_generated_once(city):
    batch = rosters.imported()
    rosters.generated(batch)
    with pytest.raises(TransitionNotAllowed):
        generate(batch)
    assert RosterPayment.objects.count() == 1


def test_a_withholding_without_a_payee_stops_everything(city):
    WithholdingRoute.objects.filter(withholding="tax").delete()
    batch = rosters.confirmed(rosters.imported())
    before = acts.everything()
    with pytest.raises(PayeeMissing, match="个人所得税"):
        generate(batch)
    assert acts.everything() == before and RosterPayment.objects.count() == 0


def test_the_database_compares_rows_and_lines_before_anything_stays(city, monkeypatch):
    batch = rosters.confirmed(rosters.imported())
    honest = paying._lines

    def one_fen_more(roster):
        for line in honest(roster):
            yield line if line.payee_name != "李二" else services_line(line, D("6323.09"))

    monkeypatch.setattr(paying, "_lines", one_fen_more)
    with pytest.raises(LinesDiffer):
        generate(batch)
    assert PaymentDetail.objects.filter(payee_name="李二").count() == 0
    batch.refresh_from_db()
    assert batch.state == "confirmed"


def services_line(line, amount):
    return payments.DetailInput(line.payee_name, line.payee_account_no, line.payee_bank_name, "", amount)


def test_submitting_takes_the_drafts_and_may_be_repeated(city):
    batch = rosters.imported()
    rosters.generated(batch)
    clerk = world.officer(rosters.CLERK)
    first = services.submit_payments(model=SalaryBatch, roster_id=batch.id, clerk=clerk, now=NOW)
    again = services.submit_payments(model=SalaryBatch, roster_id=batch.id, clerk=clerk, now=NOW)
    assert (len(first.accepted), len(again.accepted), again.refused) == (1, 0, {})
    assert acts.books("I2")["reserved"] == "26500.00"


def test_a_batch_is_voided_only_when_all_its_payments_are(city):
    batch = rosters.imported()
    rosters.generated(batch)
    [refusal] = void(batch).refused.values()
    assert refusal.code == "roster_not_voidable"
    void_requests(batch)
    seen = standing(batch)
    assert (seen.dropped.lines, seen.label) == (7, "发放失败")
    void(batch).raise_if_refused()
    assert standing(batch).label == "已作废"


def test_states_after_generation_follow_from_the_payments(city, bank_a):
    batch = many(499)
    rosters.generated(batch)
    assert (standing(batch).label, standing(batch).waiting.lines, standing(batch).percent) == ("已生成支付", 500, 0)
    first, second = rosters.sent(batch)
    assert standing(batch).label == "发放中"
    bank_a.send(bank_a.receipt(first.voucher))
    assert (standing(batch).label, standing(batch).paid.lines, standing(batch).percent) == ("发放中", 499, 99)
    bank_a.send(bank_a.receipt(second.voucher))
    assert (standing(batch).label, standing(batch).paid.amount) == ("完成", D("49900.00"))


# Reissue ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def failed(city, bank_a):
    """P1 with two of three persons and the tax office failed."""
    batch = rosters.imported()
    rosters.generated(batch)
    [request] = rosters.sent(batch)
    bank_a.send(bank_a.receipt(request.voucher, failed={"1": "账户已销户", "3": "户名账号不符", "7": "账户冻结"}))
    return batch


def reissue(batch, *, only=None, **corrections):
    clerk = world.officer(rosters.CLERK)
    lines = {line.detail.payee_name: line.detail.id for line in failed_lines(SalaryBatch, batch.id, clerk)}
    return services.reissue_failed(
        model=SalaryBatch,
        roster_id=batch.id,
        corrections={lines[name]: Correction(card) for name, card in corrections.items()},
        clerk=clerk,
        now=NOW,
        only=None if only is None else [lines[name] for name in only],
    )


def test_failed_rows_name_their_person_and_withholdings_none(failed):
    found = failed_lines(SalaryBatch, failed.id, world.officer(rosters.CLERK))
    assert [(line.row_no, line.reason) for line in found] == [
        (2, "账户已销户"),
        (4, "户名账号不符"),
        (None, "账户冻结"),
    ]
    seen = standing(failed)
    assert (seen.failed.lines, seen.failed.amount, seen.label) == (3, D("13286.92"), "部分成功")


def test_only_failed_rows_are_repeated_with_their_corrections(failed):
    [request] = reissue(failed, 张一="6230000000019999").accepted
    assert [(d.payee_name, d.payee_account_no) for d in request.details.order_by("seq")] == [
        ("张一", "6230000000019999"),
        ("王三", "6230000000010003"),
        ("国家税务总局临江市税务局", "6230000000020004"),
    ]
    assert (request.state, request.amount) == ("in_review", D("13286.92"))
    with pytest.raises(NothingFailed):
        reissue(failed)


def test_some_may_be_repeated_now_and_others_later(failed):
    assert reissue(failed, only=["王三"]).accepted[0].amount == D("5964.18")
    assert standing(failed).failed.lines == 2
    assert reissue(failed).accepted[0].amount == D("7322.74")


def test_a_correction_that_cannot_stand_on_a_voucher_is_refused(failed):
    with pytest.raises(ValidationFailed) as refusal:
        reissue(failed, 张一="6230 0000")
    assert isinstance(refusal.value.findings[0], FieldInvalid)
    assert standing(failed).failed.lines == 3


def test_a_repetition_that_fails_may_be_repeated_and_still_knows_its_person(failed, bank_a):
    reissue(failed)
    [request] = rosters.to_the_bank(failed)
    bank_a.send(bank_a.receipt(request.voucher, failed={"2": "又失败"}))
    [line] = failed_lines(SalaryBatch, failed.id, world.officer(rosters.CLERK))
    assert (line.row_no, line.reason) == (4, "又失败")
    row = SalaryRow.objects.select_related("detail__receipt_line").get(name="王三")
    assert results_of([row])[row.id] == line.detail
    reissue(failed, 王三="6230000000010033")
    [again] = rosters.to_the_bank(failed)
    bank_a.send(bank_a.receipt(again.voucher))
    seen = standing(failed)
    assert (seen.label, seen.paid.amount, seen.paid.lines, seen.short) == ("完成", D("26500.00"), 7, D("0.00"))


def test_a_repetition_on_the_payment_page_counts_as_well(failed):
    clerk = world.officer(rosters.CLERK)
    line = failed_lines(SalaryBatch, failed.id, clerk)[1]
    given = acts.wanted("I2", details=(acts.line("5000.00", reissue_of=line.detail.id),))
    payments.save_drafts(inputs=[given], clerk=clerk, now=NOW)
    seen = standing(failed)
    assert (seen.failed.lines, seen.waiting.amount, seen.short) == (2, D("5000.00"), D("964.18"))


def test_a_cancelled_repetition_leaves_the_row_failed(failed):
    [request] = reissue(failed).accepted
    payments.reject_payment_requests(
        request_ids=[request.id], reviewer=world.officer("u101002-fh"), reason_code="payee", reason="", now=NOW
    ).raise_if_refused()
    seen = standing(failed)
    assert (seen.failed.lines, seen.dropped.lines, seen.lines) == (3, 0, 7)


def test_another_unit_reissues_nothing(failed):
    with pytest.raises(NotFound):
        failed_lines(SalaryBatch, failed.id, world.officer("u205001-jb"))


# Beneath ------------------------------------------------------------------------------------------------------------


def test_the_database_keeps_rows_and_totals_as_they_came(city):
    batch = in_state("submitted")
    row = batch.rows.first()
    for change in (
        lambda: SalaryRow.objects.filter(pk=row.pk).update(net=row.net + 1, gross=row.gross + 1),
        lambda: SalaryRow.objects.filter(pk=row.pk).update(card_no="999"),
        lambda: SalaryRow.objects.filter(pk=row.pk).delete(),
        lambda: SalaryBatch.objects.filter(pk=batch.pk).update(gross=batch.gross + 1, net=batch.net + 1),
        lambda: SalaryBatch.objects.filter(pk=batch.pk).update(state="generated"),
        lambda: SalaryBatch.objects.filter(pk=batch.pk)._raw_delete("default"),
        lambda: SalaryRow.objects.create(**copy_of(row)),
    ):
        with pytest.raises(DatabaseError, match=r"pgtrigger|frozen|Invalid transition"), transaction.atomic():
            change()


def copy_of(row):
    skip = ("id", "row_no", "identity_digest")
    values = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
    return {name: value for name, value in values.items() if name not in skip} | {
        "row_no": 99, "identity_digest": "0" * 64
    }  # fmt: skip


def test_a_row_that_does_not_add_up_cannot_be_stored(city):
    batch = rosters.imported()
    with pytest.raises(IntegrityError), transaction.atomic():
        SalaryRow.objects.create(**copy_of(batch.rows.first()) | {"net": D("1.00")})


def test_a_payment_line_is_named_once(city):
    batch = rosters.imported()
    rosters.generated(batch)
    row = batch.rows.first()
    with pytest.raises(DatabaseError, match="pgtrigger"), transaction.atomic():
        SalaryRow.objects.filter(pk=row.pk).update(detail=None)
    assert PaymentRequest.objects.filter(roster_payment__salary_batch=batch).count() == 1
