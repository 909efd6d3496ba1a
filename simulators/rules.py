"""What every partner checks of every inbound document (messages.md §4.1). Pure functions; the first fault is raised."""

import re

from simulators.errors import Refusal
from simulators.money import fen
from simulators.wire import Body, Document

MAX_DETAILS = 499
MAX_NUMBER_BYTES = 20
AMOUNT_FIELD = {"5105": "PlanAmt", "5106": "PlanAmt"}
_SIGNS = {  # voucher type -> the signs its amounts may have, in the main document and in each detail
    "5201": {1},
    "8202": {1},
    "5207": {1},
    "5214": {1},
    "5267": {1},
    "8231": {1},
    "5105": {1, -1},
    "5106": {1, -1},
    "5108": {1, -1},
    "2301": {1},
    "2302": {-1},
    "8252": {-1},
    "5253": {1, 0, -1},
    "5351": {1, 0, -1},
}
_NET_NOTHING = {"5253", "5351"}  # corrections: one line less, one line more
_WITHOUT_DETAIL_ID = {"5108"}  # its published field list has no detail Id


def amount_field(voucher_type: str) -> str:
    """The tag that holds the amount in this voucher type, in the main document and in each detail."""
    return AMOUNT_FIELD.get(voucher_type, "PayAmt")


def check_document(body: Body, document: Document, *, adm_div_code: str) -> None:
    """Region, number, date, details and amounts.

    :raises Refusal: naming the field.
    """
    one, main, details = body.identity, document.main, document.details
    if one.adm_div_code != adm_div_code:
        raise Refusal("foreign_region", f"区划 {one.adm_div_code} 不属于本行受理范围")
    if not re.fullmatch(r"20[0-9]{2}", one.fiscal_year):
        raise Refusal("bad_year", f"业务年度 {one.fiscal_year[:10]!r} 无效")
    if len(one.voucher_no.encode("gbk", "replace")) > MAX_NUMBER_BYTES:
        raise Refusal("bad_voucher_no", f"凭证号超过 {MAX_NUMBER_BYTES} 字节")
    if not re.fullmatch(r"20[0-9]{6}", main.get("VouDate", "")):
        raise Refusal("bad_date", "凭证日期 VouDate 应为 yyyyMMdd")
    if not 1 <= len(details) <= MAX_DETAILS:
        raise Refusal("bad_detail_count", f"明细数 {len(details)} 不在 1-{MAX_DETAILS} 之间")
    ids = [detail.get("Id", "") for detail in details]
    if one.voucher_type not in _WITHOUT_DETAIL_ID and (not all(ids) or len(set(ids)) != len(ids)):
        raise Refusal("bad_detail_id", "明细 Id 缺失或重复")
    _check_amounts(one.voucher_type, document)


def _check_amounts(voucher_type: str, document: Document) -> None:
    tag = amount_field(voucher_type)
    header = fen(document.main.get(tag, ""), tag)
    amounts = [fen(detail.get(tag, ""), f"明细 {tag}") for detail in document.details]
    if any((amount > 0) - (amount < 0) not in _SIGNS[voucher_type] for amount in (header, *amounts)):
        raise Refusal("bad_amount_sign", f"{voucher_type} 的金额符号不符合规定")
    if voucher_type in _NET_NOTHING and (header or 0 in amounts):
        raise Refusal("bad_amount_sign", f"{voucher_type} 的合计应为零,明细不为零")
    if sum(amounts) != header:
        raise Refusal("sum_mismatch", f"明细合计与主单 {tag} 不符")


def same_but_receipt_fields(ours: Document, theirs: Document) -> bool:
    """True if a receipt repeats our document: every field that does not start with X is unchanged."""

    def plain(fields: dict[str, str]) -> dict[str, str]:
        return {tag: value for tag, value in fields.items() if not tag.startswith("X")}

    return plain(ours.main) == plain(theirs.main) and list(map(plain, ours.details)) == list(map(plain, theirs.details))
