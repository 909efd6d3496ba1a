"""How a check of a signature, seal or time stamp is told: in the words of EU DSS, and in Chinese a clerk can act on.

Each reason has a stable code; one table gives its indication, sub-indication, sentence and advice, so that the same
finding reads the same on every page, in the offline verifier and in the log. No Django here: the offline verifier
uses this module.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Literal, NamedTuple


class Indication(StrEnum):
    """Holds, does not hold, or cannot be decided with what is known. Source: ETSI EN 319 102-1 §5.1.3."""

    TOTAL_PASSED = "TOTAL_PASSED"
    TOTAL_FAILED = "TOTAL_FAILED"
    INDETERMINATE = "INDETERMINATE"


class SubIndication(StrEnum):
    """Why not. Source: ETSI EN 319 102-1 §5.1.3, as EU DSS names them."""

    FORMAT_FAILURE = "FORMAT_FAILURE"
    HASH_FAILURE = "HASH_FAILURE"
    SIG_CRYPTO_FAILURE = "SIG_CRYPTO_FAILURE"
    SIG_CONSTRAINTS_FAILURE = "SIG_CONSTRAINTS_FAILURE"
    CHAIN_CONSTRAINTS_FAILURE = "CHAIN_CONSTRAINTS_FAILURE"
    CERTIFICATE_CHAIN_GENERAL_FAILURE = "CERTIFICATE_CHAIN_GENERAL_FAILURE"
    CRYPTO_CONSTRAINTS_FAILURE = "CRYPTO_CONSTRAINTS_FAILURE"
    CRYPTO_CONSTRAINTS_FAILURE_NO_POE = "CRYPTO_CONSTRAINTS_FAILURE_NO_POE"
    NO_SIGNING_CERTIFICATE_FOUND = "NO_SIGNING_CERTIFICATE_FOUND"
    NO_CERTIFICATE_CHAIN_FOUND = "NO_CERTIFICATE_CHAIN_FOUND"
    NO_CERTIFICATE_CHAIN_FOUND_NO_POE = "NO_CERTIFICATE_CHAIN_FOUND_NO_POE"
    REVOKED = "REVOKED"
    REVOKED_NO_POE = "REVOKED_NO_POE"
    REVOKED_CA_NO_POE = "REVOKED_CA_NO_POE"
    REVOCATION_OUT_OF_BOUNDS_NO_POE = "REVOCATION_OUT_OF_BOUNDS_NO_POE"
    EXPIRED = "EXPIRED"
    NOT_YET_VALID = "NOT_YET_VALID"
    OUT_OF_BOUNDS_NO_POE = "OUT_OF_BOUNDS_NO_POE"
    OUT_OF_BOUNDS_NOT_REVOKED = "OUT_OF_BOUNDS_NOT_REVOKED"
    POLICY_PROCESSING_ERROR = "POLICY_PROCESSING_ERROR"
    SIGNATURE_POLICY_NOT_AVAILABLE = "SIGNATURE_POLICY_NOT_AVAILABLE"
    TIMESTAMP_ORDER_FAILURE = "TIMESTAMP_ORDER_FAILURE"
    NO_POE = "NO_POE"
    TRY_LATER = "TRY_LATER"
    SIGNED_DATA_NOT_FOUND = "SIGNED_DATA_NOT_FOUND"


@dataclass(frozen=True)
class Deviation:
    """What was accepted although the standard says otherwise, because real senders do it. Reported, never mended."""

    code: str
    text: str


@dataclass(frozen=True)
class Verdict:
    """One conclusion. `reason` says what was found and `advice` what to do, both in plain Chinese.

    `scope` is PARTIAL if the signature covers less than what is shown; `facts` are texts for the page and the log.
    """

    indication: Indication
    sub_indication: SubIndication | None
    reason: str
    advice: str
    deviations: tuple[Deviation, ...] = ()
    scope: Literal["FULL", "PARTIAL"] = "FULL"
    facts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    code: str = "valid"

    @property
    def ok(self) -> bool:
        return self.indication is Indication.TOTAL_PASSED


class Reason(NamedTuple):
    """One row of the table."""

    indication: Indication
    sub_indication: SubIndication | None
    text: str
    advice: str


_PASSED, _FAILED, _OPEN = Indication.TOTAL_PASSED, Indication.TOTAL_FAILED, Indication.INDETERMINATE
_S = SubIndication

REASONS: Mapping[str, Reason] = MappingProxyType(
    {
        "valid": Reason(_PASSED, None, "验证通过。", "无需处理。"),
        # --- the bytes
        "format_invalid": Reason(
            _FAILED,
            _S.FORMAT_FAILURE,
            "数据结构不符合规范，无法按签章解读。",
            "不要采信；请对方按 GB/T 38540 重新生成后再发。",
        ),
        "signature_missing": Reason(_FAILED, _S.FORMAT_FAILURE, "报文没有签名。", "退回对方补签。"),
        "signature_malformed": Reason(
            _FAILED, _S.FORMAT_FAILURE, "签名值格式不规范。", "退回对方，请其检查签名程序的编码。"
        ),
        "picture_refused": Reason(
            _FAILED, _S.FORMAT_FAILURE, "印模图片的类型、尺寸或内容不被接受。", "不要打开该图片；请制章单位重新制章。"
        ),
        "timestamp_malformed": Reason(
            _FAILED, _S.FORMAT_FAILURE, "所附时间戳不是时间戳格式。", "不要采信；请对方重新取得时间戳后再签。"
        ),
        # --- the content
        "content_mismatch": Reason(
            _FAILED,
            _S.HASH_FAILURE,
            "签章之后内容被改动，或签章属于另一份单据。",
            "停止办理，保留原件，联系对方核对原单据。",
        ),
        "content_missing": Reason(
            _FAILED,
            _S.SIGNED_DATA_NOT_FOUND,
            "签章没有覆盖任何内容（摘要全为零）。",
            "视同未签章；请对方对单据内容重新签章。",
        ),
        "property_mismatch": Reason(
            _OPEN,
            _S.SIG_CONSTRAINTS_FAILURE,
            "签章所写的单据或位置不是这一份、这一处。",
            "停止办理；核对签章是否从别处移来。",
        ),
        # --- the mathematics
        "signature_invalid": Reason(
            _FAILED, _S.SIG_CRYPTO_FAILURE, "签名与内容不符。", "停止办理，保留原件，联系对方核对并重新签名。"
        ),
        "seal_signature_invalid": Reason(
            _FAILED,
            _S.SIG_CRYPTO_FAILURE,
            "制章人的签名与印章内容不符，印章被改动或并非其所制。",
            "不要采信；联系制章单位核对印章。",
        ),
        "suite_not_allowed": Reason(
            _OPEN,
            _S.CRYPTO_CONSTRAINTS_FAILURE,
            "所用签名算法不在约定允许的范围内。",
            "请对方改用约定的算法，或先由系统管理员变更约定。",
        ),
        "algorithm_mismatch": Reason(
            _OPEN,
            _S.CRYPTO_CONSTRAINTS_FAILURE,
            "声明的签名算法与证书密钥不一致。",
            "退回对方，请其按证书的密码套件签名。",
        ),
        "algorithm_retired": Reason(
            _OPEN,
            _S.CRYPTO_CONSTRAINTS_FAILURE,
            "签名算法强度不足，在签名时已不允许使用。",
            "仅作历史资料留存；办理业务须用现行算法重签。",
        ),
        # --- who
        "certificate_missing": Reason(
            _OPEN, _S.NO_SIGNING_CERTIFICATE_FOUND, "找不到签名所用的证书。", "请对方随签名附上证书，或先登记其证书。"
        ),
        "certificate_unknown": Reason(
            _OPEN,
            _S.NO_SIGNING_CERTIFICATE_FOUND,
            "没有登记过该序列号的证书。",
            "核对对方证书，核实后在证书登记簿登记。",
        ),
        "certificate_not_registered": Reason(
            _OPEN, _S.NO_SIGNING_CERTIFICATE_FOUND, "该证书没有有效的登记。", "核实后在证书登记簿登记。"
        ),
        "certificate_of_other_party": Reason(
            _OPEN,
            _S.SIG_CONSTRAINTS_FAILURE,
            "证书属于另一机构，不是单据所写的签名方。",
            "停止办理，联系对方核对是谁所签。",
        ),
        "maker_not_admitted": Reason(
            _OPEN,
            _S.CHAIN_CONSTRAINTS_FAILURE,
            "制章人不在准入名单内，他人自制的印章无效。",
            "不要采信；印章须由准入的制章单位制作。",
        ),
        "signer_not_holder": Reason(
            _OPEN,
            _S.SIG_CONSTRAINTS_FAILURE,
            "签章人不在该印章的持有人名单内。",
            "停止办理；核实是谁盖的章，是否需要变更印章授权。",
        ),
        "certificate_refused": Reason(
            _OPEN, _S.CERTIFICATE_CHAIN_GENERAL_FAILURE, "证书不被接受。", "请对方更换证书。"
        ),
        "certificate_malformed": Reason(
            _FAILED, _S.FORMAT_FAILURE, "证书格式不正确。", "退回对方，请其附上正确的证书。"
        ),
        "certificate_key_not_supported": Reason(
            _OPEN, _S.CRYPTO_CONSTRAINTS_FAILURE, "证书的密钥种类不受支持。", "请对方换用 SM2、P-256 或 RSA 证书。"
        ),
        "key_not_usable": Reason(_OPEN, _S.CRYPTO_CONSTRAINTS_FAILURE, "证书里的公钥不能使用。", "请对方更换证书。"),
        "certificate_expired": Reason(_FAILED, _S.EXPIRED, "签名时证书已过期。", "请对方换发证书后重新签名。"),
        "certificate_not_yet_valid": Reason(
            _FAILED, _S.NOT_YET_VALID, "签名时证书尚未生效。", "核对双方时钟；证书生效后重新签名。"
        ),
        "certificate_revoked": Reason(
            _FAILED, _S.REVOKED, "签名时证书已被吊销。", "停止办理，联系对方确认证书是否失窃，并用新证书重新签名。"
        ),
        "certificate_revoked_later": Reason(
            _OPEN,
            _S.REVOKED_NO_POE,
            "证书在所称签名时间之后被吊销，且无法证明签名早于吊销。",
            "查找吊销之前的存证或时间戳；没有则请对方重签。",
        ),
        "certificate_expired_later": Reason(
            _OPEN,
            _S.OUT_OF_BOUNDS_NO_POE,
            "证书现已过期，且无法证明签名早于过期。",
            "查找过期之前的存证或时间戳；没有则请对方重签。",
        ),
        "certificate_wrong_usage": Reason(
            _OPEN,
            _S.CHAIN_CONSTRAINTS_FAILURE,
            "证书的用途不允许这样使用。",
            "请对方改用签名证书（不是加密证书或机构证书）。",
        ),
        "certificate_unknown_issuer": Reason(
            _OPEN,
            _S.NO_CERTIFICATE_CHAIN_FOUND,
            "证书的签发机构不在受信任的名单内。",
            "核实签发机构；确属可信的，由系统管理员加入受信任名单。",
        ),
        "certificate_signature_invalid": Reason(
            _OPEN,
            _S.CERTIFICATE_CHAIN_GENERAL_FAILURE,
            "证书不是所称机构签发的。",
            "停止办理；可能是伪造证书，联系对方与签发机构核对。",
        ),
        "certificate_algorithm_refused": Reason(
            _OPEN,
            _S.CRYPTO_CONSTRAINTS_FAILURE,
            "证书本身的签名算法不被接受。",
            "请对方向签发机构换发以现行算法签发的证书。",
        ),
        "certificate_key_shared": Reason(
            _OPEN,
            _S.CHAIN_CONSTRAINTS_FAILURE,
            "同一公钥另有其他名称的证书，无法断定是谁所签。",
            "停止办理；请对方更换密钥和证书。",
        ),
        "revocation_unknown": Reason(
            _OPEN, _S.TRY_LATER, "暂时取不到吊销信息，无法判断证书是否有效。", "更新吊销列表后重新验证。"
        ),
        # --- when
        "seal_expired": Reason(_FAILED, _S.EXPIRED, "印章已过有效期。", "请印章所属单位换章后重新签章。"),
        "seal_expired_later": Reason(
            _OPEN,
            _S.OUT_OF_BOUNDS_NO_POE,
            "印章现已过有效期，且无法证明签章早于此。",
            "查找过期之前的存证或时间戳；没有则请对方换章重签。",
        ),
        "seal_maker_uncheckable": Reason(
            _OPEN,
            _S.SIGNATURE_POLICY_NOT_AVAILABLE,
            "旧版印章的制章人签名规则未公开，无法验证印章本身。",
            "可凭其中的内容签名和约定受理；请对方换用国标印章。",
        ),
        "seal_not_yet_valid": Reason(_FAILED, _S.NOT_YET_VALID, "印章尚未生效。", "核对双方时钟；印章生效后重新签章。"),
        "signed_in_future": Reason(
            _OPEN,
            _S.TIMESTAMP_ORDER_FAILURE,
            "所称签章时间晚于收到它的时间。",
            "核对双方时钟；请对方以正确的时间重新签章。",
        ),
        "seal_not_filed": Reason(
            _FAILED,
            _S.SIG_CONSTRAINTS_FAILURE,
            "所用印章未在本系统备案，或与备案的印章不是同一枚。",
            "不要采信；请对方先办理印模备案，再重新签章。",
        ),
        "seal_of_other_party": Reason(
            _FAILED,
            _S.SIG_CONSTRAINTS_FAILURE,
            "所用印章不是该机构在此位置应盖的印章。",
            "退回对方，用正确的印章重签。",
        ),
        "seal_revoked": Reason(_FAILED, _S.REVOKED, "所用印章已停用。", "请对方启用新印章后重新签章。"),
        # --- what we did not foresee
        "unclassified": Reason(_OPEN, _S.POLICY_PROCESSING_ERROR, "验证未能完成。", "请系统管理员查看日志后重新验证。"),
    }
)


def verdict_of(
    code: str | None,
    detail: str = "",
    *,
    deviations: Iterable[Deviation] = (),
    scope: Literal["FULL", "PARTIAL"] = "FULL",
    facts: Mapping[str, str] | None = None,
) -> Verdict:
    """The verdict for a reason code, e.g. one of `seals.verifying.Verdict` or of a `SealError`; None means it holds.

    :param detail: a sentence of the case at hand, put behind the table's own.

    A code the table does not know gives POLICY_PROCESSING_ERROR, never a pass.
    """
    code = "valid" if code is None else code
    row = REASONS.get(code, REASONS["unclassified"])
    detail = detail or ("" if code in REASONS else code)
    reason = row.text if not detail or detail == row.text else f"{row.text.removesuffix('。')}：{detail}"
    return Verdict(
        row.indication,
        row.sub_indication,
        reason,
        row.advice,
        tuple(deviations),
        scope,
        MappingProxyType(dict(facts or {})),
        code,
    )


def conclude(findings: Iterable[Verdict], *, deviations: Iterable[Deviation], facts: Mapping[str, str]) -> Verdict:
    """One verdict out of all findings: the first that fails, else the first that leaves it open, else a pass.

    A failure goes first because no missing certificate or later news can cure it.
    """
    found = list(findings)
    failed = [one for one in found if one.indication is Indication.TOTAL_FAILED]
    undecided = [one for one in found if one.indication is Indication.INDETERMINATE]
    chosen = (failed + undecided + [verdict_of(None)])[0]
    scope: Literal["FULL", "PARTIAL"] = "PARTIAL" if any(one.scope == "PARTIAL" for one in found) else chosen.scope
    merged = tuple(dict.fromkeys([*deviations, *(each for one in found for each in one.deviations)]))
    return replace(chosen, deviations=merged, scope=scope, facts=MappingProxyType({**facts, **chosen.facts}))
