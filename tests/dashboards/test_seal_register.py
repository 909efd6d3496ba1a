"""The register of seals: what it shows to whom, what is filed once it verifies, and what the sealing page says."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from demo import keys, world
from payments.services import seal_payment_vouchers
from seals.certificates import parse_certificate
from seals.eseal.structures import Picture, SealDraft, build_seal
from seals.models import ESeal, RevocationList, SealKind, SealMaker, SealPosition, Stamp
from seals.pki import SUB_AUTHORITY
from seals.suites import get_suite
from tests.acts import approve_all, draft, fresh, issue, newcomer, sent, submit
from tests.conftest import NOW
from tests.dashboards.conftest import Officer
from tests.seals.eseal_world import png
from tests.ukeys import Hand, ukeys_required
from vouchers.models import Voucher

FINANCE_SEAL, NAME_SEAL, BANK_SEAL = "ES990100000001", "ES990100000002", "ES990100000201"
UNIT_SEAL = "ES990100030001"


@pytest.fixture(scope="session")
def sealed_pki(tmp_path_factory):
    directory = tmp_path_factory.mktemp("sealed")
    world.make_keys(directory, services=True)
    return directory


@pytest.fixture
def sealed(db, sealed_pki, settings):
    """The city with every seal filed and its place on every voucher."""
    return _sealed_world(sealed_pki, settings)


@pytest.fixture
def real_sealed(transactional_db, sealed_pki, settings):
    """The same, committed."""
    return _sealed_world(sealed_pki, settings)


def _sealed_world(pki, settings):
    settings.GUOKU_KEY_DIR = pki
    world.register_keys(pki)
    world.build_world(endpoints={}, sealed=True, now=NOW)
    world.register_seals(pki, NOW)
    world.Region.objects.update(ukey_required=False)  # signing is not what is tested here
    return world


@pytest.fixture
def at(sealed):
    return Officer


def text(response) -> str:
    return response.content.decode()


def upload(data: bytes, name: str = "new.esl") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, data)


def new_seal(
    pki, es_id: str = "ES990100009901", *, maker: str = "maker-sm2-sm3", holder: str = world.FINANCE, **changes
):
    """A seal for the holder's certificate, signed by a maker of the PKI."""
    certificate = parse_certificate((pki / maker / "cert.pem").read_bytes())
    suite = get_suite(certificate.suite_id)
    key = suite.load_private_key((pki / maker / "key.pem").read_bytes())
    drafted = SealDraft(
        es_id=es_id,
        name="临江市财政局国库业务专用章（新）",
        kind=1,
        holders=[parse_certificate((pki / holder / "cert.pem").read_bytes()).der],
        created_at=keys.START,
        valid_from=keys.START,
        valid_to=keys.END,
        picture=a_picture(),
    )
    return build_seal(
        replace(drafted, **changes),
        maker_certificate=certificate.der,
        signature_oid=suite.signature_oid,
        sign=lambda data: suite.sign(key, data),
    )


def a_picture() -> Picture:
    return Picture("PNG", png(), 40, 40)


# What it shows ------------------------------------------------------------------------------------------------------


def test_every_seal_of_the_region_is_listed_with_its_holder_validity_and_place(at):
    page = text(at("gk-yz").get("/seals/"))
    for es_id in ESeal.objects.values_list("es_id", flat=True):
        assert es_id in page
    assert page.count('class="seal-picture"') == ESeal.objects.count() == 11
    assert "许国华" in page and "至 2036-01-01" in page
    places = re.sub(r"<[^>]+>", " ", page.split('id="positions"')[1])
    assert re.search(r"5201\s+\S+\s+1\s+步\s+国库负责人名章\s+cz_sz\s+名章\s+国库名章管理", places)
    assert re.search(r"2\s+步\s+国库业务专用章\s+cz_dwgz\s+业务专用章\s+业务专用章管理", places)


