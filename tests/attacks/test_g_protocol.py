"""Family G, as far as vouchers go: everything is well formed and truly signed, and it is the wrong moment, the wrong
number, the wrong party or the second time.

Each case plays an honest past, then strikes; what is compared is every table before and after the strike.
"""

import json
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from demo import world
from monitoring.models import Alert
from payments.models import PaymentReceipt, PaymentRequest
from seals.models import Certificate
from tests import acts
from tests.attacks.forging import Scene, everything_else, once
from tests.bank import clearing
from tests.conftest import NOW
from tests.vouchers.api_partner import VOUCHERS, XML, ApiPartner, Reply, identity
from vouchers import inbox
from vouchers.codec import decode_content, encode_envelope
from vouchers.delivery import partner_actor
from vouchers.errors import VoucherError
from vouchers.messages import EnvelopeBody
from vouchers.models import ExchangePartner, InboxMessage, InboxRejection, RequestNonce, Voucher
from vouchers.services import lock_vouchers, record_answer, void_vouchers
from vouchers.transport import body_of

CONFIRM = f"{VOUCHERS}confirm/"


class Play:
    """The town of one case: what was honest before, and who strikes."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.bank, self.other, self.pboc = scene.bank, scene.other, scene.pboc

    @property
    def payment(self) -> PaymentRequest:
        return PaymentRequest.objects.get(voucher_no=self.scene.receipt.voucher_no)

    @property
    def second(self) -> PaymentRequest:
        return PaymentRequest.objects.get(voucher_no=self.scene.second.voucher_no)

    def paid(self) -> None:
        assert [a.outcome for a in self.bank.send(self.scene.receipt, self.scene.second)] == ["applied"] * 2

    def foreign(self) -> PaymentRequest:
        """A payment that bank B has made."""
        payment = acts.sent("I5", "200.00")
        assert self.other.send(self.other.receipt(payment.voucher))[0].outcome == "applied"
        return payment

    def answered(self, action: str) -> None:
        actor = partner_actor(ExchangePartner.objects.get(pk=world.BANK_A))
        record_answer(lock_vouchers([self.payment.voucher_id]), action, by=actor, reason="户名不符", now=NOW)

    def changed(self, *, details: Sequence[dict[str, str]] | None = None, **main: str) -> EnvelopeBody:
        """The honest receipt with other head fields or lines, truly signed."""
        content, _ = decode_content(self.scene.receipt.text)
        lines = content.details if details is None else tuple(details)
        year = int(main.get("StYear", content.fiscal_year))
        region, number = main.get("AdmDivCode", content.adm_div_code), main.get("VoucherNo", content.voucher_no)
        content = replace(content, fiscal_year=year, adm_div_code=region, voucher_no=number, details=lines)
        return self.bank.body(replace(content, main={**content.main, **main}), 1)

    @property
    def lines(self) -> list[dict[str, str]]:
        return [dict(line) for line in decode_content(self.scene.receipt.text)[0].details]

    def receipt(self, **changes: Any) -> EnvelopeBody:
        return self.bank.receipt(self.payment.voucher, **changes)

    def refund(self, number: str, amount: str, **changes: str) -> EnvelopeBody:
        return self.bank.refund(number, self.payment, 1, amount, **changes)

    def cleared(self, number: str = "HK-01") -> None:
        self.paid()
        asked, executed = clearing(self.bank, self.pboc, number, [(self.payment, 1)])
        assert self.bank.send(asked)[0].outcome == self.pboc.send(executed)[0].outcome == "applied"

    def asked_for(self, payment: PaymentRequest, number: str = "HK-02", **changes: str) -> EnvelopeBody:
        """PBoC's execution of a clearing bank A asked for; the bank's own document is here already."""
        asked, executed = clearing(self.bank, self.pboc, number, [(payment, 1)], **changes)
        assert self.bank.send(asked)[0].outcome == "applied"
        return executed


Strike = Callable[[Play], bytes | EnvelopeBody]


@dataclass(frozen=True)
class Ploy:
    """One attack on the order of things. `past` is honest; `strike` gives what `by` then sends, `at` this instant."""

    name: str
    code: str
    why: str
    strike: Strike
    past: Callable[[Play], Any] = lambda play: None
    by: str = world.BANK_A
    at: Callable[[Play], datetime] = lambda play: NOW
    family: str = "G"

    @property
    def id(self) -> str:
        return self.name.replace(" ", "-")


def unsealed(play: Play) -> EnvelopeBody:
    """A receipt for a voucher that exists here but was never sealed or sent."""
    request = acts.draft("I1", "77.00")
    acts.submit(request).raise_if_refused()
    acts.approve_all(request)
    acts.issue(request).raise_if_refused()
    voucher = Voucher.objects.get(pk=acts.fresh(request)[0].voucher_id)
    return play.bank.receipt(voucher)


def voided(play: Play) -> None:
    play.answered("refuse")
    void_vouchers(
        lock_vouchers([play.payment.voucher_id]), by=world.officer("u101001-jb"), now=NOW, reason="对方签收失败"
    )


def revoked(play: Play) -> None:
    Certificate.objects.filter(organisation_code=world.BANK_A).update(
        status=Certificate.Status.REVOKED, revoked_at=NOW, revoke_reason="密钥泄露"
    )


def reflected(play: Play) -> EnvelopeBody:
    return replace(body_of(play.payment.voucher), flag=1)


def countersigned(play: Play) -> EnvelopeBody:
    ours = reflected(play)
    return replace(ours, signatures=(*ours.signatures, play.bank.sign(ours.text)))


def quota_notice(play: Play) -> EnvelopeBody:
    """A 5105 of the bank's own making: finance's document, truly signed by a bank."""
    main = {"Id": "X1", "FundTypeCode": "11", "PayBankCode": "103", "SetMonth": "06", "PlanAmt": "1000000.00"}
    line = {"Id": "1", "FundTypeCode": "11", "AgencyCode": "101001", "PlanAmt": "1000000.00"}
    return play.bank.body(play.bank.content("5105", "SQ9999", main, [line]), 0)


def twice_in_one_notice(play: Play) -> EnvelopeBody:
    body = play.refund("TK01", "1.00")
    content, _ = decode_content(body.text)
    line = dict(content.details[0])
    main = {**content.main, "PayAmt": "-2.00"}
    return play.bank.body(replace(content, main=main, details=(line, {**line, "Id": "2"})), 0)


def truncated(tenths: int) -> Strike:
    return lambda play: play.scene.envelope[: len(play.scene.envelope) * tenths // 10]


def doubled(play: Play) -> bytes:
    return play.scene.envelope * 2


def clearing_by(play: Play, flag_of: int, **changes: Any) -> EnvelopeBody:
    """The two documents of a clearing, one of them (0 the bank's, 1 PBoC's) with its envelope changed."""
    return replace(clearing(play.bank, play.pboc, "HK-01", [(play.payment, 1)])[flag_of], **changes)


def others_payment(play: Play) -> EnvelopeBody:
    bank_no = play.payment.payer_account.agent_bank.bank_no
    return play.asked_for(play.foreign(), PayBankNo=bank_no)


def altered_by_pboc(play: Play) -> EnvelopeBody:
    executed = play.asked_for(play.payment)
    content, _ = decode_content(executed.text)
    return play.pboc.body(replace(content, main={**content.main, "AgentAcctNo": "6210000000000000"}), 1)


def listed_twice(play: Play) -> EnvelopeBody:
    asked, executed = clearing(play.bank, play.pboc, "HK-02", [(play.payment, 1), (play.payment, 1)])
    assert play.bank.send(asked)[0].outcome == "applied"
    return executed


ONCE = "one document acts once, however often it comes"
NUMBER = "one number is one text for ever"
TENANT = "what is another bank's is as unknown as what does not exist"
PARTY = "each document has one party that may say it"
OPEN = "only a voucher that is out and unanswered can be answered"
REFLECTED = "our own signature proves nothing to us"
DAY = "nothing happens tomorrow, nor before it was ordered"
FULL = "each line is paid in full, to the ordered payee, or not at all"
BOOKS = "no more comes back or is cleared than went out"
WHOLE = "an envelope is one whole document"
KEY = "the certificate must be good when the document comes"

PLOYS = [
    Ploy("receipt again", "duplicate", ONCE, lambda p: p.scene.receipt, Play.paid),
    Ploy("receipt again under a fresh signature", "duplicate", ONCE,
         lambda p: replace(p.scene.receipt, signatures=(p.bank.sign(p.scene.receipt.text),)), Play.paid),
    Ploy("receipt again with another bank serial", "conflicting_duplicate", NUMBER, lambda p: p.receipt(), Play.paid),
    Ploy("receipt again as a failure", "conflicting_duplicate", NUMBER,
         lambda p: p.receipt(failed={"1": "户名不符"}), Play.paid),
    Ploy("refund notice again", "duplicate", ONCE, lambda p: p.refund("TK01", "5.00"),
         lambda p: (p.paid(), p.bank.send(p.refund("TK01", "5.00")))),
    Ploy("refund notice again with another amount", "conflicting_duplicate", NUMBER, lambda p: p.refund("TK01", "6.00"),
         lambda p: (p.paid(), p.bank.send(p.refund("TK01", "5.00")))),
    Ploy("clearing again", "duplicate", ONCE, lambda p: clearing_by(p, 1), lambda p: p.cleared("HK-01"), by=world.PBOC),
    Ploy("receipt by the bank that was not asked", "original_unknown", TENANT,
         lambda p: p.other.receipt(p.payment.voucher), by=world.BANK_B),
    Ploy("receipt relayed by another bank", "certificate_of_other_party", TENANT, lambda p: p.scene.receipt,
         by=world.BANK_B),
    Ploy("receipt for a number never issued", "original_unknown", TENANT, lambda p: p.changed(VoucherNo="SZ9999")),
    Ploy("receipt of last year", "original_unknown", TENANT, lambda p: p.changed(StYear="2025")),
    Ploy("receipt of next year", "fiscal_year_in_future", DAY, lambda p: p.changed(StYear="2027")),
    Ploy("receipt of another region", "wrong_sender", TENANT, lambda p: p.changed(AdmDivCode="990200000")),
    Ploy("receipt for the voucher beside it", "receipt_altered", TENANT,
         lambda p: p.changed(VoucherNo=p.scene.second.voucher_no)),
    Ploy("receipt before the seal", "original_not_open", OPEN, unsealed),
    Ploy("receipt after the bank refused the voucher", "original_not_open", OPEN, lambda p: p.scene.receipt,
         lambda p: p.answered("refuse")),
    Ploy("receipt after the bank returned the voucher", "original_not_open", OPEN, lambda p: p.scene.receipt,
         lambda p: p.answered("return")),
    Ploy("receipt for a voided voucher", "original_not_open", OPEN, lambda p: p.scene.receipt, voided),
    Ploy("our voucher reflected as its receipt", "certificate_of_other_party", REFLECTED, reflected),
    Ploy("our voucher reflected as a document", "wrong_sender", REFLECTED, lambda p: body_of(p.payment.voucher)),
    Ploy("our voucher countersigned as its receipt", "required_in_receipt", REFLECTED, countersigned),
    Ploy("our voucher reflected by PBoC", "wrong_sender", REFLECTED, reflected, by=world.PBOC),
    Ploy("PBoC receipts for the bank", "wrong_sender", PARTY, lambda p: p.pboc.receipt(p.payment.voucher),
         by=world.PBOC),
    Ploy("bank executes its own clearing", "wrong_sender", PARTY, lambda p: clearing_by(p, 0, flag=1)),
    Ploy("bank relays PBoC's execution", "wrong_sender", PARTY, lambda p: clearing_by(p, 1)),
    Ploy("PBoC sends the bank's clearing", "wrong_sender", PARTY, lambda p: clearing_by(p, 0), by=world.PBOC),
    Ploy("PBoC's execution as a document", "wrong_sender", PARTY, lambda p: clearing_by(p, 1, flag=0), by=world.PBOC),
    Ploy("clearing of another bank", "wrong_sender", TENANT, lambda p: clearing_by(p, 0), by=world.BANK_B),
    Ploy("clearing of a bank nobody knows", "wrong_sender", TENANT,
         lambda p: clearing(p.bank, p.pboc, "HK-01", [(p.payment, 1)], PayBankNo="999999999999")[0]),
    Ploy("quota notice of the bank's own making", "wrong_sender", PARTY, quota_notice),
    Ploy("clearing altered by PBoC", "receipt_altered", "PBoC executes what the bank signed", altered_by_pboc,
         Play.paid, by=world.PBOC),
    Ploy("payment cleared under a second number", "already_cleared", BOOKS, lambda p: p.asked_for(p.payment),
         Play.cleared, by=world.PBOC),
    Ploy("payment listed twice in a clearing", "already_cleared", BOOKS, listed_twice, Play.paid, by=world.PBOC),
    Ploy("clearing of another bank's payment", "payment_unknown", TENANT,
         others_payment, Play.paid, by=world.PBOC),
    Ploy("clearing dated tomorrow", "date_in_future", DAY, lambda p: p.asked_for(p.payment, XClearDate="20260616"),
         Play.paid, by=world.PBOC),
    Ploy("refund of another bank's payment", "payment_unknown", TENANT,
         lambda p: p.other.refund("TK01", p.payment, 1, "1.00"), Play.paid, by=world.BANK_B),
    Ploy("refund above the payment", "refund_exceeds_payment", BOOKS, lambda p: p.refund("TK01", "12345.68"),
         Play.paid),
    Ploy("full refund under a second number", "refund_exceeds_payment", BOOKS, lambda p: p.refund("TK02", "12345.67"),
         lambda p: (p.paid(), p.bank.send(p.refund("TK01", "12345.67")))),
    Ploy("one line twice in a refund", "refund_repeated", BOOKS, twice_in_one_notice, Play.paid),
    Ploy("refund to another account", "receipt_incomplete", BOOKS,
         lambda p: p.refund("TK01", "1.00", PayAcctNo="6210000000000000"), Play.paid),
    Ploy("positive refund", "amount_sign", BOOKS, lambda p: p.refund("TK01", "1.00", PayAmt="1.00"), Play.paid),
    Ploy("refund dated tomorrow", "date_in_future", DAY, lambda p: p.refund("TK01", "1.00", PayDate="20260616"),
         Play.paid),
    Ploy("receipt paid tomorrow", "date_in_future", DAY, lambda p: p.receipt(XPayDate="20260616")),
    Ploy("receipt paid before it was ordered", "receipt_incomplete", DAY, lambda p: p.receipt(XPayDate="20260614")),
    Ploy("line paid in part", "receipt_amount_differs", FULL,
         lambda p: p.receipt(XPayAmt="1.00", line_changes={"1": {"XPayAmt": "1.00"}})),
    Ploy("line paid twice over", "receipt_amount_differs", FULL,
         lambda p: p.receipt(XPayAmt="24691.34", line_changes={"1": {"XPayAmt": "24691.34"}})),
    Ploy("line paid backwards", "receipt_amount_differs", FULL,
         lambda p: p.receipt(XPayAmt="-12345.67", line_changes={"1": {"XPayAmt": "-12345.67"}})),
    Ploy("paid to another account", "receipt_payee_differs", FULL,
         lambda p: p.receipt(line_changes={"1": {"XPayeeAcctNo": "6230000000009999"}})),
    Ploy("paid to another name", "receipt_payee_differs", FULL,
         lambda p: p.receipt(line_changes={"1": {"XPayeeAcctName": "他人"}})),
    Ploy("total that is not the sum", "total_differs", FULL, lambda p: p.receipt(XPayAmt="12345.66")),
    Ploy("failed line without a reason", "receipt_incomplete", FULL,
         lambda p: p.receipt(XPayAmt="0.00", line_changes={"1": {"XPayAmt": "0.00"}}, failed={"1": ""})),
    Ploy("paid without a bank serial", "receipt_incomplete", FULL,
         lambda p: p.receipt(line_changes={"1": {"XAgentBusinessNo": ""}})),
    Ploy("line left out", "detail_count", FULL, lambda p: p.changed(details=[])),
    Ploy("line added", "receipt_altered", FULL,
         lambda p: p.changed(details=[{**p.lines[0], "PayAmt": "12344.67", "XPayAmt": "12344.67"},
                                      {**p.lines[0], "Id": "2", "PayAmt": "1.00", "XPayAmt": "1.00"}])),
    Ploy("line added for nothing, with an amount", "amount_sign", FULL,
         lambda p: p.changed(details=[*p.lines, {**p.lines[0], "Id": "2", "PayAmt": "-1.00", "XPayAmt": "-1.00"}])),
    Ploy("line under another id", "receipt_altered", FULL, lambda p: p.changed(details=[{**p.lines[0], "Id": "9"}])),
    Ploy("line twice", "detail_id_repeated", FULL, lambda p: p.changed(details=[*p.lines, *p.lines])),
    Ploy("certificate revoked before it came", "certificate_revoked", KEY, lambda p: p.scene.receipt, revoked),
    Ploy("certificate expired before it came", "certificate_expired", KEY, lambda p: p.scene.receipt,
         at=lambda p: p.bank.certificate.valid_to + timedelta(seconds=1)),
    Ploy("certificate not valid yet", "certificate_not_yet_valid", KEY, lambda p: p.scene.receipt,
         at=lambda p: p.bank.certificate.valid_from - timedelta(seconds=1)),
    *(Ploy(f"truncated after {tenths} tenths", code, WHOLE, truncated(tenths))
      for tenths, code in enumerate(("xml_declaration", *["xml_malformed"] * 9))),
    Ploy("doubled envelope", "xml_processing_instruction", WHOLE, doubled),
    Ploy("one body more than counted", "voucher_count_differs", WHOLE,
         lambda p: once(encode_envelope([p.scene.receipt, p.scene.second]), b"Count>2<", b"Count>1<")),
    Ploy("one body fewer than counted", "voucher_count_differs", WHOLE,
         lambda p: once(p.scene.envelope, b"Count>1<", b"Count>2<")),
    Ploy("no body at all", "voucher_count_differs", WHOLE, lambda p: encode_envelope([])),
    Ploy("a hundred and one bodies", "xml_too_large", WHOLE, lambda p: encode_envelope([p.scene.receipt] * 101)),
]  # fmt: skip


def acted_on() -> list[tuple[Any, ...]]:
    rows = InboxMessage.objects.exclude(state="refused").order_by("pk")
    return list(rows.values_list("pk", "state", "attempts", "applied_at", "digest"))


@pytest.mark.parametrize("ploy", PLOYS, ids=lambda ploy: ploy.id)
def test_the_inbox_does_not_act_on_it(ploy, scene):
    play = Play(scene)
    ploy.past(play)
    struck = ploy.strike(play)
    raw = struck if isinstance(struck, bytes) else encode_envelope([struck])
    before, acted = everything_else(), acted_on()
    kept = InboxRejection.objects.count() + InboxMessage.objects.filter(state="refused").count()

    try:
        answers = inbox.receive(raw=raw, sender=ExchangePartner.objects.get(pk=ploy.by), now=ploy.at(play))
    except VoucherError as refusal:
        codes, outcomes = [refusal.code], ["refused"]
        assert bytes(InboxRejection.objects.get().raw) == raw
    else:
        codes = [answer.error.code if answer.error else answer.outcome for answer in answers]
        outcomes = [answer.outcome for answer in answers]
        assert isinstance(struck, EnvelopeBody)
        if outcomes == ["refused"]:
            trace = [bytes(row.text) for row in InboxMessage.objects.filter(state="refused", code=codes[0])]
            trace += [bytes(row.raw) for row in InboxRejection.objects.filter(code=codes[0])]
            assert trace == [struck.text]

    assert codes == [ploy.code]
    assert outcomes == ["duplicate" if ploy.code == "duplicate" else "refused"]
    after = everything_else()
    if "M35" in set(Alert.objects.values_list("rule_code", flat=True)):  # that a receipt differs is told to an officer
        after |= {table: before[table] for table in ("monitoring_alert", "monitoring_case")}
    assert after == before and acted_on() == acted
    now_kept = InboxRejection.objects.count() + InboxMessage.objects.filter(state="refused").count()
    assert now_kept == kept + (ploy.code != "duplicate")


def test_two_receipts_under_one_number_in_one_envelope_are_one_fact(scene):
    play = Play(scene)
    answers = play.bank.send(play.receipt(), play.receipt())

    assert [answer.outcome for answer in answers] == ["applied", "refused"]
    assert answers[1].error is not None and answers[1].error.code == "conflicting_duplicate"
    assert PaymentReceipt.objects.count() == 1


def test_after_every_refusal_the_honest_receipt_is_still_taken(scene):
    play = Play(scene)
    for strike in (reflected, countersigned, lambda p: p.receipt(XPayAmt="1.00"), lambda p: p.changed(details=[])):
        assert play.bank.send(strike(play))[0].outcome == "refused"

    assert play.bank.send(scene.receipt)[0].outcome == "applied"


# Over HTTP: the signed request as a thing to be caught, kept, turned and played again --------------------------------


@dataclass
class Wire:
    """A captured, truly signed request of bank A that carries the honest receipt; not yet delivered."""

    scene: Scene
    bank_a: ApiPartner
    bank_b: ApiPartner
    pki: Path

    def __post_init__(self) -> None:
        self.body = self.scene.envelope
        self.nonce = secrets.token_hex(12)
        self.headers = self.capture()

    def capture(self, **more: Any) -> dict[str, str]:
        signing = {"content_type": XML, "key": "receipt-0001"} | more
        return self.bank_a.signed_headers("POST", VOUCHERS, "", self.body, self.nonce, **signing)

    def without_key(self) -> None:
        self.headers = self.capture(key=None)

    def kept_for_long(self) -> None:
        self.headers = self.capture(age=280)

    def play(self, *, method: str = "POST", path: str = VOUCHERS, query: str = "", body: bytes | None = None,
             **headers: str | None) -> Reply:  # fmt: skip
        """Deliver what was captured, with these headers (names with underscores) set, or dropped where None."""
        sent = dict(self.headers)
        for name, value in headers.items():
            sent.pop(name.replace("_", "-"), None)
            if value is not None:
                sent[name.replace("_", "-")] = value
        return self.bank_a.send_signed(method, path, query, self.body if body is None else body, sent, self.nonce)

    def with_input(self, old: str, new: str) -> Reply:
        assert old in self.headers["Signature-Input"]
        return self.play(Signature_Input=self.headers["Signature-Input"].replace(old, new, 1))


def other_body(wire: Wire) -> bytes:
    return encode_envelope([wire.scene.second])


def digest_of(wire: Wire, body: bytes) -> str:
    return wire.bank_a.signed_headers("POST", VOUCHERS, "", body, "n" * 12, content_type=XML)["Content-Digest"]


def played_before(wire: Wire) -> None:
    """The request has been delivered once, and has done its work."""
    assert wire.play().status == 200


def again_with_the_nonce(wire: Wire) -> Reply:
    return wire.bank_a.post_raw(other_body(wire), nonce=wire.nonce)


def stale(age: int) -> Callable[[Wire], Reply]:
    return lambda wire: wire.bank_a.post_raw(wire.body, age=age)


def later(wire: Wire) -> Reply:
    """The captured time of making, moved on so that the request lives longer."""
    made = re.sub(r"created=([0-9]+)", lambda found: f"created={int(found[1]) + 200}", wire.headers["Signature-Input"])
    return wire.play(Signature_Input=made)


def in_the_name_of_a(wire: Wire) -> Reply:
    """Bank B signs with its own key under bank A's key id."""
    forger = ApiPartner(wire.pki, world.BANK_B)
    forger.organisation, forger.certificate = world.BANK_A, wire.bank_a.certificate
    return forger.post_raw(wire.body)


