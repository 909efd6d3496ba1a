"""What officers sign with the UKey before a step counts: the statement is issued, comes back signed, and is used once.

    prepare      the page asks what would be signed; the agent shows it, asks the PIN and signs
    take         in the transaction that moves the documents: unused, unexpired, this officer's, signature valid
    Taken.check  each document is still what was shown, after the same former step; else that one is refused
    Taken.record one row for each document that moved: its item, its way to the signed root

A region decides whether its officers must sign (`Region.ukey_required`); the database refuses a decision without a
signature there. Source: docs/signatures.md §4.
"""

import base64
import binascii
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol, TypeVar
from uuid import UUID

from django.db import transaction

from core import merkle
from core.actors import Actor
from core.batch import copy_rows
from core.digests import sm3_hex
from core.errors import TreasuryError
from parties.models import Region
from seals.certificates import parse_certificate
from seals.errors import (
    NoOfficerCertificate,
    SignatureRequired,
    StatementOutdated,
    StatementSignatureInvalid,
    StatementUnknown,
    StatementUsed,
)
from seals.models import OfficerCertificate, Statement, StatementSignature, StepSignature
from seals.signing import Warrant
from seals.statements import (
    LIFETIME,
    Item,
    build_statement,
    check_time,
    item_text,
    parse_item,
    parse_statement,
    statement_text,
    tbs,
)
from seals.suites import get_suite

LONGEST_SIGNATURE = 1024  # bytes; RSA-8192


class SignedDocument(Protocol):
    """What a step on a document is recorded with."""

    @property
    def id(self) -> UUID: ...
    @property
    def adm_div_code(self) -> str: ...
    @property
    def fiscal_year(self) -> int: ...


D = TypeVar("D", bound=SignedDocument)


@dataclass(frozen=True)
class Shown:
    """One document as its officer is shown it; `digest` is the SM3 (hex) of what is decided on, `amount` wire text."""

    document_id: UUID
    document_no: str
    revision: int
    digest: str
    amount: str
    payee: str


@dataclass(frozen=True)
class Proof:
    """What comes back from the officer's agent with the form."""

    statement_id: UUID
    signature: bytes
    certificate_serial: str


def read_proof(statement_id: str, signature: str, certificate_serial: str) -> Proof | None:
    """The proof in a form's three fields; None if all are empty.

    :raises StatementSignatureInvalid: if they are not of their form.
    """
    if not (statement_id or signature or certificate_serial):
        return None
    try:
        value = base64.b64decode(signature, validate=True)
        if not 8 <= len(value) <= LONGEST_SIGNATURE:
            raise ValueError("length")
        return Proof(UUID(statement_id), value, certificate_serial[:40].lower())
    except (ValueError, binascii.Error) as error:
        raise StatementSignatureInvalid("UKey 签名格式不正确，请重新签名。", field="signature") from error


def certificate_of(person_id: UUID | None, *, at: datetime) -> OfficerCertificate:
    """The certificate the person signs with.

    :raises NoOfficerCertificate: if there is none that is active and within its dates.
    """
    if person_id is None:
        raise NoOfficerCertificate("该登录没有对应的人员，不能签名。", field="certificate")
    row = OfficerCertificate.objects.filter(
        person_id=person_id, status=OfficerCertificate.Status.ACTIVE, valid_from__lte=at, valid_to__gt=at
    ).first()
    if row is None:
        raise NoOfficerCertificate(
            "您没有有效的 UKey 证书。请到「我的 UKey」申请，由印章管理员核准。", field="certificate"
        )
    return row


@transaction.atomic(savepoint=False)
def prepare(
    *, action: str, by: Actor, shown: Sequence[Shown], post: str, origin: str, now: datetime, note: str = ""
) -> tuple[Statement, OfficerCertificate]:
    """Issue a statement over these documents for this officer; it can be used once, for five minutes.

    :raises NoOfficerCertificate: if the officer cannot sign.
    """
    certificate = certificate_of(by.person_id, at=now)
    formers = former_signatures([(one.document_id, one.revision) for one in shown])
    items = [
        Item(
            amount=one.amount,
            digest=one.digest,
            document_id=str(one.document_id),
            document_no=one.document_no,
            former=formers.get((one.document_id, one.revision), ""),
            payee=one.payee,
            revision=one.revision,
        )
        for one in shown
    ]
    statement = build_statement(
        action=action,
        adm_div_code=by.adm_div_code,
        certificate_sm3=certificate.certificate_sm3,
        issued_at=now,
        nonce=secrets.token_hex(16),
        officer=by.name,
        origin=origin,
        person_id=str(by.person_id),
        post=post,
        items=items,
        note=note,
    )
    row = Statement.objects.create(
        nonce=statement.nonce,
        adm_div_code=by.adm_div_code,
        action=action,
        person_id=certificate.person_id,
        text=statement_text(statement),
        items=[item_text(item) for item in items],
        expires_at=now + LIFETIME,
    )
    return row, certificate


