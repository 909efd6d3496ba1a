"""A bank that reads its vouchers: pages, sign for, refuse, return, status — and never a word about others' vouchers."""

import base64

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.errors import Conflict
from core.models import Transition
from demo import world
from tests import acts
from tests.conftest import NOW
from tests.vouchers.api_partner import VOUCHERS, identity, outcomes, sealed_vouchers
from vouchers import library_reads, routing
from vouchers.codec import decode_envelope
from vouchers.delivery import claim, record_sent
from vouchers.models import Delivery, DeliveryAttempt, ExchangePartner, InboxMessage, Voucher
from vouchers.pulling import AnsweredItem, answer_pulled
from vouchers.states import DeliveryState, VoucherState

CONFIRM, FAIL, RETURN, STATUS = (f"{VOUCHERS}{verb}/" for verb in ("confirm", "fail", "return", "status"))


def states(vouchers):
    rows = Voucher.objects.filter(pk__in=[v.pk for v in vouchers]).order_by("pk")
    return list(rows.values_list("state", "delivery__state"))


def say(partner, path, *vouchers, **more):
    return partner.post_json(path, {"items": [identity(v, **more) for v in vouchers]})


def only(reply):
    assert (reply.status, reply.signed, len(reply.json["results"])) == (200, True, 1)
    result = reply.json["results"][0]
    return result["outcome"], result["code"]


# Reading ------------------------------------------------------------------------------------------------------------


def test_a_bank_reads_the_exact_bytes_and_the_seal(bank_a, city):
    request = acts.sent("I1", "100.00")
    reply = bank_a.get()

    (item,) = reply.json["results"]
    (body,) = decode_envelope(base64.b64decode(item["envelope"]))
    assert {k: item[k] for k in identity(request.voucher)} == identity(request.voucher)
    assert (body.text, item["digest"]) == (bytes(request.voucher.text), request.voucher.digest)
    assert body.signatures[0].value == request.voucher.signature
    assert (body.flag, reply.json["next"]) == (0, None)


def test_reading_changes_nothing_and_shows_the_same_again(bank_a, city):
    vouchers = sealed_vouchers(2)

    assert bank_a.get().json == bank_a.get().json
    assert states(vouchers) == [(VoucherState.SEALED, DeliveryState.QUEUED)] * 2
    assert not DeliveryAttempt.objects.exists()


def test_pages_follow_each_other_to_the_end(bank_a, city):
    numbers = [voucher.voucher_no for voucher in sealed_vouchers(5)]
    seen, cursor = [], ""
    for _ in range(3):
        page = bank_a.get(query=f"limit=2&cursor={cursor}").json
        seen += [item["voucher_no"] for item in page["results"]]
        cursor = page["next"]

    assert (seen, cursor) == (numbers, None)


def test_a_page_of_long_vouchers_is_shorter(bank_a, city, monkeypatch):
    size = len(sealed_vouchers(4)[0].text)
    monkeypatch.setattr(library_reads, "PAGE_BYTES", 2 * size + 1)

    first = bank_a.get().json
    second = bank_a.get(query=f"cursor={first['next']}").json
    assert [len(page["results"]) for page in (first, second)] == [2, 2]
    assert second["next"] is None


def test_only_what_is_mine_and_not_signed_for_is_shown(bank_a, bank_b, city):
    queued, sending, unknown, delivered, refused = sealed_vouchers(5)
    for voucher, state in ((sending, "sending"), (unknown, "unknown"), (delivered, "delivered"), (refused, "refused")):
        Delivery.objects.filter(voucher=voucher).update(state=state)
    sealed_vouchers(1, receiver=world.BANK_B)

    mine = [item["voucher_no"] for item in bank_a.get().json["results"]]
    assert mine == [queued.voucher_no, sending.voucher_no, unknown.voucher_no]


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=ten", "cursor=ten", "cursor=%00", "limit=%EF%BC%91x"])
def test_a_strange_page_is_refused(bank_a, query):
    reply = bank_a.get(query=query)

    assert (reply.status, reply.code, reply.signed) == (422, "validation_failed", True)
    assert reply.json["errors"][0]["pointer"] == f"/{query.split('=')[0]}"