def as_unit(wire: Wire) -> Reply:
    return ApiPartner(wire.pki, "UNIT-101001").post_raw(wire.body)


def as_finance(wire: Wire) -> Reply:
    return ApiPartner(wire.pki, world.FINANCE).post_raw(wire.body)


def disabled(wire: Wire) -> None:
    ExchangePartner.objects.filter(pk=world.BANK_A).update(enabled=False)


def about(wire: Wire, verb: str, **more: str) -> Reply:
    """Bank B answers for a voucher that went to bank A; the answer is inside the reply."""
    voucher = Voucher.objects.get(voucher_no=wire.scene.receipt.voucher_no)
    reply = wire.bank_b.post_json(f"{VOUCHERS}{verb}/", {"items": [identity(voucher, **more)]})
    assert reply.status == 200
    return Reply(reply.status, reply.json["results"][0], reply.headers, reply.signed)


def status_of_anothers(wire: Wire) -> Reply:
    voucher = Voucher.objects.get(voucher_no=wire.scene.receipt.voucher_no)
    query = "&".join(f"{name}={value}" for name, value in identity(voucher).items())
    return wire.bank_b.call("GET", f"{VOUCHERS}status/", query)


@dataclass(frozen=True)
class WirePloy:
    name: str
    code: str
    why: str
    strike: Callable[[Wire], Reply]
    past: Callable[[Wire], Any] = lambda wire: None
    family: str = "G"

    @property
    def id(self) -> str:
        return self.name.replace(" ", "-")


