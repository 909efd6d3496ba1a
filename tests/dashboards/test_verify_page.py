# ruff: noqa: F811 (fixtures of a helper module)
"""The public page: whoever holds a voucher is told whether it is genuine; whoever guesses is told nothing."""

import base64
import io
import json
import logging
import re
from dataclasses import replace

import pytest
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from pypdf import PdfReader, PdfWriter

from dashboards import voucher_paper
from dashboards.desk import WITH_KEY
from dashboards.views.vouchers import receipt_of
from dashboards.voucher_paper import put_on_paper
from demo import world
from parties.models import User
from seals.models import Certificate
from tests.reconciliation.sealed_city import as_owner, ask, sealed_city, sealing_pki  # noqa: F401
from vouchers.codec import content_text, decode_content, encode_content, encode_envelope
from vouchers.models import Voucher
from vouchers.paper.qr import verify_url
from vouchers.transport import body_of

NAME, ACCOUNT = "临江市晨光办公用品公司", "6230000000000001"
XML, PDF = "application/xml", "application/pdf"


@pytest.fixture(autouse=True)
def fresh_counters():
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def city(sealed_city):
    return sealed_city


def hand_in(data: bytes, *, code: str = "", name: str = "v.xml", client: Client | None = None):
    file = SimpleUploadedFile(name, data, content_type=PDF if name.endswith("pdf") else XML)
    fields = {"file": file, **({"v": code} if code else {})}
    response = (client or Client()).post("/verify/", fields, headers={"accept": "application/json"})
    return response.status_code, json.loads(response.content)


def page(data: bytes, **form) -> str:
    file = SimpleUploadedFile("v.xml", data, content_type=XML)
    response = Client().post("/verify/", {"file": file, **form})
    assert response.status_code == 200
    return response.content.decode()


def only(answer):
    status, body = answer
    assert status == 200, body
    [result] = body["results"]
    return result


def envelope(voucher: Voucher, **changes) -> bytes:
    return encode_envelope([replace(body_of(voucher), **changes)])


def rewritten(voucher: Voucher, **changes: str) -> bytes:
    """The voucher's text with main fields changed, as a forger would who keeps everything else."""
    content = decode_content(bytes(voucher.text))[0]
    details = tuple(dict(detail) | {k: v for k, v in changes.items() if k in detail} for detail in content.details)
    return content_text(encode_content(replace(content, main={**content.main, **changes}, details=details)))


def code_of(voucher: Voucher, digest: str = "") -> str:
    content = decode_content(bytes(voucher.text))[0]
    return verify_url("", content, digest or voucher.digest).partition("v=")[2]


# Genuine --------------------------------------------------------------------------------------------------------------


def test_a_genuine_envelope_is_called_genuine_with_each_mark_and_the_root(city):
    voucher = city.sealed()
    city.anchored()

    found = only(hand_in(envelope(voucher)))

    assert (found["result"], found["headline"]) == ("genuine", "真实")
    assert [(m["position"], m["kind"], m["indication"], m["sub_indication"]) for m in found["marks"]] == [
        ("cz_qm", "signature", "TOTAL_PASSED", ""),
        ("cz_sz", "stamp", "TOTAL_PASSED", ""),
        ("cz_dwgz", "stamp", "TOTAL_PASSED", ""),
    ]
    assert found["marks"][0]["holder"] == "临江市财政局" and found["marks"][0]["certificate_serial"]
    assert found["differences"] == [] and found["remarks"] == []
    assert found["state"] == "已签章待发送" and found["business_state"] == "已签章发送"
    root = found["evidence_root"]
    assert root["stream"] == "990100000/2026" and root["size"] > 0 and root["time_stamped"] is True


