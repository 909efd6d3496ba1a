"""Stamps (签章, GB/T 38540): this partner's own 转讫章 on what it sends, and the seals it demands on what it receives.

A seal counts only if it was filed here beforehand, byte for byte, as its owner's. A partner that was given no seals
(`seal.esl`, `seals/<organisation>/<number>/seal.esl`) neither affixes nor demands any.
"""

import base64
import binascii
import json
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from seals.certificates import ParsedCertificate, parse_certificate
from seals.eseal.structures import assemble_signature, build_signature_tbs, parse_seal
from seals.eseal.verify import verify_stamp
from seals.suites import get_suite
from simulators.config import FIXTURES
from simulators.errors import Refusal
from simulators.wire import Body, Identity, Signature

DEMANDED: dict[str, list[str]] = json.loads((FIXTURES / "stamps.json").read_text("utf-8"))


class Stamps:
    """The seal of one organisation, and the filed seals of the others."""

    def __init__(self, pki: Path, organisation: str, position: str) -> None:
        """:param position: where this partner's own stamp goes."""
        own = pki / organisation if (pki / organisation).is_dir() else pki
        self._position = position
        self._seal = (own / "seal.esl").read_bytes() if (own / "seal.esl").exists() else b""
        if self._seal:
            self._certificate = parse_certificate((own / "cert.pem").read_bytes())
            self._suite = get_suite(self._certificate.suite_id)
            self._sign = partial(self._suite.sign, self._suite.load_private_key((own / "key.pem").read_bytes()))
            self._number = parse_seal(self._seal).es_id
        self._authorities = _certificates(pki / "authorities")
        self._makers = {maker.der for maker in _certificates(pki / "makers")}
        self._filed = {
            (path.parent.parent.name, parse_seal(path.read_bytes()).es_id): path.read_bytes()
            for path in sorted((pki / "seals").glob("*/*/seal.esl"))
        }

    def affix(self, identity: Identity, text: str) -> tuple[Signature, ...]:
        """Our stamp over a text; nothing if we have no seal."""
        if not self._seal:
            return ()
        one = identity
        tbs = build_signature_tbs(
            seal=self._seal,
            signed_at=datetime.now(UTC),
            data_hash=self._suite.digest(text.encode("ascii")),
            property_info="/".join(
                (one.adm_div_code, one.fiscal_year, one.voucher_type, one.voucher_no, self._position)
            ),
        )
        made = assemble_signature(
            tbs,
            certificate=self._certificate.der,
            signature_oid=self._suite.signature_oid,
            signature=self._sign(tbs),
        )
        return (Signature(self._position, self._number, base64.b64encode(made).decode("ascii")),)

    def verify(self, organisation: str, body: Body) -> None:
        """Demand the stamps of this type of voucher, each with a seal the organisation has filed.

        :raises Refusal: ``stamp_missing`` or ``stamp_invalid``.
        """
        if not self._filed or body.flag != 0:
            return
        kind = body.identity.voucher_type
        demanded = DEMANDED.get(f"{kind} {organisation.partition('-')[0]}") or DEMANDED.get(kind, [])
        for position in demanded:
            stamp = next((mark for mark in body.stamps if mark.position == position), None)
            if stamp is None:
                raise Refusal("stamp_missing", f"凭证缺少 {position} 签章")
            self._check(organisation, body, stamp)

    def _check(self, organisation: str, body: Body, stamp: Signature) -> None:
        try:
            value = base64.b64decode(stamp.value, validate=True)
        except (binascii.Error, ValueError) as error:
            raise Refusal("stamp_invalid", f"{stamp.position} 签章不是有效的 base64") from error
        now, one = datetime.now(UTC), body.identity
        report = verify_stamp(
            value,
            content=body.text.encode("ascii"),
            expected_property="/".join(
                (one.adm_div_code, one.fiscal_year, one.voucher_type, one.voucher_no, stamp.position)
            ),
            maker_authorities=self._authorities,
            signer_authorities=self._authorities,
            makers=self._makers,
            at=now,
            now=now,
        )
        if not report.verdict.ok or report.stamp is None:
            raise Refusal("stamp_invalid", f"{stamp.position} 签章：{report.verdict.reason}")
        if self._filed.get((organisation, report.stamp.seal.es_id)) != report.stamp.seal.raw:
            raise Refusal("stamp_invalid", f"{stamp.position} 所用印章未在本行备案")


def _certificates(folder: Path) -> list[ParsedCertificate]:
    return [parse_certificate(path.read_bytes()) for path in sorted(folder.glob("*/cert.pem"))]
