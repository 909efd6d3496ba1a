"""What the banks' API says when it says no: RFC 9457 problem documents with stable codes.

A refusal of ours (TreasuryError) keeps its code, status, field and findings. An exception nobody foresaw is logged,
answered with 500 and tells nothing of its inside. Source: docs/bank-api.md §errors.
"""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.core.signals import got_request_exception
from django.db import InterfaceError, OperationalError
from django.http import Http404
from django.http.request import UnreadablePostError
from rest_framework import exceptions
from rest_framework.response import Response

from core.audit import current_request_id
from core.errors import TreasuryError, ValidationFailed

log = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5
RETRYABLE = frozenset({429, 500, 503})

_TITLES = {
    "body_too_large": ("报文过大", "The body is too large"),
    "conflicting_duplicate": ("凭证号已用于其他内容", "The voucher number was used for other content"),
    "content_digest_mismatch": ("摘要与报文不符", "The digest does not belong to the body"),
    "envelope_differs": ("信封与凭证原文不一致", "The envelope contradicts the signed document"),
    "idempotency_key_invalid": ("幂等键格式错误", "The Idempotency-Key is malformed"),
    "idempotency_key_required": ("缺少幂等键", "An Idempotency-Key is required"),
    "idempotency_mismatch": ("幂等键已用于其他内容", "The Idempotency-Key was used for other content"),
    "json_malformed": ("JSON 格式错误", "Malformed JSON"),
    "original_not_open": ("原凭证已了结", "The original voucher is closed"),
    "original_unknown": ("没有对应的原凭证", "There is no such original voucher"),
    "partner_not_admitted": ("该机构未开通交换", "This organisation may not exchange vouchers"),
    "receipt_altered": ("回单改动了原单内容", "The receipt alters the original"),
    "signature_replayed": ("请求重复提交", "The signed request was seen before"),
    "wrong_sender": ("该机构不能发送此凭证", "This party may not send this voucher"),
}
_TITLES_BY_STATUS = {
    400: ("请求格式错误", "Malformed request"),
    401: ("请求签名未通过", "The message signature was not accepted"),
    403: ("无权办理", "Not allowed for this party"),
    404: ("未找到", "Not found"),
    405: ("不支持该方法", "Method not allowed"),
    409: ("与现状冲突", "Conflict with the present state"),
    411: ("缺少报文长度", "Content-Length is required"),
    413: ("报文过大", "The body is too large"),
    415: ("不支持的报文类型", "Content type not supported"),
    422: ("内容不符合要求", "The content breaks a rule"),
    429: ("请求过于频繁", "Too many requests"),
    500: ("系统内部错误", "Internal error"),
    503: ("系统暂不可用", "Temporarily unavailable"),
}
# What the framework raises by itself: our code and a sentence in the place of its own.
_FRAMEWORK: tuple[tuple[type[Exception], int, str, str], ...] = (
    (Http404, 404, "not_found", "没有这个地址或资源。"),
    (exceptions.NotFound, 404, "not_found", "没有这个地址或资源。"),
    (exceptions.ParseError, 400, "json_malformed", "请求体不是规范的 UTF-8 JSON。"),
    (exceptions.MethodNotAllowed, 405, "method_not_allowed", "该地址不支持此方法。"),
    (exceptions.UnsupportedMediaType, 415, "content_type_not_supported", "请求体应为 application/json。"),
    (exceptions.NotAuthenticated, 401, "signature_missing", "请求没有签名。"),
    (exceptions.AuthenticationFailed, 401, "signature_invalid", "请求签名未通过。"),
    (exceptions.PermissionDenied, 403, "forbidden", "该机构无权办理。"),
    (PermissionDenied, 403, "forbidden", "该机构无权办理。"),
    (RequestDataTooBig, 413, "body_too_large", "报文超过允许的大小。"),
    (UnreadablePostError, 400, "body_unreadable", "请求体没有收完整。"),
    (SuspiciousOperation, 400, "malformed_request", "请求格式错误。"),
)


class RequestRefused(TreasuryError):
    """The HTTP message itself cannot be taken: its length, type, headers, key or sender."""

    def __init__(self, status: int, code: str, message: str, *, field: str | None = None) -> None:
        super().__init__(message, field=field)
        self.http_status = status
        self.code = code


