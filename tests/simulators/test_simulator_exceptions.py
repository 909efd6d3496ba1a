"""What banks and PBoC do when payments do not go as ordered: stop, hold what has no name, carry it elsewhere."""

import json
from collections.abc import Callable

import pytest

from simulators.app import App
from simulators.wire import Body, Document
from tests.simulators.support import B_205001, Party, _main, balances, carry, desk, desk_answer, payment, sent

FIN = "FIN-990100000"


def _order(number: str, notice: str, amount: str, original: str, account: str = B_205001) -> Document:
    main = _main("8252", number) | {
        "PayBankCode": "103",
        "OriBillNo": notice,
        "PayAcctNo": account,
        "PayAmt": amount,
        "Hold1": "2204",
    }
    line = {"Id": "1", "PayAmt": amount, "OriVoucherNo": original, "OriVouDetailNo": "1", "Hold1": "8202"}
    return Document(main, [line])


def _recall(fin: Party, bank: App, *bodies: Body, digest: str = "") -> list[dict]:
    items = [body.identity.as_dict() | {"digest": digest or body.digest, "recall_no": "CH1"} for body in bodies]
    answer = fin.call(bank, "/recall", json.dumps({"items": items}).encode(), "application/json")
    return list(json.loads(answer.body)["results"])


@pytest.fixture
def paid(bank_b: App, fin: Party, parties: dict[str, Party]) -> Body:
    body = parties["UNIT-205001"].body(payment("8202", "SZ0001", "205001", [("6230000000000303", "1000.00")]))
    assert fin.push(bank_b, body)[0]["outcome"] == "accepted"
    desk(bank_b, "pay")
    return body


def test_refunds_in_parts_end_where_the_payment_does(bank_b: App, paid: Body) -> None:
    order = {"voucher_type": "8202", "voucher_no": "SZ0001", "detail_id": "1", "reason": "退货"}
    for amount in ("400.00", "599.99", "0.01"):
        desk(bank_b, "refund", amount=amount, **order)
    assert desk_answer(bank_b, "refund", amount="0.01", **order).status == 422
    assert [d.main["PayAmt"] for d in sent(bank_b, FIN, "2204")] == ["-400.00", "-599.99", "-0.01"]


def test_money_without_a_name_waits_until_finance_says_whose_it_is(bank_b: App, fin: Party, paid: Body) -> None:
    notice = desk(bank_b, "unplaced-refund", account=B_205001, amount="400.00", reason="来账待查")
    assert balances(bank_b)[B_205001] == "-600.00"
    told = sent(bank_b, FIN, "2204")[0]
    assert (told.details[0]["OriVoucherNo"], told.details[0]["OriVouDetailNo"]) == ("", "")
    made = desk(bank_b, "clear")["sent"]
    assert [row["voucher_type"] for row in made] == ["2301"]

    (result,) = fin.push(bank_b, fin.body(_order("TK0001", notice["voucher_no"], "-400.00", "SZ0001")))

    assert result["outcome"] == "accepted", result
    assert desk(bank_b, "state")["unplaced"][0]["placed"] == 1
    (made,) = desk(bank_b, "clear")["sent"]
    assert (made["voucher_type"], made["amount"]) == ("2302", "-400.00")


@pytest.mark.parametrize(
    ("notice", "amount", "original", "code"),
    [
        ("TK9999", "-400.00", "SZ0001", "unknown_notice"),
        ("", "-399.99", "SZ0001", "unknown_notice"),
        ("", "-400.00", "SZ9999", "unknown_payment"),
    ],
)
def test_an_order_that_does_not_fit_is_refused(
    bank_b: App, fin: Party, paid: Body, notice: str, amount: str, original: str, code: str
) -> None:
    known = desk(bank_b, "unplaced-refund", account=B_205001, amount="400.00", reason="x")["voucher_no"]
    (result,) = fin.push(bank_b, fin.body(_order("TK0001", notice or known, amount, original)))
    assert (result["outcome"], result["code"]) == ("refused", code)


def test_unnamed_money_comes_into_an_account_of_ours_only(bank_b: App) -> None:
    order = {"amount": "1.00", "reason": "x"}
    assert desk_answer(bank_b, "unplaced-refund", account="6220001010020002", **order).status == 422
    assert desk_answer(bank_b, "unplaced-refund", account=B_205001, amount="0.00", reason="x").status == 422


# Recalls ------------------------------------------------------------------------------------------------------------


def test_what_is_not_paid_is_stopped_for_good(bank_b: App, fin: Party, parties: dict[str, Party]) -> None:
    body = parties["UNIT-205001"].body(payment("8202", "SZ0002", "205001", [("6230000000000303", "5.00")]))
    fin.push(bank_b, body)

    (answer,) = _recall(fin, bank_b, body)

    assert (answer["status"], answer["digest"]) == (5, body.digest)
    desk(bank_b, "pay")
    (again,) = fin.push(bank_b, body)
    assert (again["outcome"], again["code"]) == ("refused", "recalled")
    assert desk(bank_b, "state")["executions"][-1]["voucher_no"] != "SZ0002"
    assert fin.query(bank_b, body)[0]["status"] == 5


