"""POST /vouchers/: receipts and documents of partners, and everything that is wrong with some of them."""

import base64
import secrets
from dataclasses import replace

import pytest

from core.digests import sm3_hex
from core.models import IdempotencyKey
from demo import world
from tests import acts
from tests.vouchers.api_partner import outcomes
from tests.vouchers.example_contents import example
from vouchers import routing
from vouchers.codec import content_text, decode_content, encode_content, encode_envelope, receipt_of
from vouchers.models import InboxMessage, InboxRejection
from vouchers.routing import Parked
from vouchers.transport import body_of


@pytest.fixture
def paid(city):
    """A payment of 100.00 that bank A has in hand."""
    return acts.sent("I1", "100.00")


def clearing(partner, number="CLEAR0001"):
    """A copy of a clearing request: a document of the bank's that is only kept."""
    return partner.body(clearing_content(number), 0)


def clearing_content(number="CLEAR0001", *, receipt=False, **changes):
    content = replace(example("2301", receipt=receipt), voucher_no=number)
    return replace(content, main=dict(content.main) | {"PayBankNo": "102990100019"} | changes)


def parked(monkeypatch, kind="2301"):
    """Let documents of a kind wait for something else."""

    def wait(messages, now):
        return {m.message.pk: Parked("waiting_for_payment", "原支付尚未到达") for m in messages}

    monkeypatch.setitem(routing._handlers, (kind, 0), wait)


def nothing_changed(request):
    (now,) = acts.fresh(request)
    assert (now.state, now.voucher.state) == (request.state, request.voucher.state)
    assert not InboxMessage.objects.exclude(state="refused").exists()


def refused(reply, status, code):
    assert (reply.status, reply.code, reply.signed) == (status, code, True)
    assert reply.headers["Content-Type"] == "application/problem+json"
    return reply.json


# What is taken ------------------------------------------------------------------------------------------------------


def test_a_receipt_is_applied(bank_a, paid):
    body = bank_a.receipt(paid.voucher)
    reply = bank_a.post(body)

    assert (reply.status, reply.signed) == (200, True)
    assert reply.json == {
        "results": [
            {
                "adm_div_code": world.REGION,
                "fiscal_year": 2026,
                "voucher_type": "8202",
                "voucher_no": paid.voucher_no,
                "flag": 1,
                "digest": sm3_hex(body.text),
                "outcome": "applied",
                "code": "",
                "field": "",
                "reason": "",
            }
        ]
    }
    (after,) = acts.fresh(paid)
    assert (after.state, after.voucher.state) == ("paid", "receipted")


def test_a_document_of_the_bank_is_kept(bank_a):
    reply = bank_a.post(clearing(bank_a))

    assert (reply.status, outcomes(reply)) == (200, ["applied"])
    message = InboxMessage.objects.get()
    assert (message.sender, message.state, message.flag) == (world.BANK_A, "applied", 0)


def test_the_same_document_again_is_a_duplicate_whatever_the_key(bank_a, paid):
    body = bank_a.receipt(paid.voucher)
    bank_a.post(body, key="first-key")

    again = bank_a.post(body, key="second-key")
    replayed = bank_a.post(body, key="first-key")

    assert (again.status, outcomes(again)) == (200, ["duplicate"])
    assert (replayed.status, outcomes(replayed), replayed.headers["Idempotent-Replayed"]) == (200, ["applied"], "true")
    assert InboxMessage.objects.count() == 1


def test_a_document_that_must_wait_is_202(bank_a, monkeypatch):
    parked(monkeypatch)
    reply = bank_a.post(clearing(bank_a))

    assert (reply.status, outcomes(reply)) == (202, ["parked"])
    assert InboxMessage.objects.get().code == "waiting_for_payment"


def test_a_broken_handler_leaves_the_document_stored(bank_a, monkeypatch):
    def broken(messages, now):
        raise KeyError("a bug")

    monkeypatch.setitem(routing._handlers, ("2301", 0), broken)
    reply = bank_a.post(clearing(bank_a))

    assert (reply.status, outcomes(reply)) == (202, ["stored"])
    assert InboxMessage.objects.get().state == "received"


def test_several_bodies_get_an_answer_each(bank_a, paid):
    good = bank_a.receipt(paid.voucher)
    foreign = replace(clearing(bank_a, "CLEAR0002"), signatures=())
    reply = bank_a.post(good, foreign, clearing(bank_a))

    assert (reply.status, outcomes(reply)) == (200, ["applied", "refused", "applied"])
    second = reply.json["results"][1]
    assert (second["code"], second["field"], second["voucher_no"]) == ("signature_missing", "Signature", "CLEAR0002")


def test_utf_8_may_be_named_as_the_character_set(bank_a):
    raw = encode_envelope([clearing(bank_a)]).replace(b'encoding="GBK"', b'encoding="UTF-8"', 1)

    assert bank_a.post_raw(raw, content_type="application/xml;charset=utf-8").status == 200


# What is refused, and kept as a trace -------------------------------------------------------------------------------


