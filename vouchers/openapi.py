"""How each operation looks in docs/openapi.yaml: bodies, answers, examples. The views carry these as decorators."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema

from vouchers import serializers
from vouchers.problems import CONTENT_TYPE, problem

_IDENTITY = {"adm_div_code": "990100000", "fiscal_year": 2026, "voucher_type": "5201", "voucher_no": "ZF0001"}
_DIGEST = "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"


class MessageSignatureScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """RFC 9421 has no scheme type in OpenAPI; the header stands for the profile of docs/bank-api.md."""

    target_class = "vouchers.authentication.PartnerSignature"
    name = "messageSignature"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Signature",
            "description": "RFC 9421 Signature-Input / Signature / Content-Digest，见 docs/bank-api.md。",
        }


def refusals(
    *cases: tuple[int, str, str], instance: str = "/api/v1/vouchers/"
) -> dict[tuple[int, str], OpenApiResponse]:
    """Return the refusals of an operation, with an example of each."""
    always = (
        (401, "signature_invalid", "The signature does not hold for this message."),
        (403, "partner_not_admitted", "该机构未登记为交换对方，或已停用。"),
        (429, "too_many_requests", "请求过于频繁，请稍后再试。"),
        (503, "service_unavailable", "系统暂不可用，请稍后重试。"),
    )
    by_status: dict[int, list[OpenApiExample]] = {}
    for status, code, detail in (*always, *cases):
        body = problem(status, code, detail, instance=instance) | {"request_id": "bank-a.20260615.7"}
        example = OpenApiExample(code, body, media_type=CONTENT_TYPE, response_only=True, status_codes=[str(status)])
        by_status.setdefault(status, []).append(example)
    return {
        (status, CONTENT_TYPE): OpenApiResponse(serializers.Problem, "、".join(e.name for e in examples), examples)
        for status, examples in sorted(by_status.items())
    }


def idempotency_key(*, required: bool) -> OpenApiParameter:
    return OpenApiParameter(
        "Idempotency-Key",
        OpenApiTypes.STR,
        OpenApiParameter.HEADER,
        required=required,
        description="8 至 80 个可见 ASCII 字符，须在签名范围内。同键同内容得到同一答复（Idempotent-Replayed: true）。",
    )


def _result(outcome: str, **more: Any) -> dict[str, Any]:
    return _IDENTITY | more | {"outcome": outcome, "code": "", "reason": ""}


def _position(flag: int, position: str, name: str, kind: str, ordinal: int) -> dict[str, Any]:
    return {
        "flag": flag, "position": position, "name": name, "kind": kind, "ordinal": ordinal, "required": True
    }  # fmt: skip


def answers(serializer: Any, description: str, name: str, body: Any) -> OpenApiResponse:
    return OpenApiResponse(serializer, description, [OpenApiExample(name, body, response_only=True)])


def _items_operation(operation: str, summary: str, request: Any, item: dict[str, Any]) -> Any:
    unknown = _result("refused") | {"voucher_no": "ZF0002", "code": "not_found", "reason": "没有发给该机构的这张凭证。"}
    return extend_schema(
        operation_id=operation,
        summary=summary,
        description="逐张答复；重复答复得到 duplicate。一次最多 500 张。",
        parameters=[idempotency_key(required=False)],
        request=request,
        examples=[OpenApiExample("一张", {"items": [item]}, request_only=True)],
        responses={
            200: answers(
                serializers.ItemAnswers, "逐张结果", "一张成功，一张未知", {"results": [_result("accepted"), unknown]}
            ),
            **refusals(
                (400, "json_malformed", "请求体不是规范的 UTF-8 JSON。"),
                (409, "idempotency_mismatch", "同一幂等键的内容不同，请换新的键。"),
                (413, "body_too_large", "报文超过 10 MiB。"),
                (415, "content_type_not_supported", "请求体应为 application/json。"),
                (422, "validation_failed", "/items/0/reason：原因最长 190 字节（GBK）。"),
            ),
        },
    )


SEND_VOUCHERS = extend_schema(
    operation_id="sendVouchers",
    summary="发送回单与本方单据",
    description=(
        "一个 MOF 信封，至多 100 张：回单（VoucherFlag=1）或本方单据（VoucherFlag=0）。"
        "一张：200 已处理、202 已收存、4xx 拒绝；多张：200 逐张结果。已收存的凭证不必重发。"
    ),
    parameters=[idempotency_key(required=True)],
    request={"application/xml; charset=GBK": OpenApiTypes.BINARY},
    responses={
        200: answers(
            serializers.VoucherResults,
            "逐张结果",
            "回单已处理",
            {"results": [_result("applied", flag=1, digest=_DIGEST, field="")]},
        ),
        202: answers(
            serializers.VoucherResults,
            "已收存，待处理",
            "等待前置单据",
            {"results": [_result("parked", flag=0, digest=_DIGEST, field="")]},
        ),
        **refusals(
            (400, "idempotency_key_required", "POST 须带 Idempotency-Key。"),
            (403, "wrong_sender", "该机构不能发送此类凭证。"),
            (404, "original_unknown", "没有发给该机构的这张凭证。"),
            (409, "conflicting_duplicate", "该凭证号已收到过内容不同的报文。"),
            (413, "body_too_large", "报文超过 10 MiB。"),
            (415, "content_type_not_supported", "请求体应为 application/xml; charset=GBK。"),
            (422, "envelope_differs", "信封属性与凭证原文不一致"),
        ),
    },
)
WAITING_VOUCHERS = extend_schema(
    operation_id="readVoucherAgain",
    summary="领取发给本方、尚未签收的凭证",
    description="只读，可重复；签收（confirm）、拒收（fail）或退回（return）之后不再出现。",
    parameters=[serializers.PageQuery],
    responses={
        200: answers(
            serializers.WaitingVouchers,
            "一页凭证",
            "一张，没有下一页",
            {"results": [_IDENTITY | {"digest": _DIGEST, "envelope": "PD94bWwgdmVyc2lvbj0iMS4wIi…"}], "next": None},
        ),
        **refusals((422, "validation_failed", "/cursor：cursor 应为上一页答复中的 next。")),
    },
)
CONFIRM = _items_operation("confirmVoucher", "签收", serializers.ConfirmItems, _IDENTITY)
FAIL = _items_operation(
    "confirmVoucherFail", "签收失败", serializers.ReasonedItems, _IDENTITY | {"reason": "收款人开户行不存在"}
)
RETURN = _items_operation(
    "returnVoucher", "签收后退回", serializers.ReasonedItems, _IDENTITY | {"reason": "账户余额不足"}
)
STATUS = extend_schema(
    operation_id="queryVoucherStatus",
    summary="查询一张凭证的状态",
    description="我方发给本方的凭证，或本方发来的凭证；不存在与不属于本方不作区分。",
    parameters=[serializers.Identity],
    responses={
        200: answers(
            serializers.VoucherStatus,
            "状态",
            "已签收",
            _IDENTITY | {"flag": 0, "status": 3, "state": "signed_for", "digest": _DIGEST, "code": "", "reason": ""},
        ),
        **refusals(
            (404, "not_found", "没有这张凭证。"),
            (422, "validation_failed", "/voucher_type：输入值不匹配要求的模式。"),
        ),
    },
)
STAMP_POSITIONS = extend_schema(
    operation_id="queryStampPositionWithName",
    summary="查询一种凭证的签章位置",
    description="本区划该年度为这种凭证配置的签名与签章：位置、名称、种类、次序。没有配置时为空。",
    parameters=[serializers.PositionQuery],
    responses={
        200: answers(
            serializers.StampPositions,
            "签章位置",
            "单据两步，回单一步",
            {
                "results": [
                    _position(0, "cz_sz", "国库负责人名章", "personal", 1),
                    _position(0, "cz_dwgz", "国库业务专用章", "finance", 2),
                    _position(1, "yh_ywzqz", "代理银行转讫章", "transfer", 1),
                ]
            },
        ),
        **refusals((422, "validation_failed", "/voucher_type：输入值不匹配要求的模式。")),
    },
)
