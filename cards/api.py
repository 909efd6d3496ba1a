"""The card banks' door: purchases made with official cards. Source: docs/bank-api.md §official cards."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cards.services import TransactionInput, take_card_transactions
from core.actors import Actor
from core.idempotency import Answer
from core.money import yuan
from core.outcomes import CHUNK
from vouchers.openapi import idempotency_key, refusals
from vouchers.partner_views import PartnerView
from vouchers.problems import RequestRefused

_VISIBLE = r"\A[^\x00-\x1f\x7f-\x9f]+\Z"


class CardTransactionItem(serializers.Serializer):
    """One purchase. Amounts are text with two decimals."""

    unit_code = serializers.RegexField(r"\A[0-9]{3,15}\Z", help_text="预算单位编码")
    transaction_no = serializers.RegexField(r"\A[0-9A-Za-z_-]{1,42}\Z", help_text="消费流水号，区划内唯一")
    card_no = serializers.RegexField(r"\A[0-9]{12,19}\Z", help_text="公务卡号")
    holder_name = serializers.RegexField(_VISIBLE, max_length=30, help_text="持卡人")
    bank_name = serializers.RegexField(_VISIBLE, max_length=30, help_text="发卡行")
    bank_no = serializers.RegexField(r"\A(?:[0-9]{12})?\Z", default="", help_text="发卡行行号")
    merchant = serializers.RegexField(_VISIBLE, max_length=100, help_text="商户")
    merchant_category = serializers.RegexField(r"\A(?:[0-9]{4})?\Z", default="", help_text="商户类别码")
    consumed_on = serializers.DateField(help_text="消费日期")
    due_on = serializers.DateField(help_text="到期还款日")
    amount = serializers.CharField(help_text="消费金额，如 1280.00")


class CardTransactionReport(serializers.Serializer):
    transactions = CardTransactionItem(many=True, min_length=1, max_length=CHUNK)


class CardTransactionsTaken(serializers.Serializer):
    new = serializers.IntegerField(help_text="新登记")
    known = serializers.IntegerField(help_text="此前已按相同内容登记")


_EXAMPLE = {
    "unit_code": "101001", "transaction_no": "GWK20260610000001", "card_no": "6230000000090001",
    "holder_name": "马小明", "bank_name": "丙银行临江支行", "bank_no": "", "merchant": "铁路客票",
    "merchant_category": "4112", "consumed_on": "2026-06-10", "due_on": "2026-07-05", "amount": "1280.00",
}  # fmt: skip


class CardTransactions(PartnerView):
    """Purchases with official cards, reported by an agent bank."""

    http_method_names = ["post"]
    key_required = True

    @extend_schema(
        operation_id="reportCardTransactions",
        summary="报送公务卡消费",
        description=f"一次最多 {CHUNK} 笔，整批登记或整批退回。同一流水号重复报送：内容相同只登记一次，不同则退回。",
        parameters=[idempotency_key(required=True)],
        request=CardTransactionReport,
        examples=[OpenApiExample("report", {"transactions": [_EXAMPLE]}, request_only=True)],
        responses={
            200: OpenApiResponse(
                CardTransactionsTaken,
                "整批已登记",
                [OpenApiExample("taken", {"new": 1, "known": 0}, response_only=True)],
            ),
            **refusals(
                (400, "invalid", "请求体不合要求。"),
                (403, "not_an_agent_bank", "只有代理银行可以报送公务卡消费。"),
                (409, "conflict", "消费 GWK20260610000001 已按其他内容登记。"),
                (422, "card_field_invalid", "预算单位不存在或已停用。"),
                instance="/api/v1/card-transactions/",
            ),
        },
    )
    def post(self, request: Request) -> Response:
        partner = request.user.partner
        if partner.kind != "agent_bank":
            raise RequestRefused(403, "not_an_agent_bank", "只有代理银行可以报送公务卡消费。")
        given = CardTransactionReport(data=request.data)
        given.is_valid(raise_exception=True)
        bank = Actor(name=partner.name, roles=frozenset({"agent_bank"}), adm_div_code=partner.adm_div_code)

        def act() -> Answer:
            rows = [_input(number, item) for number, item in enumerate(given.validated_data["transactions"], start=1)]
            taken = take_card_transactions(rows=rows, bank=bank, now=timezone.now())
            return Answer(200, vars(taken))

        return self.once(request, act)


def _input(number: int, item: dict[str, Any]) -> TransactionInput:
    """:raises AmountInvalid: naming the row."""
    return TransactionInput(**item | {"amount": yuan(item["amount"], field=f"transactions.{number}.amount")})
