"""What only a browser can show: keys, live parts, both themes, small screens, and no policy violated."""

import pytest

from demo import world
from payments.models import PaymentRequest
from tests.acts import draft, fresh, submit

pytestmark = pytest.mark.browser

SCREENS = [(1366, 768, "light"), (1366, 768, "dark"), (390, 844, "light")]
OF_CLERK = ("/", "/payments/", "/payments/new/", "/vouchers/", "/plans/", "/indicators/", "/quotas/", "/vouchers/make/")
OF_REVIEWER = ("/review/", "/plans/review/")
OF_BUDGET = (
    *("/indicators/documents/", "/indicators/documents/new/", "/indicators/documents/new-indicator/"),
    *("/indicators/import/", "/codes/", "/year-end/"),
)


@pytest.mark.parametrize(("width", "height", "theme"), SCREENS)
def test_no_page_is_wider_than_the_screen(at, width, height, theme):
    submit(draft("I1", "100.00", "20.00"), draft("I1", "200.00"))
    for username, paths in (("u101001-jb", OF_CLERK), ("u101001-fh", OF_REVIEWER), ("ys-jb", OF_BUDGET)):
        page = at(username, width=width, height=height, theme=theme)
        for path in paths:
            page.goto(page.address + path)
            page.wait_for_load_state("networkidle")
            assert page.evaluate("document.documentElement.dataset.bsTheme") == theme
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, path


def test_the_queue_is_worked_by_keys_alone(at):
    requests = [draft("I1", f"{n}00.00") for n in (1, 2, 3)]
    submit(*requests)
    page = at("u101001-fh")
    page.goto(page.address + "/review/")
    with page.expect_response("**/review/?sel=**"):
        page.keyboard.press("j")
    page.wait_for_function(f"document.querySelector('#pane').textContent.includes('{requests[1].request_no}')")
    assert page.url.endswith(f"?sel={requests[1].pk}")
    page.keyboard.press("x")
    assert page.text_content("[data-picked-for=bulk]") == "已选 1 笔，合计 ¥ 200.00"
    page.keyboard.press("a")
    page.wait_for_url("**/review/?done=*")
    assert "1 笔成功" in page.text_content(".notice")
    assert [r.state for r in fresh(*requests)] == ["in_review", "approved", "in_review"]
    page.keyboard.press("r")
    assert page.evaluate("document.activeElement.dataset.key") == "r"


def test_the_balance_follows_what_is_typed(at):
    page = at("u101001-jb")
    page.goto(page.address + "/payments/new/")
    indicator = world.indicator("I1")
    with page.expect_response("**/payments/balance/**"):
        page.select_option("#indicator", str(indicator.pk))
    page.wait_for_selector("#dept_economic_code option[value='30201']", state="attached")
    page.fill("#lines-0-amount", "1234.50")
    with page.expect_response("**/payments/balance/**"):
        page.press("#lines-0-amount", "Tab")
    page.wait_for_function("document.querySelector('#balance').textContent.includes('壹仟贰佰叁拾肆元伍角整')")
    page.click("button[name=add]")
    page.wait_for_selector("#lines-1-amount")
    assert page.input_value("#lines-0-amount") == "1234.50"


def test_a_clerk_submits_with_an_impatient_hand(at):
    page = at("u101001-jb")
    page.goto(f"{page.address}/payments/new/?indicator={world.indicator('I1').pk}")
    page.select_option("#dept_economic_code", "30201")
    page.fill("#purpose", "办公用品")
    for name, value in (("payee_name", "晨光办公"), ("payee_account_no", "6230"), ("amount", "10.00")):
        page.fill(f"#lines-0-{name}", value)
    page.fill("#lines-0-payee_bank_name", "丙银行")
    page.dblclick("button[value=submit]")
    page.wait_for_url("**?done=*")
    assert "已提交，进入审核" in page.text_content("main")
    assert PaymentRequest.objects.filter(imported=False).count() == 1


def test_sealing_asks_before_it_sends_and_the_theme_stays(at):
    submit(draft("I1", "100.00"))
    page = at("u101001-fh")
    page.goto(page.address + "/review/")
    page.check("[data-tick-all]")
    page.click("text=批量通过")
    assert "合计 ¥ 100.00" in page.text_content("#confirm")
    assert page.evaluate("document.activeElement.value") == "no"
    page.keyboard.press("Escape")
    page.click(".who summary")
    page.click("[data-theme-toggle]")
    page.reload()
    assert page.evaluate("document.documentElement.dataset.bsTheme") == "dark"
    assert PaymentRequest.objects.filter(state="in_review").count() == 1
