"""The pages of monitoring at work: a change by two persons, a case with a file, a register, figures, supervisors."""

import re
import uuid
from datetime import date

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from demo import world
from monitoring.models import AnnualLimit, Case, CaseStep, ListedPayee, MonitoringRule, RuleChange
from tests import acts
from tests.attachments.files import pdf

PDF = pdf()


def fields(**changes):
    values = {"code": "M01", "severity": "orange", "action": "hold", "p-amount_from": "50.00", "enabled": "on"}
    return values | {"s-units": "101，205", "note": "试行"} | changes


@pytest.fixture
def blocked(at):
    inside = acts.line("50.00", payee_account_no=world.BASIC_ACCOUNT_101002, payee_name="市第一中学基本户")
    request = acts.draft("I3", details=(inside,))
    acts.submit(request).raise_if_refused()
    return Case.objects.get(alert__document_id=request.id)


def test_a_rule_is_changed_by_two_persons_on_its_page(at):
    acts.submit(acts.draft("I1", "60.00")).raise_if_refused()
    jk, kz = at("gk-jk"), at("gk-kz")

    assert jk.post("/monitoring/changes/propose/", fields()).status_code == 303
    change = RuleChange.objects.get()
    assert change.scope == {"units": ["101", "205"]}
    jk.post("/monitoring/changes/rehearse/", {"id": change.pk, "months": "3"})
    page = jk.get("/monitoring/rules/M01/").content.decode()
    assert "须由另一人启用" in page and "60.00" in page
    status, answer = jk.post_json("/monitoring/changes/enable/", {"id": change.pk})
    assert (status, answer["refused"][0]["code"]) == (409, "second_person_needed")
    assert kz.post("/monitoring/changes/enable/", {"id": change.pk}).status_code == 303

    rule = MonitoringRule.objects.get(code="M01", version=2)
    assert (rule.parameters, rule.enabled) == ({"amount_from": "50.00"}, True)
    page = kz.get("/monitoring/rules/M01/").content.decode()
    assert "第 2 版" in page and "许国华" in page


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"p-amount_from": "5e5"}, "格式不对"),
        ({"note": ""}, "变更理由"),
        ({"valid_from": "2026-02-30"}, "有效日期"),
        ({"severity": "x"}, "x"),
    ],
)
def test_a_change_that_makes_no_sense_comes_back_with_what_was_typed(at, changes, part):
    response = at("gk-jk").post("/monitoring/changes/propose/", fields(**changes))

    page = response.content.decode()
    assert response.status_code == 422 and part in page and "101，205" in page
    assert not RuleChange.objects.exists()


def test_nonsense_is_answered_in_words(at):
    nil = str(uuid.uuid4())
    jk = at("gk-jk")
    for path, given in (
        ("/monitoring/changes/propose/", {"code": "M99"}),
        ("/monitoring/changes/propose/", fields(code="M12")),
        ("/monitoring/changes/rehearse/", {"id": nil}),
        ("/monitoring/changes/enable/", {"id": "x"}),
        ("/monitoring/cases/decide/", {"id": nil, "text": "x", "verdict": "pass"}),
        ("/monitoring/cases/decide/", {"id": "\0"}),
        ("/monitoring/registers/decide/", {"id": nil, "decision": "approve"}),
        ("/monitoring/registers/decide/", {"id": nil, "decision": "x"}),
        ("/monitoring/registers/limit/", {"amount": "1e9"}),
        ("/monitoring/registers/payee/", {}),
    ):
        assert jk.post(path, given).status_code in (404, 409, 422), path
    for path in (
        "/monitoring/cases/?state=%00&level=%00&before=x",
        "/monitoring/statistics/?by=rule&since=2026-13-45&until=x",
        "/monitoring/statistics/list/?by=level&key=%00",
        "/monitoring/rules/M12/",
    ):
        assert jk.get(path).status_code == 200, path
    assert jk.get("/monitoring/rules/M99/").status_code == 404
    assert jk.get(f"/monitoring/cases/{nil}/").status_code == 404


def test_a_case_is_explained_with_a_file_verified_answered_and_closed(at, blocked, settings, tmp_path):
    settings.GUOKU_STATE_DIR = tmp_path
    clerk, jk = at("u101002-jb"), at("gk-jk")
    file = SimpleUploadedFile("说明.pdf", PDF, "application/pdf")

    assert clerk.post("/monitoring/cases/explain/", {"id": blocked.pk, "text": "误选", "file": file}).status_code == 303
    filed = CaseStep.objects.get().attachments[0]
    download = f"/monitoring/cases/{blocked.pk}/files/{filed['digest']}/"
    assert b"".join(jk.get(download).streaming_content) == PDF
    assert at("u205001-jb").get(download).status_code == 404
    assert at("u205001-jb").get(f"/monitoring/cases/{blocked.pk}/").status_code == 404
    assert jk.get(download.replace(filed["digest"], "0" * 64)).status_code == 404

    jk.post("/monitoring/cases/decide/", {"id": blocked.pk, "verdict": "rectify", "text": "请整改"})
    clerk.post("/monitoring/cases/answer/", {"id": blocked.pk, "text": "已整改"})
    assert "已整改" in jk.get(f"/monitoring/cases/{blocked.pk}/").content.decode()
    assert jk.post("/monitoring/cases/close/", {"id": blocked.pk, "text": "核销", "then": "close"}).status_code == 303
    blocked.refresh_from_db()
    assert (blocked.state, blocked.verdict) == ("closed", "rectify")


