"""What a form signed with the UKey is about: the page asks (`prepared_for`), and later sends the proof (`proof_of`)."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.urls import Resolver404, resolve

from budget.services import prepare_notice_sealing, prepare_plan_decision
from core.errors import NotFound
from dashboards.acting import chosen
from dashboards.desk import Desk
from dashboards.forms import text_of
from payments.services import (
    prepare_correction_decision,
    prepare_correction_sealing,
    prepare_decision,
    prepare_sealing,
)
from seals.approvals import Prepared, Proof, read_proof


def proof_of(request: HttpRequest) -> Proof | None:
    """The signature that came with a form; None if there is none.

    :raises StatementSignatureInvalid: if its fields are not of their form.
    """
    fields = (request.POST.get(name, "") for name in ("statement_id", "signature", "certificate_serial"))
    return read_proof(*fields)


def origin_of(request: HttpRequest) -> str:
    """Our own origin as the officer's agent sees it."""
    return f"{request.scheme}://{request.get_host()}"


def prepared_for(request: HttpRequest, desk: Desk) -> Prepared:
    """Issue the statement for what the form would do if it were sent to its target (`ukey_target`).

    :raises NotFound: if the target is nothing that is signed.
    :raises NoOfficerCertificate: if the officer has no key to sign with.
    """
    try:
        name = resolve(request.POST.get("ukey_target", "")).url_name or ""
    except Resolver404:
        name = ""
    if name not in _SIGNED:
        raise NotFound("该操作不需要 UKey 签名。", field="ukey_target")
    return _SIGNED[name](request, desk, {"origin": origin_of(request), "now": desk.now})


def _review(action: str) -> Callable[[HttpRequest, Desk, dict[str, Any]], Prepared]:
    def prepare(request: HttpRequest, desk: Desk, common: dict[str, Any]) -> Prepared:
        return prepare_decision(
            request_ids=chosen(request),
            reviewer=desk.actor,
            action=action,
            reason_code=request.POST.get("reason_code", ""),
            reason=text_of(request.POST, "reason", "意见"),
            **common,
        )

    return prepare


def _plan(action: str) -> Callable[[HttpRequest, Desk, dict[str, Any]], Prepared]:
    def prepare(request: HttpRequest, desk: Desk, common: dict[str, Any]) -> Prepared:
        reason = text_of(request.POST, "reason", "退回原因")
        ids = chosen(request)
        return prepare_plan_decision(plan_ids=ids, reviewer=desk.actor, action=action, reason=reason, **common)

    return prepare


def _seal(request: HttpRequest, desk: Desk, common: dict[str, Any]) -> Prepared:
    return prepare_sealing(request_ids=chosen(request), sealer=desk.actor, **common)


def _seal_notices(request: HttpRequest, desk: Desk, common: dict[str, Any]) -> Prepared:
    return prepare_notice_sealing(notice_ids=chosen(request), sealer=desk.actor, **common)


def _correction(action: str) -> Callable[[HttpRequest, Desk, dict[str, Any]], Prepared]:
    def prepare(request: HttpRequest, desk: Desk, common: dict[str, Any]) -> Prepared:
        reason, ids = text_of(request.POST, "reason", "意见"), chosen(request)
        return prepare_correction_decision(
            correction_ids=ids, reviewer=desk.actor, action=action, reason=reason, **common
        )

    return prepare


def _seal_corrections(request: HttpRequest, desk: Desk, common: dict[str, Any]) -> Prepared:
    return prepare_correction_sealing(correction_ids=chosen(request), sealer=desk.actor, **common)


_SIGNED: dict[str, Callable[[HttpRequest, Desk, dict[str, Any]], Prepared]] = {
    "review-approve": _review("approve"),
    "review-return": _review("return"),
    "review-reject": _review("reject"),
    "plan-approve": _plan("approve"),
    "plan-return": _plan("return"),
    "voucher-seal": _seal,
    "notice-seal": _seal_notices,
    "correction-approve": _correction("approve"),
    "correction-return": _correction("return"),
    "correction-reject": _correction("reject"),
    "correction-seal": _seal_corrections,
}
