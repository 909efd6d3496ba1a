"""The table of reasons, and what becomes of several findings at once."""

import pytest

from seals import errors
from seals.verdicts import REASONS, Deviation, Indication, SubIndication, conclude, verdict_of

# Typed by hand: the codes of seals.verifying.Verdict, and what the page must say for each.
OF_VERIFYING = {
    "signature_missing": (Indication.TOTAL_FAILED, SubIndication.FORMAT_FAILURE),
    "certificate_unknown": (Indication.INDETERMINATE, SubIndication.NO_SIGNING_CERTIFICATE_FOUND),
    "certificate_of_other_party": (Indication.INDETERMINATE, SubIndication.SIG_CONSTRAINTS_FAILURE),
    "certificate_revoked": (Indication.TOTAL_FAILED, SubIndication.REVOKED),
    "certificate_expired": (Indication.TOTAL_FAILED, SubIndication.EXPIRED),
    "certificate_not_yet_valid": (Indication.TOTAL_FAILED, SubIndication.NOT_YET_VALID),
    "suite_not_allowed": (Indication.INDETERMINATE, SubIndication.CRYPTO_CONSTRAINTS_FAILURE),
    "signature_malformed": (Indication.TOTAL_FAILED, SubIndication.FORMAT_FAILURE),
    "signature_invalid": (Indication.TOTAL_FAILED, SubIndication.SIG_CRYPTO_FAILURE),
}
# ETSI EN 319 102-1 §5.1.3, with SIGNED_DATA_NOT_FOUND added: a digest of all zeroes names no data that might turn up.
OF_OUR_OWN_REGISTER = {"seal_not_filed", "seal_of_other_party"}  # it is complete, so its word is final
FINAL = {"FORMAT_FAILURE", "HASH_FAILURE", "SIG_CRYPTO_FAILURE", "REVOKED", "EXPIRED", "NOT_YET_VALID"}


@pytest.mark.parametrize("code", OF_VERIFYING)
def test_reason_of_a_voucher_signature_has_its_word(code):
    verdict = verdict_of(code, "一句说明。")

    assert (verdict.indication, verdict.sub_indication) == OF_VERIFYING[code]
    assert verdict.reason.endswith("：一句说明。") and verdict.code == code and not verdict.ok


def test_no_reason_is_a_pass():
    verdict = verdict_of(None)
    assert verdict.ok and verdict.sub_indication is None and verdict.scope == "FULL" and verdict.deviations == ()


def test_unknown_reason_is_never_a_pass():
    verdict = verdict_of("something_new")
    assert verdict.indication is Indication.INDETERMINATE
    assert verdict.sub_indication is SubIndication.POLICY_PROCESSING_ERROR
    assert verdict.reason == "验证未能完成：something_new" and verdict.code == "something_new"


def test_a_sentence_is_not_said_twice():
    assert verdict_of("signature_invalid", "签名与内容不符。").reason == "签名与内容不符。"


def test_every_reason_has_a_sentence_and_advice_in_chinese():
    for code, reason in REASONS.items():
        assert reason.text.endswith("。") and reason.advice.endswith("。"), code
        assert any("一" <= character <= "鿿" for character in reason.text + reason.advice), code
        assert (reason.sub_indication is None) == (reason.indication is Indication.TOTAL_PASSED), code


def test_only_what_nothing_can_cure_is_a_failure():
    for code, reason in REASONS.items():
        final = reason.indication is Indication.TOTAL_FAILED
        word = reason.sub_indication
        assert final == (word in FINAL or code in OF_OUR_OWN_REGISTER or word is SubIndication.SIGNED_DATA_NOT_FOUND)


def test_every_refusal_of_a_certificate_is_in_the_table():
    inside_the_register = {"certificate_already_registered", "certificate_already_revoked"}

    def below(kind):
        return {kind, *(each for child in kind.__subclasses__() for each in below(child))}

    codes = {kind.code for kind in below(errors.CertificateRefused)} - inside_the_register
    assert codes <= REASONS.keys()


def test_words_are_those_of_eu_dss():
    assert len(SubIndication) == 25
    assert all(word.value == word.name for word in SubIndication)


def test_conclusion_is_the_first_failure_else_the_first_open_finding_else_a_pass():
    odd, other = Deviation("odd", "甲。"), Deviation("other", "乙。")
    open_one, failed = verdict_of("certificate_unknown"), verdict_of("content_mismatch", facts={"digest": "00"})

    assert conclude([], deviations=[], facts={}).ok
    assert conclude([open_one], deviations=[], facts={}).code == "certificate_unknown"
    merged = conclude([open_one, failed], deviations=[odd, other, odd], facts={"name": "甲", "digest": "11"})
    assert merged.code == "content_mismatch"
    assert merged.deviations == (odd, other)
    assert dict(merged.facts) == {"name": "甲", "digest": "00"}


def test_partial_scope_is_not_lost():
    partial = verdict_of(None, scope="PARTIAL")
    assert conclude([partial], deviations=[], facts={}).scope == "PARTIAL"
    assert conclude([partial, verdict_of("signature_invalid")], deviations=[], facts={}).scope == "PARTIAL"


def test_verdict_cannot_be_changed_afterwards():
    verdict = verdict_of("signature_invalid", facts={"name": "甲"})
    with pytest.raises(AttributeError):
        verdict.indication = Indication.TOTAL_PASSED
    with pytest.raises(TypeError):
        verdict.facts["name"] = "乙"
