"""Family B: one thing is signed and another is read. What XML signatures call wrapping, moving, scope and transforms.

Here a signature covers exactly the base64 text of one `<Voucher>`, and nothing in a message can say otherwise: so every
forgery either breaks the closed layout or leaves a text without a signature of the party that must have signed it.
"""

import base64
from collections.abc import Callable
from dataclasses import replace

import pytest

from core.digests import sm3_hex
from demo import world
from seals import der
from tests.attacks.forging import Attack, Scene, everything_else, once, put, read_purely, refusal_with_trace, send
from tests.vouchers.api_partner import ApiPartner
from vouchers.codec import decode_content, encode_content
from vouchers.envelope import encode_envelope
from vouchers.messages import EnvelopeBody, SignatureMark
from vouchers.models import InboxMessage, InboxRejection

DSIG = b'xmlns:ds="http://www.w3.org/2000/09/xmldsig#"'


def forged_text(scene: Scene) -> bytes:
    """What the attacker would like to have signed: the receipt with another bank serial in it."""
    content, _ = decode_content(scene.receipt.text)
    return base64.b64encode(encode_content(replace(content, main={**content.main, "XAgentBusinessNo": "FORGED"})))


# How a forgery is put together ---------------------------------------------------------------------------------------

Build = Callable[[Scene], bytes]


def into_body(extra: bytes | Build, *, forged: bool = True) -> Build:
    """The forged text where it is read, and something more in the body (the original, a pointer to it …)."""

    def build(scene: Scene) -> bytes:
        raw = put(scene.envelope, "Voucher", forged_text(scene)) if forged else scene.envelope
        more = extra if isinstance(extra, bytes) else extra(scene)
        return once(raw, b"</VoucherBody>", more + b"</VoucherBody>")

    return build


def into_signature(extra: bytes) -> Build:
    """The honest signature with something beside its value."""
    return lambda scene: once(scene.envelope, b"</Signature>", extra + b"</Signature>")


def instead_of_signature(text: bytes) -> Build:
    """A Signature element that holds this and no value."""
    return lambda scene: put(scene.envelope, "Signature", b"").replace(b"></Signature>", b">" + text + b"</Signature>")


def on_signature(attributes: bytes) -> Build:
    return lambda scene: once(scene.envelope, b"<Signature ", b"<Signature " + attributes + b" ")


def on_voucher(attributes: bytes) -> Build:
    return lambda scene: once(scene.envelope, b"<Voucher>", b"<Voucher " + attributes + b">")


def signature_over(what: Callable[[Scene], bytes]) -> Build:
    """The honest text under a true signature of the bank over something else."""
    return lambda scene: scene.with_marks(scene.bank.sign(what(scene)))


def text_as(change: Callable[[bytes], bytes], *, sign_again: bool = False) -> Build:
    """The honest content in another spelling of its base64, under the old signature or a new one."""

    def build(scene: Scene) -> bytes:
        text = change(scene.receipt.text)
        raw = put(scene.envelope, "Voucher", text)
        return put(raw, "Signature", scene.bank.sign(text).value.encode()) if sign_again else raw

    return build


def marks(*make: Callable[[Scene], SignatureMark]) -> Build:
    return lambda scene: scene.with_marks(*(one(scene) for one in make))


def bodies(*make: Callable[[Scene], EnvelopeBody]) -> Build:
    return lambda scene: encode_envelope([one(scene) for one in make])


def claiming(**attributes: object) -> Build:
    return lambda scene: encode_envelope([replace(scene.receipt, **attributes)])


def good(scene: Scene) -> SignatureMark:
    return scene.receipt.signatures[0]


def bad(scene: Scene) -> SignatureMark:
    return scene.bank.sign(forged_text(scene), "yh_ywzqz")


def respelt(scene: Scene) -> SignatureMark:
    return replace(bad(scene), serial=f"00{good(scene).serial.upper()}")


def original(scene: Scene) -> bytes:
    return b"<Voucher>" + scene.receipt.text + b"</Voucher>"


