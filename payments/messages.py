"""What goes on the wire: requests as payment vouchers, their clearing limits as 5108. Source: docs/vouchers.md."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from budget.codes import CodeKind
from budget.methods import Method, Receiver, Side, method_of, year_of
from budget.models import BudgetYear
from budget.selectors import code_names
from contracts.selectors import procurement_ids
from core.money import wire_yuan
from parties.models import BankAccount, Region
from payments.models import BusinessType, ExtensionField, PaymentDetail, PaymentRequest
from vouchers.schema import voucher_type
from vouchers.services import Draft

CLEARING_BANK_CODE = "001"


@dataclass(frozen=True)
class Names:
    """The names that travel beside the codes, read once for a batch."""

    region: Region
    year: BudgetYear
    functions: dict[str, str]
    gov_economic: dict[str, str]
    dept_economic: dict[str, str]
    fund_natures: dict[str, str]
    extensions: dict[UUID, dict[str, str]]
    procurement_ids: dict[tuple[UUID, str], str]


def load_names(requests: Sequence[PaymentRequest]) -> Names:
    """Read region, year and names, extension fields and procurement ids for a batch: eight queries at most."""
    year = requests[0].fiscal_year
    indicators = [request.indicator for request in requests]
    return Names(
        region=Region.objects.get(adm_div_code=requests[0].adm_div_code),
        year=year_of(requests[0].adm_div_code, year),
        functions=code_names(year, CodeKind.FUNCTION, _with_parents([i.function_code for i in indicators])),
        gov_economic=code_names(year, CodeKind.GOV_ECONOMIC, [i.gov_economic_code for i in indicators]),
        dept_economic=code_names(year, CodeKind.DEPT_ECONOMIC, [r.dept_economic_code for r in requests]),
        fund_natures=code_names(year, CodeKind.FUND_NATURE, [i.fund_nature for i in indicators]),
        extensions=_extensions(requests),
        procurement_ids=procurement_ids(
            requests[0].adm_div_code, {(r.unit_id, r.contract_no) for r in requests if r.contract_no}
        ),
    )


def _extensions(requests: Sequence[PaymentRequest]) -> dict[UUID, dict[str, str]]:
    """What extension fields put into the spare tags of each voucher."""
    rows = ExtensionField.objects.filter(adm_div_code=requests[0].adm_div_code).exclude(wire_tag="")
    tags = dict(rows.values_list("key", "wire_tag"))
    return {
        request.id: {tags[key]: value for key, value in request.extra.items() if key in tags and value}
        for request in requests
    }


_HEAD_REFERENCE = {BusinessType.CASH_CHEQUE.value: "CheckNo", BusinessType.WITHHOLDING.value: "TaxBillNo"}


def _reference(request: PaymentRequest, details: Sequence[PaymentDetail]) -> dict[str, str]:
    """The cheque or tax bill of the only line, for the head of the voucher."""
    tag = _HEAD_REFERENCE.get(request.business_type)
    return {tag: details[0].reference} if len(details) == 1 and tag else {}


def _with_parents(codes: Sequence[str]) -> set[str]:
    return {code[:length] for code in codes for length in (3, 5, 7)}


def payment_voucher_draft(
    request: PaymentRequest, details: Sequence[PaymentDetail], names: Names, voucher_date: date
) -> Draft:
    """Say in wire terms what is ordered to be paid: which voucher, from whom and to whom, says the payment method.

    Everything that can be said is gathered once; each type takes what its field list has.
    """
    method = method_of(request.payment_mode)
    kind = voucher_type(method.type_in(names.year.mode))
    account: BankAccount = request.payer_account
    bank = account.agent_bank
    common = classification(request, names)
    main = {
        **common,
        "TreCode": names.region.tre_code,
        "FinOrgCode": names.region.fin_org_code,
        "PayTypeCode": request.payment_mode,
        "PayTypeName": request.get_payment_mode_display(),
        "BillNo": request.request_no,
        "SetModeCode": request.settlement,
        "SetModeName": request.get_settlement_display(),
        "PayAcctNo": account.account_no,
        "PayAcctName": account.name,
        "PayAcctBankName": account.bank_name,
        "PaySummaryName": request.purpose,
        "PayAmt": wire_yuan(request.amount),
        "BusinessTypeCode": request.business_type,
        "BusinessTypeName": request.get_business_type_display(),
        "FileNoName": request.indicator.doc_no,
    }
    if bank is not None:
        main |= {"PayBankCode": bank.code, "PayBankName": bank.name}
    if method.is_cleared or method.receiver is Receiver.PBOC:
        main |= {"ClearBankCode": CLEARING_BANK_CODE, "ClearBankName": names.region.treasury_name}
    main |= function_levels(request, names) | _reference(request, details) | names.extensions[request.id]
    main["GovProcurementID"] = names.procurement_ids.get((request.unit_id, request.contract_no), "")
    if len(details) == 1:
        main |= payee_fields(details[0])
    lines = [_payment_line(request, detail, common) for detail in details]
    return Draft(
        voucher_type=kind.code,
        adm_div_code=request.adm_div_code,
        fiscal_year=request.fiscal_year,
        voucher_date=voucher_date,
        sender=names.region.finance_organisation if method.office.side is Side.FINANCE else request.unit.organisation,
        receiver=_receiver(method, request, names.region),
        amount=request.amount,
        main={tag: value for tag, value in main.items() if tag in kind.main_by_tag},
        details=tuple({tag: value for tag, value in line.items() if tag in kind.detail_by_tag} for line in lines),
        document_type=request._meta.label,
        document_id=request.id,
    )


def _receiver(method: Method, request: PaymentRequest, region: Region) -> str:
    if method.receiver is Receiver.PBOC:
        return region.pboc_organisation
    bank = request.payer_account.agent_bank
    assert bank is not None, "an account that an agent bank pays from is kept there"
    return bank.organisation


def _payment_line(request: PaymentRequest, detail: PaymentDetail, common: dict[str, str]) -> dict[str, str]:
    return {
        **common,
        **payee_fields(detail),
        "Id": str(detail.seq),
        "VoucherNo": request.request_no,  # 5201 calls it so; everything later VoucherDetailNo
        "VoucherDetailNo": request.request_no,
        "PayKindCode": "1",
        "PayKindName": "基本支出",
        "PaySummaryName": request.purpose,
        "PayAmt": wire_yuan(detail.amount),
        "Remark": detail.remark,
        "Hold1": detail.reference,
    }


def function_levels(request: PaymentRequest, names: Names) -> dict[str, str]:
    """The function code by class, section and item."""
    function = request.indicator.function_code
    levels: dict[str, str] = {}
    for level, length in (("1", 3), ("2", 5), ("3", 7)):
        levels[f"ExpFuncCode{level}"] = function[:length]
        levels[f"ExpFuncName{level}"] = names.functions.get(function[:length], "")
    return levels


def classification(request: PaymentRequest, names: Names) -> dict[str, str]:
    """The codes a payment is booked under, with their names."""
    indicator, unit = request.indicator, request.unit
    gov_name = names.gov_economic.get(indicator.gov_economic_code, "")
    economic = {
        "ExpEcoCode": indicator.gov_economic_code,
        "ExpEcoName": gov_name,
        "GovExpEcoCode": indicator.gov_economic_code,
        "GovExpEcoName": gov_name,
        "DepExpEcoCode": request.dept_economic_code,
        "DepExpEcoName": names.dept_economic.get(request.dept_economic_code, ""),
    }
    return {
        "FundTypeCode": indicator.fund_nature,
        "FundTypeName": names.fund_natures.get(indicator.fund_nature, ""),
        "BgtTypeCode": "1",
        "BgtTypeName": "当年预算",
        "ProCatCode": "1",
        "ProCatName": "支出",
        "SupDepCode": unit.department_code,
        "SupDepName": unit.department_name,
        "AgencyCode": unit.code,
        "AgencyName": unit.name,
        "ExpFuncCode": indicator.function_code,
        "ExpFuncName": names.functions.get(indicator.function_code, ""),
        "DepProCode": indicator.project_code,
        "DepProName": indicator.project_name,
        **economic,
    }


def payee_fields(detail: PaymentDetail) -> dict[str, str]:
    """Who is paid, as it stands in heads and lines."""
    return {
        "PayeeAcctNo": detail.payee_account_no,
        "PayeeAcctName": detail.payee_name,
        "PayeeAcctBankName": detail.payee_bank_name,
        "PayeeAcctBankNo": detail.payee_bank_no,
    }


def limit_notice_draft(request: PaymentRequest, amount: Decimal, names: Names, voucher_date: date) -> Draft:
    """Say to PBoC how much more (or, negative, less) it may clear for this direct payment: 5108."""
    account: BankAccount = request.payer_account
    assert account.agent_bank is not None
    indicator, unit = request.indicator, request.unit
    line: dict[str, Any] = {
        "SupDepCode": unit.department_code,
        "SupDepName": unit.department_name,
        "ExpFuncCode": indicator.function_code,
        "ExpFuncName": names.functions.get(indicator.function_code, ""),
        "ProCatCode": "1",
        "ProCatName": "支出",
        "PayAmt": wire_yuan(amount),
        "DirectVoucherNo": request.voucher_no,
        "FundTypeCode": indicator.fund_nature,
        "FundTypeName": names.fund_natures.get(indicator.fund_nature, ""),
        "AgencyCode": unit.code,
        "AgencyName": unit.name,
        "ExpEcoCode": indicator.gov_economic_code,
        "ExpEcoName": names.gov_economic.get(indicator.gov_economic_code, ""),
        "Id": "1",
    }
    return Draft(
        voucher_type="5108",
        adm_div_code=request.adm_div_code,
        fiscal_year=request.fiscal_year,
        voucher_date=voucher_date,
        sender=names.region.finance_organisation,
        receiver=names.region.pboc_organisation,
        amount=amount,
        main={
            "TreCode": names.region.tre_code,
            "FinOrgCode": names.region.fin_org_code,
            "PayAmt": wire_yuan(amount),
            "FundTypeCode": indicator.fund_nature,
            "FundTypeName": names.fund_natures.get(indicator.fund_nature, ""),
            "PayAcctNo": account.account_no,
            "PayAcctName": account.name,
            "PayAcctBankName": account.bank_name,
            "PayBankCode": account.agent_bank.code,
            "PayBankName": account.agent_bank.name,
            "PayBankNo": account.agent_bank.bank_no,
            "PayVoucherNo": request.voucher_no,
        },
        details=(line,),
        document_type=request._meta.label,
        document_id=request.id,
    )
