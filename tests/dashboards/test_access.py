"""Who may open which page: every address for every kind of post, and nothing ever a 500."""

import re
from pathlib import Path

import pytest
from django.test import Client
from django.urls import get_resolver

from demo import world
from tests.acts import draft, newcomer, sent, submit
from tests.ukeys import Hand, ukeys_required

SECURITY, AUDITOR, SUPERVISOR = {"aq-gl"}, {"aq-sj"}, {"jjw"}  # 安全保密员, 安全审计员, 监督查看
OFFICERS = (
    *("u101001-jb", "u101001-fh", "u101001-fz", "u101001-yz", "u101001-mz", "ys-jb", "ys-fz", "jkw-sh", "gk-jh"),
    *("gk-sh", "gk-kz", "gk-zd", "gk-yz", "gk-mz", "gk-dz", "gk-jk", "bb-hd", "ld-fg"),
    *("aq-gl", "aq-sj", "jjw", "admin"),
)
UNIT = {"u101001-jb", "u101001-fh", "u101001-fz", "u101001-yz", "u101001-mz"}
BUSINESS = set(OFFICERS) - {"admin"} - SECURITY - AUDITOR - SUPERVISOR
READERS = (BUSINESS | AUDITOR) - {"bb-hd"}  # who checks rosters for another office reads nothing else
BUREAU = READERS - UNIT
CLERK = {"u101001-jb"}
SEALERS = {"u101001-yz", "u101001-mz", "gk-yz", "gk-mz"}
PAGES = {
    "/": set(OFFICERS),
    "/payments/": READERS,
    "/payments/?state=reissuable&q=1": READERS,
    "/payments/new/": CLERK,
    "/payments/balance/": CLERK,
    "/payments/cards/": READERS,
    "/payments/new/?business_type=5&ids=x": CLERK,
    "/review/": {"u101001-fh", "u101001-fz", "jkw-sh", "gk-sh", "gk-kz"},
    "/monitoring/": BUREAU | CLERK,
    "/monitoring/rules/": BUREAU,
    "/monitoring/rules/M01/": BUREAU,
    "/monitoring/cases/": BUREAU | {"u101001-jb", "u101001-fh", "u101001-fz"},
    "/monitoring/supervision/": SUPERVISOR | AUDITOR,
    "/monitoring/statistics/": BUREAU,
    "/monitoring/statistics/list/": BUREAU,
    "/monitoring/registers/": BUREAU,
    "/vouchers/": READERS,
    "/vouchers/make/": {"u101001-jb", "gk-zd"},
    "/vouchers/seal/": SEALERS,
    "/exchange/": BUREAU,
    "/emergency/": BUREAU | CLERK,
    "/plans/": READERS,
    "/plans/new/": CLERK,
    "/plans/review/": {"u101001-fh", "jkw-sh", "gk-jh"},
    "/plans/notices/": {"gk-zd", "gk-yz", "gk-mz"},
    "/indicators/": READERS,
    "/indicators/?done=%00": READERS,
    "/indicators/documents/": {"ys-jb", "ys-fz", "ld-fg"},
    "/indicators/documents/?state=issued": {"ys-jb", "ys-fz", "ld-fg"},
    "/indicators/documents/new/": {"ys-jb"},
    "/indicators/documents/new-indicator/": {"ys-jb"},
    "/indicators/import/": {"ys-jb"},
    "/indicators/overdue/": READERS,
    "/codes/": {"ys-jb", "ys-fz"},
    "/codes/?year=x&kind=economic_mapping": {"ys-jb", "ys-fz"},
    "/year-end/": {"ys-jb", "ys-fz", "gk-dz", "gk-kz", "ld-fg", "u101001-jb"} | AUDITOR,
    "/quotas/": READERS,
    "/incomes/": {"u101001-jb", "u101001-fh", "u101001-fz"},
    "/incomes/new/": CLERK,
    "/clearing/": BUREAU,
    "/reconciliation/": {"gk-dz", "gk-kz"} | AUDITOR,
    "/days/": {"gk-dz", "gk-kz"} | AUDITOR,
    "/refund-cases/": READERS,
    "/refund-cases/?state=identified": READERS,
    "/prior-year-refunds/": READERS,
    "/corrections/": READERS,
    "/corrections/?state=draft&before=x": READERS,
    "/recalls/": READERS,
    "/ukey/": BUSINESS,
    "/ukey/officers/": {"gk-yz"} | SECURITY,
    "/ukey/officers/?status=soon&q=%00": {"gk-yz"} | SECURITY,
    "/seals/": SEALERS | SECURITY | AUDITOR,
    "/evidence/": BUREAU | SECURITY,
    "/contracts/": READERS,
    "/contracts/?state=draft&q=%00": READERS,
    "/contracts/new/": CLERK,
    "/projects/": READERS,
    "/projects/new/": CLERK,
    "/payroll/": READERS | {"bb-hd"},
    "/payroll/template/": CLERK,
    "/benefits/": READERS,
    "/benefits/template/": CLERK,
    "/delegations/": BUSINESS,
    "/dwell/": BUREAU,
    "/dwell/?post=unit_reviewer&person=x&from=%00": BUREAU,
    "/chains/": SECURITY | AUDITOR,
    "/chains/new/": SECURITY,
    "/people/": SECURITY | AUDITOR,
    "/people/?q=%25": SECURITY | AUDITOR,
}


