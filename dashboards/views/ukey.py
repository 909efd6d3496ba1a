"""What an officer is about to sign, for the agent on the officer's own machine."""

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_POST

from core.errors import TreasuryError
from dashboards.desk import Desk, officer
from dashboards.refusals import sentence
from dashboards.signing import prepared_for
from dashboards.views.payments import numbers


@require_POST
@officer(delegable=True)
def prepare(request: HttpRequest, desk: Desk) -> JsonResponse:
    """Issue the statement for what a form would do; say which documents are left out of it, and why."""
    try:
        prepared = prepared_for(request, desk)
    except TreasuryError as refusal:
        answer = {"code": refusal.code, "field": refusal.field, "message": sentence(refusal)}
        return JsonResponse(answer, status=refusal.http_status)
    named = numbers(list(prepared.refused))
    refused = [
        {"id": str(pk), "document_no": named.get(pk, ""), "code": error.code, "message": sentence(error)}
        for pk, error in prepared.refused.items()
    ]
    if prepared.statement is None or prepared.certificate is None:
        return JsonResponse({"statement": None, "refused": refused})
    return JsonResponse(
        {
            "statement_id": str(prepared.statement.pk),
            "statement": prepared.statement.text,
            "items": prepared.statement.items,
            "agent_url": settings.GUOKU_UKEY_URL,
            "certificate_serial": prepared.certificate.serial_hex,
            "refused": refused,
        }
    )
