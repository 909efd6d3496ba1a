"""What a bank accepts, what it refuses, and what stays stored."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from simulators.app import App
from simulators.errors import AnswerLost
from simulators.wire import Body, Document, build_envelope
from tests.simulators.support import A_101001, B_205001, B_NO, XML, Party, balances, desk, desk_answer, payment

P3 = payment("8202", "SZ0001", "101001", [("6230000000000303", "12345.67")])


def _p3(parties: dict[str, Party], **main: str) -> Body:
    return parties["UNIT-101001"].body(Document(P3.main | main, P3.details))


def test_voucher_is_accepted_stored_and_not_paid(bank_a: App, fin: Party, parties: dict[str, Party]) -> None:
    body = _p3(parties)

    (result,) = fin.push(bank_a, body)

    expected = body.identity.as_dict() | {"flag": 0, "digest": body.digest, "code": "", "reason": ""}
    assert result == expected | {"outcome": "accepted"}
    assert desk(bank_a, "state")["executions"] == []
    assert balances(bank_a)[A_101001] == "0.00"
    assert fin.query(bank_a, body)[0] | {"receipt": None} == body.identity.as_dict() | {
        "status": 3,
        "digest": body.digest,
        "reason": "",
        "receipt": None,
    }


def test_same_voucher_again_is_a_duplicate_and_paid_once(bank_a: App, fin: Party, parties: dict[str, Party]) -> None:
    body = _p3(parties)
    fin.push(bank_a, body)

    assert [r["outcome"] for r in fin.push(bank_a, body, body)] == ["duplicate", "duplicate"]

    desk(bank_a, "pay")
    desk(bank_a, "pay")
    state = desk(bank_a, "state")
    assert state["execution_counts"] == {"8202 SZ0001/1": 1}
    assert balances(bank_a)[A_101001] == "-12345.67"


def test_bank_that_does_not_deduplicate_pays_every_copy(bank_a: App, fin: Party, parties: dict[str, Party]) -> None:
    desk(bank_a, "behaviour", deduplicate=False)
    body = _p3(parties)

    assert [fin.push(bank_a, body)[0]["outcome"] for _ in range(2)] == ["accepted", "accepted"]
    desk(bank_a, "pay")

    assert desk(bank_a, "state")["executed_more_than_once"] == {"8202 SZ0001/1": 2}
    assert balances(bank_a)[A_101001] == "-24691.34"
    assert fin.query(bank_a, body)[0]["status"] == 12


def test_same_number_with_other_content_is_refused(bank_a: App, fin: Party, parties: dict[str, Party]) -> None:
    first, second = _p3(parties), _p3(parties, Hold1="other")
    fin.push(bank_a, first)

    (result,) = fin.push(bank_a, second)

    assert (result["outcome"], result["code"]) == ("refused", "conflicting_duplicate")
    assert fin.query(bank_a, first)[0]["digest"] == first.digest


def test_refused_number_may_come_again_in_good_order(bank_a: App, fin: Party, parties: dict[str, Party]) -> None:
    bad, good = _p3(parties, PayAmt="12345.68"), _p3(parties)
    assert fin.push(bank_a, bad)[0]["code"] == "sum_mismatch"
    assert fin.query(bank_a, bad)[0]["status"] == 4

    assert fin.push(bank_a, good)[0]["outcome"] == "accepted"
    assert fin.query(bank_a, good)[0]["status"] == 3


def _altered(body: Body) -> Body:
    document = Document(P3.main | {"PayAmt": "92345.67"}, [P3.details[0] | {"PayAmt": "92345.67"}])
    return Body(body.identity, 0, document.text(), body.signatures)


@pytest.mark.parametrize(
    ("code", "make"),
    [
        ("signature_invalid", lambda p: _altered(_p3(p))),
        ("signature_missing", lambda p: Body(_p3(p).identity, 0, _p3(p).text, ())),
        ("signature_missing", lambda p: p["FIN-990100000"].body(P3)),
        ("payer_not_owner", lambda p: p["UNIT-101002"].body(Document(P3.main | {"AgencyCode": "101002"}, P3.details))),
        ("payer_account_unknown", lambda p: _p3(p, PayAcctNo=B_205001)),
        ("not_addressed", lambda p: _p3(p, PayBankCode=B_NO)),
        ("foreign_region", lambda p: _p3(p, AdmDivCode="110000000")),
        ("identity_mismatch", lambda p: _renumbered(_p3(p))),
        ("bad_amount", lambda p: _p3(p, PayAmt="12,345.67")),
        ("bad_amount", lambda p: _p3(p, PayAmt="１２３４５.67")),
        ("bad_amount_sign", lambda p: _unit(p, payment("8202", "SZ0001", "101001", [("62", "0.00")]))),
        ("bad_date", lambda p: _p3(p, VouDate="2026-06-15")),
        ("bad_voucher_no", lambda p: _p3(p, VoucherNo="S" * 21)),
        ("bad_detail_count", lambda p: _unit(p, payment("8202", "SZ0001", "101001", [("62", "1.00")] * 500))),
        ("bad_detail_id", lambda p: _unit(p, Document(P3.main | {"PayAmt": "24691.34"}, P3.details * 2))),
        ("unexpected_voucher", lambda p: p["FIN-990100000"].body(P3, flag=1)),
    ],
)
def test_each_bad_voucher_is_refused_with_its_code(
    bank_a: App, fin: Party, parties: dict[str, Party], code: str, make: object
) -> None:
    body = make(parties)  # type: ignore[operator]

    (result,) = fin.push(bank_a, body)

    assert (result["outcome"], result["code"]) == ("refused", code)
    assert desk(bank_a, "pay") == {"paid": [], "receipts_released": 0}
    assert desk(bank_a, "state")["vouchers"][0]["status"] == "refused"


def _unit(parties: dict[str, Party], document: Document) -> Body:
    return parties["UNIT-101001"].body(document)


def _renumbered(body: Body) -> Body:
    other = type(body.identity)(**(body.identity.as_dict() | {"voucher_no": "SZ0002"}))
    return Body(other, 0, body.text, body.signatures)


def test_499_details_are_accepted(bank_a: App, fin: Party, parties: dict[str, Party]) -> None:
    document = payment("8202", "SZ0001", "101001", [("62", "1.00")] * 499)

    assert fin.push(bank_a, _unit(parties, document))[0]["outcome"] == "accepted"


def test_own_receipt_reflected_back_is_refused(bank_a: App, fin: Party, parties: dict[str, Party]) -> None:
    fin.push(bank_a, _p3(parties))
    desk(bank_a, "pay")
    row = bank_a.owner.storage.read().execute("SELECT body FROM issued").fetchone()

    answer = fin.call(bank_a, "/vouchers", build_envelope([row["body"]]))

    assert json.loads(answer.body)["results"][0]["code"] == "reflected"


def test_one_bad_voucher_does_not_take_its_batch_along(bank_a: App, fin: Party, parties: dict[str, Party]) -> None:
    good = [_unit(parties, payment("8202", f"SZ{n}", "101001", [("62", "1.00")])) for n in range(3)]
    good[1] = Body(good[1].identity, 0, good[1].text, good[0].signatures)

    assert [r["outcome"] for r in fin.push(bank_a, *good)] == ["accepted", "refused", "accepted"]


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "bad_encoding"),
        (b'<?xml version="1.0" encoding="UTF-8"?><MOF/>', "bad_encoding"),
        (b'<?xml version="1.0" encoding="GBK"?><MOF>\xff\xff</MOF>', "bad_encoding"),
        (b'<?xml version="1.0" encoding="GBK"?><!DOCTYPE MOF [<!ENTITY x "y">]><MOF>&x;</MOF>', "forbidden_markup"),
        (b'<?xml version="1.0" encoding="GBK"?><MOF><VoucherCount>1</VoucherCount>', "bad_xml"),
        (b'<?xml version="1.0" encoding="GBK"?><MOF><VoucherCount>0</VoucherCount></MOF>', "bad_envelope"),
        (build_envelope(["<VoucherBody/>"] * 101), "bad_envelope"),
        (b" " * (32 * 1024 * 1024 + 1), "envelope_too_large"),
    ],
)
def test_unreadable_envelope_is_a_signed_400(bank_a: App, fin: Party, raw: bytes, code: str) -> None:
    answer = fin.call(bank_a, "/vouchers", raw, XML)

    assert answer.status == 400
    assert json.loads(answer.body)["code"] == code
    assert desk(bank_a, "state")["vouchers"] == []


def test_unsigned_replayed_and_foreign_requests_are_refused(bank_a: App, fin: Party, parties: dict[str, Party]) -> None:
    body = build_envelope([_p3(parties).xml()])
    headers, _nonce = fin.keys.sign_request("POST", "/vouchers", "", body, XML)
    lowered = {name.lower(): value for name, value in headers.items()}
    assert bank_a.handle("POST", "/vouchers", {}, body).status == 401
    assert bank_a.handle("POST", "/vouchers", lowered, body.replace(b"SZ0001", b"SZ0002")).status == 401
    assert bank_a.handle("POST", "/query", lowered, body).status == 401
    assert bank_a.handle("POST", "/vouchers", lowered, body).status == 200
    assert b"nonce_replayed" in bank_a.handle("POST", "/vouchers", lowered, body).body

    assert parties["BANK-B"].push(bank_a, _p3(parties))[0]["code"] == "unexpected_voucher"


def test_lost_answer_leaves_the_voucher_stored(bank_a: App, fin: Party, parties: dict[str, Party]) -> None:
    desk(bank_a, "behaviour", faults={"lose_next_answers": 1})
    body = _p3(parties)

    with pytest.raises(AnswerLost):
        fin.push(bank_a, body)

    assert fin.query(bank_a, body)[0]["status"] == 3
    assert fin.push(bank_a, body)[0]["outcome"] == "duplicate"


def test_500_does_nothing_and_garbage_did_everything(bank_a: App, fin: Party, parties: dict[str, Party]) -> None:
    desk(bank_a, "behaviour", faults={"answer_500_next": 1, "answer_garbage_next": 1})
    body = _p3(parties)
    raw = build_envelope([body.xml()])

    assert fin.call(bank_a, "/vouchers", raw).status == 500
    assert fin.query(bank_a, body)[0]["status"] == -1
    headers, _nonce = fin.keys.sign_request("POST", "/vouchers", "", raw, XML)
    answer = bank_a.handle("POST", "/vouchers", {n.lower(): v for n, v in headers.items()}, raw)
    assert answer.body.startswith(b"<html>")
    assert fin.query(bank_a, body)[0]["status"] == 3


def test_desk_needs_its_token_and_known_switches(bank_a: App) -> None:
    assert bank_a.handle("GET", "/desk/state", {}, b"").status == 401
    assert desk_answer(bank_a, "behaviour", autopay=True).status == 422
    assert desk_answer(bank_a, "behaviour", auto_pay="yes").status == 422
    assert desk_answer(bank_a, "no-such-order").status == 422
    assert desk(bank_a, "behaviour", auto_pay=True)["auto_pay"] is True
    assert bank_a.handle("GET", "/healthz", {}, b"").body == b"ok"


def test_behaviour_outlives_a_restart(make_app: Callable[..., App]) -> None:
    first = make_app("bank-A")
    desk(first, "behaviour", auto_pay=True, faults={"delay_ms": 3})
    first.owner.storage.close()

    state = desk(make_app("bank-A"), "state")["behaviour"]
    assert (state["auto_pay"], state["faults"]["delay_ms"], state["deduplicate"]) == (True, 3, True)


def test_eight_copies_at_once_are_one_order(bank_a: App, fin: Party, parties: dict[str, Party]) -> None:
    desk(bank_a, "behaviour", auto_pay=True)
    body = _p3(parties)

    with ThreadPoolExecutor(8) as pool:
        outcomes = [result["outcome"] for (result,) in pool.map(lambda _: fin.push(bank_a, body), range(8))]

    assert sorted(outcomes) == ["accepted"] + ["duplicate"] * 7
    assert desk(bank_a, "state")["execution_counts"] == {"8202 SZ0001/1": 1}
