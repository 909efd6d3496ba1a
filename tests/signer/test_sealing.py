"""An approved voucher is sealed through the real process; whatever is not approved exactly so is not."""

import base64
from dataclasses import replace
from uuid import uuid4

import pytest
from django.utils import timezone

from core.digests import sm3_hex
from demo import world
from parties.models import PostAssignment, ReviewDecision
from payments.content import content_digest, details_of
from seals.signing import Warrant
from signer.facts import read_facts
from tests import acts
from tests.signer.scene import (
    by,
    holds,
    order_of,
    person,
    refusal,
    refused,
    seal,
    tampering,
    vouchered,
)
from vouchers.models import Voucher


@pytest.mark.parametrize(
    ("no", "keeper", "suite"), [("I4", "gk-yz", "sm2-sm3"), ("I1", "u101001-yz", "ecdsa-p256-sha256")]
)
def test_an_approved_voucher_is_signed_with_its_organisations_key(asked, no, keeper, suite):
    request = vouchered(no)
    order = order_of(request.voucher)

    [mark] = seal(order, warrant=by(keeper))

    assert holds(mark, request.voucher.sender, order.text)
    assert not holds(mark, request.voucher.sender, order.text + b"=")
    assert asked.ask("identity", organisation_code=request.voucher.sender)["suite_id"] == suite
    assert Voucher.objects.get(pk=request.voucher_id).signature == ""  # the signer writes nothing


def test_marks_come_in_the_order_asked(asked):
    requests = [vouchered("I4", amount) for amount in ("1.00", "2.00", "3.00")]
    orders = [order_of(request.voucher) for request in reversed(requests)]

    marks = seal(*orders)

    assert [holds(mark, world.FINANCE, order.text) for mark, order in zip(marks, orders, strict=True)] == [True] * 3


def test_the_whole_way_from_request_to_outbox_runs_over_the_socket(asked):
    request = vouchered("I4", "77.00")
    acts.seal(request).raise_if_refused()

    voucher = Voucher.objects.get(pk=request.voucher_id)
    assert (voucher.state, acts.fresh(request)[0].state) == ("sealed", "sealed")
    [notice] = acts.fresh(request)[0].limit_notices.select_related("voucher")
    assert (notice.voucher.state, str(notice.amount)) == ("sealed", "77.00")


def test_one_bad_voucher_and_none_is_signed(asked):
    good, bad = vouchered("I4", "1.00"), vouchered("I4", "2.00")
    with tampering("parties_reviewdecision") as cursor:
        cursor.execute("DELETE FROM parties_reviewdecision WHERE document_id = %s AND ordinal = 1", [bad.id])

    assert refused(order_of(good.voucher), order_of(bad.voucher)) == "approvals_incomplete"


# The text -----------------------------------------------------------------------------------------------------------


def test_a_text_altered_by_one_byte_is_not_signed(asked):
    order = order_of(vouchered("I4", "12.34").voucher)
    altered = _rewritten(order.text, b"12.34", b"12.35")
    assert len(altered) == len(order.text)

    assert refused(replace(order, text=altered)) == "text_differs"
    assert refused(replace(order, text=order.text + b"\n")) == "text_differs"
    assert refused(replace(order, text=order.text[:-4])) == "text_malformed"


def test_another_vouchers_text_under_this_vouchers_name_is_not_signed(asked):
    one, other = vouchered("I4", "1.00"), vouchered("I4", "2.00")
    assert refused(replace(order_of(one.voucher), text=bytes(other.voucher.text))) == "identity_differs"
    stolen = order_of(other.voucher, voucher_id=one.voucher_id)
    assert refused(stolen) == "identity_differs"


def test_a_text_rewritten_in_the_library_itself_is_not_signed(asked):
    """The row, its digest and the question agree; the approved request says something else."""
    request = vouchered("I4", "100.00")
    text = _rewritten(bytes(request.voucher.text), b"100.00", b"900.00")
    with tampering("vouchers_voucher") as cursor:
        cursor.execute(
            "UPDATE vouchers_voucher SET text = %s, digest = %s, amount = 900 WHERE id = %s",
            [text, sm3_hex(text), request.voucher_id],
        )

    refusal_ = refusal(order_of(Voucher.objects.get(pk=request.voucher_id)))

    assert (refusal_.code, refusal_.field) == ("text_disagrees", "PayAmt")
    assert (refusal_.facts["stated"], refusal_.facts["expected"]) == ("900.00", "100.00")


