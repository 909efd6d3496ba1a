"""What every operation of the banks' API shares, in the order it happens: the headers, the caller's signature, the
rate, the body, one effect for each Idempotency-Key, and our signature under the final bytes of the answer.
"""

import json
import logging
import re
from collections.abc import Callable
from typing import Any, ClassVar

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponseBase, QueryDict
from django.utils import timezone
from rest_framework.exceptions import ParseError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.permissions import AllowAny
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.throttling import ScopedRateThrottle
from rest_framework.views import APIView

from core.idempotency import Answer, run_once
from seals.errors import SealError
from vouchers.authentication import PartnerSignature, sign_answer
from vouchers.codec import MAX_ENVELOPE_BYTES
from vouchers.problems import CONTENT_TYPE, RequestRefused

log = logging.getLogger(__name__)
MAX_BODY_BYTES = MAX_ENVELOPE_BYTES
BANKS = frozenset({"agent_bank", "pboc"})  # the kinds of partner that exchange vouchers
_KEY = re.compile(r"[\x21-\x7e]{8,80}")


class StrictJson(BaseParser):
    """UTF-8 whatever the label says, no key twice, no NaN: one reading for everybody."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        try:
            return json.loads(stream.read().decode("utf-8"), object_pairs_hook=_once, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            raise ParseError from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key twice")
    return dict(pairs)


def _refuse(constant: str) -> None:
    raise ValueError(constant)


class AlwaysJson(DefaultContentNegotiation):
    """Answers are JSON, whatever Accept says: a signed answer in another form would help nobody."""

    def select_renderer(self, request: Request, renderers: list[BaseRenderer], format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class PartnerThrottle(ScopedRateThrottle):
    """A bound for each partner and process, far above an honest day; GUOKU_API_RATE changes it."""

    def get_rate(self) -> str:
        return str(getattr(settings, "GUOKU_API_RATE", "3000/min"))


class PartnerView(APIView):
    """What all operations share: who may call, how much may come, and the signature under the answer."""

    http_method_names = ["get", "post"]
    authentication_classes = [PartnerSignature]
    throttle_classes = [PartnerThrottle]
    throttle_scope = "partner"
    parser_classes = [StrictJson]
    content_negotiation_class = AlwaysJson
    partner_kinds: ClassVar[frozenset[str]] = BANKS
    key_required: ClassVar[bool] = False  # what is safe to say twice needs none, but a key sent is honoured

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self.refuse_unread(request)
        super().initial(request, *args, **kwargs)
        if request.user.partner.kind not in self.partner_kinds:
            raise RequestRefused(403, "partner_not_admitted", "该机构不能使用此接口。")

    def refuse_unread(self, request: Request) -> None:
        """Look at the headers before a byte of the body is read.

        :raises RequestRefused: 411, 413 or 415.
        """
        if request.headers.get("Transfer-Encoding"):
            raise RequestRefused(411, "length_required", "请求须带 Content-Length。", field="Content-Length")
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise RequestRefused(415, "content_encoding_not_supported", "请求体不得压缩。", field="Content-Encoding")
        if claimed_length(request) > MAX_BODY_BYTES:
            raise RequestRefused(413, "body_too_large", "报文超过 10 MiB。", field="Content-Length")

    def finalize_response(
        self, request: HttpRequest, response: HttpResponseBase, *args: Any, **kwargs: Any
    ) -> Response:
        """Render, so that the bytes are final, and sign them if we know for whom they are."""
        answer: Response = super().finalize_response(request, response, *args, **kwargs)
        answer["Cache-Control"] = "no-store"
        answer.render()
        caller = getattr(request, "caller", None)
        if caller is not None:
            try:
                sign_answer(answer, caller, timezone.now())
            except SealError:  # what was done stays done; the partner asks again with the same key and gets this answer
                log.exception("an answer could not be signed", extra={"partner": caller.partner.organisation})
                answer.status_code, answer.content = 503, b""
        return answer

    def once(self, request: Request, act: Callable[[], Answer]) -> Response:
        """Answer with what `act` says, once for each Idempotency-Key of the partner.

        :raises RequestRefused: 400 for a key that is missing or malformed.
        :raises IdempotencyMismatch: 409 for a key that came with another request.
        """
        key = request.headers.get("Idempotency-Key")
        if key is None and self.key_required:
            raise _bad_key("idempotency_key_required", "POST 须带 Idempotency-Key。")
        if key is None:
            answer = act()
        elif not _KEY.fullmatch(key):
            raise _bad_key("idempotency_key_invalid", "Idempotency-Key 应为 8 至 80 个可见 ASCII 字符。")
        else:
            payload = request.path.encode() + b"\0" + request.body
            answer = run_once(owner=request.user.pk, key=key, payload=payload, now=timezone.now(), act=act)
        headers = {"Idempotent-Replayed": "true"} if answer.replayed else {}
        content_type = CONTENT_TYPE if answer.status >= 400 else None
        return Response(answer.body, status=answer.status, headers=headers, content_type=content_type)


class NoSuchAddress(APIView):
    """Everything else below /api/v1/: a problem document, not a page for people."""

    schema = None
    authentication_classes: ClassVar[list[type]] = []
    permission_classes = [AllowAny]
    content_negotiation_class = AlwaysJson

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        raise Http404


def claimed_length(request: Request) -> int:
    """Return Content-Length; 0 where it is missing or no number, as the server then passes no body on."""
    given = request.META.get("CONTENT_LENGTH") or "0"
    return int(given) if given.isdecimal() else 0


def query_of(request: Request) -> dict[str, Any]:
    """The query as UTF-8, whatever character set the request's Content-Type pretends."""
    return QueryDict(request.META.get("QUERY_STRING", ""), encoding="utf-8").dict()


def valid(kind: type[Serializer], data: Any) -> dict[str, Any]:
    """:raises rest_framework.exceptions.ValidationError: with every finding."""
    serializer = kind(data=data)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def _bad_key(code: str, message: str) -> RequestRefused:
    return RequestRefused(400, code, message, field="Idempotency-Key")
