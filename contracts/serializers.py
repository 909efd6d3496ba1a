"""JSON of the procurement platform's door. Amounts and ratios are text, dates are ISO; numbers count from nothing."""

import re
from decimal import Decimal
from typing import Any

from rest_framework import serializers

from contracts.models import ContractTerm
from contracts.rules import MAX_ACCOUNTS, MAX_ALLOCATIONS, MAX_TERMS
from contracts.states import ContractState
from core.errors import AmountInvalid
from core.money import yuan

_RATIO = re.compile(r"0|1|0\.[0-9]{1,4}|1\.0{1,4}", re.ASCII)


class YuanField(serializers.CharField):
    """ "1234.50", nothing else."""

    def to_internal_value(self, data: Any) -> Decimal:  # type: ignore[override]
        try:
            return yuan(data)
        except AmountInvalid as error:
            raise serializers.ValidationError(error.message, code="invalid") from None


class RatioField(serializers.CharField):
    """ "0.3" for 30 %, at most four decimals."""

    default_error_messages = {"invalid": '比例须为 0 至 1 的字符串，最多四位小数，如 "0.3"。'}

    def to_internal_value(self, data: Any) -> Decimal:  # type: ignore[override]
        if not isinstance(data, str) or not _RATIO.fullmatch(data):
            self.fail("invalid")
        return Decimal(data)


class ContractName(serializers.Serializer):
    """What names a contract."""

    unit_code = serializers.RegexField(r"\A[0-9]{1,15}\Z", trim_whitespace=False, help_text="采购单位编码")
    contract_no = serializers.CharField(max_length=40, trim_whitespace=False, help_text="合同编号")


class AccountBody(serializers.Serializer):
    account_no = serializers.CharField(max_length=32, help_text="收款账号")
    bank_name = serializers.CharField(max_length=60, help_text="收款银行")
    bank_no = serializers.CharField(max_length=12, allow_blank=True, default="", help_text="行号")


class TermBody(serializers.Serializer):
    """One stage: amount or ratio, not both."""

    stage = serializers.CharField(max_length=40, help_text="阶段")
    condition = serializers.ChoiceField(ContractTerm.Condition.choices, help_text="付款条件")
    amount = YuanField(required=False, help_text="金额")
    ratio = RatioField(required=False, help_text="比例")
    due_on = serializers.DateField(required=False, allow_null=True, default=None, help_text="最早付款日")


class ShareBody(serializers.Serializer):
    indicator = serializers.CharField(max_length=30, help_text="指标编号")
    amount = YuanField(help_text="分摊金额")


class ContractBody(ContractName):
    title = serializers.CharField(max_length=100, help_text="合同名称")
    plan_no = serializers.CharField(max_length=40, allow_blank=True, default="", help_text="采购计划编号")
    procurement_id = serializers.CharField(max_length=42, help_text="政府采购交易识别码")
    project_code = serializers.CharField(max_length=21, allow_blank=True, default="", help_text="投资项目代码")
    supplier_name = serializers.CharField(max_length=60, help_text="供应商")
    supplier_credit_code = serializers.CharField(max_length=18, help_text="统一社会信用代码")
    accounts = AccountBody(many=True, allow_empty=False, max_length=MAX_ACCOUNTS)
    total = YuanField(help_text="合同金额")
    signed_on = serializers.DateField(help_text="签订日期")
    prepayment_cap = RatioField(default=Decimal("0.3"), help_text="预付比例上限")
    interim_cap = RatioField(default=Decimal("1"), help_text="终验前支付上限")
    terms = TermBody(many=True, allow_empty=False, max_length=MAX_TERMS)
    allocations = ShareBody(many=True, allow_empty=False, max_length=MAX_ALLOCATIONS)


class AcceptanceBody(ContractName):
    certificate_no = serializers.CharField(max_length=40, help_text="验收单号")
    amount = YuanField(help_text="验收金额")
    accepted_on = serializers.DateField(help_text="验收日期")
    final = serializers.BooleanField(help_text="是否最终验收")
    accepted_by = serializers.CharField(max_length=60, help_text="验收人")


class ContractExecution(ContractName):
    """How a contract stands, as the OpenAPI document shows it."""

    procurement_id = serializers.CharField(allow_blank=True)
    state = serializers.ChoiceField(ContractState.choices)
    total = serializers.CharField(help_text="合同金额，含补充合同")
    due = serializers.CharField(help_text="按条款可付至")
    paid = serializers.CharField(help_text="已付")
    in_transit = serializers.CharField(help_text="在途")
    refunded = serializers.CharField(help_text="退款")
    balance = serializers.CharField(help_text="余额")
    accepted_amount = serializers.CharField(help_text="已验收")
    accepted = serializers.BooleanField(help_text="已最终验收")