# Answering ----------------------------------------------------------------------------------------------------------


def test_signing_for_a_payment_is_heard_and_may_be_said_twice(bank_a, city):
    request = acts.sent("I1", "100.00")

    assert only(say(bank_a, CONFIRM, request.voucher)) == ("accepted", "")
    assert only(say(bank_a, CONFIRM, request.voucher)) == ("duplicate", "")

    (after,) = acts.fresh(request)
    delivery = Delivery.objects.get(voucher=request.voucher)
    assert (after.state, after.voucher.state) == ("accepted", VoucherState.SIGNED_FOR)
    assert (delivery.state, delivery.delivered_at is not None) == (DeliveryState.DELIVERED, True)
    assert DeliveryAttempt.objects.filter(delivery=delivery).count() == 1
    assert bank_a.get().json["results"] == []


def test_refusing_gives_the_reason_to_the_officers(bank_a, city):
    request = acts.sent("I1", "100.00")

    assert only(say(bank_a, FAIL, request.voucher, reason="收款人开户行不存在")) == ("accepted", "")
    assert only(say(bank_a, FAIL, request.voucher, reason="收款人开户行不存在")) == ("duplicate", "")

    (after,) = acts.fresh(request)
    assert (after.state, after.voucher.state) == ("bank_refused", VoucherState.REFUSED)
    event = Transition.objects.get(document_id=request.voucher.id, action="refuse")
    assert (event.reason, event.actor_name) == ("收款人开户行不存在", "甲银行")
    assert Delivery.objects.get(voucher=request.voucher).last_error == "收款人开户行不存在"


def test_a_voucher_may_be_returned_after_it_was_signed_for(bank_a, city):
    (voucher,) = sealed_vouchers(1)
    say(bank_a, CONFIRM, voucher)

    assert only(say(bank_a, RETURN, voucher, reason="账户已冻结")) == ("accepted", "")
    assert only(say(bank_a, RETURN, voucher, reason="账户已冻结")) == ("duplicate", "")
    assert states([voucher]) == [(VoucherState.RETURNED, DeliveryState.REFUSED)]


@pytest.mark.parametrize(
    ("first", "second"), [(FAIL, CONFIRM), (FAIL, RETURN), (RETURN, CONFIRM), (RETURN, FAIL), (CONFIRM, FAIL)]
)
def test_an_answer_that_contradicts_the_first_is_a_conflict(bank_a, city, first, second):
    (voucher,) = sealed_vouchers(1)
    say(bank_a, first, voucher, reason="账户不存在")
    before = states([voucher])

    assert only(say(bank_a, second, voucher, reason="账户不存在")) == ("refused", "conflict")
    assert states([voucher]) == before


def test_a_void_voucher_cannot_be_signed_for(bank_a, city):
    (voucher,) = sealed_vouchers(1)
    say(bank_a, FAIL, voucher, reason="账户不存在")
    Voucher.objects.filter(pk=voucher.pk).update(state=VoucherState.VOID)

    assert only(say(bank_a, CONFIRM, voucher)) == ("refused", "conflict")
    assert only(say(bank_a, FAIL, voucher, reason="账户不存在")) == ("duplicate", "")


def test_a_receipt_that_came_before_the_word_is_enough(bank_a, city):
    request = acts.sent("I1", "100.00")
    bank_a.post(bank_a.receipt(request.voucher))

    assert only(say(bank_a, CONFIRM, request.voucher)) == ("duplicate", "")
    assert states([request.voucher]) == [(VoucherState.RECEIPTED, DeliveryState.DELIVERED)]
    assert only(say(bank_a, RETURN, request.voucher, reason="晚了")) == ("refused", "conflict")


