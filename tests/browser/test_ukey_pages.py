"""Officers at a real browser with a real UKey agent: the PIN is typed into the agent's own page, once."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection, transaction
from django.utils import timezone

from demo import world
from demo.keys import END, START
from payments import services
from payments.content import content_digest, details_of
from payments.models import PaymentRequest
from seals import enrolment
from seals.certificates import parse_certificate
from seals.models import OfficerCertificate, StatementSignature, StepSignature
from seals.pki import issue_certificate, load_issuer, parse_csr
from tests import acts
from tests.conftest import NOW
from tests.ukey.fixtures import Agent, start  # noqa: F401  (the fixture)
from tests.ukeys import ukeys_required
from ukey_agent.software import SoftwareToken

pytestmark = pytest.mark.browser

PIN = "280614"
REVIEWER = "u101001-fh"


@dataclass
class Screen:
    """An officer's window; `complaints` are console errors and broken policies."""

    page: Any
    address: str
    complaints: list[str] = field(default_factory=list)

    @property
    def agent(self) -> Any:
        """The agent's page inside ours, which our page cannot read."""
        return self.page.frame_locator("dialog.ukey iframe")

    def go(self, path: str) -> None:
        self.page.goto(self.address + path)
        self.page.wait_for_load_state("networkidle")

    def give_password(self, username: str) -> None:
        self.go("/login/")
        self.page.fill("#username", username)
        self.page.fill("#password", world.PASSWORD)
        self.page.click("form[action='/login/'] button")

    def give_pin(self, pin: str = PIN) -> None:
        self.agent.locator("#go:not([disabled])").wait_for()
        self.agent.locator("#pin").fill(pin)
        self.page.keyboard.press("Enter")

    def log_in(self, username: str) -> None:
        self.give_password(username)
        self.page.get_by_role("button", name="用 UKey 登录").click()
        self.give_pin()
        self.page.wait_for_url(self.address + "/")

    def said(self) -> str:
        self.page.locator("#live:not(:empty)").wait_for()
        return str(self.page.locator("#live").text_content())


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    folder = tmp_path / "tokens"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def agent(real_city, live_server, settings, tokens, start) -> Agent:  # noqa: F811
    """The agent of this machine, and a region whose officers must sign."""
    program: Agent = start(tokens, live_server.url)
    settings.GUOKU_UKEY_URL = program.own
    directives = django_settings.CONTENT_SECURITY_POLICY["DIRECTIVES"]
    allowed = {"frame-src": [program.own], "connect-src": ["'self'", program.own]}
    settings.CONTENT_SECURITY_POLICY = {"DIRECTIVES": {**directives, **allowed}}
    ukeys_required()
    return program


@pytest.fixture
def screen(chromium, live_server, agent) -> Any:
    opened: list[tuple[Any, Screen]] = []

    def show(width: int = 1366, height: int = 768, theme: str = "light") -> Screen:
        context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=theme)
        page = context.new_page()
        window = Screen(page, live_server.url)
        page.on("console", lambda m: window.complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: window.complaints.append(str(error)))
        opened.append((context, window))
        return window

    yield show
    for context, _window in opened:
        context.close()
    assert [complaint for _, window in opened for complaint in window.complaints] == []


@pytest.fixture
def with_token(pki, tokens) -> Callable[[str], OfficerCertificate]:
    """Give an officer a UKey with a certificate on it."""

    def give(username: str) -> OfficerCertificate:
        officer = world.officer(username)
        token, csr = SoftwareToken.create(tokens, username, officer.name, PIN, "sm2-sm3")
        made = issue_certificate(
            load_issuer(pki, "sm2-sm3"),
            subject_common_name=officer.name,
            unit=str(officer.person_id),
            spki=parse_csr(csr.encode()).spki,
            not_before=START,
            not_after=END,
        )
        pem = parse_certificate(made).pem
        token.install_certificate(pem)
        world.enrol_officers({username: pem}, NOW)
        return OfficerCertificate.objects.get(person_id=officer.person_id)

    return give