@pytest.mark.parametrize(
    ("before", "after", "field"),
    [
        ("6230000000000001", "6230000000000009", "PayeeAcctNo"),
        ("晨光办公用品", "晨光办公用晶", "PayeeAcctName"),
        ("丙银行", "丁银行", "PayeeAcctBankName"),
        (world.ACCOUNT_FINANCE_A, "6210001000000009", "PayAcctNo"),
    ],
)
def test_another_payee_or_payer_in_the_library_itself_is_not_signed(asked, before, after, field):
    request = vouchered("I4", "100.00")
    text = _rewritten(bytes(request.voucher.text), before.encode("gbk"), after.encode("gbk"))
    with tampering("vouchers_voucher") as cursor:
        cursor.execute(
            "UPDATE vouchers_voucher SET text = %s, digest = %s WHERE id = %s",
            [text, sm3_hex(text), request.voucher_id],
        )

    found = refusal(order_of(Voucher.objects.get(pk=request.voucher_id)))

    assert (found.code, found.field) == ("text_disagrees", field)


def _rewritten(text: bytes, before: bytes, after: bytes) -> bytes:
    inner = base64.b64decode(text)
    assert before in inner and len(before) == len(after)
    return base64.b64encode(inner.replace(before, after))


def test_a_voucher_nobody_made_out_is_not_signed(asked):
    order = order_of(vouchered().voucher)
    assert refused(replace(order, voucher_id=uuid4())) == "voucher_unknown"


def test_a_voucher_of_another_organisation_is_not_signed(asked):
    order = order_of(vouchered("I4").voucher)
    assert refused(replace(order, organisation_code="UNIT-101002")) == "organisation_differs"


def test_a_sealed_voucher_is_not_signed_again(asked):
    request = vouchered("I4")
    acts.seal(request).raise_if_refused()
    assert refused(order_of(request.voucher)) == "not_waiting_for_seal"


def test_another_position_is_not_signed(asked):
    order = order_of(vouchered("I4").voucher)
    assert refused(replace(order, position="cz_dwgz")) == "positions_differ"
    assert refused(order, order) == "positions_differ"


# The approvals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ordinal", [1, 2, 3])
def test_a_missing_approval_is_found(asked, ordinal):
    request = vouchered("I4")
    with tampering("parties_reviewdecision") as cursor:
        cursor.execute(
            "DELETE FROM parties_reviewdecision WHERE document_id = %s AND ordinal = %s", [request.id, ordinal]
        )
    assert refused(order_of(request.voucher)) == "approvals_incomplete"


def test_the_approval_of_another_revision_does_not_count(asked):
    request = vouchered("I4")
    with tampering("parties_reviewdecision") as cursor:
        cursor.execute("UPDATE parties_reviewdecision SET revision = 9 WHERE document_id = %s", [request.id])
    assert refused(order_of(request.voucher)) == "approval_outdated"


def test_an_approval_by_another_post_does_not_count(asked):
    request = vouchered("I4")
    with tampering("parties_reviewdecision") as cursor:
        cursor.execute(
            "UPDATE parties_reviewdecision SET post = 'unit_clerk' WHERE document_id = %s AND ordinal = 2", [request.id]
        )
    assert refused(order_of(request.voucher)) == "approvals_incomplete"


def test_one_person_at_two_nodes_counts_once(asked):
    request = vouchered("I4")
    first = ReviewDecision.objects.get(document_id=request.id, ordinal=1)
    with tampering("parties_reviewdecision") as cursor:
        cursor.execute("ALTER TABLE parties_reviewdecision DROP CONSTRAINT one_person_decides_once_per_revision")
        cursor.execute(
            "UPDATE parties_reviewdecision SET person_id = %s WHERE document_id = %s AND ordinal = 2",
            [first.person_id, request.id],
        )
    try:
        assert refused(order_of(request.voucher)) == "approvers_not_distinct"
    finally:
        with tampering("parties_reviewdecision") as cursor:
            cursor.execute(
                "UPDATE parties_reviewdecision SET revision = 8 WHERE document_id = %s AND ordinal = 2", [request.id]
            )
            cursor.execute(
                "ALTER TABLE parties_reviewdecision ADD CONSTRAINT one_person_decides_once_per_revision"
                " UNIQUE (document_id, revision, person_id)"
            )


def test_the_clerks_own_approval_does_not_count(asked):
    request = vouchered("I4")
    with tampering("parties_reviewdecision") as cursor:
        cursor.execute(
            "UPDATE parties_reviewdecision SET person_id = %s WHERE document_id = %s AND ordinal = 2",
            [request.created_by_id, request.id],
        )
    assert refused(order_of(request.voucher)) == "approved_by_clerk"


def test_what_was_approved_must_be_what_is_sealed(asked):
    request = vouchered("I4")
    with tampering("parties_reviewdecision") as cursor:
        cursor.execute(
            "UPDATE parties_reviewdecision SET content_digest = %s WHERE document_id = %s AND ordinal = 3",
            ["0" * 64, request.id],
        )
    assert refused(order_of(request.voucher)) == "digest_not_approved"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE payments_paymentdetail SET payee_account_no = '6230000000000666' WHERE request_id = %s",
        "UPDATE payments_paymentrequest SET purpose = '其他用途' WHERE id = %s",
        "UPDATE payments_paymentrequest SET contract_no = 'C-1' WHERE id = %s",
    ],
)
def test_content_changed_after_the_approvals_is_not_sealed(asked, change):
    request = vouchered("I4")
    with tampering("payments_paymentdetail", "payments_paymentrequest") as cursor:
        cursor.execute(change, [request.id])
    assert refused(order_of(request.voucher)) == "content_changed"