def test_vouchers_of_others_are_as_unknown_as_none(bank_b, city):
    (voucher,) = sealed_vouchers(1)
    reply = bank_b.post_json(CONFIRM, {"items": [identity(voucher), identity(voucher, voucher_no="SZ9999")]})

    first, second = reply.json["results"]
    assert (first["outcome"], first["code"]) == ("refused", "not_found")
    assert {k: v for k, v in first.items() if k != "voucher_no"} == {
        k: v for k, v in second.items() if k != "voucher_no"
    }
    assert states([voucher]) == [(VoucherState.SEALED, DeliveryState.QUEUED)]


def test_a_generated_voucher_without_seal_is_unknown(bank_a, city, monkeypatch):
    monkeypatch.setattr("tests.vouchers.api_partner.seal_at_once", lambda *a, **k: None)
    (voucher,) = sealed_vouchers(1)

    assert only(say(bank_a, CONFIRM, voucher)) == ("refused", "not_found")


def test_each_item_is_answered_in_order_and_one_twice_is_a_duplicate(bank_a, city):
    first, second = sealed_vouchers(2)
    items = [identity(second), identity(first, voucher_no="SZ9999"), identity(second), identity(first)]
    reply = bank_a.post_json(CONFIRM, {"items": items})

    assert outcomes(reply) == ["accepted", "refused", "duplicate", "accepted"]
    assert [item["voucher_no"] for item in reply.json["results"]] == [item["voucher_no"] for item in items]


def test_one_voucher_business_refuses_does_not_hold_up_the_others(bank_a, city, monkeypatch):
    good, bad = sealed_vouchers(2)

    def picky(vouchers, action, *, by, reason, now):
        if any(voucher.pk == bad.pk for voucher in vouchers):
            raise Conflict("支付正在处理。", field="state")

    monkeypatch.setitem(routing._answer_handlers, "8202", picky)
    reply = say(bank_a, CONFIRM, good, bad)

    assert outcomes(reply) == ["accepted", "refused"]
    assert states([good, bad]) == [
        (VoucherState.SIGNED_FOR, DeliveryState.DELIVERED),
        (VoucherState.SEALED, DeliveryState.QUEUED),
    ]


def test_a_worker_that_is_sending_meanwhile_records_nothing(bank_a, city):
    (voucher,) = sealed_vouchers(1)
    claimed = claim(organisation=world.BANK_A, state=DeliveryState.QUEUED, now=NOW)
    say(bank_a, CONFIRM, voucher)

    record_sent(claimed, [None], now=NOW)

    assert states([voucher]) == [(VoucherState.SIGNED_FOR, DeliveryState.DELIVERED)]


@pytest.mark.parametrize(
    ("payload", "pointer"),
    [
        ({"items": []}, "/items"),
        ({}, "/items"),
        ([], "/"),
        ({"items": "all"}, "/items"),
        ({"items": [{"voucher_no": "SZ0001"}]}, "/items/0/adm_div_code"),
        ({"items": [{"adm_div_code": "99010000x"}]}, "/items/0/adm_div_code"),
        ({"items": [{"adm_div_code": "990100000", "fiscal_year": True}]}, "/items/0/fiscal_year"),
        ({"items": [{"adm_div_code": "990100000", "fiscal_year": "２０２６"}]}, "/items/0/fiscal_year"),
        ({"items": [{"adm_div_code": "990100000", "fiscal_year": 2026.0}]}, "/items/0/fiscal_year"),
        ({"items": [{"adm_div_code": "990100000\n"}]}, "/items/0/adm_div_code"),
        ({"items": [{}] * 501}, "/items"),
    ],
)
def test_items_of_another_shape_are_refused(bank_a, payload, pointer):
    reply = bank_a.post_json(CONFIRM, payload)

    assert (reply.status, reply.code, reply.signed) == (422, "validation_failed", True)
    assert pointer in [error["pointer"] for error in reply.json["errors"]]


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("", "blank"),
        ("  ", "blank"),
        ("银" * 95 + "x", "too_long"),
        ("😀", "character_not_in_gbk"),
        ("第一行\n第二行", "character_not_allowed"),
        ("\ud800", "character_not_in_gbk"),
        (5, "invalid"),
        (None, "null"),
    ],
)
def test_a_reason_must_be_readable_and_short(bank_a, city, reason, code):
    (voucher,) = sealed_vouchers(1)
    reply = bank_a.post_json(FAIL, {"items": [identity(voucher, reason=reason)]})

    assert (reply.status, reply.json["errors"][0]["code"]) == (422, code)
    assert reply.json["errors"][0]["pointer"] == "/items/0/reason"
    assert states([voucher]) == [(VoucherState.SEALED, DeliveryState.QUEUED)]


