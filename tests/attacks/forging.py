"""What the attack tests share: an honest receipt to start from, one forgery for each attack, and the doors.

Every forgery is made from bytes that would be accepted, changed in one place and signed again by the partner itself, so
that nothing but the change can be the reason of a refusal. Source: docs/attacks.md.
"""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from django.db import connection

from demo import world
from tests.bank import Partner
from tests.conftest import NOW
from tests.vouchers.example_contents import example
from vouchers import inbox
from vouchers.checks import check_content, check_envelope_matches
from vouchers.codec import completed, decode_content, decode_envelope, differing_fields
from vouchers.envelope import encode_envelope
from vouchers.errors import VoucherError
from vouchers.messages import EnvelopeBody, SignatureMark
from vouchers.models import ExchangePartner, InboxMessage, InboxRejection

PAYEE = "临江市郎记café文具店（A座）"  # holds what look-alikes are made of: 郎, é, A, （
DAY = date(2026, 6, 15)
INBOX_TABLES = {"vouchers_inboxmessage", "vouchers_inboxrejection", "vouchers_requestnonce", "core_idempotencykey"}


# What is attacked ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scene:
    """One voucher of ours waiting at bank A, its honest receipt, and everybody's keys."""

    bank: Partner
    other: Partner
    pboc: Partner
    ours: EnvelopeBody  # as sealed by the unit and sent to the bank
    receipt: EnvelopeBody
    second: EnvelopeBody  # the honest receipt of another voucher at the same bank

    @property
    def envelope(self) -> bytes:
        return encode_envelope([self.receipt])

    @property
    def inner(self) -> bytes:
        return base64.b64decode(self.receipt.text)

    def signed(self, inner: bytes) -> EnvelopeBody:
        """The honest receipt with another inner document, truly signed by the bank."""
        text = base64.b64encode(inner)
        return replace(self.receipt, text=text, signatures=(self.bank.sign(text),))

    def enclose(self, inner: bytes) -> bytes:
        """The envelope of that; written by hand, because our own writer would refuse what is too large."""
        body = self.signed(inner)
        raw = put(self.envelope, "Voucher", body.text)
        return put(raw, "Signature", body.signatures[0].value.encode())

    def said(self, **main: str) -> bytes:
        """The honest receipt with other fields in the head."""
        content, _ = decode_content(self.receipt.text)
        return encode_envelope([self.bank.body(replace(content, main={**content.main, **main}), 1)])

    def with_marks(self, *marks: SignatureMark) -> bytes:
        return encode_envelope([replace(self.receipt, signatures=marks)])


def scene_on_paper(pki: Path) -> Scene:
    """The same without a database: vouchers made from their field list."""
    unit = Partner(pki, world.UNITS["101001"])
    bank = Partner(pki, world.BANK_A)
    bodies = []
    for number in ("SZ0001", "SZ0002"):
        made = example("8202")
        details = ({**made.details[0], "PayeeAcctName": PAYEE},)
        main = {**made.main, "PayAmt": "100.00", "PayeeAcctName": PAYEE}
        content = replace(made, voucher_no=number, adm_div_code=world.REGION, main=main, details=details)
        bodies.append(unit.body(content, 0))
    first, second = (bank.receipt(_as_stored(body)) for body in bodies)
    return Scene(bank, Partner(pki, world.BANK_B), Partner(pki, world.PBOC), bodies[0], first, second)


def _as_stored(body: EnvelopeBody) -> Any:
    return SimpleNamespace(text=body.text)


# Attacks ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Attack:
    """One forgery. `code` is what the inbox must answer; `codec` what the pure reading says, None if it reads well
    and only somebody who knows the register can refuse it."""

    family: str
    name: str
    code: str
    why: str
    build: Callable[[Scene], bytes]
    codec: str | None = None

    @property
    def id(self) -> str:
        return self.name.replace(" ", "-")


