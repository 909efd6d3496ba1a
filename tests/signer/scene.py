"""What the tests of the signer start from: a request waiting for its seal, and the question a caller would ask."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from core.errors import TreasuryError
from demo import world
from payments.models import PaymentRequest
from seals.certificates import parse_certificate
from seals.models import Certificate
from seals.signing import Mark, Order, Warrant, the_signer
from seals.suites import get_suite
from tests import acts
from vouchers.models import Voucher


def vouchered(no: str = "I4", *amounts: str, **changes: Any) -> PaymentRequest:
    """A request that everybody needed has approved and whose voucher is made out, committed."""
    request = acts.draft(no, *(amounts or ("12.34",)), **changes)
    acts.submit(request).raise_if_refused()
    acts.approve_all(request)
    acts.issue(request).raise_if_refused()
    return acts.fresh(request)[0]


def order_of(voucher: Voucher, position: str = "", **changes: Any) -> Order:
    """What the voucher's own application would ask."""
    default = {"8202": "dw_qm"}.get(voucher.voucher_type, "cz_qm")
    order = Order(
        voucher_id=voucher.id,
        voucher_type=voucher.voucher_type,
        adm_div_code=voucher.adm_div_code,
        fiscal_year=voucher.fiscal_year,
        voucher_no=voucher.voucher_no,
        text=bytes(voucher.text),
        organisation_code=voucher.sender,
        position=position or default,
    )
    return replace(order, **changes)


def person(username: str) -> UUID:
    found = world.officer(username).person_id
    assert found is not None
    return found


def by(username: str) -> Warrant:
    return Warrant(person(username))


KEEPER = "gk-yz"


def seal(*orders: Order, warrant: Warrant | None = None) -> list[Mark]:
    return the_signer().seal_vouchers(list(orders), warrant or by(KEEPER))


def refusal(*orders: Order, warrant: Warrant | None = None) -> TreasuryError:
    """The refusal of this question; a question that is answered fails the test."""
    with pytest.raises(TreasuryError) as found:
        seal(*orders, warrant=warrant)
    return found.value


def refused(*orders: Order, warrant: Warrant | None = None) -> str:
    return refusal(*orders, warrant=warrant).code


def holds(mark: Mark, organisation: str, text: bytes) -> bool:
    """Whether the mark is the organisation's signature of the text, under the registered certificate."""
    row = Certificate.objects.get(organisation_code=organisation, serial_hex=mark.serial_hex)
    return get_suite(row.suite_id).verify(parse_certificate(row.pem).public_key, text, mark.value)


@contextmanager
def tampering(*tables: str) -> Iterator[Any]:
    """Change committed rows as the owner of the database could: without triggers and constraints of these tables."""
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        try:
            yield cursor
        finally:
            for table in tables:
                cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER ALL")
