"""The officer's own UKey page, and certificates as their managers see and decide on them."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from demo import world
from demo.cast import officers
from seals.errors import SignerUnavailable
from seals.models import OfficerCertificate, StatementSignature
from tests.acts import draft, fresh, newcomer, submit
from tests.in_process_signer import KeysAtHand
from tests.ukeys import Hand, ukeys_required

NIL = "00000000-0000-0000-0000-000000000000"


def asked(at, username: str) -> OfficerCertificate:
    hand = Hand(username, certified=False)
    status, answer = at(username).post_json("/ukey/request/", {"csr": hand.csr})
    assert status == 200, answer
    return OfficerCertificate.objects.get(pk=answer["accepted"][0]["id"])


def text(response) -> str:
    return response.content.decode()


def whole(html: str) -> str:
    """What a reader sees of a page: no tags."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", html))


# The way to a certificate -------------------------------------------------------------------------------------------


def test_the_way_from_nothing_to_a_certificate_in_three_steps(at):
    page = text(at("gk-sh").get("/ukey/"))
    assert "没有证书" in page and '<li class="now"><h3>生成密钥并申请' in page

    row = asked(at, "gk-sh")
    page = text(at("gk-sh").get("/ukey/"))
    assert '<li class="now"><h3>另一个人核准' in page and "可以核准的人：吕清扬" in page
    fingerprint = " ".join(row.spki_sm3[at_ : at_ + 4] for at_ in (0, 4, 8, 12))
    assert fingerprint in page and fingerprint in text(at("gk-yz").get("/ukey/officers/"))
    assert "data-ukey-enrol" not in page  # one request at a time

    status, answer = at("gk-yz").post_json("/ukey/officers/decide/", {"id": row.pk, "decision": "approve"})
    assert (status, answer["accepted"][0]["state"]) == (200, "active")

    page = text(at("gk-sh").get("/ukey/"))
    assert '<li class="now" data-ukey-last><h3>把证书装入 UKey' in page and "有效，还有 729 天" in page
    certificate = at("gk-sh").get("/ukey/certificate/").json()
    row.refresh_from_db()
    assert certificate == {"certificate": row.pem, "subject": "尤志远", "certificate_serial": row.serial_hex}


def test_a_request_may_be_made_without_the_ukey_that_is_asked_for(at):
    ukeys_required()
    assert asked(at, "gk-sh").status == "requested"


@pytest.mark.parametrize("csr", ["", "junk", "x" * 20_000, "\0"])
def test_a_bad_request_comes_back_with_its_reason_and_what_was_typed(at, csr):
    response = at("gk-sh").post("/ukey/request/", {"csr": csr})
    assert response.status_code == 422
    assert "证书申请格式不正确" in text(response)
    assert not OfficerCertificate.objects.exists()


def test_the_key_of_another_person_is_refused_on_the_page(at):
    theirs = Hand("gk-kz", certified=False)
    at("gk-kz").post_json("/ukey/request/", {"csr": theirs.csr})
    status, answer = at("gk-sh").post_json("/ukey/request/", {"csr": theirs.csr})
    assert (status, answer["refused"][0]["code"]) == (422, "certificate_key_shared")


def test_pressing_twice_asks_once(at):
    csr, officer = Hand("gk-sh", certified=False).csr, at("gk-sh")
    action = "3f1b2c4d-0000-4000-8000-000000000001"
    first = officer.post("/ukey/request/", {"csr": csr}, action_id=action)
    second = officer.post("/ukey/request/", {"csr": csr}, action_id=action)
    assert (first.status_code, second.status_code) == (303, 303)
    assert OfficerCertificate.objects.count() == 1


@pytest.mark.parametrize(("days", "words"), [(31, ""), (30, "还有 30 天到期"), (0, "还有 0 天到期"), (-1, "已经到期")])
def test_the_end_of_a_certificate_is_announced_thirty_days_before(at, days, words):
    end = timezone.now() + timedelta(days=days, minutes=5)
    Hand("gk-sh", end=end)
    page = text(at("gk-sh").get("/ukey/"))
    assert ("您的证书" in page) == bool(words) and words in page
    assert ('class="btn btn-primary" data-ukey-ready disabled>申请换发' in page) == bool(words)