def test_an_unsigned_document_is_refused(bank_a, paid):
    problem = refused(bank_a.post(replace(bank_a.receipt(paid.voucher), signatures=())), 422, "signature_missing")

    assert problem["errors"][0]["pointer"] == "/Signature"
    assert problem["voucher"]["voucher_no"] == paid.voucher_no
    assert InboxMessage.objects.get().code == "signature_missing"
    nothing_changed(paid)


def test_a_document_re_signed_by_another_party_is_refused(bank_a, bank_b, paid):
    body = bank_a.receipt(paid.voucher)
    refused(bank_a.post(replace(body, signatures=(bank_b.sign(body.text),))), 422, "certificate_of_other_party")
    nothing_changed(paid)


def test_a_signature_over_other_text_is_refused(bank_a, paid):
    body = bank_a.receipt(paid.voucher)
    refused(bank_a.post(replace(body, signatures=(bank_a.sign(body.text + b"A"),))), 422, "signature_invalid")
    nothing_changed(paid)


@pytest.mark.parametrize("changes", [{"voucher_no": "SZ0002"}, {"fiscal_year": 2025}, {"voucher_type": "5201"}])
def test_a_re_numbered_envelope_is_refused(bank_a, paid, changes):
    refused(bank_a.post(replace(bank_a.receipt(paid.voucher), **changes)), 422, "envelope_differs")

    assert InboxRejection.objects.get().code == "envelope_differs"
    nothing_changed(paid)


def test_our_own_voucher_reflected_is_refused(bank_a, paid):
    ours = body_of(paid.voucher)
    refused(bank_a.post(ours), 403, "wrong_sender")
    refused(bank_a.post(replace(ours, flag=1)), 422, "certificate_of_other_party")

    assert InboxMessage.objects.filter(state="refused").count() == 2
    nothing_changed(paid)


def test_a_receipt_of_a_voucher_sent_to_another_bank_is_unknown(bank_b, paid):
    refused(bank_b.post(bank_b.receipt(paid.voucher)), 404, "original_unknown")
    nothing_changed(paid)


def test_a_receipt_of_a_voucher_that_is_not_there_is_unknown(bank_a, paid):
    content, _ = decode_content(bytes(paid.voucher.text))
    other = replace(content, voucher_no="SZ4711", main=dict(content.main) | {"VoucherNo": "SZ4711"})
    lines = {d["Id"]: {"XPayAmt": d["PayAmt"]} for d in content.details}
    body = bank_a.body(receipt_of(other, {"XPayAmt": "100.00"}, lines), 1)

    refused(bank_a.post(body), 404, "original_unknown")


def test_a_receipt_that_changes_the_payee_is_refused(bank_a, paid):
    content, _ = decode_content(bytes(paid.voucher.text))
    detail = dict(content.details[0]) | {"PayeeAcctNo": "6230000000009999", "XPayAmt": "100.00"}
    altered = replace(content, main=dict(content.main) | {"XPayAmt": "100.00"}, details=(detail,))

    problem = refused(bank_a.post(bank_a.body(altered, 1)), 422, "receipt_altered")
    assert "PayeeAcctNo" in problem["errors"][0]["pointer"]
    nothing_changed(paid)


def test_a_receipt_of_a_refused_voucher_is_a_conflict(bank_a, paid):
    identity = {"adm_div_code": world.REGION, "fiscal_year": 2026, "voucher_type": "8202"}
    item = identity | {"voucher_no": paid.voucher_no, "reason": "账户不存在"}
    assert bank_a.post_json("/api/v1/vouchers/fail/", {"items": [item]}).status == 200

    problem = refused(bank_a.post(bank_a.receipt(paid.voucher)), 409, "original_not_open")
    assert problem["current_state"] == "refused"


def test_one_number_for_two_texts_is_a_conflict(bank_a):
    bank_a.post(clearing(bank_a))
    other = bank_a.body(clearing_content(PayBankName="甲银行"), 0)

    refused(bank_a.post(other), 409, "conflicting_duplicate")
    assert InboxMessage.objects.filter(state="applied").count() == 1


def test_a_document_for_another_region_is_refused(bank_a):
    refused(bank_a.post(bank_a.body(replace(example("2301"), adm_div_code="990200000"), 0)), 403, "wrong_sender")
    assert InboxRejection.objects.get().code == "wrong_sender"


def test_a_document_this_kind_of_party_may_not_send_is_refused(bank_a):
    refused(bank_a.post(bank_a.body(example("3507"), 0)), 403, "wrong_sender")


def test_findings_name_their_field(bank_a):
    content = clearing_content()
    details = (dict(content.details[0]) | {"PayAmt": "1e2"}, *content.details[1:])
    problem = refused(bank_a.post(bank_a.body(replace(content, details=details), 0)), 422, "amount_invalid")

    assert problem["errors"][0]["pointer"] == "/Detail[1]/PayAmt"
    assert problem["retryable"] is False