def test_the_longest_reason_is_taken(bank_a, city):
    (voucher,) = sealed_vouchers(1)

    assert only(say(bank_a, FAIL, voucher, reason="银" * 95)) == ("accepted", "")


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"items": 1, "items": 2}', b'{"items": NaN}', b"\xff\xfe", b"[" * 100_000, b"9" * 5000]
)
def test_bytes_that_are_no_json_are_refused(bank_a, body):
    reply = bank_a.call("POST", CONFIRM, body=body, content_type="application/json")

    assert reply.status in (400, 422)
    assert reply.code == ("json_malformed" if reply.status == 400 else "validation_failed")


@pytest.mark.parametrize(("action", "reason"), [("sign_for", ""), ("refuse", "账户不存在"), ("return", "账户不存在")])
def test_the_number_of_statements_does_not_grow_with_the_items(city, action, reason):
    partner = ExchangePartner.objects.get(pk=world.BANK_A)
    counts = []
    for size in (10, 500):
        vouchers = sealed_vouchers(size)
        items = [AnsweredItem(**identity(voucher), reason=reason) for voucher in vouchers]
        with CaptureQueriesContext(
            connection,
        ) as queries:
            results = answer_pulled(partner=partner, items=items, action=action, now=NOW)
        counts.append(len(queries))
        assert {result.outcome for result in results} == {"accepted"}

    assert counts[0] == counts[1] <= 10, counts


# Status -------------------------------------------------------------------------------------------------------------


def ask(partner, voucher, **changes):
    return partner.get(STATUS, "&".join(f"{k}={v}" for k, v in identity(voucher, **changes).items()))


def test_the_status_of_our_voucher(bank_a, city):
    (voucher,) = sealed_vouchers(1)
    waiting = ask(bank_a, voucher)
    say(bank_a, FAIL, voucher, reason="账户不存在")
    refused = ask(bank_a, voucher)

    assert (waiting.json["status"], waiting.json["state"], waiting.json["digest"]) == (0, "sealed", voucher.digest)
    assert (refused.json["status"], refused.json["reason"], refused.signed) == (4, "账户不存在", True)


def test_the_status_of_a_document_of_the_partners_own(bank_a, bank_b, city):
    request = acts.sent("I1", "100.00")
    body = bank_a.refund("REFUND0001", request, 1, "100.00")
    sent = bank_a.post(body)

    reply = bank_a.get(STATUS, f"adm_div_code={world.REGION}&fiscal_year=2026&voucher_type=2204&voucher_no=REFUND0001")
    message = InboxMessage.objects.get()
    assert (
        reply.json["digest"] == message.digest == sent.json.get("voucher", sent.json.get("results", [{}])[0])["digest"]
    )
    assert (reply.json["flag"], reply.json["state"], reply.json["code"]) == (0, message.state, message.code)
    assert reply.json["status"] in (1, 4)


def test_the_status_of_what_is_not_mine_is_not_found(bank_b, city):
    (voucher,) = sealed_vouchers(1)

    for reply in (ask(bank_b, voucher), ask(bank_b, voucher, voucher_no="SZ9999")):
        assert (reply.status, reply.code, reply.signed) == (404, "not_found", True)
    reply = ask(bank_b, voucher, adm_div_code="990200000")
    assert (reply.status, reply.code) == (404, "not_found")


def test_a_status_without_full_identity_is_refused(bank_a):
    reply = bank_a.get(STATUS, "voucher_no=SZ0001")

    assert (reply.status, reply.code) == (422, "validation_failed")
    assert {error["pointer"] for error in reply.json["errors"]} == {"/adm_div_code", "/fiscal_year", "/voucher_type"}