def test_a_refused_request_says_why_and_may_be_repeated(at):
    row = asked(at, "gk-sh")
    status, _ = at("gk-yz").post_json(
        "/ukey/officers/decide/", {"id": row.pk, "decision": "refuse", "reason": "指纹不符"}
    )
    assert status == 200
    page = text(at("gk-sh").get("/ukey/"))
    assert "指纹不符" in page and "data-ukey-enrol" in page


def test_a_renewal_keeps_the_old_certificate_until_the_new_one_is_issued(at):
    old = Hand("gk-sh")
    row = asked(at, "gk-sh")
    assert "换发" in text(at("gk-yz").get("/ukey/officers/"))
    assert "旧证书停用" in text(at("gk-sh").get("/ukey/"))
    at("gk-yz").post("/ukey/officers/decide/", {"id": row.pk, "decision": "approve"})
    old.certificate.refresh_from_db()
    assert (old.certificate.status, old.certificate.revoke_reason) == ("revoked", "换发")
    assert [r.status for r in OfficerCertificate.objects.order_by("requested_at")] == ["revoked", "active"]


# Certificates of everybody ------------------------------------------------------------------------------------------


def test_ones_own_request_is_shown_without_a_button_and_refused_when_posted(at):
    row = asked(at, "gk-yz")
    page = text(at("gk-yz").get("/ukey/officers/"))
    assert "须由另一个人核准" in page and "核准并签发</button>" not in page
    status, answer = at("gk-yz").post_json("/ukey/officers/decide/", {"id": row.pk, "decision": "approve"})
    assert (status, answer["refused"][0]["code"]) == (403, "duty_conflict")
    row.refresh_from_db()
    assert row.status == "requested"


def test_a_refusal_without_words_comes_back(at):
    row = asked(at, "gk-sh")
    response = at("gk-yz").post("/ukey/officers/decide/", {"id": row.pk, "decision": "refuse", "reason": "  "})
    assert response.status_code == 422 and "请填写不予核准的原因" in text(response)


@pytest.mark.parametrize("fields", [{"id": NIL, "decision": "approve"}, {"id": "x", "decision": "approve"}, {}])
def test_a_decision_on_nothing_is_refused_in_words(at, fields):
    status, answer = at("gk-yz").post_json("/ukey/officers/decide/", fields)
    assert status in (404, 422) and answer["refused"][0]["message"]


def test_a_signer_that_is_away_leaves_an_approved_request_and_a_button(at, monkeypatch):
    row = asked(at, "gk-sh")

    def away(*_arguments):
        raise SignerUnavailable("签章服务没有应答，请稍后再试；内容没有变动。")

    with monkeypatch.context() as patched:
        patched.setattr(KeysAtHand, "issue_officer_certificate", away)
        answer = at("gk-yz").post("/ukey/officers/decide/", {"id": row.pk, "decision": "approve"})
        page = text(at("gk-yz").get(answer["location"]))
        assert "证书还没有签发" in page and "待签发" in page
        status, refused = at("gk-yz").post_json("/ukey/officers/issue/", {"id": row.pk})
        assert (status, refused["refused"][0]["code"]) == (503, "signer_unavailable")
    assert "正等待签发" in text(at("gk-sh").get("/ukey/"))

    status, _ = at("gk-yz").post_json("/ukey/officers/issue/", {"id": row.pk})
    row.refresh_from_db()
    assert (status, row.status) == (200, "active")


def test_revoking_throws_the_officer_out_at_once(at):
    hand = Hand("gk-sh")
    browser = hand.client()
    assert browser.get("/review/").status_code == 200
    status, answer = at("gk-yz").post_json("/ukey/officers/revoke/", {"id": hand.certificate.pk, "reason": "UKey 遗失"})
    assert (status, answer["accepted"][0]["state"]) == (200, "revoked")
    assert browser.get("/review/")["location"].startswith("/login/")
    shown = text(at("gk-yz").get("/ukey/officers/?status=revoked"))
    assert "UKey 遗失" in shown and hand.certificate.serial_hex in shown