@pytest.fixture
def at(at):
    """With the two administrators' posts that the demonstration leaves empty."""
    newcomer("aq-gl", "security_admin")
    newcomer("aq-sj", "security_auditor")
    newcomer("jjw", "supervisor")
    return at


@pytest.mark.parametrize("path", PAGES)
def test_a_page_opens_for_its_posts_and_tells_others_why_not(at, path):
    for username in OFFICERS:
        response = at(username).get(path)
        assert response.status_code == (200 if username in PAGES[path] else 403), username
        if response.status_code == 403:
            assert "该页面需要岗位" in response.content.decode()


@pytest.mark.parametrize("username", OFFICERS)
def test_the_navigation_has_no_dead_link(at, username):
    page = at(username).get("/").content.decode()
    links = set(re.findall(r'href="(/[^"#]*)"', page)) - {"/admin/"}
    for link in links:
        if not link.startswith("/static/"):
            assert at(username).get(link).status_code == 200, link


def test_without_the_ukey_that_is_asked_for_only_the_page_to_get_one_opens(at):
    ukeys_required()
    for path in PAGES:
        response = at("gk-yz").get(path)
        if path == "/ukey/":
            assert response.status_code == 200 and "您这次登录没有用 UKey" in response.content.decode()
        else:
            assert response.status_code == 302 and response["location"] == "/ukey/", path
    assert at("gk-yz").get("/", accept="application/json").status_code == 403
    assert Hand("gk-yz").client().get("/vouchers/seal/").status_code == 200
    assert at("aq-gl").get("/ukey/officers/").status_code == 200  # no business post: somebody must approve the first


def test_nobody_gets_in_without_logging_in(city):
    for path in PAGES:
        response = Client().get(path)
        assert response.status_code == 302 and response["location"].startswith("/login/?next=")
    assert Client().get("/", headers={"accept": "application/json"}).status_code == 401


def test_a_document_of_another_unit_is_not_found(at):
    request = sent("I1", "100.00")
    indicator = world.indicator("I1")
    for path in (f"/payments/{request.pk}/", f"/vouchers/{request.voucher_id}/", f"/indicators/{indicator.pk}/"):
        assert at("u101001-jb").get(path).status_code == 200
        assert at("u205001-jb").get(path).status_code == 404
        assert at("gk-sh").get(path).status_code == 200
    assert at("u101001-jb").get(f"/vouchers/{request.voucher_id}/xml/")["content-type"].endswith("GBK")