def _truncated(raw):
    return raw[: len(raw) // 2]


def _half_a_character(raw):
    return raw.replace(b"<Return_Reason>", b"<Return_Reason>\xd6", 1)


HOSTILE = {
    "empty": (lambda raw: b"", "xml_declaration"),
    "truncated": (_truncated, "xml_malformed"),
    "not_gbk": (_half_a_character, "xml_encoding"),
    "utf16": (lambda raw: raw.decode("gbk").encode("utf-16"), "xml_declaration"),
    "mislabelled": (lambda raw: raw.replace(b"GBK", b"UTF-7", 1), "xml_encoding"),
    "doctype": (lambda raw: raw.replace(b"<MOF>", b'<!DOCTYPE a [<!ENTITY b "c">]><MOF>', 1), "xml_doctype"),
    "entity": (lambda raw: raw.replace(b"<Attach>", b"<Attach>&b;", 1), "xml_entity"),
    "comment": (lambda raw: raw.replace(b"<MOF>", b"<MOF><!-- -->", 1), "xml_comment"),
    "instruction": (lambda raw: raw.replace(b"<MOF>", b"<?a b?><MOF>", 1), "xml_processing_instruction"),
    "unknown": (lambda raw: raw.replace(b"<Attach>", b"<Extra/><Attach>", 1), "xml_unknown_element"),
    "count": (lambda raw: raw.replace(b"<VoucherCount>1<", b"<VoucherCount>2<", 1), "voucher_count_differs"),
    "flag": (lambda raw: raw.replace(b"<VoucherFlag>0<", b"<VoucherFlag>2<", 1), "voucher_flag_invalid"),
    "deep": (lambda raw: raw.replace(b"<MOF>", b"<MOF>" + b"<Root>" * 5000, 1), "xml_depth"),
    "not_xml": (lambda raw: b'{"items": []}', "xml_declaration"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_an_unreadable_envelope_is_refused_and_kept(bank_a, name):
    change, code = HOSTILE[name]
    raw = change(encode_envelope([clearing(bank_a)]))
    reply = bank_a.post_raw(raw)

    assert reply.status == 422 or (name == "empty" and reply.status == 415), reply.json
    assert reply.signed
    trace = InboxRejection.objects.get()
    assert (trace.sender, trace.size) == (world.BANK_A, len(raw))
    if name != "empty":
        assert (reply.code, trace.code, bytes(trace.raw)) == (code, code, raw)
    assert not InboxMessage.objects.exists()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"AAA", "base64_invalid"),
        (base64.b64encode(b"not xml"), "xml_declaration"),
        (base64.b64encode(b'<?xml version="1.0" encoding="GBK"?><Voucher></Voucher>'), "voucher_identity_invalid"),
    ],
)
def test_an_unreadable_document_in_a_good_envelope_is_refused_and_kept(bank_a, text, code):
    body = replace(clearing(bank_a), text=text, signatures=(bank_a.sign(text),))
    refused(bank_a.post(body), 422, code)

    assert InboxRejection.objects.get().code == code


def test_a_document_of_an_unknown_type_is_refused(bank_a):
    inner = encode_content(example("2301")).replace(b"<VtCode>2301<", b"<VtCode>9999<")
    text = content_text(inner)
    body = replace(clearing(bank_a), voucher_type="9999", text=text, signatures=(bank_a.sign(text),))

    refused(bank_a.post(body), 422, "voucher_type_unknown")


# The key and the answer under it ------------------------------------------------------------------------------------


def test_a_refusal_is_kept_under_its_key(bank_a, paid):
    unsigned = replace(bank_a.receipt(paid.voucher), signatures=())
    first = bank_a.post(unsigned, key="refused-0001")
    again = bank_a.post(unsigned, key="refused-0001")

    refused(again, 422, "signature_missing")
    assert (again.json, again.headers["Idempotent-Replayed"]) == (first.json, "true")
    assert InboxMessage.objects.count() == 1
    assert bank_a.post(bank_a.receipt(paid.voucher), key="refused-0001").code == "idempotency_mismatch"


def test_an_answer_lost_in_a_crash_is_given_again_from_the_inbox(bank_a, paid):
    body, key = bank_a.receipt(paid.voucher), secrets.token_hex(8)
    bank_a.post(body, key=key)
    IdempotencyKey.objects.all().delete()  # as if the process had died between the effect and the stored answer

    assert outcomes(bank_a.post(body, key=key)) == ["duplicate"]
    assert acts.fresh(paid)[0].state == "paid"


def test_pboc_forwards_a_clearing_that_waits_for_the_banks_own_copy(bank_a, pboc, monkeypatch):
    monkeypatch.setitem(routing._handlers, ("2301", 1), lambda ms, now: {m.message.pk: routing.Applied() for m in ms})
    executed = pboc.body(clearing_content(receipt=True), 1)

    first = pboc.post(executed)
    bank_a.post(clearing(bank_a))

    assert (first.status, outcomes(first)) == (202, ["parked"])
    assert set(InboxMessage.objects.values_list("sender", "state")) == {
        (world.BANK_A, "applied"),
        (world.PBOC, "applied"),
    }


def test_a_clearing_of_another_bank_is_refused(bank_b):
    refused(bank_b.post(clearing(bank_b)), 403, "wrong_sender")
