"""The agent's pages inside a page of another origin, in a real Chromium: one PIN for two hundred documents.

Pictures go to the folder named by GUOKU_SCREENSHOTS, if it is set; somebody looks at them.
"""

import base64
import json
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from seals.statements import tbs
from tests.ukey import officers
from tests.ukey.officers import PIN, item, order

CHROMIUM = os.environ.get("GUOKU_CHROMIUM", "")
STATIC = Path(__file__).parents[2] / "static"
PICTURES = os.environ.get("GUOKU_SCREENSHOTS", "")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium: set GUOKU_CHROMIUM to its path"),
]

PAGE = """<!doctype html><html lang="zh-Hans" data-bs-theme="{theme}"><head><meta charset="utf-8"><title>审核</title>
<link rel="icon" href="/static/guoku/icon.svg">
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="stylesheet" href="/static/guoku/app.css">
<script src="/static/guoku/app.js" type="module"></script><script src="/static/guoku/ukey.js" type="module"></script>
</head><body><main><div id="live" class="live" role="status" aria-live="polite"></div><h1>待审核支付申请</h1>
<form id="queue" method="post" action="/decide" data-ukey-prepare="/prepare">
<input type="hidden" name="csrfmiddlewaretoken" value="token-of-the-session">
{boxes}
<p class="buttons">
<button class="btn btn-primary" name="action" value="approve" data-bulk data-confirm="同意 {{n}} 笔？">同意</button>
<button class="btn" formaction="/decide/print" name="action" value="print" data-ukey="none">打印</button></p></form>
</main><dialog id="confirm"><form method="dialog"><p data-question></p><button value="no">取消</button></form></dialog>
</body></html>"""


class Site:
    """A page of ours on an origin of its own, and what its server was told."""

    def __init__(self, wang: officers.Officer) -> None:
        self.wang, self.size, self.theme, self.agent_url = wang, 3, "light", ""
        self.posted: list[dict[str, list[str]]] = []
        self.changes: dict[str, Any] = {}
        self.refused: list[Any] = []
        self.expired = False
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path.startswith("/static/"):
                    kinds = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
                    path = STATIC / self.path.removeprefix("/static/")
                    self.answer(path.read_bytes(), kinds[path.suffix])
                else:
                    self.answer(site.page().encode(), "text/html; charset=utf-8")

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                if self.path == "/prepare":
                    self.answer(json.dumps(site.prepare(body)).encode(), "application/json")
                else:
                    site.posted.append(parse_qs(body) | {"path": [self.path]})
                    self.answer("<title>办理完成</title>办理完成".encode(), "text/html; charset=utf-8")

            def answer(self, content: bytes, kind: str) -> None:
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                self.send_header(
                    "Content-Security-Policy",
                    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'; "
                    f"connect-src 'self' {site.agent_url}; frame-src {site.agent_url}",
                )
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def page(self) -> str:
        boxes = "\n".join(
            f'<p><input type="checkbox" name="ids" value="{n}" data-amount="{n}00.01" checked> 第 {n} 笔</p>'
            for n in range(1, self.size + 1)
        )
        return PAGE.format(theme=self.theme, boxes=boxes)

    def prepare(self, body: str) -> dict[str, Any]:
        self.prepared_from = body
        numbers = range(1, self.size + 1)
        names = ("临江市供水有限公司", "临江市第一人民医院", "江南恒信建筑工程集团有限公司第三分公司临江项目部", "陈晓")
        items = [item(n, payee=names[n % 4], amount=f"{n * 7919 % 90000}{n:02d}.{n % 100:02d}") for n in numbers]
        at = datetime.now(UTC) - timedelta(seconds=400 if self.expired else 1)
        fields = {"origin": self.origin} | self.changes
        self.order = order(self.wang, items, at=at, **fields)
        return {
            "statement_id": "S-1", "statement": self.order["statement"], "items": self.order["items"],
            "agent_url": self.agent_url, "certificate_serial": self.wang.serial, "refused": self.refused,
        }  # fmt: skip


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def site(wang: officers.Officer) -> Iterator[Site]:
    made = Site(wang)
    yield made
    made.server.shutdown()
    made.server.server_close()


