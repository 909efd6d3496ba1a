"""The procurement platform at our door: what it brings is a draft until a finance officer files it."""

import copy
from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.cache import cache
from django.utils import timezone

from contracts.models import Acceptance, Contract
from contracts.openapi import _ACCEPTANCE, _CONTRACT
from core.models import BusinessDay
from demo import world
from seals.pki import OrganisationSpec, make_demo_pki
from seals.services import import_demo_pki
from tests.contracts import builders as b
from tests.vouchers.api_partner import VOUCHERS, ApiPartner
from vouchers.models import ExchangePartner

CONTRACTS, ACCEPTANCES, EXECUTION = (f"/api/v1/contracts/{name}" for name in ("", "acceptances/", "execution/"))
NO = "ZCY-2026-001"


@pytest.fixture
def platform(city, pki, tmp_path):
    return partner("PLATFORM-990100", "临江市政府采购平台", pki, tmp_path)


def partner(organisation, name, pki, directory, kind="purchasing"):
    cache.clear()
    now = timezone.now()
    spec = OrganisationSpec(organisation, name, "ecdsa-p256-sha256")
    make_demo_pki(directory, [spec], now - timedelta(days=1), now + timedelta(days=400))
    import_demo_pki(directory)
    ExchangePartner.objects.create(organisation=organisation, name=name, kind=kind, adm_div_code=world.REGION)
    (directory / world.FINANCE).symlink_to(pki / world.FINANCE)
    return ApiPartner(directory, organisation)


def body(**changes):
    return copy.deepcopy(_CONTRACT) | {"contract_no": NO} | changes


def acceptance(**changes):
    return _ACCEPTANCE | {"contract_no": NO} | changes


def brought(platform, **changes):
    reply = platform.post_json(CONTRACTS, body(**changes))
    assert (reply.status, reply.signed) == (200, True), reply.json
    return Contract.objects.get(contract_no=NO)


def test_a_contract_comes_as_a_draft_and_is_payable_once_it_is_filed(platform):
    contract = brought(platform)
    assert (contract.state, contract.source, contract.created_by) == ("draft", "PLATFORM-990100", None)
    assert contract.procurement_id == "LJZC-2026-0117-01"
    request = b.payment(contract, "240000.00")
    assert b.against(request) == [("contract_not_payable", "contract_no")]

    b.decide("file", contract).raise_if_refused()
    assert b.against(request) == []

    reply = platform.get(EXECUTION, f"unit_code=101002&contract_no={NO}")
    assert reply.json == {
        "unit_code": "101002",
        "contract_no": NO,
        "procurement_id": "LJZC-2026-0117-01",
        "state": "filed",
        "total": "800000.00",
        "due": "240000.00",
        "paid": "0.00",
        "in_transit": "240000.00",
        "refunded": "0.00",
        "balance": "560000.00",
        "accepted_amount": "0.00",
        "accepted": False,
    }


def test_a_draft_is_brought_again_with_other_content(platform):
    first = brought(platform)
    shares = [{"indicator": "I4", "amount": "700000.00"}]
    second = brought(platform, title="教学仪器采购合同", total="700000.00", allocations=shares)
    assert (second.pk, second.title, second.total) == (first.pk, "教学仪器采购合同", Decimal("700000.00"))
    assert [term.amount for term in second.terms.all()] == [Decimal("210000.00"), Decimal("490000.00")]


def test_what_is_filed_is_answered_the_same_and_never_changed(platform):
    b.decide("file", brought(platform)).raise_if_refused()
    assert platform.post_json(CONTRACTS, body()).json["state"] == "filed"
    reply = platform.post_json(CONTRACTS, body(title="别的"))
    assert (reply.status, reply.code, reply.json["current_state"]) == (409, "conflict", "filed")
    assert Contract.objects.get(contract_no=NO).title == "实验室设备采购合同"


def test_the_same_key_counts_once(platform):
    first = platform.post_json(CONTRACTS, body(), key="12345678")
    second = platform.post_json(CONTRACTS, body(), key="12345678")
    assert (first.json, second.headers["Idempotent-Replayed"]) == (second.json, "true")
    assert platform.post_json(CONTRACTS, body(title="别的"), key="12345678").code == "idempotency_mismatch"


