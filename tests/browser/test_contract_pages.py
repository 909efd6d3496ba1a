"""The pages of contracts on small screens and in the dark, and the contract beside a payment as it is chosen."""

import pytest

from contracts.models import Contract
from demo import world
from tests.contracts import builders as b

pytestmark = pytest.mark.browser

SCREENS = [(1366, 768, "light"), (390, 844, "dark")]


@pytest.mark.parametrize(("width", "height", "theme"), SCREENS)
def test_no_page_is_wider_than_the_screen(at, width, height, theme):
    contract = Contract.objects.get(contract_no="C-2026-017")
    project = b.project()
    works = b.works(of=project)
    b.certify(works, "300000.00")
    paths = {
        "u101002-jb": (
            *("/contracts/", "/contracts/new/", f"/contracts/{contract.pk}/", "/projects/", "/projects/new/"),
            f"/payments/new/?contract={contract.pk}",
        ),
        "u101002-fh": (f"/contracts/{works.pk}/",),
        "jkw-sh": (f"/contracts/{works.pk}/", f"/projects/{project.pk}/"),
    }
    for username, pages in paths.items():
        page = at(username, width=width, height=height, theme=theme)
        for path in pages:
            page.goto(page.address + path)
            page.wait_for_load_state("networkidle")
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, path
            ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
            assert len(ids) == len(set(ids)), path


def test_the_contract_beside_the_payment_follows_what_is_chosen(at):
    page = at("u101002-jb")
    page.goto(page.address + "/payments/new/")
    page.select_option("#indicator", str(world.indicator("I4").pk))
    with page.expect_response("**/payments/balance/**contract_no=C-2026-017**"):
        page.select_option("#contract_no", "C-2026-017")
    page.wait_for_function("document.querySelector('#balance').textContent.includes('合同 C-2026-017')")
    page.fill("#lines-0-amount", "240000.01")
    with page.expect_response("**/payments/balance/**"):
        page.press("#lines-0-amount", "Tab")
    page.wait_for_function("document.querySelector('#balance').textContent.includes('超过合同现可支付')")


def test_a_stage_more_is_drawn_where_it_belongs(at):
    page = at("u101002-jb")
    page.goto(page.address + "/contracts/new/")
    page.fill("#terms-0-stage", "首付款")
    page.click("button[name=add][value=terms]")
    page.wait_for_selector("#terms-3-stage")
    assert page.input_value("#terms-0-stage") == "首付款"
