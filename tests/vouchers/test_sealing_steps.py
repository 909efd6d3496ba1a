"""Sealing in steps: personal seal first, official seal and signature last, each by its own person; then it is sent."""

import base64

import pytest
from django.db import IntegrityError, InternalError, connection, transaction
from django.utils import timezone

from core.errors import RoleRequired
from demo import world
from parties.errors import ActedBefore
from payments import services
from seals.errors import SealMissing
from seals.models import ESeal, SealPosition, SealUse, Stamp
from seals.services import revoke_seal
from seals.stamps import Trust, property_info, report_on
from tests import acts
from tests.conftest import NOW
from vouchers.models import Delivery, Voucher
from vouchers.sealing import Steps
from vouchers.transport import body_of


@pytest.fixture
def made(sealed_city):
    """An authorised payment and a direct one, made out and waiting for their seals."""
    requests = [acts.draft("I1", "120.00"), acts.draft("I4", "60000.00")]
    for request in requests:
        acts.submit(request).raise_if_refused()
        acts.approve_all(request)
        acts.issue(request).raise_if_refused()
    return acts.fresh(*requests)


def seal(who, *requests):
    return services.seal_payment_vouchers(request_ids=acts.ids(requests), sealer=world.officer(who), now=NOW)


def places(voucher):
    return list(Stamp.objects.filter(voucher_id=voucher.pk).order_by("ordinal").values_list("ordinal", "position"))


def test_two_people_seal_a_voucher_in_order_and_only_the_last_sends_it(made):
    one, _direct = made
    seal("u101001-mz", one).raise_if_refused()
    voucher = Voucher.objects.get(pk=one.voucher_id)
    assert (voucher.state, voucher.signature, places(voucher)) == ("generated", "", [(1, "dw_sz")])
    assert not Delivery.objects.filter(voucher=voucher).exists()
    assert acts.fresh(one)[0].state == "vouchered"

    seal("u101001-yz", one).raise_if_refused()

    voucher.refresh_from_db()
    assert voucher.state == "sealed" and voucher.position == "dw_qm"
    assert places(voucher) == [(1, "dw_sz"), (2, "dw_gz")]
    assert Delivery.objects.filter(voucher=voucher).count() == 1
    uses = SealUse.objects.filter(voucher_id=voucher.pk).order_by("position")
    assert [use.position for use in uses] == ["dw_gz", "dw_qm", "dw_sz"]
    assert len({use.person_id for use in uses}) == 2


def test_every_stamp_holds_over_exactly_this_voucher_and_place(made):
    one, direct = made
    for who, request in (("u101001-mz", one), ("u101001-yz", one), ("gk-mz", direct), ("gk-yz", direct)):
        seal(who, request).raise_if_refused()
    trust = Trust.now(timezone.now())
    notice = Voucher.objects.get(voucher_type="5108")
    assert [position for _ordinal, position in places(notice)] == ["cz_dwgz"]
    stamps = Stamp.objects.all()
    assert stamps.count() == 5
    for stamp in stamps:
        voucher = Voucher.objects.get(pk=stamp.voucher_id)
        place = property_info(
            voucher.adm_div_code, voucher.fiscal_year, voucher.voucher_type, voucher.voucher_no, stamp.position
        )
        now = timezone.now()
        report = report_on(bytes(stamp.der), bytes(voucher.text), place, trust, at=now)
        assert report.verdict.ok, report.verdict.reason
        assert not report_on(bytes(stamp.der), bytes(voucher.text) + b"\n", place, trust, at=now).verdict.ok
        assert not report_on(bytes(stamp.der), bytes(voucher.text), place + "x", trust, at=now).verdict.ok


def test_the_envelope_carries_signature_and_stamps_in_order(made):
    one, _direct = made
    seal("u101001-mz", one).raise_if_refused()
    seal("u101001-yz", one).raise_if_refused()

    body = body_of(Voucher.objects.get(pk=one.voucher_id))

    assert [mark.position for mark in body.signatures] == ["dw_qm"]
    assert [mark.position for mark in body.stamps] == ["dw_sz", "dw_gz"]
    stored = {stamp.position: bytes(stamp.der) for stamp in Stamp.objects.all()}
    assert {mark.position: base64.b64decode(mark.value) for mark in body.stamps} == stored


def test_the_last_step_cannot_come_first(made):
    refusal = seal("u101001-yz", made[0]).refused[made[0].pk]
    assert isinstance(refusal, RoleRequired) and refusal.facts["role"] == "unit_name_seal"
    assert not Stamp.objects.exists()


def test_a_step_is_taken_once(made):
    seal("u101001-mz", made[0]).raise_if_refused()

    refusal = seal("u101001-mz", made[0]).refused[made[0].pk]

    assert refusal.code == "role_required"
    assert Stamp.objects.count() == 1


def test_eight_officers_with_one_seal_affix_it_once(real_sealed_city):
    request = acts.draft("I1", "120.00")
    acts.submit(request).raise_if_refused()
    acts.approve_all(request)
    acts.issue(request).raise_if_refused()
    answers = acts.together(*[lambda: seal("u101001-mz", request) for _ in range(8)])

    assert [len(answer.accepted) for answer in answers].count(1) == 1
    assert Stamp.objects.count() == 1


def test_who_affixed_the_personal_seal_cannot_affix_the_official_one(made):
    one = made[0]
    seal("u101001-mz", one).raise_if_refused()
    steps = Steps([one.voucher])
    sealer = world.officer("u101001-mz")
    both = type(sealer)(**{**sealer.__dict__, "roles": sealer.roles | {"unit_sealer"}})

    with pytest.raises(ActedBefore):
        steps.check(one.voucher, both, "unit_sealer")


def test_without_a_usable_seal_nothing_is_affixed_and_the_place_is_named(made):
    revoke_seal(seal_id=ESeal.objects.get(organisation_code="UNIT-101001", kind="personal").pk, reason="换章", now=NOW)

    with pytest.raises(SealMissing, match="dw_sz"):
        seal("u101001-mz", made[0])
    assert not Stamp.objects.exists() and not SealUse.objects.exists()


def test_a_seal_for_other_types_is_not_used(made):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE seals_eseal SET voucher_types = '[\"5201\"]' WHERE organisation_code = 'UNIT-101001'")
        cursor.execute("SET LOCAL session_replication_role = origin")

    with pytest.raises(SealMissing):
        seal("u101001-mz", made[0])


def test_a_region_without_positions_signs_in_one_step(made):
    SealPosition.objects.all().delete()

    seal("u101001-yz", made[0]).raise_if_refused()

    assert Voucher.objects.get(pk=made[0].voucher_id).state == "sealed"
    assert not Stamp.objects.exists()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE seals_stamp SET der = '\\x00'",
        "DELETE FROM seals_stamp",
        "UPDATE seals_eseal SET der = '\\x00'",
        "DELETE FROM seals_eseal",
    ],
)
def test_the_database_keeps_stamps_and_seals_as_they_were_made(made, statement):
    seal("u101001-mz", made[0]).raise_if_refused()
    with pytest.raises((InternalError, IntegrityError)), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