def whole_body(scene: Scene) -> bytes:
    raw = scene.envelope
    return raw[raw.index(b"<VoucherBody") : raw.index(b"</VoucherBody>") + len(b"</VoucherBody>")]


def swapped(scene: Scene) -> bytes:
    """Two honest receipts that carry each other's signatures."""
    first, second = scene.receipt, scene.second
    return encode_envelope([replace(first, signatures=second.signatures), replace(second, signatures=first.signatures)])


def beside_the_list(scene: Scene) -> bytes:
    raw = scene.envelope
    start, end = raw.index(b"<Signature "), raw.index(b"</Signature>") + len(b"</Signature>")
    mark = raw[start:end]
    return once(raw.replace(mark, b"", 1), b"</VoucherBody>", mark + b"</VoucherBody>")


def around_everything(scene: Scene) -> bytes:
    """An envelope of another root that carries ours as its child."""
    declaration, _, rest = scene.envelope.partition(b"?>")
    return declaration + b"?><Root><VoucherCount>1</VoucherCount>" + rest + b"</Root>"


def raw_r_and_s(scene: Scene) -> SignatureMark:
    value = der.signature_to_raw(base64.b64decode(good(scene).value))
    return replace(good(scene), value=base64.b64encode(value).decode())


def many(scene: Scene) -> tuple[SignatureMark, ...]:
    return tuple(replace(bad(scene), position=f"p{n}") for n in range(999))


def details_of(scene: Scene) -> bytes:
    return scene.inner[scene.inner.index(b"<Detail>") : scene.inner.index(b"</DetailList>")]


# The list ------------------------------------------------------------------------------------------------------------

HIDDEN = "the signed original is moved aside and a forged one stands where it is read"
POINTS = "the signature says itself what it covers, so the attacker chooses"
RUNS = "a transform is a program of the attacker's, and covers what it leaves over"
PART = "only a part is covered; the rest can be changed"
WHICH = "two answer to one name, and verifier and reader take different ones"
CLAIMS = "attributes outside the signature would send a signed payment again"
SPELLING = "two texts for one content: a second document for the price of one signature"
BESIDE = "an unproven signature is kept and shown beside a good one"
MOVED = "a signature counts for a text it was not made for"


def attack(name: str, code: str, why: str, build: Build, codec: str | None = None) -> Attack:
    return Attack("B", name, code, why, build, codec)


def closed(name: str, code: str, why: str, build: Build) -> Attack:
    """Refused by the layout already."""
    return attack(name, code, why, build, code)