def test_an_acceptance_lets_the_rest_be_paid_and_counts_once(platform):
    contract = brought(platform)
    assert platform.post_json(ACCEPTANCES, acceptance()).code == "transition_not_allowed"
    b.decide("file", contract).raise_if_refused()

    for _ in range(2):
        reply = platform.post_json(ACCEPTANCES, acceptance())
        assert (reply.json["state"], reply.json["due"]) == ("accepted", "800000.00")
    [row] = Acceptance.objects.filter(contract=contract)
    assert (row.final, row.person, row.accepted_by) == (True, None, "陈志远")
    assert platform.post_json(ACCEPTANCES, acceptance(amount="1.00")).status == 409


@pytest.mark.parametrize(
    ("changes", "status", "code", "pointer"),
    [
        ({"total": 800000}, 422, "validation_failed", "/total"),
        ({"total": "800000"}, 422, "validation_failed", "/total"),
        ({"total": "1e5"}, 422, "validation_failed", "/total"),
        ({"prepayment_cap": "30%"}, 422, "validation_failed", "/prepayment_cap"),
        ({"prepayment_cap": 0.3}, 422, "validation_failed", "/prepayment_cap"),
        ({"signed_on": "2026-13-01"}, 422, "validation_failed", "/signed_on"),
        ({"terms": []}, 422, "validation_failed", "/terms"),
        ({"contract_no": "C\x00"}, 422, "validation_failed", "/contract_no"),
        ({"unit_code": "999999"}, 404, "not_found", "/unit_code"),
        ({"total": "800000.01"}, 422, "contract_field_invalid", "/allocations"),
        ({"allocations": [{"indicator": "I6", "amount": "800000.00"}]}, 422, None, "/allocations/0/indicator"),
        ({"supplier_credit_code": "1"}, 422, "contract_field_invalid", "/supplier_credit_code"),
        ({"project_code": "X"}, 422, "contract_field_invalid", "/project_code"),
        ({"contract_no": "C-2026-017"}, 409, "contract_number_taken", "/contract_no"),
    ],
)
def test_bad_content_is_a_problem_that_points_at_it(platform, changes, status, code, pointer):
    before = Contract.objects.count()
    reply = platform.post_json(CONTRACTS, body(**changes))
    assert reply.status == status and code in (None, reply.code)
    assert pointer in {error["pointer"] for error in reply.json["errors"]}
    assert Contract.objects.count() == before


def test_banks_do_not_come_in_here_nor_the_platform_at_the_vouchers(platform, pki):
    bank = ApiPartner(pki, world.BANK_A)
    for reply in (
        bank.post_json(CONTRACTS, body()),
        bank.get(EXECUTION, f"unit_code=101002&contract_no={NO}"),
        platform.get(VOUCHERS),
        platform.post_json(f"{VOUCHERS}confirm/", {"items": []}),
    ):
        assert (reply.status, reply.code, reply.signed) == (403, "partner_not_admitted", True)
    assert not Contract.objects.filter(contract_no=NO).exists()


def test_another_platform_sees_and_changes_nothing(platform, pki, tmp_path_factory):
    b.decide("file", brought(platform)).raise_if_refused()
    other = partner("PLATFORM-2", "别的平台", pki, tmp_path_factory.mktemp("other"))
    assert other.get(EXECUTION, f"unit_code=101002&contract_no={NO}").status == 404
    assert other.post_json(ACCEPTANCES, acceptance()).status == 404
    assert other.post_json(CONTRACTS, body()).code == "contract_number_taken"


def test_a_number_of_a_clerk_is_not_taken_over(platform):
    b.saved(NO)
    assert platform.post_json(CONTRACTS, body()).code == "contract_number_taken"


def test_a_closed_day_is_said_so(platform):
    BusinessDay.objects.update(closed_at=timezone.now())
    reply = platform.post_json(CONTRACTS, body())
    assert (reply.status, reply.code) == (409, "day_closed")
