"""授权支付退款凭证 8252: what tells a bank which payment the money it holds belongs to, once two persons have said so.

It pays nobody: the bank hands the money to the treasury by a 2302 that names this original. So it is sealed by the
system, like a 5108 that takes permission away; the signer reads the two persons' word itself. Source:
docs/exceptions.md §unidentified refunds.
"""

from collections.abc import Mapping
from datetime import date, datetime

from django.db import transaction

from core.actors import Actor, system_actor
from core.batch import update_from_values
from core.money import wire_yuan
from parties.models import Region
from payments.exception_models import RefundCase
from payments.locking import context_for
from payments.states import RefundCaseState
from seals.signing import Warrant
from vouchers.sealing import seal_at_once
from vouchers.services import Draft, generate_vouchers

AT_ONCE = 100


def cases_to_order() -> list[str]:
    """Return the regions that have identified refunds their banks have not been told of."""
    rows = RefundCase.objects.filter(state=RefundCaseState.IDENTIFIED, voucher__isnull=True)
    return sorted(set(rows.values_list("adm_div_code", flat=True)))


@transaction.atomic(durable=True)
def order_refunds(*, adm_div_code: str, now: datetime) -> list[RefundCase]:
    """Make out, seal and send an 8252 for each identified case of a region that has none; at most AT_ONCE.

    :raises DayClosed: if no business day is open.
    :raises SealMissing, SealingRefused, SignerUnavailable: if a mark cannot be made; nothing is sent then.
    """
    system = Actor(name="退款凭证", roles=frozenset({"system"}), adm_div_code=adm_div_code)
    context = context_for(system, now)
    rows = (
        RefundCase.objects.select_for_update(of=("self",), no_key=True)
        .select_related("agent_bank", "detail__request__unit", "detail__request__indicator")
        .filter(adm_div_code=adm_div_code, state=RefundCaseState.IDENTIFIED, voucher__isnull=True)
        .order_by("pk")[:AT_ONCE]
    )
    cases = list(rows)
    if not cases:
        return []
    region = Region.objects.get(adm_div_code=adm_div_code)
    drafts = [refund_order_draft(case, region, context.business_date) for case in cases]
    vouchers = generate_vouchers(drafts, by=system_actor("退款凭证"), now=now)
    seal_at_once(vouchers, by=system_actor("退款凭证"), warrant=Warrant(None), now=now)
    for case, voucher in zip(cases, vouchers, strict=True):
        case.voucher = voucher
    update_from_values(RefundCase, {"voucher_id": "uuid"}, sorted((case.id, case.voucher_id) for case in cases))
    return cases


def refund_order_draft(case: RefundCase, region: Region, voucher_date: date) -> Draft:
    """Say to the bank: this line of this notice of yours is money of that payment."""
    assert case.detail is not None, "an identified case names its detail"
    detail, request = case.detail, case.detail.request
    amount = wire_yuan(-case.amount)
    payee: Mapping[str, str] = {
        "PayeeAcctNo": detail.payee_account_no,
        "PayeeAcctName": detail.payee_name,
        "PayeeAcctBankName": detail.payee_bank_name,
    }
    return Draft(
        voucher_type="8252",
        adm_div_code=case.adm_div_code,
        fiscal_year=case.fiscal_year,
        voucher_date=voucher_date,
        sender=region.finance_organisation,
        receiver=case.agent_bank.organisation,
        amount=-case.amount,
        main={
            **payee,
            "PayBankCode": case.agent_bank.code,
            "PayBankName": case.agent_bank.name,
            "AgentBusinessNo": case.bank_serial,
            "OriBillNo": case.notice_no,
            "PayAcctNo": case.payer_account_no,
            "PayAmt": amount,
            "Remark": "待查退款认定",
            "Hold1": case.notice_type,
        },
        details=(
            {
                **payee,
                "Id": str(case.position),
                "AgencyCode": request.unit.code,
                "AgencyName": request.unit.name,
                "ExpFuncCode": request.indicator.function_code,
                "PayAcctNo": case.payer_account_no,
                "PayAmt": amount,
                "Hold1": request.voucher_type,
                "Hold2": str(request.fiscal_year),
                "OriVoucherNo": request.voucher_no,
                "OriVouDetailNo": str(detail.seq),
            },
        ),
        document_type=case._meta.label,
        document_id=case.id,
    )