def test_a_units_sealer_sees_the_own_units_seals_and_no_others(at):
    page = text(at("u101001-yz").get("/seals/"))
    assert UNIT_SEAL in page and FINANCE_SEAL not in page and "ES990100031001" not in page
    assert "备案新印章" not in page and "停用</button>" not in page
    theirs = ESeal.objects.get(es_id=FINANCE_SEAL)
    mine = ESeal.objects.get(es_id=UNIT_SEAL)
    assert at("u101001-yz").get(f"/seals/{theirs.pk}/picture/").status_code == 404
    assert at("u101001-yz").get(f"/seals/{mine.pk}/picture/").status_code == 200


def test_a_picture_can_run_nothing(at):
    seal = ESeal.objects.get(es_id=FINANCE_SEAL)
    answer = at("gk-yz").get(f"/seals/{seal.pk}/picture/")
    assert answer["content-type"] == "image/svg+xml" and answer.content == seal.svg.encode()
    assert answer["content-security-policy"] == "default-src 'none'; sandbox"


def test_uses_are_counted_from_midnight_and_the_last_one_is_named(at):
    seal = ESeal.objects.get(es_id=FINANCE_SEAL)
    now = timezone.now()
    midnight = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    for number, moment in enumerate((midnight - timedelta(seconds=1), midnight, now)):
        Stamp.objects.create(
            adm_div_code=world.REGION,
            fiscal_year=2026,
            voucher_id=f"0197a0b0-0000-7000-8000-{number:012d}",
            position="cz_dwgz",
            ordinal=2,
            seal=seal,
            der=b"x",
            digest_sm3="0" * 64,
            at=moment,
        )
    page = text(at("gk-yz").get("/seals/"))
    row = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.split(FINANCE_SEAL)[1].split("</tr>")[0]))
    assert "2 次今日用印" in row and f"{timezone.localtime(now):%m-%d %H:%M}" in row
    assert "从未" in page.split(NAME_SEAL)[1].split("</tr>")[0]
    assert "对方用印" in page.split(BANK_SEAL)[1].split("</tr>")[0]


def test_a_seal_whose_certificate_was_revoked_does_not_look_usable(at):
    seal = ESeal.objects.get(es_id=FINANCE_SEAL)
    type(seal.certificate).objects.filter(pk=seal.certificate_id).update(
        status="revoked", revoked_at=NOW, revoke_reason="遗失"
    )
    assert "证书已吊销" in text(at("gk-yz").get("/seals/"))


# Taking in ----------------------------------------------------------------------------------------------------------


def test_a_seal_that_verifies_is_filed(at, sealed_pki):
    data = new_seal(sealed_pki)
    fields = {
        "organisation_code": world.FINANCE,
        "kind": "finance",
        "voucher_types": "5201、5105",
        "file": upload(data),
    }
    answer = at("gk-yz").post("/seals/file/", fields)
    assert answer.status_code == 303
    seal = ESeal.objects.get(es_id="ES990100009901")
    assert (bytes(seal.der), seal.kind, seal.voucher_types, seal.person) == (data, "finance", ["5201", "5105"], None)
    page = text(at("gk-yz").get(answer["location"]))
    assert "验证通过，已备案印章 ES990100009901" in page
    assert at("gk-yz").get(f"/seals/{seal.pk}/picture/")["content-type"] == "image/png"


def test_verifying_files_nothing(at, sealed_pki):
    answer = at("gk-yz").post("/seals/file/", {"then": "verify", "file": upload(new_seal(sealed_pki))})
    assert answer.status_code == 200
    assert "印章验证：通过" in text(answer) and "制章人证书" in text(answer)
    assert not ESeal.objects.filter(es_id="ES990100009901").exists()


