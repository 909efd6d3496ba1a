"""The banks' and the treasury's door: read vouchers, answer for them, send receipts and documents, ask for a status.

Each view parses, calls one service and renders; what they share is in vouchers.partner_views. Source: docs/bank-api.md.
"""

import base64
import re
from datetime import timedelta
from typing import Any, ClassVar

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from core.errors import NotFound, TreasuryError
from core.idempotency import Answer
from seals.message_keys import claimed_key
from seals.models import SealPosition
from vouchers import openapi, serializers
from vouchers.applying import InboxAnswer
from vouchers.authentication import Caller
from vouchers.codec import encode_envelope
from vouchers.inbox import KEEP_RAW_BYTES, receive
from vouchers.library_reads import document_status, waiting_vouchers
from vouchers.models import ExchangePartner, InboxRejection
from vouchers.partner_views import PartnerView, claimed_length, query_of, valid
from vouchers.problems import RequestRefused, problem_of
from vouchers.pulling import AnsweredItem, ItemResult, answer_pulled
from vouchers.transport import bodies_of, identity_of

_XML = re.compile(r'(?:application|text)/xml(?:; ?charset="?(?:gbk|gb18030|utf-8)"?)?', re.IGNORECASE)


class Vouchers(PartnerView):
    """Vouchers in both directions."""

    key_required = True

    @openapi.WAITING_VOUCHERS
    def get(self, request: Request) -> Response:
        query = valid(serializers.PageQuery, query_of(request))
        page = waiting_vouchers(partner=request.user.partner, after=query.get("cursor"), limit=query["limit"])
        results = [
            identity_of(voucher)
            | {"digest": voucher.digest, "envelope": base64.b64encode(encode_envelope([body])).decode()}
            for voucher, body in zip(page.vouchers, bodies_of(page.vouchers), strict=True)
        ]
        return Response({"results": results, "next": page.next})

    @openapi.SEND_VOUCHERS
    def post(self, request: Request) -> Response:
        caller: Caller = request.user
        if not _XML.fullmatch(request.headers.get("Content-Type", "").strip()):
            refusal = RequestRefused(
                415, "content_type_not_supported", "请求体应为 application/xml; charset=GBK。", field="Content-Type"
            )
            _keep(caller.pk, refusal, raw=request.body, size=len(request.body))
            raise refusal
        return self.once(request, lambda: self._receive(request.body, caller.partner, request.path))

    def _receive(self, raw: bytes, sender: ExchangePartner, path: str) -> Answer:
        """Take an envelope in. A refusal is an answer too: the same bytes under the same key would meet it again."""
        try:
            answers = receive(raw=raw, sender=sender, now=timezone.now())
        except TreasuryError as error:  # the envelope itself cannot be read
            return Answer(error.http_status, problem_of(error, instance=path))
        results = [_voucher_result(answer) for answer in answers]
        if len(answers) > 1:
            return Answer(200, {"results": results})
        (only,) = answers
        if only.error is not None:
            return Answer(only.error.http_status, problem_of(only.error, instance=path, voucher=results[0]))
        return Answer(202 if only.outcome in ("stored", "parked") else 200, {"results": results})

    def refuse_unread(self, request: Request) -> None:
        try:
            super().refuse_unread(request)
        except RequestRefused as refusal:
            _keep_unread(request, refusal)
            raise


class PartnerAnswers(PartnerView):
    """Signing for, refusing and returning differ in the word and in whether a reason is due."""

    action: ClassVar[str]
    body: ClassVar[type[Serializer]]

    def answer(self, request: Request) -> Response:
        given = valid(self.body, request.data)
        items = [AnsweredItem(**item) for item in given["items"]]
        partner = request.user.partner

        def act() -> Answer:
            results = answer_pulled(partner=partner, items=items, action=self.action, now=timezone.now())
            return Answer(200, {"results": [_item_result(result) for result in results]})

        return self.once(request, act)


class ConfirmVouchers(PartnerAnswers):
    action, body = "sign_for", serializers.ConfirmItems

    @openapi.CONFIRM
    def post(self, request: Request) -> Response:
        return self.answer(request)


class FailVouchers(PartnerAnswers):
    action, body = "refuse", serializers.ReasonedItems

    @openapi.FAIL
    def post(self, request: Request) -> Response:
        return self.answer(request)


class ReturnVouchers(PartnerAnswers):
    action, body = "return", serializers.ReasonedItems

    @openapi.RETURN
    def post(self, request: Request) -> Response:
        return self.answer(request)


class VoucherStatus(PartnerView):
    @openapi.STATUS
    def get(self, request: Request) -> Response:
        identity = valid(serializers.Identity, query_of(request))
        found = document_status(partner=request.user.partner, identity=identity)
        if found is None:
            raise NotFound("没有这张凭证。", field="voucher_no")
        return Response(identity | vars(found))


class StampPositions(PartnerView):
    @openapi.STAMP_POSITIONS
    def get(self, request: Request) -> Response:
        query = valid(serializers.PositionQuery, query_of(request))
        rows = SealPosition.objects.filter(adm_div_code=request.user.partner.adm_div_code, **query)
        columns = ("flag", "position", "name", "kind", "ordinal", "required")
        return Response({"results": list(rows.order_by("flag", "ordinal", "position").values(*columns))})


def _voucher_result(answer: InboxAnswer) -> dict[str, Any]:
    error = answer.error
    return {
        "adm_div_code": answer.adm_div_code,
        "fiscal_year": answer.fiscal_year,
        "voucher_type": answer.voucher_type,
        "voucher_no": answer.voucher_no,
        "flag": answer.flag,
        "digest": answer.digest,
        "outcome": answer.outcome,
        "code": error.code if error else "",
        "field": (error.field or "") if error else "",
        "reason": error.message if error else "",
    }


def _item_result(result: ItemResult) -> dict[str, Any]:
    return {
        "adm_div_code": result.item.adm_div_code,
        "fiscal_year": result.item.fiscal_year,
        "voucher_type": result.item.voucher_type,
        "voucher_no": result.item.voucher_no,
        "outcome": result.outcome,
        "code": result.error.code if result.error else "",
        "reason": result.error.message if result.error else "",
    }


def _keep_unread(request: Request, refusal: RequestRefused) -> None:
    """Leave a trace of an envelope refused unread. Nothing proves its sender, so one a minute for each claim."""
    try:
        sender, _serial = claimed_key(request.headers)
    except TreasuryError:
        return
    lately = timezone.now() - timedelta(minutes=1)
    repeated = InboxRejection.objects.filter(sender=sender, code=refusal.code, raw=b"", at__gt=lately).exists()
    if not repeated and ExchangePartner.objects.filter(pk=sender, enabled=True).exists():
        _keep(sender, refusal, raw=b"", size=claimed_length(request))


def _keep(sender: str, refusal: TreasuryError, *, raw: bytes, size: int) -> None:
    InboxRejection.objects.create(
        sender=sender,
        raw=raw[:KEEP_RAW_BYTES],
        size=size,
        code=refusal.code,
        field=refusal.field or "",
        reason=refusal.message,
        at=timezone.now(),
    )
