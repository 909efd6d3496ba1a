"""What each kind of payment (业务类型) asks of a request: one row a kind. Pure. Source: docs/business-types.md.

The form shows what a kind asks for, `payments.rules` refuses what is missing, and the registers behind a kind (cards,
contracts, rosters) are checked at submit by a module of their own.
"""

from dataclasses import dataclass

TRANSFER, CASH_CHEQUE, OFFICIAL_CARD = "2", "3", "5"  # SetModeCode


@dataclass(frozen=True)
class BusinessRules:
    """One kind of payment.

    `settlements` are the legal ones, the usual one first; `reference` labels what each payee line must quote, "" if
    nothing; `one_payee` if a request pays one payee only; `asks` names fields of the request that must be filled.
    """

    code: str
    settlements: tuple[str, ...]
    hint: str
    reference: str = ""
    one_payee: bool = False
    asks: tuple[str, ...] = ()


RULES: dict[str, BusinessRules] = {
    rules.code: rules
    for rules in (
        BusinessRules("1", (TRANSFER,), "付给一个或多个收款人。"),
        BusinessRules(
            "2",
            (OFFICIAL_CARD,),
            "每行还一笔公务卡消费：还到消费的那张卡，不超过消费金额，个人部分不在这里付。请从「公务卡消费」勾选。",
            reference="消费流水号",
        ),
        BusinessRules("3", (TRANSFER,), "按工资名册发放，名册在「工资发放」导入。"),
        BusinessRules("4", (TRANSFER,), "按清单批量发放，清单在「补贴发放」导入。"),
        BusinessRules(
            "5",
            (CASH_CHEQUE,),
            "只用于现金管理规定允许的用途；每张支票一张申请。",
            reference="支票号",
            one_payee=True,
            asks=("cash_purpose", "cash_reason"),
        ),
        BusinessRules(
            "6",
            (TRANSFER,),
            "社保、公积金、税款、水电等，收款人限于登记的代扣代缴单位，每行填税票号或缴款码。",
            reference="税票号或缴款码",
        ),
        BusinessRules("7", (TRANSFER,), "须有已备案的采购合同，付给合同供应商。", asks=("contract_no",)),
        BusinessRules("8", (TRANSFER,), "财政代列单位代其他单位支付，须写明受益单位。", asks=("beneficiary_unit_id",)),
        BusinessRules("9", (TRANSFER,), "政府投资项目按计量支付证书付款。"),
    )
}

REFERENCE_BYTES = 42  # CheckNo, TaxBillNo and PayCode of the voucher
