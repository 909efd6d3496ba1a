"""Facts of this app that the evidence log keeps (docs/evidence.md)."""

from collections.abc import Iterable, Mapping

from evidence.kinds import Kind, register

_CERTIFICATE = ("organisation_code", "suite_id", "serial_hex", "subject", "issuer", "pem")
_OFFICER = ("person_id", "adm_div_code", "suite_id", "spki_sm3", "serial_hex", "certificate_sm3", "pem")
_SEAL = ("es_id", "organisation_code", "kind", "name", "person_id", "certificate_id", "der")


def register_facts() -> None:
    """Name the columns of each kind; they never change once a fact is noted. Bytes stand there by their SM3."""
    signed = ("adm_div_code", "fiscal_year", "statement_id", "certificate_id", "text", "signature", "at")
    step = (
        "adm_div_code", "fiscal_year", "signed_id", "document_id", "revision", "action", "post", "item", "index",
        "path", "signature_sm3", "at",
    )  # fmt: skip
    stamp = ("adm_div_code", "fiscal_year", "voucher_id", "position", "ordinal", "seal_id", "der", "person_id", "at")
    revoked = ("id", "revoked_at", "revoke_reason")
    authority = ("suite_id", "subject", "fingerprint_sm3", "pem")
    register(Kind("officer.signed", "人员签名", "seals_statementsignature", _plain(signed)))
    register(Kind("step.signed", "单据签名", "seals_stepsignature", _plain(step)))
    register(Kind("stamp.affixed", "签章", "seals_stamp", _plain(stamp)))
    register(Kind("seal.filed", "印章备案", "seals_eseal", _plain(_SEAL)))
    register(Kind("seal.revoked", "印章停用", "seals_eseal", _plain(revoked), where="fact.revoked_at IS NOT NULL"))
    register(Kind("authority.trusted", "信任证书机构", "seals_trustedauthority", _plain(authority)))
    register(Kind("certificate.registered", "登记证书", "seals_certificate", _plain(_CERTIFICATE)))
    register(
        Kind(
            "certificate.revoked", "吊销证书", "seals_certificate", _plain(revoked), where="fact.revoked_at IS NOT NULL"
        )
    )
    register(
        Kind(
            "officer.certified",
            "签发人员证书",
            "seals_officercertificate",
            _plain(_OFFICER),
            where="fact.status IN ('active', 'revoked') AND fact.csr <> ''",
        )
    )
    register(
        Kind(
            "officer.revoked",
            "吊销人员证书",
            "seals_officercertificate",
            _plain(revoked),
            where="fact.revoked_at IS NOT NULL",
        )
    )
    register(Kind("list.received", "收到吊销列表", "seals_revocationlist", _plain(("authority_id", "number", "der"))))


def _plain(names: Iterable[str]) -> Mapping[str, str]:
    return {name: f'fact."{name}"' for name in names}