def test_the_inner_document_alone_is_compared_with_our_copy_and_its_marks(city):
    voucher = city.sealed()
    found = only(hand_in(base64.b64decode(bytes(voucher.text))))
    assert found["result"] == "genuine" and len(found["marks"]) == 3
    assert found["remarks"] == ["文件只有凭证原文；所列签名和签章取自本系统留存的凭证。"]
    assert found["evidence_root"] is None  # no root covers it yet, and the page says so


def test_a_receipt_is_genuine_too_and_its_bank_named(city):
    voucher = city.sealed()
    body = city.receipted(voucher)
    found = only(hand_in(encode_envelope([body])))
    assert found["result"] == "genuine" and found["title"].endswith("（回单）")
    assert [m["indication"] for m in found["marks"]] == ["TOTAL_PASSED", "TOTAL_PASSED"]
    assert found["marks"][0]["holder"] == "甲银行"


def test_the_voucher_page_s_pdf_is_verified_by_what_is_attached(city):
    voucher = city.sealed()
    city.receipted(voucher)

    status, body = hand_in(pdf_of(voucher), name="v.pdf")

    assert status == 200
    assert [(r["result"], r["title"]) for r in body["results"]] == [
        ("genuine", "财政直接支付凭证"),
        ("genuine", "财政直接支付凭证（回单）"),
    ]


def pdf_of(voucher: Voucher) -> bytes:
    receipt, now = receipt_of(voucher), timezone.now()
    drawn = put_on_paper(voucher, receipt, base_url="http://testserver", now=now)
    return voucher_paper.pdf_of(voucher, receipt, drawn, made_at=now)


def test_the_code_on_the_paper_is_answered_and_asks_to_compare(city):
    voucher = city.sealed()
    response = Client().get(f"/verify/?v={code_of(voucher)}")
    text = response.content.decode()
    assert response.status_code == 200 and 'data-result="genuine"' in text
    assert "纸面内容请逐项与下列内容对照" in text and "¥ 1,234.50" in text and "壹仟贰佰叁拾肆元伍角整" in text
    assert not response.cookies.keys() - {"csrftoken"}


def test_names_and_accounts_are_shown_in_part_only(city):
    voucher = city.sealed("I1", "300.00")
    payer = world.indicator("I1").quota.payer_account.account_no
    texts = [page(envelope(voucher)), Client().get(f"/verify/?v={code_of(voucher)}").content.decode()]
    changed = rewritten(voucher, PayeeAcctName="黑龙有限公司", PayeeAcctNo="6230999999999999")
    texts.append(page(envelope(voucher, text=changed)))
    texts.append(json.dumps(hand_in(envelope(voucher, text=changed))[1], ensure_ascii=False))
    for text in texts:
        assert "临**" in text and "6230****0001" in text
        assert "6220****0001" in text or "6210****0001" in text  # the payer
        for hidden in (NAME, ACCOUNT, "黑龙", "6230999999999999", "孙立新", payer):
            assert hidden not in text, hidden
    assert "6230****9999" in texts[2] and "黑**" in texts[2]


# Not genuine ----------------------------------------------------------------------------------------------------------


def test_an_altered_amount_is_named_with_what_it_was(city):
    voucher = city.sealed()
    found = only(hand_in(envelope(voucher, text=rewritten(voucher, PayAmt="9234.50"))))
    assert (found["result"], found["headline"]) == ("altered", "不真实")
    assert [(d["where"], d["name"], d["given"], d["kept"]) for d in found["differences"]] == [
        ("PayAmt", "支付金额", "9234.50", "1234.50"),
        ("Detail[1].PayAmt", "支付金额", "9234.50", "1234.50"),
    ]
    assert {m["sub_indication"] for m in found["marks"]} == {"SIG_CRYPTO_FAILURE", "HASH_FAILURE"}
    assert {f["name"]: f["value"] for f in found["facts"]}["金额"] == "¥ 1,234.50"  # as we have it