def test_a_file_of_another_kind_is_refused_and_nothing_is_said(at, blocked):
    file = SimpleUploadedFile("x.exe", b"MZ", "application/octet-stream")

    response = at("u101002-jb").post("/monitoring/cases/explain/", {"id": blocked.pk, "text": "误选", "file": file})

    assert response.status_code == 422 and "误选" in response.content.decode()
    assert not CaseStep.objects.exists()


def test_the_case_waits_on_the_workbench_of_whose_turn_it_is(at, blocked):
    def waiting(username):
        page = at(username).get("/").content.decode()
        found = re.search(r"<b[^>]*>\s*(\d+)\s*</b>\s*<span>预警案件待办", page)
        return int(found[1])

    assert (waiting("u101002-jb"), waiting("u205001-jb"), waiting("gk-jk")) == (1, 0, 0)
    at("u101002-jb").post("/monitoring/cases/explain/", {"id": blocked.pk, "text": "误选"})
    assert (waiting("u101002-jb"), waiting("gk-jk"), waiting("xzzf-sh")) == (0, 1, 0)


def test_supervisors_see_level_one_and_feedback_without_names(at, blocked):
    acts.newcomer("jjw", "supervisor")
    acts.submit(acts.draft("I4", "98000.00")).raise_if_refused()  # level two
    clerk, jk = at("u101002-jb"), at("gk-jk")
    clerk.post("/monitoring/cases/explain/", {"id": blocked.pk, "text": "不给监督看的说明"})
    jk.post("/monitoring/cases/decide/", {"id": blocked.pk, "verdict": "rectify", "text": "请整改"})
    clerk.post("/monitoring/cases/answer/", {"id": blocked.pk, "text": "已培训经办人"})

    page = at("jjw").get("/monitoring/supervision/").content.decode()

    assert "M07" in page and "已培训经办人" in page and "李**" in page
    assert "李春梅" not in page and "M10" not in page and "不给监督看的说明" not in page
    for path in ("/monitoring/cases/", f"/monitoring/cases/{blocked.pk}/", "/payments/", "/monitoring/rules/"):
        assert at("jjw").get(path).status_code == 403, path


def test_figures_lead_to_the_lists_that_add_up_to_them(at, blocked):
    page = at("gk-jk").get("/monitoring/statistics/?by=rule").content.decode()
    assert "/monitoring/statistics/list/?by=rule&amp;key=M07" in page

    listed = at("gk-jk").get("/monitoring/statistics/list/?by=rule&key=M07").content.decode()

    assert "1 笔，合计 ¥ 50.00" in listed and blocked.alert.document_no in listed
    assert "0 笔" in at("xzzf-sh").get("/monitoring/statistics/list/?by=rule&key=M07").content.decode()


def test_an_entry_is_made_by_one_and_checked_by_another(at):
    jk, kz = at("gk-jk"), at("gk-kz")
    entry = {"colour": "black", "name": "某商行", "reason": "虚开发票", "valid_from": "2026-06-01", "valid_to": ""}
    assert jk.post("/monitoring/registers/payee/", entry).status_code == 303
    limit = {"unit_code": "101001", "code": "50206", "amount": "50000.00", "limit_reason": "批复"}
    assert jk.post("/monitoring/registers/limit/", limit).status_code == 303
    payee, annual = ListedPayee.objects.get(), AnnualLimit.objects.get()
    assert (payee.valid_from, payee.valid_to, annual.fiscal_year) == (date(2026, 6, 1), None, 2026)

    decision = {"register": "payee", "decision": "approve", "id": payee.pk}
    assert jk.post_json("/monitoring/registers/decide/", decision)[0] == 409
    assert kz.post("/monitoring/registers/decide/", decision).status_code == 303
    assert (
        kz.post("/monitoring/registers/decide/", {**decision, "register": "limit", "id": annual.pk}).status_code == 303
    )
    assert {ListedPayee.objects.get().state, AnnualLimit.objects.get().state} == {"active"}
    page = jk.post("/monitoring/registers/payee/", {**entry, "name": ""})
    assert page.status_code == 422 and "户名或账号" in page.content.decode()
