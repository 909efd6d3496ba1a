"""Who is calling: the partner whose registered key signed exactly this request, just now, for the first time.

No session, no password, no address list. Answers are signed by the region's finance organisation and name the
request's nonce, so that a partner never takes somebody else's word for ours. Source: docs/bank-api.md §signing.
"""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from django.db import IntegrityError, transaction
from django.http import HttpResponse
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from parties.models import Region
from seals.errors import MessageSignatureError, SealError
from seals.httpsig import MAX_SKEW_SECONDS, sign_response, verify_request
from seals.message_keys import claimed_key, message_key
from seals.signing import Identity, message_signer
from vouchers.models import ExchangePartner, RequestNonce
from vouchers.problems import RequestRefused, ServiceUnavailable

log = logging.getLogger(__name__)
KEEP_NONCES = timedelta(seconds=2 * MAX_SKEW_SECONDS)
PRUNE_EVERY = 500  # requests; old nonces cost space only


@dataclass(frozen=True)
class Caller:
    """A partner that has proved who it is, and what its answer is signed with. `request.user` of API views."""

    partner: ExchangePartner
    nonce: str
    identity: Identity  # ours, which signs the answer
    sign: Callable[[bytes], bytes]
    is_authenticated: ClassVar[bool] = True

    @property
    def pk(self) -> str:
        """What the framework counts requests by."""
        return self.partner.organisation


class PartnerSignature(BaseAuthentication):
    """Accepts a message signature of an enabled exchange partner (profile in seals.httpsig)."""

    def authenticate(self, request: Request) -> tuple[Caller, None]:
        """Return the caller; an answer to it is signed from here on, even if the request is then refused.

        :raises MessageSignatureError: 401, for anything about the signature.
        :raises RequestRefused: 403, if the signer is no enabled partner.
        :raises ServiceUnavailable: if we could not sign the answer, before anything is done.
        """
        now = timezone.now()
        try:
            organisation, _serial = claimed_key(request.headers)
            suite, public_key, key_id = message_key(organisation, request.headers, at=now)
            claim = verify_request(
                request.method,
                request.path,
                request.META.get("QUERY_STRING", ""),
                request.body,
                request.headers,
                public_key=public_key,
                suite=suite,
                now=now,
            )
            if claim.key_id != key_id:
                raise MessageSignatureError("signature_malformed", "The message names more than one key.")
        except MessageSignatureError as error:
            log.warning("API request with a bad signature", extra={"code": error.code, "path": request.path})
            raise
        partner = ExchangePartner.objects.filter(pk=organisation, enabled=True).first()
        if partner is None:
            raise RequestRefused(403, "partner_not_admitted", "该机构未登记为交换对方，或已停用。")
        request.caller = caller = _caller(partner, claim.nonce)
        remember_nonce(key_id, claim.nonce, now)
        return caller, None

    def authenticate_header(self, request: Request) -> str:
        return 'Signature tag="guoku-v1"'


def _caller(partner: ExchangePartner, nonce: str) -> Caller:
    organisation = Region.objects.get(adm_div_code=partner.adm_div_code).finance_organisation
    try:
        return Caller(partner, nonce, *message_signer(organisation))
    except SealError as error:
        log.exception("answers cannot be signed", extra={"organisation": organisation})
        raise ServiceUnavailable from error


def remember_nonce(key_id: str, nonce: str, now: datetime) -> None:
    """Keep the nonce of a request whose signature holds.

    :raises MessageSignatureError: signature_replayed, if this key has used it before.
    """
    seen = hashlib.sha256(nonce.encode()).hexdigest()  # the profile allows 128 characters, the column holds 80
    try:
        with transaction.atomic():
            row = RequestNonce.objects.create(key_id=key_id, nonce=seen, at=now)
    except IntegrityError as error:
        log.warning("signed request seen before", extra={"key_id": key_id})
        raise MessageSignatureError("signature_replayed", "该请求此前已收到过（nonce 重复）。") from error
    if row.pk % PRUNE_EVERY == 0:
        RequestNonce.objects.filter(at__lt=now - KEEP_NONCES).delete()


def sign_answer(response: HttpResponse, caller: Caller, now: datetime) -> None:
    """Add our signature over the status and the final bytes of a rendered answer."""
    headers = sign_response(
        response.status_code,
        response.content,
        caller.nonce,
        key_id=caller.identity.key_id,
        suite=caller.identity.suite,
        sign=caller.sign,
        created=now,
    )
    for name, value in headers.items():
        response[name] = value