def _broken(pki):
    data = bytearray(new_seal(pki))
    data[-1] ^= 1
    return bytes(data)


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda pki: b"junk", "format_invalid"),
        (_broken, "seal_signature_invalid"),
        (lambda pki: new_seal(pki, maker=world.FINANCE), "maker_not_admitted"),
        (lambda pki: new_seal(pki, valid_to=datetime(2026, 1, 1, tzinfo=UTC)), "seal_expired"),
    ],
    ids=["junk", "changed", "no maker", "expired"],
)
def test_a_seal_that_does_not_verify_is_not_filed_and_its_verdict_is_shown(at, sealed_pki, make, code):
    fields = {"organisation_code": world.FINANCE, "kind": "finance", "file": upload(make(sealed_pki))}
    answer = at("gk-yz").post("/seals/file/", fields)
    page = text(answer)
    assert answer.status_code == 422
    assert "印章验证：不通过" in page and f"<code>{code}</code>" in page
    assert ESeal.objects.count() == 11


def test_a_maker_that_was_withdrawn_makes_no_more_seals(at, sealed_pki):
    SealMaker.objects.update(active=False)
    fields = {"organisation_code": world.FINANCE, "kind": "finance", "file": upload(new_seal(sealed_pki))}
    assert at("gk-yz").post("/seals/file/", fields).status_code == 422
    assert ESeal.objects.count() == 11


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"organisation_code": "FIN-990200000"}, "organisation_code"),
        ({"organisation_code": ""}, "organisation_code"),
        ({"kind": "signature"}, "kind"),
        ({"kind": "personal"}, "staff_no"),
        ({"kind": "personal", "staff_no": "LJ-999"}, "staff_no"),
        ({"voucher_types": "5201 9999"}, "voucher_types"),
        ({"file": ""}, "file"),
    ],
)
def test_what_is_missing_is_said_beside_what_was_typed(at, sealed_pki, changes, field):
    fields = {"organisation_code": world.FINANCE, "kind": "finance", "file": upload(new_seal(sealed_pki))} | changes
    answer = at("gk-yz").post("/seals/file/", fields)
    assert answer.status_code == 422 and f'href="#{field}"' in text(answer)
    assert ESeal.objects.count() == 11


def test_a_personal_seal_is_filed_for_its_person(at, sealed_pki):
    fields = {"organisation_code": world.FINANCE, "kind": "personal", "staff_no": "LJ-022"}
    holder = f"{keys.NAME_SEAL}{world.FINANCE}"
    answer = at("gk-yz").post("/seals/file/", fields | {"file": upload(new_seal(sealed_pki, holder=holder))})
    assert answer.status_code == 303
    assert ESeal.objects.get(es_id="ES990100009901").person.staff_no == "LJ-022"


def test_a_seal_is_stopped_with_a_reason_and_stays_in_the_register(at):
    seal = ESeal.objects.get(es_id=FINANCE_SEAL)
    assert at("gk-yz").post("/seals/stop/", {"id": seal.pk, "reason": " "}).status_code == 422
    status, answer = at("gk-yz").post_json("/seals/stop/", {"id": seal.pk, "reason": "换章"})
    assert (status, answer["accepted"][0]["no"]) == (200, FINANCE_SEAL)
    seal.refresh_from_db()
    assert (seal.status, seal.revoke_reason) == ("revoked", "换章")
    assert "换章" in text(at("gk-yz").get("/seals/"))
    assert at("gk-yz").post_json("/seals/stop/", {"id": seal.pk, "reason": "x"})[0] == 422


def test_a_revocation_list_is_taken_in_and_its_age_is_shown(at, sealed_pki):
    newcomer("aq-gl", "security_admin")
    crl = (sealed_pki / "ca" / "sm2-sm3" / SUB_AUTHORITY / "crl.der").read_bytes()
    answer = at("aq-gl").post("/seals/lists/", {"crl": upload(crl, "crl.der")})
    assert answer.status_code == 303 and RevocationList.objects.count() == 1
    assert "有效至 2036-01-01" in text(at("gk-yz").get("/seals/"))
    again = at("aq-gl").post("/seals/lists/", {"crl": upload(crl, "crl.der")})
    assert again.status_code == 303 and RevocationList.objects.count() == 1
    refused = at("aq-gl").post("/seals/lists/", {"crl": upload(b"junk", "crl.der")})
    assert refused.status_code == 422 and "revocation_list_malformed" in text(refused)


