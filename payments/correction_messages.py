"""What PBoC is told of a correction: 5253 for direct, 5351 for authorised payments; one line less, one line more,
nothing in all. Source: docs/exceptions.md §corrections."""

from collections.abc import Sequence
from copy import copy
from datetime import date
from decimal import Decimal

from budget.codes import CodeKind
from budget.methods import method_of, year_of
from budget.selectors import code_names
from core.money import ZERO, wire_yuan
from parties.models import Region
from payments.exception_models import Correction
from payments.messages import CLEARING_BANK_CODE, Names, classification, function_levels, payee_fields
from payments.models import PaymentRequest
from vouchers.schema import voucher_type
from vouchers.services import Draft


def load_correction_names(corrections: Sequence[Correction]) -> Names:
    """Read region and code names of both sides for a batch: five queries whatever its size."""
    year = corrections[0].fiscal_year
    indicators = [i for c in corrections for i in (c.from_indicator, c.to_indicator)]
    economic = {c.dept_economic_code for c in corrections} | {c.detail.request.dept_economic_code for c in corrections}
    functions = {i.function_code[:length] for i in indicators for length in (3, 5, 7)}
    return Names(
        region=Region.objects.get(adm_div_code=corrections[0].adm_div_code),
        functions=code_names(year, CodeKind.FUNCTION, functions),
        gov_economic=code_names(year, CodeKind.GOV_ECONOMIC, [i.gov_economic_code for i in indicators]),
        dept_economic=code_names(year, CodeKind.DEPT_ECONOMIC, economic),
        fund_natures=code_names(year, CodeKind.FUND_NATURE, [i.fund_nature for i in indicators]),
        year=year_of(corrections[0].adm_div_code, year),
        extensions={},
        procurement_ids={},
    )


def correction_draft(correction: Correction, names: Names, voucher_date: date) -> Draft:
    """Say in wire terms what PBoC is to carry differently."""
    before = correction.detail.request
    after = copy(before)
    after.indicator, after.dept_economic_code = correction.to_indicator, correction.dept_economic_code
    kind = voucher_type(method_of(before.payment_mode).correction_type)
    make = _direct if kind.code == "5253" else _authorised
    main, lines = make(correction, before, after, names)
    return Draft(
        voucher_type=kind.code,
        adm_div_code=correction.adm_div_code,
        fiscal_year=correction.fiscal_year,
        voucher_date=voucher_date,
        sender=names.region.finance_organisation,
        receiver=names.region.pboc_organisation,
        amount=ZERO,
        main={tag: value for tag, value in main.items() if tag in kind.main_by_tag} | {"PayAmt": wire_yuan(ZERO)},
        details=tuple({tag: value for tag, value in line.items() if tag in kind.detail_by_tag} for line in lines),
        document_type=correction._meta.label,
        document_id=correction.id,
    )


def _sides(
    correction: Correction, before: PaymentRequest, after: PaymentRequest
) -> list[tuple[str, PaymentRequest, Decimal]]:
    return [("1", before, -correction.amount), ("2", after, correction.amount)]


def _direct(
    correction: Correction, before: PaymentRequest, after: PaymentRequest, names: Names
) -> tuple[dict[str, str], list[dict[str, str]]]:
    """5253 has the fields of a 5201: the head says the codes as they shall be."""
    account, bank, detail = before.payer_account, before.payer_account.agent_bank, correction.detail
    assert bank is not None
    main = {
        **classification(after, names),
        **function_levels(after, names),
        **payee_fields(detail),
        "PayTypeCode": before.payment_mode,
        "PayTypeName": before.get_payment_mode_display(),
        "SetModeCode": before.settlement,
        "SetModeName": before.get_settlement_display(),
        "PayBankCode": bank.code,
        "PayBankName": bank.name,
        "ClearBankCode": CLEARING_BANK_CODE,
        "ClearBankName": names.region.treasury_name,
        "PayAcctNo": account.account_no,
        "PayAcctName": account.name,
        "PayAcctBankName": account.bank_name,
        "PaySummaryName": before.purpose,
        "BusinessTypeCode": before.business_type,
        "BusinessTypeName": before.get_business_type_display(),
        "FileNoName": after.indicator.doc_no,
        "Hold1": before.voucher_no,
        "Hold2": correction.correction_no,
    }
    lines = [
        {
            **classification(side, names),
            **payee_fields(detail),
            "Id": number,
            "VoucherNo": before.request_no,
            "PayKindCode": "1",
            "PayKindName": "基本支出",
            "PayAmt": wire_yuan(amount),
            "Remark": "更正",
            "Hold1": before.voucher_no,
            "Hold2": str(detail.seq),
        }
        for number, side, amount in _sides(correction, before, after)
    ]
    return main, lines


def _authorised(
    correction: Correction, before: PaymentRequest, after: PaymentRequest, names: Names
) -> tuple[dict[str, str], list[dict[str, str]]]:
    """5351 knows unit and function; what else changes stands in the reserved fields, as docs/exceptions.md says."""
    bank = before.payer_account.agent_bank
    assert bank is not None
    fund = after.indicator.fund_nature
    main = {
        "BgtTypeCode": "1",
        "BgtTypeName": "当年预算",
        "FundTypeCode": fund,
        "FundTypeName": names.fund_natures.get(fund, ""),
        "PayBankCode": bank.code,
        "PayBankName": bank.name,
        "Remark": f"更正 {before.voucher_no}",
        "Hold1": before.voucher_no,
        "Hold2": correction.correction_no,
    }
    lines = [
        {
            "Id": number,
            "VoucherNo": before.voucher_no,
            "SupDepCode": before.unit.department_code,
            "SupDepName": before.unit.department_name,
            "ExpFuncCode": side.indicator.function_code,
            "ExpFuncName": names.functions.get(side.indicator.function_code, ""),
            "PayAmt": wire_yuan(amount),
            "PaySummaryName": before.purpose,
            "Hold1": side.indicator.gov_economic_code,
            "Hold2": side.dept_economic_code,
            "Hold3": side.indicator.project_code,
            "Hold4": str(correction.detail.seq),
        }
        for number, side, amount in _sides(correction, before, after)
    ]
    return main, lines
