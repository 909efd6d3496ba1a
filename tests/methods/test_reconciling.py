"""What banks and PBoC report of the three methods, against our books: in pairs of their own, to the fen."""

import pytest

from demo import world
from reconciliation.models import Discrepancy, Sheet, StatementLine
from reconciliation.services import match_day
from reconciliation.states import Pair
from tests.conftest import NOW
from tests.methods.test_other_methods import returned, sent

BANK_OF = {"I7": (world.BANK_A, "102", "2206", "81", "2"), "I8": (world.BANK_B, "103", "2205", "31", "3")}


def report(partner, no: str, request, amount: str, **changes: str):
    """The bank's day report of one payment."""
    _organisation, code, kind, mode, fund = BANK_OF[no]
    line = {
        "Id": "1",
        "VoucherNo": request.voucher_no,
        "VoucherBillId": "1",
        "PayAmt": amount,
        "PayDate": "20260615",
        "AgencyCode": request.unit.code,
        "PayeeAcctNo": request.details.get().payee_account_no,
        "Hold1": request.voucher_type,
    } | changes
    main = {"Id": "RB1", "PayAmt": amount, "PosAmt": amount, "NegAmt": "0.00", "PayBankCode": code}
    main |= {"PayTypeCode": mode, "FundTypeCode": fund, "Hold1": "1/1"}
    return partner.body(partner.content(kind, f"RB-{no}", main, [line]), 0)


def statement(pboc, request, *amounts: str, number: str = "DZ1"):
    """PBoC's 3508: one line for each amount, negative for what came back."""
    lines = [
        {
            "Id": str(position),
            "PayDetailId": "1",
            "VoucherNo": request.voucher_no,
            "PayAmt": amount,
            "PayDate": "20260615",
            "AgencyCode": request.unit.code,
        }
        for position, amount in enumerate(amounts, start=1)
    ]
    total = f"{sum(float(amount) for amount in amounts):.2f}"
    head = {"VoucherCheckNo": number, "ChildPackNum": "1", "CurPackNo": "1", "TreCode": "9901000000"}
    head |= {"BeginDate": "20260615", "EndDate": "20260615", "AllNum": str(len(amounts)), "AllAmt": total}
    return pboc.body(pboc.content("3508", number, head, lines), 0)


def sheet(pair: Pair, partner: str) -> tuple[str, str, str]:
    match_day(adm_div_code=world.REGION, date=world.DAY, by=world.officer("gk-dz"), now=NOW)
    row = Sheet.objects.filter(pair=pair, partner=partner).order_by("-run").first()
    return f"{row.our_amount:.2f}", f"{row.their_amount:.2f}", row.state


def paid(partner, no: str, amount: str):
    request = sent(no, amount)
    partner.send(partner.receipt(request.voucher))
    return request


@pytest.mark.parametrize("no", BANK_OF)
def test_a_banks_report_of_them_meets_our_books(city, no, bank_a, bank_b):
    bank = {"I7": bank_a, "I8": bank_b}[no]
    request = paid(bank, no, "100.00")
    assert sheet(Pair.BANK_FUNDS, bank.organisation) == ("100.00", "0.00", "different")
    assert [a.outcome for a in bank.send(report(bank, no, request, "100.00"))] == ["applied"]

    assert sheet(Pair.BANK_FUNDS, bank.organisation) == ("100.00", "100.00", "matched")
    assert sheet(Pair.BANK_PAYMENT, bank.organisation) == ("0.00", "0.00", "matched")
    assert StatementLine.objects.get().voucher_type == request.voucher_type


@pytest.mark.parametrize("no", BANK_OF)
def test_one_fen_more_is_a_difference(city, no, bank_a, bank_b):
    bank = {"I7": bank_a, "I8": bank_b}[no]
    request = paid(bank, no, "100.00")
    bank.send(report(bank, no, request, "100.01"))

    assert sheet(Pair.BANK_FUNDS, bank.organisation) == ("100.00", "100.01", "different")
    assert [row.type for row in Discrepancy.objects.filter(state="open")] == ["D3"]


def test_a_report_names_a_method_of_its_kind_only(city, bank_a):
    request = paid(bank_a, "I7", "100.00")
    body = report(bank_a, "I7", request, "100.00")
    from vouchers.codec import decode_content

    content, _ = decode_content(body.text)
    wrong = dict(content.main) | {"PayTypeCode": "31"}
    [answer] = bank_a.send(bank_a.body(bank_a.content("2206", "RB-I7", wrong, content.details), 0))
    assert answer.outcome == "refused"


def test_pbocs_3508_nets_what_came_back(city, pboc):
    request = paid(pboc, "I9", "1000.00")
    pboc.send(returned(pboc, "ST0001", request, "400.00"))
    assert [a.outcome for a in pboc.send(statement(pboc, request, "1000.00", "-400.00"))] == ["applied"]

    assert sheet(Pair.PBOC_APPROPRIATION, world.PBOC) == ("600.00", "600.00", "matched")


@pytest.mark.parametrize(
    ("receipt", "amounts", "type_"),
    [(True, (), "D1"), (False, ("1000.00",), "D2"), (True, ("1000.00", "-400.00"), "D2"), (True, ("999.99",), "D3")],
)
def test_what_one_side_alone_says_of_an_appropriation(city, pboc, receipt, amounts, type_):
    request = sent("I9", "1000.00")
    if receipt:
        pboc.send(pboc.receipt(request.voucher))
    pboc.send(statement(pboc, request, *amounts))

    assert sheet(Pair.PBOC_APPROPRIATION, world.PBOC)[2] == "different"
    [found] = Discrepancy.objects.filter(state="open")
    assert (found.type, found.owner) == (type_, "人民银行")