class ServiceUnavailable(RequestRefused):
    """Our side cannot serve now; the same request may be sent again."""

    def __init__(self, message: str = "系统暂不可用，请稍后重试。") -> None:
        super().__init__(503, "service_unavailable", message)


def problem_handler(exc: Exception, context: Mapping[str, Any]) -> Response:
    """Return the problem document for any exception of an API view (REST_FRAMEWORK["EXCEPTION_HANDLER"])."""
    request = context["request"]
    headers = {"Cache-Control": "no-store"}
    if isinstance(exc, OperationalError | InterfaceError):
        log.error("database not available", exc_info=exc)
        exc = ServiceUnavailable()
    if isinstance(exc, TreasuryError):
        body = problem_of(exc, instance=request.path)
    elif isinstance(exc, exceptions.ValidationError):
        found = [finding(pointer, code, message) for pointer, code, message in _flattened(exc.get_full_details())]
        detail = "；".join(f"{item['pointer']}：{item['message']}" for item in found[:5])
        body = problem(422, "validation_failed", detail, instance=request.path, errors=found)
    elif isinstance(exc, exceptions.Throttled):
        headers["Retry-After"] = str(math.ceil(exc.wait or RETRY_AFTER_SECONDS))
        body = problem(429, "too_many_requests", "请求过于频繁，请稍后再试。", instance=request.path)
    else:
        body = _framework_problem(exc, request)
    if body["status"] == 401:
        headers["WWW-Authenticate"] = 'Signature tag="guoku-v1"'
    if body["status"] == 503:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return Response(body, status=body["status"], headers=headers, content_type=CONTENT_TYPE)


def problem_of(error: TreasuryError, *, instance: str, **extensions: Any) -> dict[str, Any]:
    """Return the document for one refusal; `extensions` are further members, e.g. which voucher it is about."""
    findings = error.findings if isinstance(error, ValidationFailed) else [error]
    state = error.facts.get("state") or error.facts.get("source")
    if error.http_status == 409 and state:
        extensions["current_state"] = str(state)
    return problem(
        error.http_status,
        error.code,
        error.message,
        instance=instance,
        errors=[finding(pointer_of(item.field), item.code, item.message) for item in findings if item.field],
        **extensions,
    )


def problem(
    status: int, code: str, detail: str, *, instance: str, errors: Sequence[Mapping[str, str]] = (), **extensions: Any
) -> dict[str, Any]:
    title, title_en = _TITLES.get(code) or _TITLES_BY_STATUS.get(status, _TITLES_BY_STATUS[422])
    return {
        "type": f"urn:guoku:problem:{code}",
        "title": title,
        "title_en": title_en,
        "status": status,
        "code": code,
        "detail": detail,
        "instance": instance,
        "request_id": current_request_id(),
        "retryable": status in RETRYABLE,
        "errors": list(errors),
        **extensions,
    }


def finding(pointer: str, code: str, message: str) -> dict[str, str]:
    return {"pointer": pointer, "code": code, "message": message}


def pointer_of(field: str | None) -> str:
    """Return where a field stands: "Detail[3].PayAmt" as "/Detail[3]/PayAmt" (XML counts from one)."""
    return "/" + (field or "").lstrip("/").replace(".", "/")


def _framework_problem(exc: Exception, request: Any) -> dict[str, Any]:
    for kind, status, code, detail in _FRAMEWORK:
        if isinstance(exc, kind):
            return problem(status, code, detail, instance=request.path)
    log.error("unhandled exception in the API", exc_info=exc)
    got_request_exception.send(sender=None, request=getattr(request, "_request", request))
    return problem(500, "internal_error", "系统内部错误，已记录。", instance=request.path)


def _flattened(detail: Any, pointer: str = "") -> Iterator[tuple[str, str, str]]:
    """Turn the framework's nested findings into JSON pointers; an empty mapping stands for an item that is fine."""
    if isinstance(detail, Mapping) and {"message", "code"} == detail.keys():
        yield pointer or "/", str(detail["code"]), str(detail["message"])
    elif isinstance(detail, Mapping):
        for name, inner in detail.items():
            yield from _flattened(inner, pointer if name == "non_field_errors" else f"{pointer}/{name}")
    else:
        leaves = [item for item in detail if isinstance(item, Mapping) and {"message", "code"} == item.keys()]
        for position, inner in enumerate(detail):
            yield from _flattened(inner, pointer if leaves else f"{pointer}/{position}")
