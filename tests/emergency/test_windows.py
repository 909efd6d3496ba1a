"""Who may open a window, for what, for how long; and what it takes to end it."""

from datetime import timedelta
from uuid import UUID

import pytest
from django.db import DatabaseError, transaction

from core.errors import TreasuryError
from demo import world
from emergency import services
from emergency.models import DrillPrint, PaperVoucher, Window
from tests import acts
from tests.conftest import NOW
from tests.emergency.conftest import (
    approved,
    decide,
    declared,
    enter,
    opened,
    print_out,
    printed,
)
from vouchers.models import Voucher


def code(act, *args, **kwargs):
    before = acts.everything()
    with pytest.raises(TreasuryError) as refusal:
        act(*args, **kwargs)
    assert acts.everything() == before
    return refusal.value.code


def test_a_window_is_declared_by_one_and_opened_by_another(city):
    window = declared()
    assert (window.state, window.opens_at) == ("declared", None)
    for who, expected in (("gk-kz", "role_required"), ("gk-zd", "role_required")):
        officer = world.officer(who)
        assert code(services.decide_window, window_id=window.id, confirm=True, by=officer, now=NOW) == expected
    twice = acts.second_login("gk-kz", "payment_reviewer")
    assert code(services.decide_window, window_id=window.id, confirm=True, by=twice, now=NOW) == "second_person_needed"
    window = services.decide_window(window_id=window.id, confirm=True, by=world.officer("gk-yz"), now=NOW)
    assert (window.state, window.opens_at, window.ends_at) == ("open", NOW, NOW + timedelta(hours=4))


def test_a_rejected_window_never_opens(city):
    window = declared()
    services.decide_window(window_id=window.id, confirm=False, by=world.officer("gk-sh"), now=NOW)
    assert code(print_out, window, approved()) == "window_not_open"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"hours": 0}, "hours"),
        ({"hours": 25}, "hours"),
        ({"reason": " "}, "reason"),
        ({"reason": "断" * 201}, "reason"),
        ({"parties": ("reconciler",)}, "parties"),
        ({"parties": ("reconciler", "system_admin")}, "parties"),
        ({"voucher_type": "5108"}, "voucher_type"),
        ({"unit_id": UUID(int=1)}, "unit"),
        ({"agent_bank_id": UUID(int=1)}, "agent_bank"),
    ],
)
def test_what_cannot_be_declared_is_named(city, change, field):
    with pytest.raises(TreasuryError) as refusal:
        declared(**change)
    assert refusal.value.field == field
    assert not Window.objects.exists()


def test_only_the_chief_declares(city):
    given = services.WindowInput("断线", 4, ("reconciler", "voucher_maker"))
    assert code(services.declare_window, given=given, by=world.officer("gk-zd"), now=NOW) == "role_required"


def test_nothing_is_printed_before_after_or_outside(city):
    window, request = declared(), approved()
    assert code(print_out, window, request) == "window_not_open"
    window = services.decide_window(window_id=window.id, confirm=True, by=world.officer("gk-yz"), now=NOW)
    end = NOW + timedelta(hours=4)
    assert code(print_out, window, request, now=end) == "window_not_open"
    narrow = opened(voucher_type="5201")
    assert code(lambda: print_out(narrow, request).raise_if_refused()) == "out_of_window_scope"
    other = opened(unit_id=world.indicator("I5").unit_id)
    assert code(lambda: print_out(other, request).raise_if_refused()) == "out_of_window_scope"
    bank = opened(agent_bank_id=request.payer_account.agent_bank_id, voucher_type="8202", unit_id=request.unit_id)
    print_out(bank, request, now=end - timedelta(microseconds=1)).raise_if_refused()


def test_the_database_holds_the_window_too(city):
    window = opened()
    for change in ({"hours": 24}, {"reason": "x"}, {"ends_at": NOW + timedelta(hours=9)}, {"drill": True}):
        with pytest.raises(DatabaseError), transaction.atomic():
            Window.objects.filter(pk=window.pk).update(**change)
    request = approved()
    voucher = Voucher.objects.order_by("pk").first()
    with pytest.raises(DatabaseError), transaction.atomic():
        PaperVoucher.objects.create(
            adm_div_code=request.adm_div_code,
            fiscal_year=request.fiscal_year,
            window=window,
            request=request,
            voucher=voucher,
            printed_at=NOW,
        )


def confirm_list(window, who, digest=None):
    return services.confirm_list(
        window_id=window.id, digest=digest or services.digest_of(window), by=world.officer(who), now=NOW
    )


def close(window, who="gk-kz"):
    return services.close_window(window_id=window.id, by=world.officer(who), now=NOW)


def test_it_ends_when_every_paper_is_answered_and_every_party_has_confirmed_the_list(city, store):
    window = opened()
    request = printed(window)
    assert code(close, window) == "paper_list_open"
    assert code(confirm_list, window, "gk-dz") == "paper_list_open"
    enter(store, request)
    assert code(close, window) == "paper_list_open"
    decide(request)
    assert code(close, window) == "paper_list_open"
    assert code(confirm_list, window, "gk-dz", "0" * 64) == "paper_list_open"
    assert code(confirm_list, window, "gk-sh") == "role_required"
    confirm_list(window, "gk-dz")
    assert code(confirm_list, window, "gk-dz") == "role_required"
    assert code(print_out, window, approved()) == "window_not_open"  # the list stands still now
    assert code(close, window) == "paper_list_open"
    confirm_list(window, "gk-zd")
    assert code(close, window, "gk-zd") == "role_required"
    closed = close(window)
    assert (closed.state, closed.list_digest) == ("closed", services.digest_of(window))
    assert services.list_of(window)[0]["bank_serial"] == "ZZ0001"
    assert code(print_out, window, approved()) == "window_not_open"


def test_a_drill_notes_what_would_have_been_printed_and_moves_nothing(city):
    window = opened(drill=True)
    request = approved("I4", "100.00")
    before = acts.everything()
    outcome = print_out(window, request)
    outcome.raise_if_refused()
    assert acts.everything() == before
    assert print_out(window, request).accepted and DrillPrint.objects.count() == 1
    assert not PaperVoucher.objects.exists()
    acts.issue(request).raise_if_refused()
    assert code(lambda: print_out(window, request).raise_if_refused()) == "window_not_open"
    assert close(window).state == "closed"