def waiting(count: int) -> list[PaymentRequest]:
    """Requests at their first reviewer, all amounts and payees different; in order of number."""
    inputs = [
        acts.wanted(
            "I1",
            details=(
                acts.line(
                    f"{10 + number // 100}.{number % 100:02d}",
                    payee_name=f"收款人{number}",
                    payee_account_no=f"62300001{number:08d}",
                ),
            ),
        )
        for number in range(count)
    ]
    requests = services.save_drafts(inputs=inputs, clerk=world.officer("u101001-jb"), now=NOW)
    acts.submit(*requests).raise_if_refused()
    return sorted(acts.fresh(*requests), key=lambda request: request.request_no)


def open_the_agent(window: Screen, count: int) -> None:
    """Tick the whole list, approve it, and wait for the agent to show what it would sign."""
    window.go("/review/")
    window.page.check("[data-tick-all]")
    assert f"已选 {count} 笔" in window.page.text_content("[data-picked-for=bulk]")
    window.page.click("text=批量通过")
    window.agent.locator("#go:not([disabled])").wait_for()


# The journey of the issue -------------------------------------------------------------------------------------------


def test_a_reviewer_approves_a_list_of_two_hundred_with_one_pin(screen, with_token):
    certificate = with_token(REVIEWER)
    requests = waiting(200)
    total = sum(request.amount for request in requests)
    window = screen()
    window.log_in(REVIEWER)

    open_the_agent(window, 200)
    assert window.agent.locator("tbody tr").count() == 200
    assert window.agent.locator("#sum").text_content() == f"¥ {total:,.2f}"
    window.give_pin()
    window.page.wait_for_url("**/review/?done=*")

    assert "通过：200 笔成功" in window.page.text_content(".notice")
    assert {request.state for request in acts.fresh(*requests)} == {"approved"}
    signed = StatementSignature.objects.get(statement__action="approve")
    assert signed.certificate == certificate
    steps = StepSignature.objects.filter(signed=signed)
    assert set(steps.values_list("document_id", flat=True)) == set(acts.ids(requests))


def test_an_amount_changed_between_showing_and_signing_is_refused_alone_and_visibly(screen, with_token):
    with_token(REVIEWER)
    requests = waiting(200)
    changed = requests[77]
    window = screen()
    window.log_in(REVIEWER)

    open_the_agent(window, 200)
    row = window.agent.locator("tbody tr", has_text=changed.request_no)
    assert f"{changed.amount:.2f}" in row.text_content()
    rewrite_amount(changed, "99.99")
    window.give_pin()
    window.page.wait_for_url("**/review/?done=*")

    notice = window.page.text_content(".notice")
    assert "通过：199 笔成功，1 笔未办" in notice
    refused = window.page.text_content(".notice .refused")
    assert changed.request_no in refused
    assert f"签名时金额为 {changed.amount:.2f} 元，现在是 99.99 元，本笔未办理" in refused
    states = {request.request_no: request.state for request in acts.fresh(*requests)}
    assert states.pop(changed.request_no) == "in_review" and set(states.values()) == {"approved"}
    assert not StepSignature.objects.filter(document_id=changed.pk).exists()
    assert StepSignature.objects.count() == 199