def test_an_altered_original_without_marks_is_compared_where_the_paper_s_code_came_along(city):
    voucher = city.sealed()
    forged = base64.b64decode(rewritten(voucher, PayAmt="9234.50"))
    assert only(hand_in(forged))["result"] == "unknown"
    found = only(hand_in(forged, code=code_of(voucher)))
    assert found["result"] == "altered" and found["differences"][0]["where"] == "PayAmt"
    other = city.sealed("I4", "77.00")
    assert only(hand_in(forged, code=code_of(other)))["result"] == "unknown"  # that code names another voucher


def test_another_voucher_s_stamp_is_found_out(city):
    voucher, other = city.all_sealed("I4", [("100.00",), ("200.00",)])
    [name, seal] = body_of(voucher).stamps
    foreign = replace(seal, value=body_of(other).stamps[1].value)
    found = only(hand_in(envelope(voucher, stamps=(name, foreign))))
    assert found["result"] == "altered" and found["differences"] == []
    assert [(m["position"], m["sub_indication"]) for m in found["marks"]][2] == ("cz_dwgz", "HASH_FAILURE")
    assert "停止办理" in found["marks"][2]["advice"]


def test_a_stamp_moved_to_another_position_is_found_out(city):
    voucher = city.sealed()
    [name, seal] = body_of(voucher).stamps
    moved = (replace(name, value=seal.value, serial=seal.serial), seal)
    found = only(hand_in(envelope(voucher, stamps=moved)))
    assert found["result"] == "altered"
    assert found["marks"][1]["sub_indication"] == "SIG_CONSTRAINTS_FAILURE"


def test_a_missing_stamp_leaves_it_undecided_and_is_named(city):
    voucher = city.sealed()
    found = only(hand_in(envelope(voucher, stamps=body_of(voucher).stamps[:1])))
    assert found["result"] == "undecided" and found["remarks"] == ["缺少「cz_dwgz」处留存的签名或签章。"]


def test_an_envelope_that_claims_another_number_is_not_genuine(city):
    voucher = city.sealed()
    found = only(hand_in(envelope(voucher, voucher_no="ZF9999")))
    assert found["result"] == "altered" and found["remarks"] == ["信封上的 VoucherNo 与原文不同。"]


def test_a_void_voucher_is_genuine_and_not_in_force(city):
    voucher = city.sealed()
    with as_owner() as cursor:
        cursor.execute("UPDATE vouchers_voucher SET state = 'void' WHERE id = %s", [voucher.pk])
    found = only(hand_in(envelope(voucher)))
    assert (found["result"], found["headline"], found["state"]) == ("void", "真实，但已失效", "已作废")
    text = Client().get(f"/verify/?v={code_of(voucher)}").content.decode()
    assert 'data-result="void"' in text and "不得据此办理" in text and "已作废" in text


def test_a_revoked_seal_is_seen_only_on_what_came_after(city):
    voucher = city.sealed()
    revoke = "UPDATE seals_eseal SET status = 'revoked', revoke_reason = '遗失', revoked_at = %s WHERE kind = 'finance'"
    with as_owner() as cursor:
        cursor.execute(revoke, [timezone.now()])
    assert only(hand_in(envelope(voucher)))["result"] == "genuine"  # sealed before
    with as_owner() as cursor:
        cursor.execute(revoke, ["2026-01-01T00:00:00Z"])
    found = only(hand_in(envelope(voucher)))
    assert found["result"] == "altered" and found["marks"][2]["sub_indication"] == "REVOKED"


# Unknown and guessed --------------------------------------------------------------------------------------------------


