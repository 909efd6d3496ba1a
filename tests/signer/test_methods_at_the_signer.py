"""The signer knows every payment method: what it seals, and from which account money may not leave whoever asks."""

import pytest

from demo import world
from tests.acts import line
from tests.signer.scene import by, holds, order_of, refused, seal, tampering, vouchered

BANK_NO = {"payee_bank_no": "104990100013"}
KEEPER = {"I7": "gk-yz", "I8": "u101002-yz", "I9": "gk-yz"}


@pytest.mark.parametrize("no", KEEPER)
def test_the_vouchers_of_the_other_methods_are_sealed_by_their_office(asked, no):
    request = vouchered(no, details=(line("100.00", **BANK_NO),))
    order = order_of(request.voucher, "dw_qm" if no == "I8" else "")
    other = "gk-yz" if no == "I8" else "u101002-yz"

    assert refused(order, warrant=by(other)) == "post_not_held"
    [mark] = seal(order, warrant=by(KEEPER[no]))
    assert holds(mark, "UNIT-101002" if no == "I8" else world.FINANCE, order.text)


def test_a_method_or_an_account_bent_afterwards_seals_nothing(asked):
    bent_account, bent_method = vouchered("I7", "1.00"), vouchered("I4", "2.00")
    with tampering("parties_bankaccount", "payments_paymentrequest") as cursor:
        cursor.execute(
            "UPDATE parties_bankaccount SET kind = 'unit_basic' WHERE account_no = %s", [world.ACCOUNT_SPECIAL_A]
        )
        cursor.execute("UPDATE payments_paymentrequest SET payment_mode = '81' WHERE id = %s", [bent_method.id])

    assert refused(order_of(bent_account.voucher)) == "payer_not_allowed"
    assert refused(order_of(bent_method.voucher)) == "voucher_type_differs"