def put(raw: bytes, tag: str, text: bytes) -> bytes:
    """Replace the text of the first element of this name; its attributes stay."""
    pattern = rb"(<" + tag.encode() + rb"(?: [^>]*)?>)[^<]*(</)"
    changed, count = re.subn(pattern, lambda found: found[1] + text + found[2], raw, count=1)
    assert count == 1, tag
    return changed


def once(raw: bytes, old: bytes, new: bytes) -> bytes:
    """Replace the first occurrence; the attack would be none if there were no such place."""
    assert old in raw, old
    return raw.replace(old, new, 1)


def after_declaration(raw: bytes, text: bytes) -> bytes:
    return once(raw, b"?>", b"?>" + text)


# The doors ----------------------------------------------------------------------------------------------------------


def read_purely(raw: bytes, ours: EnvelopeBody) -> str | None:
    """Read an envelope of one receipt as far as bytes alone go; return the first refusal, or None."""
    sent, _ = decode_content(ours.text)
    try:
        for body in decode_envelope(raw):
            content, _ = decode_content(body.text)
            findings = check_envelope_matches(body, content)
            findings += check_content(content, business_date=DAY, receipt=body.flag == 1)
            if findings:
                return findings[0].code
            if content.voucher_no == sent.voucher_no and differing_fields(completed(sent), content):
                return "receipt_altered"
    except VoucherError as refusal:
        return refusal.code
    return None


def send(raw: bytes, organisation: str = world.BANK_A) -> list[inbox.InboxAnswer]:
    return inbox.receive(raw=raw, sender=ExchangePartner.objects.get(pk=organisation), now=NOW)


def refusal_with_trace(raw: bytes, organisation: str = world.BANK_A) -> str:
    """Send to the inbox, see that it refuses every body before anything acts on it, and that the very bytes are kept.

    Returns the code of the refusal.
    """
    before = everything_else()
    try:
        answers = send(raw, organisation)
    except VoucherError as error:
        refusal = error
    else:
        return _kept_body_by_body(raw, organisation, answers, before)
    kept = InboxRejection.objects.get()
    assert bytes(kept.raw) == raw[: inbox.KEEP_RAW_BYTES] and kept.size == len(raw)
    assert (kept.sender, kept.code) == (organisation, refusal.code) and kept.reason
    assert not InboxMessage.objects.exists()
    assert everything_else() == before
    return refusal.code


def _kept_body_by_body(raw: bytes, organisation: str, answers: list[inbox.InboxAnswer], before: dict[str, str]) -> str:
    texts = [body.text for body in decode_envelope(raw)]
    assert [answer.outcome for answer in answers] == ["refused"] * len(texts), answers
    kept_texts = []
    for row in InboxRejection.objects.filter(sender=organisation):
        kept_texts.append(bytes(row.raw))
        assert row.size in {len(text) for text in texts} and row.code and row.reason
    for message in InboxMessage.objects.filter(sender=organisation):
        assert (message.state, message.attempts, message.applied_at) == ("refused", 0, None)
        assert message.code and message.reason
        kept_texts.append(bytes(message.text))
    assert sorted(kept_texts) == sorted(text[: inbox.KEEP_RAW_BYTES] for text in texts)
    assert everything_else() == before
    codes = {answer.error.code for answer in answers if answer.error}
    assert len(codes) == 1, codes
    return codes.pop()


def everything_else() -> dict[str, str]:
    """A digest of every table but the inbox's own, so that "nothing happened" means nothing at all.

    Of the evidence log only what is not about the inbox: that a forgery came, and was refused, is a fact like others.
    """
    about_others = " AND ".join(f"t.subject_table <> '{name}'" for name in sorted(INBOX_TABLES))
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_stat_user_tables WHERE schemaname = 'public' ORDER BY relname")
        tables = [name for (name,) in cursor.fetchall() if name not in INBOX_TABLES]
        rows = " UNION ALL ".join(
            f"SELECT '{name}', md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM \"{name}\" t"
            + (f" WHERE {about_others}" if name == "evidence_entry" else "")
            for name in tables
        )
        cursor.execute(rows)
        return dict(cursor.fetchall())