def test_a_guess_is_told_the_same_whether_the_number_exists_or_not(city):
    voucher = city.sealed()
    exists = code_of(voucher, "0" * 64)
    without = exists.replace(voucher.voucher_no, "ZF9999")
    one, other = (Client().get(f"/verify/?v={code}").content.decode() for code in (exists, without))
    same = [re.sub(r"csrfmiddlewaretoken\" value=\"\w+\"|ZF\d+|nonce=\S+", "", text) for text in (one, other)]
    assert same[0] == same[1] and 'data-result="unknown"' in one

    made_up = decode_content(bytes(voucher.text))[0]
    made_up = replace(made_up, main={**made_up.main, "PayAmt": "1.00"})
    answers = []
    for number in (voucher.voucher_no, "ZF9999"):
        content = replace(made_up, voucher_no=number, main={**made_up.main, "VoucherNo": number})
        text = content_text(encode_content(content))
        body = replace(body_of(voucher), text=text, voucher_no=number, signatures=(), stamps=())
        answers.append(hand_in(encode_envelope([body]))[1]["results"])
    assert answers[0] == answers[1] and answers[0][0]["result"] == "unknown"
    assert answers[0][0]["facts"] == [] and answers[0][0]["state"] == ""


NUMBER = "990100000.2026.5201.ZF0001"


@pytest.mark.parametrize("code", ["x", NUMBER, f"{NUMBER}.GGGGGGGGGGGGGGGG", "%00", "1" * 500])
def test_a_code_of_no_form_is_an_unknown_voucher(city, code):
    response = Client().get(f"/verify/?v={code}")
    assert response.status_code == 200 and 'data-result="unknown"' in response.content.decode()


# Hostile files --------------------------------------------------------------------------------------------------------


DECLARED = b'<?xml version="1.0" encoding="GBK"?>'


@pytest.mark.parametrize(
    ("data", "name", "status", "code"),
    [
        (b"hello", "v.xml", 415, "file_type_not_supported"),
        (b"PK\x03\x04....", "v.zip", 415, "file_type_not_supported"),
        (b"<html></html>", "v.xml", 400, None),
        (b"<", "v.xml", 400, None),
        (DECLARED + b'<!DOCTYPE a [<!ENTITY x "y">]><Voucher>&x;</Voucher>', "v.xml", 400, "xml_doctype"),
        (DECLARED + b"<MOF><VoucherCount>9</VoucherCount><VoucherBody/></MOF>", "v.xml", 400, None),
        (b"%PDF-1.7\n%%EOF", "v.pdf", 400, "file_unreadable"),
        (b"%PDF-1.7 " + b"\xff" * 2000, "v.pdf", 400, "file_unreadable"),
    ],
)
def test_garbage_is_refused_in_words(city, data, name, status, code):
    given, body = hand_in(data, name=name)
    assert given == status and body["message"] and body.keys() == {"code", "message"}
    assert code is None or body["code"] == code


def test_a_pdf_without_the_original_is_only_a_picture(city):
    writer = PdfWriter()
    writer.add_blank_page(100, 100)
    out = io.BytesIO()
    writer.write(out)
    status, body = hand_in(out.getvalue(), name="v.pdf")
    assert (status, body["code"]) == (400, "file_unreadable") and "只是一张图" in body["message"]


def test_a_pdf_may_not_hide_a_bomb_or_two_files_of_one_name(city):
    voucher = city.sealed()
    writer = PdfWriter()
    writer.add_blank_page(100, 100)
    for data in (envelope(voucher), b"<VoucherBody>"):
        writer.add_attachment("a.xml", data)
    out = io.BytesIO()
    writer.write(out)
    assert hand_in(out.getvalue(), name="v.pdf")[0] == 400
    writer = PdfWriter()
    writer.add_blank_page(100, 100)
    writer.add_attachment("a.xml", b" " * (21 * 1024 * 1024))
    for stream in writer._objects:
        if hasattr(stream, "flate_encode") and b" " * 100 in stream.get_data():
            writer._objects[writer._objects.index(stream)] = stream.flate_encode()
    out = io.BytesIO()
    writer.write(out)
    assert len(out.getvalue()) < 1024 * 1024
    status, body = hand_in(out.getvalue(), name="v.pdf")
    assert status == 400 and "过大" in body["message"]


def test_eleven_mebibytes_are_refused_unread(city):
    status, body = hand_in(b"<" + b"x" * (11 * 1024 * 1024))
    assert (status, body["code"]) == (413, "file_too_large")