@dataclass(frozen=True)
class Prepared:
    """A statement to be signed (None if no document may be decided on), with what, and what is left out and why."""

    statement: Statement | None
    certificate: OfficerCertificate | None
    refused: Mapping[UUID, TreasuryError]


def prepare_for(
    documents: Sequence[D],
    *,
    shown: Callable[[D], Shown],
    post: Callable[[D], str],
    refused: Mapping[UUID, TreasuryError],
    action: str,
    by: Actor,
    origin: str,
    now: datetime,
    note: str = "",
) -> Prepared:
    """Issue one statement over these documents. It speaks for one post, the first document's; others wait."""
    if not documents:
        return Prepared(None, None, refused)
    acting = post(documents[0])
    together = [document for document in documents if post(document) == acting]
    later = {
        document.id: StatementOutdated("该单由您的另一岗位办理，请另行勾选签名。", field="post")
        for document in documents
        if post(document) != acting
    }
    statement, certificate = prepare(
        action=action,
        by=by,
        shown=[shown(document) for document in together],
        post=acting,
        origin=origin,
        now=now,
        note=note,
    )
    return Prepared(statement, certificate, {**refused, **later})


def former_signatures(keys: Sequence[tuple[UUID, int]]) -> dict[tuple[UUID, int], str]:
    """The digest of the latest step's signature on each (document, revision) that has one. One query."""
    wanted = set(keys)
    rows = StepSignature.objects.filter(document_id__in={document_id for document_id, _ in wanted})
    found: dict[tuple[UUID, int], str] = {}
    for document_id, revision, digest in rows.order_by("at", "id").values_list(
        "document_id", "revision", "signature_sm3"
    ):
        if (document_id, revision) in wanted:
            found[document_id, revision] = digest
    return found


@transaction.atomic(savepoint=False)
def take(proof: Proof | None, *, action: str, by: Actor, now: datetime, note: str = "") -> "Taken":
    """Use a signed statement up, in the transaction of what it allows. Without a proof: nothing was signed.

    :param note: the reason that is about to be recorded; it must be the one the officer signed.

    :raises SignatureRequired: if the region asks for a signature and there is none.
    :raises StatementUnknown, StatementUsed, StatementExpired, StatementSignatureInvalid: for one that does not count.
    """
    required = Region.objects.filter(adm_div_code=by.adm_div_code, ukey_required=True).exists()
    if proof is None:
        if required:
            raise SignatureRequired("本区划办理须用 UKey 签名。", field="signature")
        return Taken(by.person_id)
    row = Statement.objects.select_for_update().filter(pk=proof.statement_id).first()
    if row is None or row.person_id != by.person_id or row.action != action:
        raise StatementUnknown("没有发给您的这份办理声明，请刷新页面后重新签名。", field="statement_id")
    if row.used_at is not None:
        raise StatementUsed("该签名已经使用过，不能再次使用。", field="statement_id")
    statement = parse_statement(row.text)
    check_time(statement, now)
    if statement.note != note:
        raise StatementOutdated("填写的原因与签名时不同，请重新签名。", field="reason")
    certificate = certificate_of(by.person_id, at=now)
    if (certificate.serial_hex, certificate.certificate_sm3) != (proof.certificate_serial, statement.certificate_sm3):
        raise StatementSignatureInvalid("签名所用证书不是您当前的 UKey 证书。", field="certificate_serial")
    if not holds(certificate, row.text, proof.signature):
        raise StatementSignatureInvalid("UKey 签名与办理声明不符，请重新签名。", field="signature")
    Statement.objects.filter(pk=row.pk).update(used_at=now)
    return Taken(by.person_id, row, proof.signature, certificate, {UUID(i.document_id): (n, i) for n, i in _items(row)})


