"""Who signs the roots of the evidence log, and who puts the time under them: signer and time-stamp authority."""

import logging

import httpx2 as httpx
from django.conf import settings
from django.utils import timezone

from evidence import rooting
from evidence.formats import SYSTEM_STREAM
from evidence.rooting import RootDraft
from parties.models import Region
from seals.errors import SealError, SealingRefused, SignerUnavailable
from seals.signing import the_signer
from seals.stamps import Trust
from seals.timestamps import make_request, verify_response

log = logging.getLogger(__name__)
SECONDS = 5.0
LONGEST_ANSWER = 64 * 1024


def register() -> None:
    """Tell the log whom to ask."""
    rooting.set_signer(sign_root)
    rooting.set_timestamper(stamp_root if settings.GUOKU_TSA_URL else None)


def sign_root(draft: RootDraft) -> tuple[bytes, str]:
    """Have the signer sign a root with the finance organisation of its region; the system's with the first region's.

    The signer remembers the last root it signed. Where that is not the one the log remembers (a restart in between, a
    restored database), it is given the proof from there.

    :raises SignerUnavailable, SealingRefused: then the stream stays silent, which is an alarm.
    """
    regions = Region.objects.order_by("adm_div_code")
    if draft.stream != SYSTEM_STREAM:
        regions = regions.filter(adm_div_code=draft.stream.partition("/")[0])
    region = regions.first()
    if region is None:
        raise SignerUnavailable("没有可签发日志根的机构。", stream=draft.stream)
    signer, organisation = the_signer(), region.finance_organisation
    try:
        mark = signer.sign_root(organisation, draft.text, draft.earlier, draft.path)
    except SealingRefused as refusal:
        if refusal.code != "log_proof_differs":
            raise
        earlier = int(refusal.facts["size"])
        path = rooting.consistency(draft.stream, earlier, draft.size) if earlier else []
        mark = signer.sign_root(organisation, draft.text, earlier, path)
    return mark.value, mark.serial_hex


class TimestampUnavailable(SealError):
    """The time-stamp authority gave no usable answer; the root is stamped at the next turn."""

    code = "timestamp_unavailable"
    http_status = 503


def stamp_root(text: bytes) -> bytes:
    """Return the authority's token (RFC 3161, DER) over a root's text; its imprint is SM3.

    :raises TimestampUnavailable: if it does not answer, or answers something else.
    """
    request, now = make_request(text), timezone.now()
    try:
        answer = httpx.post(
            settings.GUOKU_TSA_URL,
            content=request.der,
            headers={"Content-Type": "application/timestamp-query"},
            timeout=SECONDS,
            trust_env=False,
        )
        if answer.status_code != 200 or len(answer.content) > LONGEST_ANSWER:
            raise ValueError(f"HTTP {answer.status_code}")
        return verify_response(answer.content, request, Trust.now(now).authorities, now).token
    except (httpx.HTTPError, ValueError, SealError) as error:
        raise TimestampUnavailable("时间戳服务没有给出可用的应答。", cause=str(error)[:200]) from error