ATTACKS = [
    closed("original kept in a second Voucher", "xml_duplicate_element", HIDDEN, into_body(original)),
    closed("original kept before the forged one", "xml_duplicate_element", HIDDEN,
           lambda s: once(put(s.envelope, "Voucher", forged_text(s)), b"<Voucher>", original(s) + b"<Voucher>")),
    closed("original kept in an unknown element", "xml_unknown_element", HIDDEN,
           into_body(lambda s: b"<Original>" + original(s) + b"</Original>")),
    closed("original kept in Attach", "xml_unknown_element", HIDDEN,
           lambda s: put(put(s.envelope, "Voucher", forged_text(s)), "Attach", original(s))),
    closed("original kept in Return_Reason", "xml_unknown_element", HIDDEN,
           lambda s: put(put(s.envelope, "Voucher", forged_text(s)), "Return_Reason", original(s))),
    closed("original body inside the forged body", "xml_unknown_element", HIDDEN, into_body(whole_body)),
    closed("original body inside the stamps", "xml_unknown_element", HIDDEN,
           lambda s: put(put(s.envelope, "Voucher", forged_text(s)), "SignStampList", whole_body(s))),
    closed("original body beside the forged one, counted once", "voucher_count_differs", HIDDEN,
           lambda s: once(put(s.envelope, "Voucher", forged_text(s)), b"</MOF>", whole_body(s) + b"</MOF>")),
    closed("original envelope inside another root", "xml_unknown_element", HIDDEN, around_everything),
    closed("envelope as the signed document", "xml_unknown_element", HIDDEN, lambda s: s.enclose(s.envelope)),
    closed("forged content in ds:Object", "xml_namespace", HIDDEN,
           into_body(b"<ds:Object " + DSIG + b' Id="x"><Voucher>QQ==</Voucher></ds:Object>')),
    closed("forged content in Object", "xml_unknown_element", HIDDEN,
           into_body(b"<Object><Voucher>QQ==</Voucher></Object>")),
    closed("ds:Signature of its own", "xml_namespace", POINTS,
           into_body(b"<ds:Signature " + DSIG + b"><ds:SignedInfo/></ds:Signature>")),
    closed("Manifest", "xml_mixed_content", POINTS, into_signature(b'<Manifest><Reference URI="#x"/></Manifest>')),
    closed("SignedProperties", "xml_mixed_content", POINTS, into_signature(b"<SignedProperties/>")),
    closed("SignedInfo instead of a value", "xml_unknown_element", POINTS,
           instead_of_signature(b'<SignedInfo><Reference URI=""/></SignedInfo>')),
    closed("Reference to a file", "xml_attribute", POINTS, on_signature(b'URI="file:///etc/passwd"')),
    closed("Reference to an address", "xml_attribute", POINTS, on_signature(b'URI="http://127.0.0.1:9/x"')),
    closed("Reference to the whole document", "xml_attribute", POINTS, on_signature(b'URI=""')),
    closed("Reference to an id", "xml_attribute", POINTS, on_signature(b'Reference="#SZ0001"')),
    closed("XPath transform", "xml_mixed_content", RUNS, into_signature(b"<Transform><XPath>/*</XPath></Transform>")),
    closed("XSLT transform", "xml_namespace", RUNS,
           into_signature(b'<xsl:stylesheet xmlns:xsl="http://www.w3.org/1999/XSL/Transform" version="1.0"/>')),
    closed("base64 transform", "xml_attribute", RUNS, on_voucher(b'Transform="base64"')),
    closed("encoding of the text by attribute", "xml_attribute", RUNS, on_voucher(b'Encoding="hex"')),
    closed("InclusiveNamespaces PrefixList", "xml_namespace", RUNS,
           into_signature(b'<c:InclusiveNamespaces xmlns:c="urn:exc-c14n" PrefixList="x"/>')),
    closed("comment inside the signed document", "xml_comment", "C14N without comments does not see it",
           lambda s: s.enclose(put(s.inner, "PayAmt", b"12345<!-- -->.67"))),
    closed("comment inside the base64 text", "xml_comment", SPELLING,
           lambda s: once(s.envelope, b"<Voucher>", b"<Voucher><!-- -->")),
    closed("namespace redefined inside", "xml_namespace", "the same name means another thing below",
           lambda s: s.enclose(s.inner.replace(b"<DetailList>", b'<DetailList xmlns="urn:other">', 1))),
    closed("id on the voucher", "xml_attribute", WHICH, on_voucher(b'Id="SZ0001"')),
    closed("id on the signed document", "xml_attribute", WHICH,
           lambda s: s.enclose(s.inner.replace(b"<Voucher>", b'<Voucher Id="SZ0001">', 1))),
    closed("identity attribute twice", "xml_malformed", WHICH,
           lambda s: once(s.envelope, b' VoucherNo="', b' VoucherNo="SZ0009" VoucherNo="')),
    closed("number twice in the signed document", "xml_duplicate_element", WHICH,
           lambda s: s.enclose(once(s.inner, b"<VoucherNo>", b"<VoucherNo>SZ0009</VoucherNo><VoucherNo>"))),
    closed("detail list twice", "xml_duplicate_element", WHICH,
           lambda s: s.enclose(once(s.inner, b"<DetailList>", b"<DetailList></DetailList><DetailList>"))),
    closed("detail outside its list", "xml_unknown_element", WHICH,
           lambda s: s.enclose(once(s.inner, b"<DetailList>", b"<Detail><Id>9</Id></Detail><DetailList>"))),
    closed("one detail id twice", "detail_id_repeated", WHICH,
           lambda s: s.enclose(once(s.inner, b"</DetailList>", details_of(s) + b"</DetailList>"))),
    closed("signature list twice", "xml_duplicate_element", WHICH,
           into_body(b"<SignatureList></SignatureList>", forged=False)),
    closed("flag twice", "xml_duplicate_element", WHICH, into_body(b"<VoucherFlag>0</VoucherFlag>", forged=False)),
    closed("two counts", "xml_duplicate_element", WHICH,
           lambda s: once(s.envelope, b"</MOF>", b"<VoucherCount>1</VoucherCount></MOF>")),
    closed("signature outside its list", "xml_unknown_element", MOVED, beside_the_list),
    closed("signature in the list of stamps", "xml_unknown_element", MOVED,
           lambda s: put(s.envelope, "SignStampList", b'<Signature No="yh_qm" SN="00">QQ==</Signature>')),
    closed("signature inside a signature", "xml_mixed_content", MOVED,
           into_signature(b'<Signature No="yh_qm" SN="00">QQ==</Signature>')),
    attack("signature as a stamp only", "signature_missing", MOVED,
           lambda s: encode_envelope([replace(s.receipt, signatures=(), stamps=s.receipt.signatures)])),
    attack("signature of the other body", "signature_invalid", MOVED, swapped),
    attack("signature of the original on the forged text", "signature_invalid", MOVED, into_body(b"")),
    attack("signature of the unit on the receipt", "certificate_of_other_party", MOVED,
           lambda s: s.with_marks(*s.ours.signatures)),
    attack("signature over the inner document", "signature_invalid", PART, signature_over(lambda s: s.inner)),
    attack("signature over the document without declaration", "signature_invalid", PART,
           signature_over(lambda s: s.inner.partition(b"?>\n")[2])),
    attack("signature over the details only", "signature_invalid", PART,
           signature_over(lambda s: s.inner[s.inner.index(b"<DetailList>"):])),
    attack("signature over the first half of the text", "signature_invalid", PART,
           signature_over(lambda s: s.receipt.text[: len(s.receipt.text) // 2])),
    attack("signature over the digest of the text", "signature_invalid", PART,
           signature_over(lambda s: sm3_hex(s.receipt.text).encode())),
    attack("signature over the envelope", "signature_invalid", PART, signature_over(lambda s: s.envelope)),
    attack("signature over nothing", "signature_invalid", PART, signature_over(lambda s: b"")),
    attack("no signature list", "signature_missing", PART,
           lambda s: s.envelope[: s.envelope.index(b"<SignatureList>")] + b"</VoucherBody>\n</MOF>\n"),
    attack("empty signature list", "signature_missing", PART, marks()),
    attack("signature without a value", "signature_missing", PART, marks(lambda s: replace(good(s), value=""))),
    attack("two signatures, the first holds", "signature_invalid", BESIDE, marks(good, bad)),
    attack("two signatures, the second holds", "signature_invalid", BESIDE, marks(bad, good)),
    attack("second signature under a respelt serial", "signature_invalid", BESIDE, marks(good, respelt)),
    closed("two signatures at one position", "xml_duplicate_element", WHICH,
           marks(good, lambda s: replace(bad(s), position=good(s).position))),
    closed("a thousand signatures", "xml_too_many_elements", "each costs a verification",
           lambda s: s.with_marks(good(s), *many(s))),
    closed("a thousand stamps", "xml_too_many_elements", "each costs a verification",
           lambda s: encode_envelope([replace(s.receipt, stamps=many(s))])),
    closed("serial with line breaks inside", "xml_attribute", "hexadecimal readers skip blanks: one key, two names",
           lambda s: once(s.envelope, b'SN="', b'SN="00&#10;&#10;')),
    closed("full-width serial", "xml_attribute", "digits to a careless reader",
           lambda s: once(s.envelope, b'SN="', 'SN="００'.encode("gbk"))),
    attack("signature as raw r and s", "signature_invalid", SPELLING, marks(raw_r_and_s)),
    attack("signature in url-safe base64", "signature_malformed", SPELLING,
           lambda s: put(s.envelope, "Signature", good(s).value.replace("A", "-", 1).encode())),
    attack("signature with a line break", "signature_malformed", SPELLING,
           lambda s: put(s.envelope, "Signature", good(s).value.encode() + b"\n")),
    closed("text with line breaks", "base64_invalid", SPELLING,
           text_as(lambda t: b"\n".join(t[n : n + 76] for n in range(0, len(t), 76)), sign_again=True)),
    closed("text with a blank", "base64_invalid", SPELLING, text_as(lambda t: t[:8] + b" " + t[8:], sign_again=True)),
    closed("text with junk", "base64_invalid", SPELLING, text_as(lambda t: t[:8] + b"!" + t[8:], sign_again=True)),
    closed("text without its padding", "base64_invalid", SPELLING,
           text_as(lambda t: (t if t.endswith(b"=") else t[:-2] + b"==").rstrip(b"="), sign_again=True)),
    closed("text with other pad bits", "base64_invalid", SPELLING, text_as(lambda t: b"QR==", sign_again=True)),
    closed("two texts joined", "base64_invalid", SPELLING, text_as(lambda t: t + b"QQ==" + t, sign_again=True)),
    attack("final line break added on the way", "signature_invalid", SPELLING, text_as(lambda t: t + b"\n")),
    closed("text encoded twice", "xml_declaration", SPELLING, text_as(base64.b64encode, sign_again=True)),
    closed("another number on the envelope", "envelope_differs", CLAIMS, claiming(voucher_no="SZ0099")),
    closed("another year on the envelope", "envelope_differs", CLAIMS, claiming(fiscal_year=2025)),
    closed("another region on the envelope", "envelope_differs", CLAIMS, claiming(adm_div_code="990100001")),
    closed("another type on the envelope", "envelope_differs", CLAIMS, claiming(voucher_type="5201")),
    closed("number in other case on the envelope", "envelope_differs", CLAIMS,
           lambda s: encode_envelope([replace(s.receipt, voucher_no=s.receipt.voucher_no.lower())])),
    attack("receipt passed off as a document", "wrong_sender", CLAIMS, claiming(flag=0)),
]  # fmt: skip
each = pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.id)


@each
def test_the_codec_refuses_what_bytes_alone_can_tell(attack, paper):
    assert read_purely(attack.build(paper), paper.ours) == attack.codec


@each
def test_the_inbox_refuses_keeps_the_bytes_and_does_nothing(attack, scene):
    assert refusal_with_trace(attack.build(scene)) == attack.code


def test_two_true_signatures_at_two_positions_are_no_attack(scene):
    raw = marks(good, lambda s: s.bank.sign(s.receipt.text, "yh_ywzqz"))(scene)

    assert [answer.outcome for answer in send(raw)] == ["applied"]


def test_what_lies_outside_the_signature_reaches_nobody(scene):
    """Return_Reason, Attach and stamps may say anything: nothing reads them, so nothing can be wrapped in them."""
    lied = replace(scene.receipt, return_reason="余额不足", attach="FAIL", stamps=(SignatureMark("p", "1", "QQ=="),))

    assert [answer.outcome for answer in send(encode_envelope([lied]))] == ["applied"]
    row = InboxMessage.objects.get()
    assert (bytes(row.text), row.reason) == (scene.receipt.text, "")
    assert row.signatures == [[mark.position, mark.serial, mark.value] for mark in scene.receipt.signatures]


OVER_HTTP = [
    "original kept in a second Voucher",
    "forged content in ds:Object",
    "signature of the original on the forged text",
    "two signatures, the first holds",
    "another number on the envelope",
    "a thousand signatures",
]


@pytest.mark.parametrize("attack", [a for a in ATTACKS if a.name in OVER_HTTP], ids=lambda attack: attack.id)
def test_the_api_answers_with_the_same_code(attack, scene, bank_a: ApiPartner):
    before = everything_else()

    reply = bank_a.post_raw(attack.build(scene))

    assert reply.status >= 400 and (reply.code, reply.signed) == (attack.code, True)
    assert everything_else() == before
    assert InboxRejection.objects.filter(sender=world.BANK_A).count() + InboxMessage.objects.count() == 1


def test_the_names_of_attacks_over_http_are_names_of_attacks():
    assert set(OVER_HTTP) <= {attack.name for attack in ATTACKS}