def test_revoking_without_words_leaves_the_certificate(at):
    hand = Hand("gk-sh")
    assert at("gk-yz").post("/ukey/officers/revoke/", {"id": hand.certificate.pk, "reason": ""}).status_code == 422
    hand.certificate.refresh_from_db()
    assert hand.certificate.status == "active"


def test_filters_show_what_ends_soon_and_who_is_asked_for(at):
    soon = Hand("gk-sh", end=timezone.now() + timedelta(days=10))
    later = Hand("gk-kz")
    page = text(at("gk-yz").get("/ukey/officers/?status=soon"))
    assert soon.certificate.serial_hex in page and later.certificate.serial_hex not in page
    page = text(at("gk-yz").get("/ukey/officers/?q=许国华"))
    assert later.certificate.serial_hex in page and soon.certificate.serial_hex not in page


def test_who_has_none_is_named(at):
    Hand("gk-sh")
    page = whole(text(at("gk-yz").get("/ukey/officers/")))
    assert "尤志远 国库支付审核" not in page.split("没有可用证书的人员")[1]
    assert "许国华 国库科长" in page.split("没有可用证书的人员")[1]
    assert f"{len(officers()) - 1} 人" in page


def test_another_regions_certificates_are_neither_seen_nor_touched(at):
    hand = Hand("gk-sh")
    OfficerCertificate.objects.filter(pk=hand.certificate.pk).update(adm_div_code="990200000")
    assert hand.certificate.serial_hex not in text(at("gk-yz").get("/ukey/officers/"))
    for path, fields in (("revoke", {"reason": "x"}), ("issue", {})):
        status, _ = at("gk-yz").post_json(f"/ukey/officers/{path}/", {"id": hand.certificate.pk} | fields)
        assert status == 404
    hand.certificate.refresh_from_db()
    assert hand.certificate.status == "active"


@pytest.mark.parametrize("path", ["decide", "issue", "revoke"])
def test_nobody_else_manages_certificates(at, path):
    hand = Hand("gk-kz")
    for username in ("gk-sh", "gk-mz", "u101001-yz", "admin"):
        fields = {"id": hand.certificate.pk, "decision": "approve", "reason": "x"}
        status, answer = at(username).post_json(f"/ukey/officers/{path}/", fields)
        assert (status, answer["refused"][0]["code"]) == (403, "role_required"), username
    hand.certificate.refresh_from_db()
    assert hand.certificate.status == "active"


def test_the_number_of_queries_does_not_grow_with_the_officers(at, django_assert_num_queries):
    keeper = at("gk-yz")
    Hand("gk-sh")
    asked(at, "gk-kz")
    keeper.get("/ukey/officers/")
    with CaptureQueriesContext(connection) as few:
        keeper.get("/ukey/officers/")
    queries = len(few)
    for username in ("gk-zd", "gk-dz", "gk-jk", "jkw-sh"):
        Hand(username)
    asked(at, "gk-jh")
    with django_assert_num_queries(queries):
        keeper.get("/ukey/officers/")


# Logging in ---------------------------------------------------------------------------------------------------------


def with_password(username: str) -> tuple[Client, dict]:
    client = Client()
    answer = client.post(
        "/login/", {"username": username, "password": world.PASSWORD}, headers={"accept": "application/json"}
    )
    return client, answer.json()


def test_the_log_in_page_carries_what_the_agent_has_to_sign(at):
    ukeys_required()
    hand = Hand("gk-sh")
    page = text(Client().post("/login/", {"username": "gk-sh", "password": world.PASSWORD}))
    assert f'data-ukey-serial="{hand.certificate.serial_hex}"' in page
    assert "&quot;action&quot;:&quot;login&quot;" in page and "data-ukey-agent=" in page
    assert "/static/guoku/keys.js" in page