def test_every_action_wants_a_form_and_its_token(at):
    posts_only = [
        "/" + str(route.pattern)
        for route in get_resolver("dashboards.urls").url_patterns
        if getattr(route.callback, "__name__", "") and "<" not in str(route.pattern)
    ]
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(at("u101001-jb").user)
    for path in posts_only:
        assert strict.post(path, {}).status_code in (403, 405), path


def test_opening_the_address_of_a_button_leads_to_its_page(at):
    for username, path, page in (
        ("u101001-fh", "/review/return/", "/review/"),
        ("gk-zd", "/vouchers/make/void/", "/vouchers/make/"),
        ("gk-dz", "/reconciliation/close/", "/reconciliation/"),
        ("gk-sh", "/ukey/request/", "/ukey/"),
        ("gk-yz", "/ukey/officers/revoke/", "/ukey/officers/"),
        ("gk-yz", "/seals/file/", "/seals/"),
        ("u101001-jb", "/payroll/import/", "/payroll/"),
        ("gk-yz", "/benefits/step/", "/benefits/"),
        ("gk-kz", "/emergency/declare/", "/emergency/"),
        ("gk-jk", "/monitoring/changes/enable/", "/monitoring/rules/"),
        ("gk-jk", "/monitoring/cases/decide/", "/monitoring/cases/"),
        ("gk-kz", "/monitoring/registers/decide/", "/monitoring/registers/"),
        ("gk-sh", "/delegations/give/", "/delegations/"),
        ("aq-gl", "/chains/activate/", "/chains/"),
        ("aq-gl", "/people/leave/", "/people/"),
        ("gk-sh", "/recalls/decide/", "/recalls/"),
        ("gk-zd", "/corrections/make/", "/corrections/"),
        ("u101001-fh", "/refund-cases/decide/", "/refund-cases/"),
        ("ys-jb", "/prior-year-refunds/give-back/", "/prior-year-refunds/"),
    ):
        assert at(username).get(path)["location"] == page


def test_asking_with_nonsense_is_answered_in_words(at):
    submit(draft("I1", "100.00"))
    nil = "00000000-0000-0000-0000-000000000000"
    for path in ("/review/?sel=%00", f"/review/?sel={nil}", "/payments/?q=%00&before=x", "/vouchers/?type=%00&q=%00"):
        assert at("gk-sh").get(path).status_code in (200, 404), path
    for path in ("/evidence/?stream=%00&seq=x&before=-1", "/evidence/?stream=990200000/2026", "/evidence/?seq=9999999"):
        assert at("gk-dz").get(path).status_code in (200, 404), path
    for path in (f"/chains/{nil}/", "/chains/new/?from=%00", f"/chains/new/?from={nil}", "/people/?q=x"):
        assert at("aq-gl").get(path).status_code in (200, 404), path
    for path in ("/review/?for=%00", f"/review/?for={nil}", f"/plans/review/?for={nil}"):
        assert at("gk-sh").get(path).status_code == 403, path
    assert at("gk-dz").get("/dwell/?from=2026-06-30&to=2026-06-01").status_code == 422
    for path in (f"/seals/{nil}/picture/", "/ukey/officers/?status=x&q=%E4%BA%BA"):
        assert at("gk-yz").get(path).status_code in (200, 404), path
    for path in ("/reconciliation/?date=2026-13-45", "/reconciliation/?date=1999-01-01", "/days/?done=%00"):
        assert at("gk-dz").get(path).status_code in (200, 404), path
    assert at("u101001-jb").get("/payments/balance/?indicator=x&lines-0-amount=1e9").status_code == 200


def test_templates_hold_no_inline_script_or_style():
    folder = Path(__file__).parents[2] / "templates"
    for template in folder.rglob("*.html"):
        text = template.read_text(encoding="utf-8")
        assert not re.search(r"\sstyle=|\son[a-z]+=\"|javascript:|<style|<script(?![^>]*\ssrc=)", text), template
