"""A payment voucher as the tests of the paper fill it in; every name is invented."""

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, date, datetime

from vouchers.messages import VoucherContent
from vouchers.paper.model import SealOnPaper

MADE_AT = datetime(2026, 4, 8, 1, 2, 3, tzinfo=UTC)
DIGEST = "7f3ce19a" * 8
PICTURE = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 38 38"><circle cx="19" cy="19" r="18" fill="none" '
    'stroke="#d0021b"/><text x="5" y="20" font-size="4" fill="#d0021b">财务专用章</text></svg>'
)
CLASSES = {
    "FundTypeCode": "11",
    "FundTypeName": "一般公共预算资金",
    "BgtTypeCode": "1",
    "BgtTypeName": "当年预算",
    "ProCatCode": "1",
    "ProCatName": "支出",
    "AgencyCode": "102017",
    "AgencyName": "临江市第一中学",
    "ExpFuncCode": "2050204",
    "ExpFuncName": "高中教育",
}
PAYEE = {
    "PayeeAcctNo": "62000000000000000017",
    "PayeeAcctName": "临江市第一建筑工程有限公司",
    "PayeeAcctBankName": "示例银行临江东城支行",
    "PayeeAcctBankNo": "999100000026",
}


def payment(amount: str = "1286400.00", code: str = "5201", **changes: str) -> VoucherContent:
    """A voucher to one payee."""
    main = {
        **CLASSES,
        **PAYEE,
        "Id": "0193A7C2E55B7D1F8B3C0A9D4E6F7081",
        "PayTypeCode": "11",
        "PayTypeName": "财政直接支付",
        "PayAcctNo": "62000000000000000009",
        "PayAcctName": "临江市财政局零余额账户",
        "PayAcctBankName": "示例银行临江分行",
        "PaySummaryName": "实验楼工程进度款",
        "PayAmt": amount,
        "BusinessTypeCode": "1",
        "BusinessTypeName": "普通业务",
        **changes,
    }
    detail = {**CLASSES, **PAYEE, "Id": "1", "VoucherNo": "SQ2026000117", "PayAmt": amount, **changes}
    kept = {
        tag: text for tag, text in detail.items() if tag in {*CLASSES, *PAYEE, "Id", "VoucherNo", "PayAmt", "Remark"}
    }
    return VoucherContent(code, "ZF20260408001", "370199000", 2026, date(2026, 4, 8), main, (kept,))


def payments_to(count: int) -> VoucherContent:
    """A voucher to many: 100.00, 101.00, 102.00 … yuan."""
    single = payment()
    main = {tag: text for tag, text in single.main.items() if tag not in PAYEE}
    details = tuple(
        {**single.details[0], "Id": str(n), "PayeeAcctName": f"职工{n:03d}", "PayAmt": f"{99 + n}.00"}
        for n in range(1, count + 1)
    )
    total = sum(99 + n for n in range(1, count + 1))
    return replace(single, main={**main, "PayAmt": f"{total}.00"}, details=details)


def answered(content: VoucherContent, failed: Collection[str] = ()) -> VoucherContent:
    """The bank's receipt; rows with these ids were not paid."""
    details = tuple(
        {
            **detail,
            "XPayAmt": "0.00" if detail["Id"] in failed else detail["PayAmt"],
            "XPayDate": "20260408",
            "XAddWord": "账号户名不符" if detail["Id"] in failed else "",
        }
        for detail in content.details
    )
    main = {
        **content.main,
        "XPayDate": "20260408",
        "XAgentBusinessNo": "A2026040800",
        "XPayAmt": content.main["PayAmt"],
    }
    return replace(content, main=main, details=details)


def seal(position: str = "cz_dwgz", **changes: object) -> SealOnPaper:
    values: dict[str, object] = {"name": "临江市国库支付中心", "svg": PICTURE, "verdict_word": "有效", "ok": True}
    return SealOnPaper(position, **(values | changes))  # type: ignore[arg-type]
