"""What a bank and the PBoC have in common: judge what arrives, store it before answering, sign what leaves.

A POST of up to 100 bodies is judged outside the lock (signatures cost the most) and stored, with everything that
follows from it, in one transaction. The answer is given after the commit.
"""

import base64
import json
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from simulators.behaviour import Behaviour
from simulators.config import FIXTURES, Settings
from simulators.errors import Refusal
from simulators.keys import Keyring
from simulators.money import fen
from simulators.outbox import Outbox
from simulators.rules import check_document
from simulators.stamps import Stamps
from simulators.storage import Storage, insert, load_accounts, next_number, savepoint, set_setting, setting
from simulators.wire import Body, Document, Identity, Signature, build_envelope, parse_document, parse_envelope

LAYOUTS: dict[str, dict[str, list[str]]] = json.loads((FIXTURES / "layouts.json").read_text("utf-8"))
NOT_FOUND, SIGNED_FOR, REFUSED, RETURNED, ANSWERED = -1, 3, 4, 5, 12
_IDENTITY = "voucher_no = ? AND voucher_type = ? AND fiscal_year = ? AND adm_div_code = ?"


class Participant:
    """One organisation with its own storage and keys. Subclasses say what they accept and what they do with it."""

    schema = ""
    signing_position = ""
    stamp_position = ""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.me = settings.fixture
        self.storage = Storage(settings.storage, self.schema)
        self.keys = Keyring(settings.pki, settings.organisation, self.storage)
        self.stamps = Stamps(settings.pki, settings.organisation, self.stamp_position)
        self.behaviour = Behaviour(self.storage)
        self.outbox = Outbox(self)
        with self.storage.write() as db:
            load_accounts(db, self.me["accounts"], fen)
            if setting(db, "business_date") is None:
                set_setting(db, "business_date", self.me["business_date"].replace("-", ""))
                self.open_books(db)

    # What a subclass decides

    def open_books(self, db: sqlite3.Connection) -> None:
        """Enter the history that lies before the first day. Called once per storage."""

    def expected_signer(self, body: Body, document: Document, carrier: str) -> str:
        """The only organisation whose signature counts for this document.

        :raises Refusal: if the carrier may not bring such a document, or it is not addressed to this partner.
        """
        raise NotImplementedError

    def examine(self, body: Body, document: Document) -> None:
        """Checks against this partner's fixed data (accounts, addressees). Raises :class:`Refusal`."""

    def act(self, db: sqlite3.Connection, received_id: int, body: Body, document: Document) -> None:
        """Do what an accepted voucher asks for, in the transaction that stores it. A :class:`Refusal` undoes it."""

    def on_refused(self, db: sqlite3.Connection, identity: Identity, flag: int, destination: str) -> None:
        """Our own document was refused for good by ``destination``."""

    # Receiving

    def receive(self, envelope: bytes, carrier: str) -> list[dict[str, Any]]:
        """Judge and store every body; one result each, in body order.

        :raises MalformedEnvelope: if nothing in it can be answered one by one.
        """
        judged = [(body, *self._judge(body, carrier)) for body in parse_envelope(envelope)]
        with self.storage.write() as db:
            results = [self._store(db, body, document, refusal, carrier) for body, document, refusal in judged]
        self.outbox.wake()
        return results

    def _judge(self, body: Body, carrier: str) -> tuple[Document | None, Refusal | None]:
        try:
            if self.storage.read().execute("SELECT 1 FROM issued WHERE digest = ?", (body.digest,)).fetchone():
                raise Refusal("reflected", "这是本方自己发出的凭证")
            document = parse_document(body)
            signer = self.expected_signer(body, document, carrier)
            self.keys.verify_text(signer, body)
            self.stamps.verify(signer, body)
            check_document(body, document, adm_div_code=self.me["adm_div_code"])
            self.examine(body, document)
        except Refusal as refusal:
            return None, refusal
        return document, None

    def _store(
        self, db: sqlite3.Connection, body: Body, document: Document | None, refusal: Refusal | None, carrier: str
    ) -> dict[str, Any]:
        outcome = "accepted"
        try:
            if refusal or document is None:
                raise refusal or Refusal("bad_document", "凭证无法读取")
            live = self._live(db, body)
            if live is None:
                with savepoint(db):
                    row = self._keep(db, body, carrier, "accepted")
                    self._advance_date(db, document)
                    self.act(db, row, body, document)
            elif live["digest"] != body.digest:
                raise Refusal("conflicting_duplicate", "凭证号已被另一份内容不同的凭证使用")
            else:
                db.execute("UPDATE received SET copies = copies + 1 WHERE id = ?", (live["id"],))
                if self.behaviour["deduplicate"]:
                    outcome = "duplicate"
                else:
                    with savepoint(db):
                        self.act(db, live["id"], body, document)
        except Refusal as problem:
            self._keep(db, body, carrier, "refused", problem)
            return _result(body, "refused", problem.code, problem.reason)
        return _result(body, outcome)

    def _live(self, db: sqlite3.Connection, body: Body) -> sqlite3.Row | None:
        one = body.identity
        row: sqlite3.Row | None = db.execute(
            f"SELECT id, digest FROM received WHERE {_IDENTITY} AND flag = ? AND status = 'accepted'",
            (one.voucher_no, one.voucher_type, one.fiscal_year, one.adm_div_code, body.flag),
        ).fetchone()
        return row

    def _keep(
        self, db: sqlite3.Connection, body: Body, carrier: str, status: str, problem: Refusal | None = None
    ) -> int:
        return insert(
            db,
            "received",
            **body.identity.as_dict(),
            flag=body.flag,
            digest=body.digest,
            body=body.xml(),
            sender=carrier,
            status=status,
            code=problem.code if problem else "",
            reason=problem.reason if problem else "",
            received_on=self.today(db),
        )

    # Answering questions

    def query(self, items: Iterable[Mapping[str, str]]) -> list[dict[str, Any]]:
        """The truth about each voucher asked for (messages.md §5.2 codes), with its receipt if there is one."""
        db = self.storage.read()
        return [
            self._answer(db, Identity(*(str(item.get(name, "")) for name in Identity.__match_args__))) for item in items
        ]

    def recall(self, items: Iterable[Mapping[str, str]]) -> list[dict[str, Any]]:
        """Answer the request not to pay; who cannot stop anything answers as if it were a question."""
        return self.query(items)

    def _answer(self, db: sqlite3.Connection, one: Identity) -> dict[str, Any]:
        key = (one.voucher_no, one.voucher_type, one.fiscal_year, one.adm_div_code)
        row = db.execute(
            f"SELECT status, digest, reason FROM received WHERE {_IDENTITY} AND flag = 0"
            " ORDER BY status = 'accepted' DESC, status = 'returned' DESC, id DESC LIMIT 1",
            key,
        ).fetchone()
        if row is None:
            return {**one.as_dict(), "status": NOT_FOUND, "digest": None, "reason": "", "receipt": None}
        receipt = db.execute(
            f"SELECT body FROM issued WHERE {_IDENTITY} AND flag = 1 ORDER BY id LIMIT 1", key
        ).fetchone()
        status = {"refused": REFUSED, "returned": RETURNED}.get(row["status"], ANSWERED if receipt else SIGNED_FOR)
        text = _base64(build_envelope([receipt["body"]])) if receipt and status == ANSWERED else None
        return {**one.as_dict(), "status": status, "digest": row["digest"], "reason": row["reason"], "receipt": text}

    # Issuing

    def draft(self, db: sqlite3.Connection, voucher_type: str, main: Mapping[str, str], details: Any) -> Document:
        """A new document of ours with its own number, laid out as published; what we do not know stays empty."""
        number = self.number(db, voucher_type)
        today = self.today(db)
        head = {
            "Id": f"{self.settings.organisation}-{number}",
            "AdmDivCode": self.me["adm_div_code"],
            "StYear": today[:4],
            "VtCode": voucher_type,
            "VouDate": today,
            "VoucherNo": number,
            "TreCode": self.me["tre_code"],
            "FinOrgCode": self.me["fin_org_code"],
            **main,
        }
        layout = LAYOUTS[voucher_type]
        return Document(
            {tag: head.get(tag, "") for tag in layout["main"]},
            [{tag: row.get(tag, "") for tag in layout["detail"]} for row in details],
        )

    def issue(
        self,
        db: sqlite3.Connection,
        document: Document,
        *,
        flag: int,
        destinations: Iterable[str],
        status: str = "pending",
        position: str = "",
        keep_signatures: tuple[Signature, ...] = (),
        forged: bool = False,
    ) -> int:
        """Sign a document, store it and queue it; returns the id of the stored document."""
        main = document.main
        text = document.text()
        signature = self.keys.sign_text(text[::-1] if forged else text, position or self.signing_position)
        identity = Identity(main["AdmDivCode"], main["StYear"], main["VtCode"], main["VoucherNo"])
        body = Body(identity, flag, text, (*keep_signatures, signature), self.stamps.affix(identity, text))
        row = insert(
            db, "issued", **identity.as_dict(), flag=flag, digest=body.digest, body=body.xml(), issued_on=self.today(db)
        )
        for destination in destinations:
            insert(db, "outbox", issued_id=row, destination=destination, status=status)
        return row

    def resend(self, kind: str, voucher_no: str) -> list[dict[str, Any]]:
        """Queue stored documents again: ``kind`` is ``receipt`` (flag 1) or the voucher type of one of our own.

        :raises Refusal: ``unknown_voucher`` if nothing of the kind was ever issued.
        """
        flag, voucher_type = (1, "%") if kind == "receipt" else (0, kind)
        with self.storage.write() as db:
            rows = db.execute(
                "SELECT i.id, i.voucher_type, o.destination FROM issued i JOIN outbox o ON o.issued_id = i.id"
                " WHERE i.voucher_no = ? AND i.flag = ? AND i.voucher_type LIKE ?"
                " GROUP BY i.id, o.destination ORDER BY i.id",
                (voucher_no, flag, voucher_type),
            ).fetchall()
            if not rows:
                raise Refusal("unknown_voucher", f"没有发出过 {kind} {voucher_no}")
            for row in rows:
                insert(db, "outbox", issued_id=row["id"], destination=row["destination"], status="pending")
        self.outbox.wake()
        return [{"voucher_type": row["voucher_type"], "destination": row["destination"]} for row in rows]

    # Small things

    def today(self, db: sqlite3.Connection) -> str:
        """The business date, yyyyMMdd."""
        return str(setting(db, "business_date"))

    def _advance_date(self, db: sqlite3.Connection, document: Document) -> None:
        """A voucher of a later day opens that day here too."""
        if document.main["VouDate"] > self.today(db):
            set_setting(db, "business_date", document.main["VouDate"])

    def number(self, db: sqlite3.Connection, series: str) -> str:
        """The next voucher number or bank serial."""
        return str(self.me["numbers"][series]).format(next_number(db, series))


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def _result(body: Body, outcome: str, code: str = "", reason: str = "") -> dict[str, Any]:
    return {
        **body.identity.as_dict(),
        "flag": body.flag,
        "digest": body.digest,
        "outcome": outcome,
        "code": code,
        "reason": _clipped(reason),
    }


def _clipped(reason: str, limit: int = 190) -> str:
    return reason.encode("gbk", "replace")[:limit].decode("gbk", "ignore")
