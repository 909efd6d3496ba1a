"""Pasting a screenshot, and a phone whose pictures arrive on the desk, in a real browser under the strict CSP."""

import pytest

from tests import acts
from tests.attachments import files
from tests.dashboards.conftest import Officer

pytestmark = pytest.mark.browser

PASTE = """async () => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 40;
  canvas.getContext("2d").fillRect(5, 5, 20, 20);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
  const pasted = new DataTransfer();
  pasted.items.add(new File([blob], "image.png", { type: "image/png" }));
  document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: pasted, bubbles: true }));
}"""


def test_a_pasted_screenshot_and_a_phones_pictures_arrive_without_leaving_the_page(at, settings, tmp_path):
    settings.GUOKU_ATTACHMENTS_DIR = str(tmp_path / "files")
    request = acts.draft("I1", "200.00")
    desk = at("u101001-jb")
    desk.goto(f"{desk.address}/payments/{request.pk}/")

    desk.evaluate(PASTE)
    desk.wait_for_selector("#attached li:nth-child(1)")
    assert desk.inner_text("[data-attach-said]") == "已上传 1 个附件。"

    desk.click("text=用手机拍照上传")
    desk.wait_for_selector(".phone-code")
    opened = Officer("u101001-jb").client.post(f"/payments/{request.pk}/attachments/phone/", {})
    address = opened.context["address"].partition("/phone/")[2]
    phone = at("u101002-jb", width=390, height=844)
    phone.context.clear_cookies()  # a phone is nobody's log-in
    phone.goto(f"{phone.address}/phone/{address}")
    picture = {"name": "IMG_1.jpg", "mimeType": "image/jpeg", "buffer": files.picture("JPEG")}
    phone.set_input_files("#camera", files=[picture])
    phone.wait_for_selector("text=已收到 1 个文件")

    desk.wait_for_selector("#attached li:nth-child(2)", timeout=20_000)  # by itself: the page asks every 3 seconds
    assert "IMG_1.jpg" in desk.inner_text("#attached")
    assert request.attachments.count() == 2