def _items(row: Statement) -> list[tuple[int, Item]]:
    return [(number, parse_item(text)) for number, text in enumerate(row.items)]


def holds(certificate: OfficerCertificate, text: str, signature: bytes) -> bool:
    """Whether the certificate's key signed this statement text."""
    parsed = parse_certificate(certificate.pem)
    return get_suite(certificate.suite_id).verify(parsed.public_key, tbs(text), signature)


@dataclass
class Taken:
    """A statement that has been used, or nothing where none was asked for."""

    person_id: UUID | None
    row: Statement | None = None
    signature: bytes = b""
    certificate: OfficerCertificate | None = None
    items: Mapping[UUID, tuple[int, Item]] = field(default_factory=dict)
    _formers: dict[tuple[UUID, int], str] = field(default_factory=dict)

    @property
    def warrant(self) -> Warrant:
        """What the signer is shown of it."""
        if self.row is None or self.certificate is None:
            return Warrant(self.person_id)
        return Warrant(
            self.person_id, self.row.text, tuple(self.row.items), self.signature, self.certificate.serial_hex
        )

    def prepare_check(self, keys: Sequence[tuple[UUID, int]]) -> None:
        """Read the former steps of all (document, revision) once, under the callers' row locks."""
        if self.row is not None:
            self._formers = former_signatures(keys)

    def check(self, shown: Shown) -> None:
        """Compare a locked document with what was signed; passes where nothing had to be signed.

        :raises StatementOutdated: if it was not in the statement, or is no longer what the officer saw.
        """
        if self.row is None:
            return
        found = self.items.get(shown.document_id)
        if found is None:
            raise StatementOutdated("签名的清单里没有这张单据，请重新签名。", field="ids")
        item = found[1]
        now = replace(
            item,
            amount=shown.amount,
            digest=shown.digest,
            revision=shown.revision,
            payee=shown.payee,
            former=self._formers.get((shown.document_id, shown.revision), ""),
        )
        if now == item:
            return
        if now.amount != item.amount:
            message = f"签名时金额为 {item.amount} 元，现在是 {now.amount} 元，本笔未办理。请核对后重新签名。"
        else:
            message = "单据在您签名前后有变动，本笔未办理。请核对后重新签名。"
        raise StatementOutdated(message, field="amount" if now.amount != item.amount else "content_digest")

    def record_alone(self, *, fiscal_year: int, now: datetime) -> None:
        """Keep a signature that is about no document: a log-in."""
        if self.row is not None and self.certificate is not None:
            copy_rows([self._signed(self.row.adm_div_code, fiscal_year, now)])

    def _signed(self, adm_div_code: str, fiscal_year: int, now: datetime) -> StatementSignature:
        assert self.row is not None and self.certificate is not None
        return StatementSignature(
            adm_div_code=adm_div_code,
            fiscal_year=fiscal_year,
            statement=self.row,
            certificate=self.certificate,
            text=self.row.text,
            signature=self.signature,
            at=now,
        )

    def record(
        self, documents: Sequence[D], *, revision: Callable[[D], int], post: Callable[[D], str], now: datetime
    ) -> dict[UUID, UUID]:
        """Keep the signature and one row for each of these documents; returns document id → step id."""
        if self.row is None or self.certificate is None or not documents:
            return {}
        signed = self._signed(documents[0].adm_div_code, documents[0].fiscal_year, now)
        copy_rows([signed])
        paths = merkle.inclusion_paths([merkle.leaf_hash(text.encode("utf-8")) for text in self.row.items])
        digest = sm3_hex(self.signature)
        steps = [
            StepSignature(
                adm_div_code=document.adm_div_code,
                fiscal_year=document.fiscal_year,
                signed=signed,
                document_id=document.id,
                revision=revision(document),
                action=self.row.action,
                post=post(document),
                item=self.row.items[self.items[document.id][0]],
                index=self.items[document.id][0],
                path=[node.hex() for node in paths[self.items[document.id][0]]],
                signature_sm3=digest,
                at=now,
            )
            for document in documents
        ]
        copy_rows(steps)
        return {step.document_id: step.id for step in steps}


def summary_of_payees(lines: Sequence[Any]) -> str:
    """How a statement names who is paid: the one payee and the account, or the first of how many."""
    if not lines:
        return ""
    first = f"{lines[0].payee_name} {lines[0].payee_account_no}".strip()
    return first if len(lines) == 1 else f"{first} 等 {len(lines)} 人"
