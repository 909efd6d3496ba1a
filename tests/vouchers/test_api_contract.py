"""What partners build on: the committed OpenAPI document, the documented codes, the example, and the pages."""

import json
import re
import secrets
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from drf_spectacular.validation import validate_schema

from core.errors import TreasuryError
from demo import world
from seals.pki import OrganisationSpec, make_demo_pki
from seals.services import import_demo_pki
from tests.vouchers.api_partner import VOUCHERS
from vouchers import checks, errors, problems
from vouchers.models import ExchangePartner

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "bank-api.md").read_text(encoding="utf-8")
# Raised only for what we write ourselves, or bases that are never raised.
OUR_OWN = {"voucher_error", "treasury_error", "field_unknown", "not_a_receipt_field", "detail_unknown"}


def test_the_committed_openapi_document_is_current(tmp_path):
    fresh = tmp_path / "openapi.yaml"
    call_command("spectacular", "--file", str(fresh), "--validate", "--fail-on-warn")

    committed = (ROOT / "docs" / "openapi.yaml").read_text(encoding="utf-8")
    assert fresh.read_text(encoding="utf-8") == committed, "run: manage.py spectacular --file docs/openapi.yaml"


def test_every_operation_has_examples_and_says_how_it_is_signed(client, db):
    schema = client.get("/api/v1/schema/", headers={"Accept": "application/json"}).json()

    validate_schema(schema)
    operations = [operation for path in schema["paths"].values() for operation in path.values()]
    assert {operation["operationId"] for operation in operations} == {
        "sendVouchers",
        "readVoucherAgain",
        "confirmVoucher",
        "confirmVoucherFail",
        "returnVoucher",
        "queryVoucherStatus",
        "queryStampPositionWithName",
        "reportCardTransactions",
        "putContract",
        "putAcceptance",
        "queryContractExecution",
    }
    for operation in operations:
        assert operation["security"] == [{"messageSignature": []}]
        for status, answer in operation["responses"].items():
            for content in answer["content"].values():
                assert content["examples"], (operation["operationId"], status)


def codes_in_source():
    classes = [getattr(errors, name) for name in dir(errors)]
    yield from (c.code for c in classes if isinstance(c, type) and issubclass(c, TreasuryError))
    for module in (problems, checks):
        source = Path(module.__file__).read_text(encoding="utf-8")
        yield from re.findall(r'Finding\("([a-z_]+)"', source)
        yield from re.findall(r'"([a-z_]+_(?:invalid|required|mismatch|large|malformed|replayed))"', source)
        yield from (code for _kind, _status, code, _detail in problems._FRAMEWORK)
    source = "".join(
        (ROOT / "seals" / f"{name}.py").read_text(encoding="utf-8") for name in ("httpsig", "message_keys")
    )
    yield from re.findall(r'MessageSignatureError\("([a-z_]+)"', source)


def test_every_code_is_in_the_guide():
    missing = {code for code in codes_in_source() if f"`{code}`" not in GUIDE}

    assert missing <= OUR_OWN | {"request_nonce_mismatch"}, missing  # the last is for who reads our answers


def test_the_guides_example_signs_what_we_accept(city, pki, tmp_path):
    make_demo_pki(
        tmp_path,
        [OrganisationSpec("BANK-P", "丙银行", "ecdsa-p256-sha256")],
        timezone.now() - timedelta(days=1),
        timezone.now() + timedelta(days=400),
    )
    (row, *_others) = [r for r in import_demo_pki(tmp_path) if r.organisation_code == "BANK-P"]
    ExchangePartner.objects.create(organisation="BANK-P", name="丙银行", kind="agent_bank", adm_div_code=world.REGION)
    example = re.search(r"```python\n(.*?)```", GUIDE, re.DOTALL)[1]
    namespace = {"__name__": "guide"}
    exec(example, namespace)
    key_pem, key_id = (tmp_path / "BANK-P" / "key.pem").read_bytes(), f"BANK-P:{row.serial_hex}"

    def call(method, path, query="", body=b"", content_type="", key=None):
        headers = namespace["signed_headers"](key_pem, key_id, method, path, query, body, content_type, key)
        headers.pop("Content-Type", None)
        target = f"{path}?{query}" if query else path
        return Client().generic(method, target, body, content_type, headers=headers)

    items = {"items": [{"adm_div_code": world.REGION, "fiscal_year": 2026, "voucher_type": "8202", "voucher_no": "X1"}]}
    confirm = call("POST", f"{VOUCHERS}confirm/", body=json.dumps(items).encode(), content_type="application/json")
    sent = call("POST", VOUCHERS, body=b"<MOF/>", content_type="application/xml; charset=GBK", key=secrets.token_hex(8))

    assert call("GET", VOUCHERS).status_code == 200
    assert call("GET", VOUCHERS, "limit=10&cursor=").status_code == 200
    assert confirm.json()["results"][0]["code"] == "not_found"
    assert sent.json()["code"] == "xml_declaration"


def test_the_example_problem_of_the_guide_has_our_members():
    example = json.loads(re.search(r"```json\n(.*?)```", GUIDE, re.DOTALL)[1])

    made = problems.problem(422, "total_differs", "", instance="/")
    assert list(example) == list(made)
    assert (example["title"], example["title_en"]) == (made["title"], made["title_en"])


@pytest.mark.django_db
def test_only_the_documentation_page_may_style_itself(client):
    docs = client.get("/api/v1/docs/")
    script = client.get("/api/v1/docs/?script=")
    policy = docs["Content-Security-Policy"]

    assert (docs.status_code, script.status_code) == (200, 200)
    assert "style-src 'self' 'unsafe-inline'" in policy
    assert "script-src 'self';" in policy or policy.endswith("script-src 'self'")
    assert b"/static/drf_spectacular_sidecar/" in docs.content and b"<script>" not in docs.content
    assert "unsafe" not in client.get("/api/v1/schema/")["Content-Security-Policy"]
    assert "unsafe" not in client.get("/healthz")["Content-Security-Policy"]
