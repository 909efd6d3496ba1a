"""How the platform's operations look in docs/openapi.yaml."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema

from contracts import serializers
from vouchers.openapi import answers, idempotency_key, refusals

_NAME = {"unit_code": "101002", "contract_no": "C-2026-017"}
_CONTRACT = _NAME | {
    "title": "实验室设备采购合同",
    "plan_no": "CG-2026-0117",
    "procurement_id": "LJZC-2026-0117-01",
    "supplier_name": "临江市科教仪器有限公司",
    "supplier_credit_code": "91990100MA0KJYQ017",
    "accounts": [{"account_no": "6230000000000301", "bank_name": "丙银行临江支行", "bank_no": ""}],
    "total": "800000.00",
    "signed_on": "2026-06-08",
    "prepayment_cap": "0.3",
    "interim_cap": "1",
    "terms": [
        {"stage": "首付款", "condition": "signed", "ratio": "0.3"},
        {"stage": "验收款", "condition": "accepted", "ratio": "0.7"},
    ],
    "allocations": [{"indicator": "I4", "amount": "800000.00"}],
}
_ACCEPTANCE = _NAME | {
    "certificate_no": "YS-2026-017",
    "amount": "800000.00",
    "accepted_on": "2026-06-15",
    "final": True,
    "accepted_by": "陈志远",
}


def _execution(**changes: Any) -> dict[str, Any]:
    return (
        _NAME
        | {
            "procurement_id": "LJZC-2026-0117-01",
            "state": "draft",
            "total": "800000.00",
            "due": "240000.00",
            "paid": "0.00",
            "in_transit": "0.00",
            "refunded": "0.00",
            "balance": "800000.00",
            "accepted_amount": "0.00",
            "accepted": False,
        }
        | changes
    )


def _written(operation: str, summary: str, description: str, body: Any, example: dict[str, Any], answer: Any) -> Any:
    return extend_schema(
        operation_id=operation,
        summary=summary,
        description=description,
        parameters=[idempotency_key(required=False)],
        request=body,
        examples=[OpenApiExample("示例", example, request_only=True)],
        responses={
            200: answer,
            **refusals(
                (400, "json_malformed", "请求体不是规范的 UTF-8 JSON。"),
                (404, "not_found", "单位不存在或不在您的权限范围内。"),
                (409, "conflict", "合同已备案，不能改动；金额变动请签补充合同。"),
                (413, "body_too_large", "报文超过 10 MiB。"),
                (415, "content_type_not_supported", "请求体应为 application/json。"),
                (422, "contract_field_invalid", "各阶段合计 799,999.99，与合同金额 800,000.00 不等。"),
                instance="/api/v1/contracts/",
            ),
        },
    )


def _answer(name: str, body: dict[str, Any]) -> OpenApiResponse:
    return answers(serializers.ContractExecution, "合同的执行情况", name, body)


PUT_CONTRACT = _written(
    "putContract",
    "登记采购合同",
    "新登记或改写草拟的合同；备案之后同样内容得到同一答复，其他内容拒绝。备案由财政业务科办理。",
    serializers.ContractBody,
    _CONTRACT,
    _answer("草拟，待备案", _execution()),
)
PUT_ACCEPTANCE = _written(
    "putAcceptance",
    "登记验收",
    "给本平台登记的合同登记验收单；最终验收后可付尾款。同一验收单再次登记得到同一答复。",
    serializers.AcceptanceBody,
    _ACCEPTANCE,
    _answer(
        "已验收",
        _execution(
            state="accepted",
            due="800000.00",
            paid="240000.00",
            balance="560000.00",
            accepted_amount="800000.00",
            accepted=True,
        ),
    ),
)
EXECUTION = extend_schema(
    operation_id="queryContractExecution",
    summary="查询合同执行情况",
    description="本平台登记的合同：已付、在途、退款、余额。不存在与其他平台的合同不作区分。",
    parameters=[serializers.ContractName],
    responses={
        200: _answer("首付款已付", _execution(state="performing", paid="240000.00", balance="560000.00")),
        **refusals(
            (404, "not_found", "没有该平台登记的这份合同。"),
            (422, "validation_failed", "/unit_code：输入值不匹配要求的模式。"),
            instance="/api/v1/contracts/execution/",
        ),
    },
)
