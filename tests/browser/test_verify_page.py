# ruff: noqa: F811 (fixtures of a helper module)
"""The public page and the voucher's paper in a real browser: a file is dropped, a code opened, a seal pressed."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from dashboards import voucher_paper
from dashboards.desk import WITH_KEY
from dashboards.views.vouchers import receipt_of
from dashboards.voucher_paper import put_on_paper
from parties.models import User
from tests.reconciliation.sealed_city import real_sealed_city, sealing_pki  # noqa: F401
from vouchers.codec import decode_content, encode_envelope
from vouchers.models import Voucher
from vouchers.paper.qr import verify_url
from vouchers.transport import body_of

pytestmark = pytest.mark.browser
SCREENS = [(1366, 768, "light"), (1366, 768, "dark"), (390, 844, "light")]


@pytest.fixture
def open_page(chromium: Any, live_server: Any, real_sealed_city: Any) -> Iterator[Callable[..., Any]]:
    """Return an empty page, of a stranger or an officer; any console error or CSP violation fails the test."""
    cache.clear()
    complaints: list[str] = []
    contexts = []

    def opened(username: str = "", *, width: int = 1366, height: int = 768, theme: str = "light") -> Any:
        context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=theme)
        contexts.append(context)
        if username:
            client = Client()
            client.force_login(User.objects.get(username=username))
            session = client.session
            session[WITH_KEY] = True
            session.save()
            cookie = {"name": settings.SESSION_COOKIE_NAME, "value": session.session_key, "url": live_server.url}
            context.add_cookies([cookie])
        page = context.new_page()
        page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.address = live_server.url
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def paid(city: Any) -> Voucher:
    voucher = city.sealed("I4", "1234.50")
    city.receipted(voucher)
    city.anchored()
    return Voucher.objects.get(pk=voucher.pk)


def pdf_file(voucher: Voucher, folder: Path) -> Path:
    receipt, now = receipt_of(voucher), timezone.now()
    drawn = put_on_paper(voucher, receipt, base_url="http://testserver", now=now)
    path = folder / "voucher.pdf"
    path.write_bytes(voucher_paper.pdf_of(voucher, receipt, drawn, made_at=now))
    return path


def drop(page: Any, path: Path) -> None:
    """Drop a file from the desktop onto the frame, as the browser itself sees it."""
    box = page.locator("#file").bounding_box()
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
        session.send("Input.dispatchDragEvent", {"type": kind, "data": data, **place})


def test_a_pdf_is_dropped_and_found_genuine(open_page, real_sealed_city, tmp_path):
    path = pdf_file(paid(real_sealed_city), tmp_path)
    page = open_page()
    page.goto(page.address + "/verify/")
    drop(page, path)
    page.click("form.verify-form button")
    page.wait_for_selector("[data-result]")
    assert [answer.get_attribute("data-result") for answer in page.query_selector_all("[data-result]")] == [
        "genuine",
        "genuine",
    ]
    assert page.text_content(".answer-word") == "真实"
    assert {cookie["name"] for cookie in page.context.cookies()} <= {"csrftoken"}


def test_an_altered_file_names_the_amount(open_page, real_sealed_city, tmp_path):
    voucher = paid(real_sealed_city)
    path = tmp_path / "v.xml"
    path.write_bytes(encode_envelope([body_of(voucher)]).replace(b'VoucherNo="ZF0001"', b'VoucherNo="ZF0002"'))
    page = open_page()
    page.goto(page.address + "/verify/")
    page.set_input_files("#file", path)
    page.click("form.verify-form button")
    page.wait_for_selector("[data-result=altered]")
    assert "VoucherNo" in page.text_content(".remarks")


@pytest.mark.parametrize(("width", "height", "theme"), SCREENS)
def test_the_pages_fit_the_screen(open_page, real_sealed_city, width, height, theme):
    voucher = paid(real_sealed_city)
    code = verify_url("", decode_content(bytes(voucher.text))[0], voucher.digest)
    page = open_page("gk-sh", width=width, height=height, theme=theme)
    for path in ("/verify/", code, "/verify/?v=x", f"/vouchers/{voucher.pk}/"):
        page.goto(page.address + path)
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.dataset.bsTheme") == theme
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, path


def test_a_seal_on_the_paper_leads_to_its_verdict(open_page, real_sealed_city):
    voucher = paid(real_sealed_city)
    page = open_page("gk-sh")
    page.goto(f"{page.address}/vouchers/{voucher.pk}/")
    seals = page.query_selector_all(".paper-page a")
    assert [seal.get_attribute("href") for seal in seals] == ["#seal-1", "#seal-2", "#seal-3"]
    page.click(".paper-page a[href='#seal-2']")
    verdict = page.locator("#seal-2")
    assert page.url.endswith("#seal-2") and "临江市财政局国库业务专用章" in verdict.inner_text()
    assert "验证通过" in verdict.inner_text() and verdict.is_visible()
    with page.expect_download() as download:
        page.click("text=下载证据包")
    assert download.value.suggested_filename == "5201-ZF0001-evidence.zip"