def test_what_has_not_come_is_refused_when_it_comes(bank_b: App, fin: Party, parties: dict[str, Party]) -> None:
    body = parties["UNIT-205001"].body(payment("8202", "SZ0003", "205001", [("6230000000000303", "5.00")]))
    assert _recall(fin, bank_b, body)[0]["status"] == 5
    assert fin.push(bank_b, body)[0]["code"] == "recalled"


def test_what_is_paid_is_answered_with_its_receipt(bank_b: App, fin: Party, paid: Body) -> None:
    (answer,) = _recall(fin, bank_b, paid)
    assert answer["status"] == 12 and answer["receipt"]
    assert desk(bank_b, "state")["recalled"] == []


def test_a_bank_that_cannot_stop_answers_as_to_a_question(bank_b: App, fin: Party, parties: dict[str, Party]) -> None:
    desk(bank_b, "behaviour", answer_recalls=False)
    body = parties["UNIT-205001"].body(payment("8202", "SZ0004", "205001", [("6230000000000303", "5.00")]))
    assert _recall(fin, bank_b, body)[0]["status"] == -1
    fin.push(bank_b, body)
    assert _recall(fin, bank_b, body)[0]["status"] == 3
    assert desk(bank_b, "pay")["paid"] == ["SZ0004"]


def test_a_recall_of_other_bytes_stops_nothing(bank_b: App, fin: Party, parties: dict[str, Party]) -> None:
    body = parties["UNIT-205001"].body(payment("8202", "SZ0005", "205001", [("6230000000000303", "5.00")]))
    fin.push(bank_b, body)
    assert _recall(fin, bank_b, body, digest="0" * 64)[0]["status"] == 3
    assert desk(bank_b, "pay")["paid"] == ["SZ0005"]


# PBoC ---------------------------------------------------------------------------------------------------------------


def _correction(kind: str, number: str, amount: str = "60.00") -> Document:
    main = _main(kind, number) | {"FundTypeCode": "11", "PayBankCode": "103", "PayAmt": "0.00"}
    receipt = {"XAccDate": ""} if kind == "5351" else {"XPayDate": "", "XPayAmt": ""}
    line = {"SupDepCode": "205", "XAddWord": ""} | ({"XDealResult": ""} if kind == "5351" else {"XPayAmt": ""})
    return Document(
        main | receipt,
        [
            {"Id": "1", "ExpFuncCode": "2040219", "PayAmt": f"-{amount}", **line},
            {"Id": "2", "ExpFuncCode": "2040220", "PayAmt": amount, **line},
        ],
    )


@pytest.mark.parametrize("kind", ["5253", "5351"])
@pytest.mark.parametrize("done", [True, False])
def test_pboc_carries_an_amount_elsewhere_or_says_why_not(pboc: App, fin: Party, kind: str, done: bool) -> None:
    desk(pboc, "behaviour", execute_corrections=done)
    held = desk(pboc, "state")["limits"]

    (result,) = fin.push(pboc, fin.body(_correction(kind, "TS0001")))

    assert result["outcome"] == "accepted", result
    (receipt,) = sent(pboc, FIN, kind)
    results = [line["XDealResult"] if kind == "5351" else line["XPayAmt"] for line in receipt.details]
    wanted = {"5351": (["1", "1"], ["0", "0"]), "5253": (["-60.00", "60.00"], ["0.00", "0.00"])}[kind]
    assert results == wanted[0 if done else 1]
    assert all(bool(line["XAddWord"]) is not done for line in receipt.details)
    state = desk(pboc, "state")
    assert [row["amount"] for row in state["corrections"]] == ["-60.00", "60.00"] and state["limits"] == held


def test_a_correction_that_is_not_nothing_in_all_is_refused(pboc: App, fin: Party) -> None:
    document = _correction("5351", "TS0001")
    document.details[1]["PayAmt"] = "60.01"
    assert fin.push(pboc, fin.body(document))[0]["code"] == "sum_mismatch"
    document = _correction("5351", "TS0002")
    document.main["PayAmt"] = document.details[0]["PayAmt"] = "0.01"
    assert fin.push(pboc, fin.body(document))[0]["code"] == "bad_amount_sign"


def test_money_of_an_earlier_year_gives_this_years_limit_nothing(
    make_app: Callable[..., App], pboc: App, bank_b: App, parties: dict[str, Party]
) -> None:
    with bank_b.owner.storage.write() as db:
        db.execute("UPDATE executions SET fiscal_year = '2025' WHERE serial = 'B-HIST-0612-01'")
    desk(bank_b, "refund", voucher_type="8202", voucher_no="SZ20260612001", detail_id="1", amount="3000.00", reason="x")
    (made,) = desk(bank_b, "clear")["sent"]
    held = desk(pboc, "state")["limits"]

    (result,) = carry(bank_b, pboc, parties, {"2302"})

    assert (made["voucher_type"], result["outcome"]) == ("2302", "accepted"), result
    state = desk(pboc, "state")
    assert state["limits"] == held and state["clearings"][-1]["amount"] == "-3000.00"