def test_a_signed_log_in_opens_the_pages_and_is_kept(at):
    ukeys_required()
    hand = Hand("gk-sh")
    client, answer = with_password("gk-sh")
    assert client.get("/review/").status_code == 302
    entered = client.post("/login/ukey/", hand.fields(answer["ukey"]) | {"next": "/review/"})
    assert (entered.status_code, entered["location"]) == (303, "/review/")
    assert client.get("/review/").status_code == 200
    assert StatementSignature.objects.get().certificate == hand.certificate


def test_who_owes_the_signature_gets_the_certificate_to_install_and_nothing_else(at):
    """With the certificate issued and not yet on the UKey, the log-in could never be signed."""
    ukeys_required()
    hand, other = Hand("gk-sh"), Hand("gk-kz")
    assert Client().get("/ukey/certificate/").status_code == 404
    client, _ = with_password("gk-sh")
    assert client.get("/ukey/certificate/").json()["certificate_serial"] == hand.certificate.serial_hex
    assert client.get("/ukey/").status_code == 302
    wrong = Client()
    wrong.post("/login/", {"username": "gk-kz", "password": "no"})
    assert wrong.get("/ukey/certificate/").status_code == 404
    assert other.certificate.status == "active"


# Forms that are signed ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("required", [True, False])
def test_forms_are_signed_exactly_where_the_region_asks_for_it(at, required):
    submit(draft("I1", "100.00"))
    if required:
        ukeys_required()
    page = text(Hand("u101001-fh").client().get("/review/"))
    assert page.count('data-ukey-prepare="/ukey/prepare/"') == (2 if required else 0)  # the list's form and the pane's
    assert ("/static/guoku/ukey.js" in page) == required
    pane = text(Hand("u101002-fh").client().get("/review/?sel=" + NIL, headers={"hx-request": "true"}))
    assert "data-ukey-prepare" not in pane


def test_the_pane_alone_carries_the_attribute_too(at):
    request = draft("I1", "100.00")
    submit(request)
    ukeys_required()
    headers = {"hx-request": "true", "hx-target": "pane"}
    pane = text(Hand("u101001-fh").client().get(f"/review/?sel={request.pk}", headers=headers))
    assert "<html" not in pane and 'data-ukey-prepare="/ukey/prepare/"' in pane


def test_an_approval_is_prepared_signed_and_taken_through_the_forms(real_at):
    request = draft("I1", "100.00")
    submit(request)
    ukeys_required()
    hand = Hand("u101001-fh")
    client = hand.client()
    form = {"ids": [str(request.pk)], "action_id": "3f1b2c4d-0000-4000-8000-000000000002"}
    prepared = client.post("/ukey/prepare/", form | {"ukey_target": "/review/approve/"}).json()
    answer = client.post("/review/approve/", form | hand.fields(prepared), headers={"accept": "application/json"})
    assert answer.json()["refused"] == [] and fresh(request)[0].state == "approved"
    assert StatementSignature.objects.get().certificate == hand.certificate


@pytest.mark.parametrize("name", ["review/queue.html", "review/_pane.html", "plans/review.html", "vouchers/seal.html"])
def test_every_form_of_a_signed_page_has_the_tag(name):
    page = (Path(__file__).parents[2] / "templates" / name).read_text(encoding="utf-8")
    forms = re.findall(r'<form[^>]*method="post"[^>]*>', page.replace("{% ukey_form %}", " ukey_form "))
    assert forms and all("ukey_form" in form for form in forms)


# The first of all ---------------------------------------------------------------------------------------------------


def test_the_first_certificate_of_a_seal_keeper_is_approved_by_the_security_administrator(at):
    ukeys_required()
    newcomer("aq-gl", "security_admin")
    row = asked(at, "gk-yz")
    status, _ = at("aq-gl").post_json("/ukey/officers/decide/", {"id": row.pk, "decision": "approve"})
    row.refresh_from_db()
    assert (status, row.status, row.decided_by) == (200, "active", "aq-gl")