def test_more_than_ten_mebibytes_within_the_form_s_room_are_refused_too(city):
    status, body = hand_in(b"<" + b"x" * (10 * 1024 * 1024))
    assert (status, body["code"]) == (413, "file_too_large")


def test_a_form_without_a_file_says_so(city):
    response = Client().post("/verify/", {}, headers={"accept": "application/json"})
    assert response.status_code == 400 and response.json()["message"] == "请选择要验证的文件。"
    response = Client().post("/verify/", b"{}", content_type="application/json", headers={"accept": "application/json"})
    assert response.status_code == 415


def test_a_bare_body_may_be_posted_by_a_program(city):
    voucher = city.sealed()
    response = Client().post("/verify/", envelope(voucher), content_type=XML, headers={"accept": "application/json"})
    assert response.json()["results"][0]["result"] == "genuine"


def test_the_form_has_its_token(city):
    strict = Client(enforce_csrf_checks=True)
    assert strict.post("/verify/", {}).status_code == 403


# The voucher page's downloads -----------------------------------------------------------------------------------------


def officer(username: str) -> Client:
    client = Client()
    client.force_login(User.objects.get(username=username))
    session = client.session
    session[WITH_KEY] = True
    session.save()
    return client


def test_the_pdf_and_the_evidence_are_for_those_who_may_see_the_voucher(city, tmp_path):
    voucher = city.sealed("I4")
    city.anchored()
    for kind, path in (("pdf", f"/vouchers/{voucher.pk}/pdf/"), ("zip", f"/vouchers/{voucher.pk}/evidence/")):
        given = officer("u101002-jb").get(path)
        assert given.status_code == 200 and given["content-type"] == f"application/{kind}"
        assert "attachment" in given["content-disposition"] and "no-store" in given["cache-control"]
        assert officer("u205001-jb").get(path).status_code == 404
        assert Client().get(path).status_code == 302
    (tmp_path / "b.zip").write_bytes(officer("gk-sh").get(f"/vouchers/{voucher.pk}/evidence/").content)
    answer = ask(tmp_path / "b.zip", city.trust)
    assert answer.grave == [] and answer.code == 0
    pdf = officer("gk-sh").get(f"/vouchers/{voucher.pk}/pdf/").content
    names = {file.name for file in PdfReader(io.BytesIO(pdf)).attachment_list}
    assert names == {"5201-ZF0001.xml", "5201-ZF0001-envelope.xml"}
    (tmp_path / "v.pdf").write_bytes(pdf)
    certificates = tmp_path / "trust" / "certificates"
    certificates.mkdir()
    for row in Certificate.objects.all():
        (certificates / f"{row.pk}.pem").write_text(row.pem)
    for number, path in enumerate(sorted((city.pki / "ca").glob("*/sub/cert.pem"))):
        (certificates / f"sub-{number}.pem").write_bytes(path.read_bytes())
    (tmp_path / "trust" / "crls").mkdir()
    for number, path in enumerate(sorted((city.pki / "ca").glob("**/crl.der"))):
        (tmp_path / "trust" / "crls" / f"{number}.crl").write_bytes(path.read_bytes())
    offline = ask(tmp_path / "v.pdf", city.trust)
    assert [f for f in offline.grave if f["kind"] in ("voucher", "signature", "stamp", "seal")] == []


def test_an_unsealed_voucher_has_a_paper_that_says_so_and_no_evidence(city):
    voucher = city.desk.vouchered("I4").voucher
    page = officer("gk-sh").get(f"/vouchers/{voucher.pk}/").content.decode()
    assert "未签章" in page and "下载证据包" not in page and 'class="paper-page"' in page
    assert officer("gk-sh").get(f"/vouchers/{voucher.pk}/evidence/").status_code == 404
    pdf = officer("gk-sh").get(f"/vouchers/{voucher.pk}/pdf/").content
    assert [file.name for file in PdfReader(io.BytesIO(pdf)).attachment_list] == ["5201-ZF0001.xml"]