class Screen:
    """A browser window on the site; `complaints` are console errors and broken policies."""

    def __init__(self, chromium: Any, site: Site, width: int = 1366, height: int = 768) -> None:
        self.context = chromium.new_context(viewport={"width": width, "height": height})
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", lambda m: self.complaints.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(site.origin)

    @property
    def frame(self) -> Any:
        return self.page.frame_locator("dialog.ukey iframe")

    def ask(self) -> None:
        self.page.get_by_role("button", name="同意").click()
        self.frame.locator("#go:not([disabled])").wait_for()

    def said(self) -> str:
        self.page.locator("#live:not(:empty)").wait_for()
        return str(self.page.locator("#live").text_content())

    def picture(self, name: str) -> None:
        if PICTURES:
            self.page.screenshot(path=str(Path(PICTURES) / f"{name}.png"))


@pytest.fixture
def screen(chromium, site, start, tokens) -> Iterator[Any]:
    screens: list[Screen] = []
    site.agent_url = start(tokens, site.origin).own

    def show(**size: int) -> Screen:
        screens.append(Screen(chromium, site, **size))
        return screens[-1]

    yield show
    for one in screens:
        one.context.close()


def test_one_pin_signs_two_hundred_documents_and_the_form_carries_the_signature(screen, site, wang) -> None:
    site.size = 200
    window = screen()
    window.ask()

    assert window.frame.locator("h1").text_content() == "审核同意 200 笔"
    rows = window.frame.locator("tbody tr")
    assert rows.count() == 200
    statement = json.loads(site.order["statement"])
    assert window.frame.locator("#sum").text_content().replace(",", "") == f"¥ {statement['sum']}"
    assert "王知远（国库支付审核）" in window.frame.locator("#who").text_content()
    assert f"证书 {wang.serial}" in window.frame.locator("#key").text_content()
    window.picture("confirm-200-light-1366x768")
    window.page.keyboard.type(PIN)  # nothing was clicked: the PIN field has the focus
    window.page.keyboard.press("Enter")
    window.page.wait_for_url("**/decide")

    (sent,) = site.posted
    assert sent["statement_id"] == ["S-1"] and sent["certificate_serial"] == [wang.serial]
    assert wang.verify(tbs(site.order["statement"]), base64.b64decode(sent["signature"][0]))
    assert len(sent["ids"]) == 200 and sent["action"] == ["approve"] and "pin" not in sent
    assert PIN not in json.dumps(sent | {"prepared": site.prepared_from})
    assert 'name="action"' in site.prepared_from and "token-of-the-session" in site.prepared_from
    assert 'name="ukey_target"\r\n\r\n/decide' in site.prepared_from
    assert window.complaints == []


def test_the_last_of_two_hundred_can_be_reached_and_amounts_stand_right(screen, site) -> None:
    site.size = 200
    window = screen()
    window.ask()
    last = window.frame.locator("tbody tr").last
    last.scroll_into_view_if_needed()
    assert last.is_visible() and last.locator("td").first.text_content() == "200"
    assert last.locator("td.num").evaluate("cell => getComputedStyle(cell).textAlign") == "right"
    assert window.frame.locator("#pin").is_visible() and window.frame.locator("#go").is_visible()


@pytest.mark.parametrize(
    ("theme", "width", "height"), [("dark", 1366, 768), ("light", 390, 844), ("dark", 390, 844), ("light", 1920, 1080)]
)
def test_it_fits_the_screen_and_follows_the_sites_theme(screen, site, theme, width, height) -> None:
    site.size, site.theme = 200, theme
    window = screen(width=width, height=height)
    window.ask()
    window.picture(f"confirm-200-{theme}-{width}x{height}")
    assert window.frame.locator("html").get_attribute("data-theme") == theme
    for place in ("#what", "#sum", "#pin", "#go", "#cancel"):
        box = window.frame.locator(place).bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width and box["y"] + box["height"] <= height, place
    wide = window.frame.locator("body").evaluate("body => body.scrollWidth - body.clientWidth")
    row, listed = (window.frame.locator(place).first.bounding_box() for place in ("tbody tr", "#list"))
    assert wide == 0 and row["width"] > 0.95 * listed["width"] and listed["height"] > 3 * row["height"]
    assert window.complaints == []