@pytest.mark.parametrize("path", ["/seals/file/", "/seals/stop/", "/seals/lists/"])
def test_only_managers_change_the_register(at, sealed_pki, path):
    newcomer("aq-sj", "security_auditor")
    seal = ESeal.objects.get(es_id=FINANCE_SEAL)
    for username in ("gk-mz", "u101001-yz", "gk-sh", "aq-sj", "admin"):
        status, answer = at(username).post_json(path, {"id": str(seal.pk), "reason": "x"})
        assert (status, answer["refused"][0]["code"]) == (403, "role_required"), username
    seal.refresh_from_db()
    assert seal.status == "active"


# The sealing page ---------------------------------------------------------------------------------------------------


def vouchered(indicator: str = "I4"):
    request = draft(indicator, "100.00")
    submit(request).raise_if_refused()
    approve_all(request)
    issue(request).raise_if_refused()
    return fresh(request)[0]


def test_the_sealing_page_says_which_step_it_is_and_what_is_affixed(real_sealed):
    vouchered()
    first = text(Officer("gk-mz").get("/vouchers/seal/"))
    assert "第 1 步，共 2 步" in first and "许国华" in first and "加盖名章</button>" in first
    assert "发送银行</button>" not in first and "盖完即发出" not in first
    assert "没有等您签章的支付凭证" in text(Officer("gk-yz").get("/vouchers/seal/"))

    ids = list(Voucher.objects.values_list("document_id", flat=True))
    seal_payment_vouchers(request_ids=ids, sealer=world.officer("gk-mz"), now=NOW).raise_if_refused()

    last = text(Officer("gk-yz").get("/vouchers/seal/"))
    assert "第 2 步，共 2 步" in last and "签章并发送银行</button>" in last
    assert "业务专用章" in last and "财政签名" in last and last.count('class="seal-picture"') == 1
    days = (keys.END - timezone.now()).days
    assert last.count(f"证书还有 {days} 天") == 2
    assert "没有等您加盖名章的支付凭证" in text(Officer("gk-mz").get("/vouchers/seal/"))


def test_a_missing_seal_is_said_before_the_press(real_sealed):
    vouchered()
    ESeal.objects.filter(es_id=NAME_SEAL).update(status="revoked", revoked_at=NOW, revoke_reason="换章")
    assert "没有可用的名章，现在不能盖" in text(Officer("gk-mz").get("/vouchers/seal/"))


def test_the_number_of_queries_of_the_sealing_page_does_not_grow(real_sealed, django_assert_num_queries):
    officer = Officer("gk-mz")
    vouchered()
    officer.get("/vouchers/seal/")
    with CaptureQueriesContext(connection) as one:
        officer.get("/vouchers/seal/")
    vouchered()
    vouchered()
    with django_assert_num_queries(len(one)):
        officer.get("/vouchers/seal/")


def test_without_positions_the_page_is_one_step(city):
    sent("I4", "10.00")
    vouchered()
    page = text(Officer("gk-yz").get("/vouchers/seal/"))
    assert "第 1 步，共 1 步" in page and "签章并发送银行</button>" in page
    assert "本年度没有配置签章位置" in text(Officer("gk-yz").get("/seals/"))


def test_the_seal_forms_are_signed_where_the_region_asks(real_sealed):
    vouchered()
    ukeys_required()
    page = text(Hand("gk-mz").client().get("/vouchers/seal/"))
    assert 'id="seal" method="post" action="/vouchers/seal/" data-ukey-prepare="/ukey/prepare/"' in page


# In the admin -------------------------------------------------------------------------------------------------------


def position(**changes):
    row = SealPosition.objects.get(voucher_type="5201", flag=0, position="cz_sz")
    names = ("adm_div_code", "fiscal_year", "voucher_type", "flag", "position", "name", "kind", "ordinal", "post")
    fields = {name: getattr(row, name) for name in names} | {"required": "on", "rotation": 0, "x_mm": "", "y_mm": ""}
    return row, fields | changes