def test_a_seal_that_no_longer_holds_is_drawn_broken_with_its_reason(city):
    voucher = city.sealed()
    whole = officer("gk-sh").get(f"/vouchers/{voucher.pk}/").content.decode()
    assert whole.count("paper-seal-broken") == 0 and whole.count('href="#seal-') == 2 and whole.count('id="seal-') == 2
    with as_owner() as cursor:
        cursor.execute("UPDATE seals_stamp SET der = (SELECT s.der FROM seals_stamp s WHERE s.position = 'cz_sz')")
    broken = officer("gk-sh").get(f"/vouchers/{voucher.pk}/").content.decode()
    assert broken.count("paper-seal-broken") == 1 and "验证不通过" not in whole
    assert "SIG_CONSTRAINTS_FAILURE" in broken and "签章所写的单据或位置不是这一份" in broken


# Too many, and no trace -----------------------------------------------------------------------------------------------


def test_too_many_questions_from_one_address_are_refused_and_others_still_answered(city, settings):
    settings.GUOKU_VERIFY_RATE = "3/min"
    ask = lambda address: Client(REMOTE_ADDR=address).get("/verify/?v=1.1.1.1.1")  # noqa: E731
    assert [ask("10.0.0.1").status_code for _ in range(4)] == [200, 200, 200, 429]
    assert ask("10.0.0.1")["Retry-After"] == "60" and ask("10.0.0.2").status_code == 200
    assert Client(REMOTE_ADDR="10.0.0.1").get("/verify/").status_code == 200  # the form itself costs nothing


def test_a_forwarded_address_counts_only_from_our_own_proxy(city, settings):
    settings.GUOKU_VERIFY_RATE = "1/min"

    def ask(remote, forwarded):
        return Client(REMOTE_ADDR=remote, HTTP_X_FORWARDED_FOR=forwarded).get("/verify/?v=x").status_code

    behind = [ask("127.0.0.1", said) for said in ("10.0.0.1", "10.0.0.2", "9.9.9.9, 10.0.0.1")]
    assert behind == [200, 200, 429]
    assert [ask("10.9.9.9", "1.1.1.1"), ask("10.9.9.9", "2.2.2.2")] == [200, 429]


def test_all_together_are_bounded_too(city, settings):
    settings.GUOKU_VERIFY_TOTAL_RATE = "2/min"
    answers = [Client(REMOTE_ADDR=f"10.0.0.{n}").get("/verify/?v=x").status_code for n in range(3)]
    assert answers == [200, 200, 429]
    response = Client(REMOTE_ADDR="10.0.0.9").post("/verify/", {}, headers={"accept": "application/json"})
    assert response.status_code == 429 and response.json()["code"] == "too_many_requests"


def test_nothing_of_what_was_asked_is_logged_or_left_behind(city, caplog, tmp_path, settings):
    temporary = tmp_path / "uploads"
    temporary.mkdir()
    settings.FILE_UPLOAD_TEMP_DIR = str(temporary)
    voucher = city.sealed()
    caplog.set_level(logging.DEBUG)
    padded = envelope(voucher).replace(b"<MOF>", b"<MOF>" + b"\n" * (3 * 1024 * 1024))  # Django would use a file
    hand_in(padded)
    hand_in(envelope(voucher, text=rewritten(voucher, PayeeAcctName="黑龙有限公司")))
    hand_in(b"%PDF-1.7 " + NAME.encode(), name="v.pdf")
    said = "\n".join(record.getMessage() for record in caplog.records if record.name != "django.db.backends")
    for hidden in (NAME, ACCOUNT, "黑龙", voucher.digest, bytes(voucher.text).decode()[:60]):
        assert hidden not in said
    assert list(temporary.iterdir()) == []