def test_changed_content_with_its_digests_changed_everywhere_still_disagrees_with_the_text(asked):
    """Without a UKey the rows alone can be rewritten consistently; the text that was made out cannot follow."""
    request = vouchered("I4", "50.00")
    with tampering("payments_paymentdetail", "payments_paymentrequest", "parties_reviewdecision") as cursor:
        cursor.execute(
            "UPDATE payments_paymentdetail SET payee_account_no = '6230000000000666' WHERE request_id = %s",
            [request.id],
        )
        changed = acts.fresh(request)[0]
        digest = content_digest(changed, details_of([changed])[request.id])
        cursor.execute("UPDATE payments_paymentrequest SET content_digest = %s WHERE id = %s", [digest, request.id])
        cursor.execute(
            "UPDATE parties_reviewdecision SET content_digest = %s WHERE document_id = %s", [digest, request.id]
        )

    found = refusal(order_of(request.voucher))

    assert (found.code, found.field) == ("text_disagrees", "PayeeAcctNo")


def test_a_request_that_is_not_at_its_voucher_is_not_sealed(asked):
    request = vouchered("I4")
    with tampering("payments_paymentrequest") as cursor:
        cursor.execute("UPDATE payments_paymentrequest SET state = 'in_review' WHERE id = %s", [request.id])
    assert refused(order_of(request.voucher)) == "request_not_vouchered"


def test_a_voucher_without_a_request_is_not_sealed(asked):
    request = vouchered("I4")
    with tampering("payments_paymentrequest") as cursor:
        cursor.execute("UPDATE payments_paymentrequest SET voucher_id = NULL WHERE id = %s", [request.id])
    assert refused(order_of(request.voucher)) == "request_unknown"


# The person ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["gk-zd", "gk-kz", "u101002-yz", "gk-dz"])
def test_a_person_without_the_post_may_not_have_it_sealed(asked, who):
    assert refused(order_of(vouchered("I4").voucher), warrant=by(who)) == "post_not_held"


def test_the_sealer_of_another_unit_may_not_have_it_sealed(asked):
    assert refused(order_of(vouchered("I1").voucher), warrant=by("u205001-yz")) == "post_not_held"


def test_nobody_at_all_may_not_have_it_sealed(asked):
    order = order_of(vouchered("I4").voucher)
    assert refused(order, warrant=Warrant(None)) == "person_required"
    assert refused(order, warrant=Warrant(uuid4())) == "post_not_held"


@pytest.mark.parametrize(
    ("no", "column"), [("I4", "ordinal 1"), ("I4", "ordinal 3"), ("I4", "clerk"), ("I4", "maker"), ("I1", "clerk")]
)
def test_whoever_took_part_in_it_may_not_seal_it_whatever_posts_he_holds(asked, no, column):
    request = vouchered(no)
    keeper = person({"I4": "gk-yz", "I1": "u101001-yz"}[no])
    with tampering("parties_reviewdecision", "payments_paymentrequest", "vouchers_voucher") as cursor:
        if column == "clerk":
            cursor.execute("UPDATE payments_paymentrequest SET created_by_id = %s WHERE id = %s", [keeper, request.id])
        elif column == "maker":
            cursor.execute("UPDATE vouchers_voucher SET made_by_id = %s WHERE id = %s", [keeper, request.voucher_id])
        else:
            cursor.execute(
                "UPDATE parties_reviewdecision SET person_id = %s WHERE document_id = %s AND ordinal = %s",
                [keeper, request.id, int(column[-1])],
            )
    assert refused(order_of(request.voucher), warrant=Warrant(keeper)) == "acted_before"


def test_a_post_that_has_ended_does_not_count(asked):
    order = order_of(vouchered("I4").voucher)
    posts = PostAssignment.objects.filter(user__username="gk-yz")
    posts.update(valid_to="2026-06-30")  # the business day is before it, today is not
    try:
        assert refused(order) == "post_not_held"
    finally:
        posts.update(valid_to=None)
    assert len(seal(order)) == 1


# Statements do not grow with the batch ------------------------------------------------------------------------------


def test_the_number_of_statements_does_not_depend_on_the_number_of_vouchers(asked):
    one = [order_of(vouchered("I4", "1.00").voucher)]
    many = [order_of(vouchered("I4", f"{n}.00").voucher) for n in range(2, 8)]
    counts = []
    for orders in (one, many):
        with acts.statements() as seen:
            read_facts(orders, by("gk-yz"), on=timezone.localdate())
        counts.append(len(seen))
    assert counts[0] == counts[1] <= 20, counts
