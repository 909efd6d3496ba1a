"""One phone, one document, some minutes: secrets in pictures and cookies, of which only digests are kept."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from attachments.errors import PhoneLinkUnknown
from attachments.models import PhoneLink
from core.digests import sm3_hex

UNKNOWN = "这个上传页面已失效、已结束或已被另一台手机使用。请在电脑上重新生成二维码。"


@dataclass(frozen=True)
class Document:
    """What the phone may add to, and whose it is."""

    id: UUID
    number: str
    adm_div_code: str
    fiscal_year: int


@transaction.atomic(durable=True)
def open_phone_link(document: Document, *, user_id: int, now: datetime) -> tuple[PhoneLink, str]:
    """Return a new link with its token, which is shown once; an earlier one for this document and officer is over."""
    open_links(document.id, now).filter(user_id=user_id).update(closed_at=now)
    token = secrets.token_urlsafe(24)
    link = PhoneLink.objects.create(
        adm_div_code=document.adm_div_code,
        fiscal_year=document.fiscal_year,
        document_id=document.id,
        document_no=document.number,
        user_id=user_id,
        token_digest=sm3_hex(token.encode()),
        opened_at=now,
        expires_at=now + timedelta(minutes=getattr(settings, "GUOKU_PHONE_MINUTES", 10)),
    )
    return link, token


def open_links(document_id: UUID, now: datetime) -> QuerySet[PhoneLink]:
    return PhoneLink.objects.filter(document_id=document_id, expires_at__gt=now, closed_at__isnull=True)


def find_phone_link(token: str, phone: str, *, now: datetime) -> PhoneLink:
    """Return the open link of a token, for a phone that may be the first or must be the one that was.

    :raises PhoneLinkUnknown: without saying why.
    """
    links = PhoneLink.objects.select_related("user").filter(expires_at__gt=now, closed_at__isnull=True)
    link = links.filter(token_digest=sm3_hex(token.encode())).first()
    if link is None or (link.phone_digest and not secrets.compare_digest(link.phone_digest, sm3_hex(phone.encode()))):
        raise PhoneLinkUnknown(UNKNOWN, field="token")
    return link


@transaction.atomic(durable=True)
def claim_phone_link(link: PhoneLink, *, now: datetime) -> str:
    """Bind a link to the phone that uses it first and return the phone's secret, for its cookie.

    :raises PhoneLinkUnknown: if another phone was quicker, or the time is up.
    """
    phone = secrets.token_urlsafe(24)
    unclaimed = PhoneLink.objects.filter(pk=link.pk, phone_digest="", closed_at__isnull=True, expires_at__gt=now)
    if not unclaimed.update(phone_digest=sm3_hex(phone.encode())):
        raise PhoneLinkUnknown(UNKNOWN, field="token")
    return phone


@transaction.atomic(durable=True)
def close_phone_links(document_id: UUID, *, user_id: int, now: datetime) -> None:
    """End what this officer opened for the document."""
    open_links(document_id, now).filter(user_id=user_id).update(closed_at=now)
