"""How orders are cut into questions to the signer: no frame too long, a voucher never divided."""

import base64

from core.ids import new_id
from seals import signer_client
from seals.signing import Order


def orders(*lengths, each=2):
    made = []
    for length in lengths:
        voucher = new_id()
        for position in range(each):
            made.append(
                Order(
                    voucher_id=voucher,
                    voucher_type="5201",
                    adm_div_code="990100000",
                    fiscal_year=2026,
                    voucher_no="ZF0001",
                    text=b"x" * length,
                    organisation_code="FIN-990100000",
                    position=f"p{position}",
                    seal_id=None,
                )
            )
    return made


def parts(given):
    return [[len(order.text) for order in part] for part in signer_client._parts(given)]


def test_short_texts_go_in_one_question():
    given = orders(10, 20, 30)
    assert list(signer_client._parts(given)) == [given]
    assert list(signer_client._parts([])) == []


def test_long_texts_go_in_several_and_a_voucher_is_never_divided(monkeypatch):
    monkeypatch.setattr(signer_client, "LONGEST_TEXTS", 100)
    assert parts(orders(25, 25, 1)) == [[25, 25, 25, 25], [1, 1]]
    assert parts(orders(25, 26)) == [[25, 25], [26, 26]]
    assert parts(orders(500, 10)) == [[500, 500], [10, 10]]


def test_marks_come_back_in_the_order_of_the_orders(monkeypatch):
    monkeypatch.setattr(signer_client, "LONGEST_TEXTS", 100)
    asked = []

    def ask(verb, **question):
        asked.append(len(question["orders"]))
        marks = [(base64.b64encode(one["text"].encode()).decode(), one["position"]) for one in question["orders"]]
        return {"marks": [{"value": value, "serial_hex": position} for value, position in marks]}

    monkeypatch.setattr(signer_client, "ask", ask)
    given = orders(40, 41, 42)
    marks = signer_client.SocketSigner().seal_vouchers(given, signer_client.Warrant(None))
    assert asked == [2, 2, 2]
    assert [(len(mark.value), mark.serial_hex) for mark in marks] == [
        (length, position) for length in (40, 41, 42) for position in ("p0", "p1")
    ]