def test_a_position_is_changed_in_the_admin(sealed, admin_client):
    row, fields = position(name="国库负责人印")
    url = reverse("admin:seals_sealposition_change", args=[row.pk])
    assert admin_client.post(url, fields).status_code == 302
    row.refresh_from_db()
    assert row.name == "国库负责人印"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ordinal": 3}, "签名须在最后一个次序"),
        ({"kind": "signature"}, "只能有一个签名位置"),
        ({"ordinal": 2}, "不能分给两个岗位"),
        ({"post": "landlord"}, "landlord"),
    ],
)
def test_an_order_that_sealing_could_not_walk_is_refused(sealed, admin_client, changes, words):
    row, fields = position(**changes)
    answer = admin_client.post(reverse("admin:seals_sealposition_change", args=[row.pk]), fields)
    assert answer.status_code == 200 and words in text(answer)
    row.refresh_from_db()
    assert (row.ordinal, row.kind, row.post) == (1, "personal", "name_seal")


def test_the_first_position_of_a_type_is_its_signature(sealed, admin_client):
    _, fields = position(voucher_type="5209")
    answer = admin_client.post(reverse("admin:seals_sealposition_add"), fields)
    assert "请先加签名位置" in text(answer)
    signature = fields | {"kind": "signature", "position": "cz_qm", "ordinal": 2, "post": "seal_keeper"}
    assert admin_client.post(reverse("admin:seals_sealposition_add"), signature).status_code == 302
    assert admin_client.post(reverse("admin:seals_sealposition_add"), fields).status_code == 302
    assert SealPosition.objects.filter(voucher_type="5209").count() == 2


def test_a_signature_is_deleted_last(sealed, admin_client):
    signature = SealPosition.objects.get(voucher_type="5201", flag=0, kind=SealKind.SIGNATURE)
    delete = reverse("admin:seals_sealposition_delete", args=[signature.pk])
    assert admin_client.post(delete, {"post": "yes"}).status_code == 403
    for other in SealPosition.objects.filter(voucher_type="5201", flag=0).exclude(pk=signature.pk):
        one = reverse("admin:seals_sealposition_delete", args=[other.pk])
        assert admin_client.post(one, {"post": "yes"}).status_code == 302
    assert admin_client.post(delete, {"post": "yes"}).status_code == 302
    assert not SealPosition.objects.filter(voucher_type="5201", flag=0).exists()


@pytest.mark.parametrize(
    "model",
    ["eseal", "revocationlist", "officercertificate", "statement", "statementsignature", "stepsignature", "stamp"],
)
def test_facts_are_read_in_the_admin_and_no_more(sealed, admin_client, model):
    assert admin_client.get(reverse(f"admin:seals_{model}_changelist")).status_code == 200
    assert admin_client.get(reverse(f"admin:seals_{model}_add")).status_code == 403


def test_a_seal_opens_in_the_admin_and_cannot_be_changed(sealed, admin_client):
    seal = ESeal.objects.get(es_id=FINANCE_SEAL)
    url = reverse("admin:seals_eseal_change", args=[seal.pk])
    assert admin_client.get(url).status_code == 200
    assert admin_client.post(url, {"name": "x"}).status_code == 403
    seal.refresh_from_db()
    assert seal.name == "临江市财政局国库业务专用章"


def test_a_maker_is_withdrawn_and_not_deleted(sealed, admin_client):
    maker = SealMaker.objects.first()
    url = reverse("admin:seals_sealmaker_change", args=[maker.pk])
    assert admin_client.post(url, {"name": maker.name}).status_code == 302
    maker.refresh_from_db()
    assert not maker.active
    assert (
        admin_client.post(reverse("admin:seals_sealmaker_delete", args=[maker.pk]), {"post": "yes"}).status_code == 403
    )


def test_the_region_asks_for_ukeys_by_a_tick_in_the_admin(sealed, admin_client):
    url = reverse("admin:parties_region_change", args=[world.REGION])
    page = text(admin_client.get(url))
    assert "没有证书的人员只能打开" in page and 'name="adm_div_code"' not in page