PLAYED = "a captured request is worth nothing"
COVERED = "what the signature does not cover is not believed"
CLOCK = "a signature lives five minutes, by our clock"
ADMITTED = "a key alone does not admit"

ON_THE_WIRE = [
    WirePloy("request played again", "signature_replayed", PLAYED, Wire.play, played_before),
    WirePloy("nonce used for another request", "signature_replayed", PLAYED, again_with_the_nonce, played_before),
    WirePloy("nonce used at another address", "signature_replayed", PLAYED,
             lambda w: w.bank_a.call("GET", VOUCHERS, nonce=w.nonce), played_before),
    WirePloy("request played at another address", "signature_invalid", PLAYED, lambda w: w.play(path=CONFIRM)),
    WirePloy("request played with a query", "signature_invalid", PLAYED, lambda w: w.play(query="a=1")),
    WirePloy("another body", "content_digest_mismatch", COVERED, lambda w: w.play(body=other_body(w))),
    WirePloy("another body and its digest", "signature_invalid", COVERED,
             lambda w: w.play(body=other_body(w), Content_Digest=digest_of(w, other_body(w)))),
    WirePloy("digest of another algorithm", "content_digest_mismatch", COVERED,
             lambda w: w.play(Content_Digest=w.headers["Content-Digest"].replace("sm3", "sha-256"))),
    WirePloy("no digest", "content_digest_missing", COVERED, lambda w: w.play(Content_Digest=None)),
    WirePloy("another content type", "signature_invalid", COVERED,
             lambda w: w.play(Content_Type="application/xml; charset=utf-8")),
    WirePloy("another idempotency key", "signature_invalid", COVERED, lambda w: w.play(Idempotency_Key="receipt-0002")),
    WirePloy("idempotency key taken away", "signature_components", COVERED, lambda w: w.play(Idempotency_Key=None)),
    WirePloy("idempotency key put on unsigned", "signature_components", COVERED,
             lambda w: w.play(Idempotency_Key="receipt-0001"), Wire.without_key),
    WirePloy("body taken out of the signature", "signature_components", COVERED,
             lambda w: w.with_input(' "content-digest"', "")),
    WirePloy("path taken out of the signature", "signature_components", COVERED,
             lambda w: w.with_input(' "@path"', "")),
    WirePloy("nonce taken out", "signature_malformed", PLAYED, lambda w: w.with_input(f';nonce="{w.nonce}"', "")),
    WirePloy("nonce given twice", "signature_malformed", PLAYED,
             lambda w: w.with_input(";nonce=", ';nonce="other-nonce";nonce=')),
    WirePloy("nonce changed", "signature_invalid", PLAYED, lambda w: w.with_input(w.nonce, "n" * 24)),
    WirePloy("its time moved on", "signature_invalid", CLOCK, later, Wire.kept_for_long),
    WirePloy("301 seconds old", "signature_not_current", CLOCK, stale(301)),
    WirePloy("a day old", "signature_not_current", CLOCK, stale(86_400)),
    WirePloy("302 seconds early", "signature_not_current", CLOCK, stale(-302)),
    WirePloy("another algorithm", "signature_alg_not_allowed", COVERED,
             lambda w: w.with_input("sm2-sm3", "ecdsa-p256-sha256")),
    WirePloy("algorithm none", "signature_alg_not_allowed", COVERED, lambda w: w.with_input("sm2-sm3", "none")),
    WirePloy("another tag", "signature_tag_unknown", COVERED, lambda w: w.with_input("guoku-v1", "guoku-v0")),
    WirePloy("a second signature", "signature_malformed", COVERED,
             lambda w: w.play(Signature_Input=w.headers["Signature-Input"] + ", b=()")),
    WirePloy("no signature", "signature_missing", COVERED, lambda w: w.play(Signature=None, Signature_Input=None)),
    WirePloy("key id of bank B", "certificate_unknown", ADMITTED, lambda w: w.with_input(world.BANK_A, world.BANK_B)),
    WirePloy("bank B's key under bank A's name", "signature_invalid", ADMITTED, in_the_name_of_a),
    WirePloy("a unit's key", "partner_not_admitted", ADMITTED, as_unit),
    WirePloy("our own key", "partner_not_admitted", ADMITTED, as_finance),
    WirePloy("a disabled partner", "partner_not_admitted", ADMITTED, Wire.play, disabled),
    WirePloy("a revoked key", "certificate_revoked", ADMITTED, Wire.play, lambda w: revoked(None)),
    WirePloy("idempotency key for another receipt", "idempotency_mismatch", "one key is one effect",
             lambda w: w.bank_a.post_raw(other_body(w), key="receipt-0001"), played_before),
    WirePloy("another bank's receipt in an own request", "certificate_of_other_party", TENANT,
             lambda w: w.bank_b.post_raw(w.body)),
    WirePloy("signing for another bank's voucher", "not_found", TENANT, lambda w: about(w, "confirm")),
    WirePloy("refusing another bank's voucher", "not_found", TENANT, lambda w: about(w, "fail", reason="不收")),
    WirePloy("returning another bank's voucher", "not_found", TENANT, lambda w: about(w, "return", reason="退回")),
    WirePloy("asking for another bank's voucher", "not_found", TENANT, status_of_anothers),
]  # fmt: skip