def rewrite_amount(request: PaymentRequest, amount: str) -> None:
    """As the database's owner, with every trigger asleep and the stored digest made to fit."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE payments_paymentrequest SET amount = %s WHERE id = %s", [amount, request.pk])
        cursor.execute("UPDATE payments_paymentdetail SET amount = %s WHERE request_id = %s", [amount, request.pk])
        changed = PaymentRequest.objects.get(pk=request.pk)
        digest = content_digest(changed, details_of([changed])[changed.pk])
        cursor.execute("UPDATE payments_paymentrequest SET content_digest = %s WHERE id = %s", [digest, request.pk])


# The way to a certificate -------------------------------------------------------------------------------------------


def test_from_no_certificate_to_a_signed_log_in(screen, agent, tokens):
    window = screen()
    window.give_password(REVIEWER)
    window.page.wait_for_url("**/ukey/")
    assert "您这次登录没有用 UKey" in window.page.text_content("main")
    window.page.get_by_role("button", name="申请证书").click()
    window.agent.locator("#go:not([disabled])").wait_for()
    window.agent.locator("#pin").fill(PIN)
    window.agent.locator("#again").fill(PIN)
    window.page.keyboard.press("Enter")
    window.page.wait_for_url("**/ukey/?done=*")
    row = OfficerCertificate.objects.get()
    shown = " ".join(re.findall("....", row.spki_sm3[:16]))
    assert shown in window.page.text_content("main") and row.status == "requested"

    keeper = world.officer("gk-yz")
    enrolment.decide_request(certificate_id=row.pk, approve=True, by=keeper, now=timezone.now())
    enrolment.issue(certificate_id=row.pk, now=timezone.now())

    window.go("/ukey/")
    window.page.locator("[data-ukey-state]", has_text="还没有装入本机的 UKey").wait_for()
    window.page.get_by_role("button", name="装入证书").click()
    window.agent.locator("#go:not([disabled])").click()
    assert "证书已装入 UKey" in window.said()
    window.page.locator("[data-ukey-state]", has_text="已装入").wait_for()
    assert window.page.locator(".journey > li.done").count() == 3

    window.page.click(".who summary")
    window.page.click("form[action='/logout/'] button")
    window.log_in(REVIEWER)
    assert "您这次登录没有用 UKey" not in window.page.text_content("main")


def test_a_certificate_is_installed_before_the_log_in_that_needs_it(screen, agent, tokens):
    """The officer went home between approval and installation: the log-in page itself offers it."""
    officer = world.officer(REVIEWER)
    _token, csr = SoftwareToken.create(tokens, REVIEWER, officer.name, PIN, "sm2-sm3")
    row = enrolment.request_certificate(csr=csr, by=officer, now=NOW)
    enrolment.decide_request(certificate_id=row.pk, approve=True, by=world.officer("gk-yz"), now=timezone.now())
    enrolment.issue(certificate_id=row.pk, now=timezone.now())
    window = screen()
    window.give_password(REVIEWER)
    window.page.click("text=登录不了？")
    window.page.get_by_role("button", name="装入证书").click()
    window.agent.locator("#go:not([disabled])").click()
    assert "证书已装入 UKey" in window.said()
    window.page.get_by_role("button", name="用 UKey 登录").click()
    window.give_pin()
    window.page.wait_for_url(window.address + "/")


def test_giving_up_the_pin_leaves_everything_as_it_was(screen, with_token):
    with_token(REVIEWER)
    requests = waiting(2)
    window = screen()
    window.log_in(REVIEWER)
    open_the_agent(window, 2)
    window.page.keyboard.press("Escape")
    assert window.said() == "已取消签名，没有办理。"
    assert window.page.text_content("[data-picked-for=bulk]").startswith("已选 2 笔")  # the ticks are kept
    assert {request.state for request in acts.fresh(*requests)} == {"in_review"}
    assert StatementSignature.objects.filter(statement__action="approve").count() == 0


# Every page, every screen -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "height", "theme"), [(1366, 768, "light"), (1366, 768, "dark"), (390, 844, "light")])
def test_no_page_is_wider_than_the_screen(screen, with_token, width, height, theme):
    with_token("gk-yz")
    window = screen(width, height, theme)
    window.log_in("gk-yz")
    for path in ("/ukey/", "/ukey/officers/", "/seals/", "/evidence/", "/vouchers/seal/"):
        window.go(path)
        assert window.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, path