def test_a_wrong_pin_is_said_and_the_right_one_still_signs(screen, site) -> None:
    window = screen()
    window.ask()
    window.page.keyboard.type("000000")
    window.page.keyboard.press("Enter")
    window.frame.locator("#trouble:not([hidden])").wait_for()
    assert window.frame.locator("#trouble").text_content() == "PIN 不正确，还可以试 5 次。"
    assert window.frame.locator("#pin").input_value() == "" and site.posted == []
    window.picture("confirm-wrong-pin")
    window.page.keyboard.type(PIN)
    window.page.keyboard.press("Enter")
    window.page.wait_for_url("**/decide")
    assert len(site.posted) == 1


def test_a_locked_token_is_said_on_both_pages(screen, site) -> None:
    window = screen()
    window.ask()
    for left in (5, 4, 3, 2, 1, None):
        window.page.keyboard.type("000000")
        window.page.keyboard.press("Enter")
        said = f"还可以试 {left} 次" if left else "已锁定"
        window.frame.locator(f"#trouble:has-text('{said}')").wait_for()
        if left:
            window.frame.locator("#go:not([disabled])").wait_for()
    window.picture("confirm-locked")
    assert window.frame.locator("#tries").text_content() == ""
    assert window.frame.locator("#pin").is_disabled() and window.frame.locator("#go").is_disabled()
    window.frame.locator("#cancel").click()
    assert window.said().startswith("UKey 已锁定")
    assert site.posted == [] and window.page.locator("dialog.ukey").count() == 0


@pytest.mark.parametrize("way", ["escape", "button"])
def test_a_cancelled_signature_sends_nothing_and_keeps_the_selection(screen, site, way) -> None:
    window = screen()
    window.page.locator("input[value='2']").uncheck()
    window.ask()
    if way == "escape":
        window.page.keyboard.press("Escape")
    else:
        window.frame.locator("#cancel").click()
    assert window.said() == "已取消签名，没有办理。"
    assert site.posted == [] and window.page.locator("dialog.ukey").count() == 0
    assert window.page.locator("input[name=ids]:checked").count() == 2
    window.ask()  # and once more, as if nothing had happened
    window.page.keyboard.type(PIN)
    window.page.keyboard.press("Enter")
    window.page.wait_for_url("**/decide")


OTHER_SITE, NO_TOKEN = "声明不是由此网站签发，不能签名。", "本机没有这张证书的 UKey，请插入您本人的 UKey。"


@pytest.mark.parametrize(("other_site", "said"), [(True, OTHER_SITE), (False, NO_TOKEN)])
def test_a_statement_the_agent_refuses_is_explained_before_any_pin(screen, site, tmp_path, other_site, said) -> None:
    if other_site:
        site.changes = {"origin": "http://127.0.0.1:8000"}
    else:
        site.wang = officers.with_software_token(tmp_path / "elsewhere", officers.Authority(), "wang", "王知远")
    window = screen()
    window.page.get_by_role("button", name="同意").click()
    window.frame.locator("#trouble:not([hidden])").wait_for()
    assert window.frame.locator("#trouble").text_content() == said
    assert window.frame.locator("#pin").is_disabled() and site.wang.token.info().tries_left == 6
    window.page.keyboard.press("Escape")
    assert window.said() == said and site.posted == []


def test_an_expired_statement_is_explained(screen, site) -> None:
    site.expired = True
    window = screen()
    window.page.get_by_role("button", name="同意").click()
    window.frame.locator("#trouble:not([hidden])").wait_for()
    assert window.frame.locator("#trouble").text_content() == "声明已过期，请重新办理。"


def test_a_program_that_does_not_run_is_said_at_once(screen, site) -> None:
    site.agent_url = "http://127.0.0.1:9"
    window = screen()
    window.page.get_by_role("button", name="同意").click()
    assert window.said().startswith("没有检测到 UKey 签名程序。")
    assert window.page.locator("dialog.ukey").count() == 0 and site.posted == []


def test_a_program_that_does_not_know_the_site_is_said(screen, site, program) -> None:
    site.agent_url = program.own  # started for another site
    window = screen()
    window.page.get_by_role("button", name="同意").click()
    window.page.locator("#live:not(:empty)").wait_for(timeout=15000)
    assert window.said() == "UKey 签名程序没有登记本网站，请联系系统管理员。"
    assert site.posted == []


def test_buttons_that_need_no_signature_go_their_way(screen, site) -> None:
    window = screen()
    window.page.get_by_role("button", name="打印").click()
    window.page.wait_for_url("**/decide/print")
    assert site.posted[0]["path"] == ["/decide/print"] and "signature" not in site.posted[0]