@pytest.fixture
def wire(scene: Scene, bank_a: ApiPartner, bank_b: ApiPartner, pki: Path) -> Wire:
    return Wire(scene, bank_a, bank_b, pki)


def test_the_captured_request_itself_is_honest(wire):
    reply = wire.play()

    assert (reply.status, reply.signed, reply.json["results"][0]["outcome"]) == (200, True, "applied")
    assert RequestNonce.objects.count() == 1


@pytest.mark.parametrize("ploy", ON_THE_WIRE, ids=lambda ploy: ploy.id)
def test_the_api_does_not_act_on_it(ploy, wire):
    ploy.past(wire)
    before, acted = everything_else(), acted_on()

    reply = ploy.strike(wire)

    assert reply.code == ploy.code
    after = everything_else()
    if "M35" in set(Alert.objects.values_list("rule_code", flat=True)):  # that a receipt differs is told to an officer
        after |= {table: before[table] for table in ("monitoring_alert", "monitoring_case")}
    assert after == before and acted_on() == acted


def test_a_replay_says_nothing_about_the_first_answer(wire):
    first, again = wire.play(), wire.play()

    assert (first.status, again.status) == (200, 401)
    assert "results" not in json.dumps(again.json) and again.headers.get("Idempotent-Replayed") is None


ATTACKS = [*PLOYS, *ON_THE_WIRE]