def test_nothing_ticked_asks_for_no_signature(screen, site) -> None:
    window = screen()
    for box in window.page.locator("input[name=ids]").all():
        box.uncheck()
    window.page.get_by_role("button", name="同意").click()
    assert window.said() == "请先勾选要办理的单据。"
    assert window.page.locator("dialog.ukey").count() == 0 and not hasattr(site, "order")


def test_a_second_request_cannot_change_what_is_on_the_screen(screen, site) -> None:
    window = screen()
    window.ask()
    shown = window.frame.locator("tbody").text_content()
    signed = site.order
    site.prepare("")  # another statement of the same site
    window.page.evaluate(
        """([statement, items]) => document.querySelector("dialog.ukey iframe").contentWindow.postMessage(
            {guoku: "ukey/1", request: "sign", statement, items, certificate_serial: ""}, "*")""",
        [site.order["statement"], site.order["items"][:1]],
    )
    assert window.frame.locator("tbody").text_content() == shown
    window.page.keyboard.type(PIN)
    window.page.keyboard.press("Enter")
    window.page.wait_for_url("**/decide")
    signature = base64.b64decode(site.posted[0]["signature"][0])
    assert site.wang.verify(tbs(signed["statement"]), signature)


ENROL = """async ([agentUrl, holder]) => {
  const { enrol } = await import("/static/guoku/ukey.js");
  return enrol({ holder, suite: "sm2-sm3", agentUrl });
}"""
INSTALL = """async ([agentUrl, label, certificate]) => {
  const { installCertificate } = await import("/static/guoku/ukey.js");
  return installCertificate({ label, certificate, subject: "CN=陈晓", agentUrl });
}"""


def test_an_officer_enrols_from_key_to_certificate(screen, site, authority) -> None:
    window = screen()
    page = window.page
    page.evaluate(f"given => {{ window.enrolled = ({ENROL})(given); }}", [site.agent_url, "陈晓"])
    window.frame.locator("#go:not([disabled])").wait_for()
    assert window.frame.locator("h1").text_content() == "为 陈晓 生成密钥"
    window.picture("enrol")
    page.keyboard.type("135790")
    window.frame.locator("#again").fill("135791")
    page.keyboard.press("Enter")
    window.frame.locator("#trouble:has-text('两次输入的 PIN 不同')").wait_for()
    window.frame.locator("#pin").fill("135790")
    window.frame.locator("#again").fill("135790")
    page.keyboard.press("Enter")
    answer = page.evaluate("() => window.enrolled")
    assert answer["label"] == "陈晓" and "135790" not in json.dumps(answer)

    given = [site.agent_url, answer["label"], authority.certify(answer["csr"])]
    page.evaluate(f"given => {{ window.installed = ({INSTALL})(given); }}", given)
    window.frame.locator("#go:not([disabled])").click()
    shown = page.evaluate("() => window.installed")
    assert (shown["label"], shown["awaits_certificate"]) == ("陈晓", False) and shown["certificate_serial"]
    assert window.complaints == []


def test_tokens_are_managed_on_the_agents_own_page(screen, site, authority) -> None:
    window = screen()
    page = window.page
    page.goto(f"{site.agent_url}/manage")
    page.get_by_text("王知远").first.wait_for()
    window.picture("manage")
    page.get_by_text("修改 PIN").click()
    form = page.locator("form[data-verb=pin]")
    for name, text in (("pin", PIN), ("new_pin", "999999"), ("again", "999999")):
        form.locator(f"[name={name}]").fill(text)
    form.get_by_role("button").click()
    page.get_by_text("PIN 已修改。").wait_for()

    new = page.locator("#new")
    for name, text in (("label", "chen"), ("holder", "陈晓"), ("pin", "135790"), ("again", "135790")):
        new.locator(f"[name={name}]").fill(text)
    new.get_by_role("button").click()
    page.locator("#request:not([hidden])").wait_for()
    csr = page.locator("#csr").input_value()
    card = page.locator("section.card", has_text="chen").first
    card.get_by_text("安装证书").click()
    card.locator("[name=certificate]").fill(authority.certify(csr))
    card.locator("form[data-verb=certificate] button").click()
    page.get_by_text("证书已安装。").wait_for()
    assert window.complaints == []
