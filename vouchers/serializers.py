"""JSON of the banks' API. Identities, amounts and accounts are text; only the year and counts are numbers."""

import re
from typing import Any
from uuid import UUID

from rest_framework import serializers

from vouchers.checks import REASON_MAX_BYTES

MAX_ITEMS = 500
PAGE_MAX = 100
_YEAR = re.compile(r"[0-9]{4}")
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class YearField(serializers.IntegerField):
    """2026 or "2026", nothing else."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int | str) or not _YEAR.fullmatch(str(data)):
            self.fail("invalid")
        return int(data)


class ReasonField(serializers.CharField):
    """Why a voucher is refused: at most 190 bytes in GBK, visible characters only."""

    default_error_messages = {
        "too_long": f"原因最长 {REASON_MAX_BYTES} 字节（GBK）。",
        "character_not_in_gbk": "原因含 GBK 以外的字符。",
        "character_not_allowed": "原因含不可见字符。",
    }

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        if _UNSEEN.search(data):
            self.fail("character_not_allowed")
        try:
            size = len(data.encode("gbk"))
        except UnicodeEncodeError:
            self.fail("character_not_in_gbk")
        if size > REASON_MAX_BYTES:
            self.fail("too_long")
        return str(super().to_internal_value(data))


class Identity(serializers.Serializer):
    """What names a voucher for ever."""

    adm_div_code = serializers.RegexField(r"\A[0-9]{6}(?:[0-9]{3})?\Z", trim_whitespace=False, help_text="行政区划")
    fiscal_year = YearField(help_text="会计年度")
    voucher_type = serializers.RegexField(r"\A[0-9]{4}\Z", trim_whitespace=False, help_text="凭证类型")
    voucher_no = serializers.RegexField(r"\A[0-9A-Za-z_-]{1,42}\Z", trim_whitespace=False, help_text="凭证号")


class ReasonedIdentity(Identity):
    reason = ReasonField(help_text=f"原因，最长 {REASON_MAX_BYTES} 字节（GBK）")


class ConfirmItems(serializers.Serializer):
    items = Identity(many=True, allow_empty=False, max_length=MAX_ITEMS)


class ReasonedItems(serializers.Serializer):
    items = ReasonedIdentity(many=True, allow_empty=False, max_length=MAX_ITEMS)


class PageQuery(serializers.Serializer):
    limit = serializers.IntegerField(min_value=1, max_value=PAGE_MAX, default=PAGE_MAX)
    cursor = serializers.CharField(required=False, allow_blank=True, help_text="上一页的 next；空为从头开始")

    def validate_cursor(self, value: str) -> UUID | None:
        try:
            return UUID(value) if value else None
        except ValueError:
            raise serializers.ValidationError("cursor 应为上一页答复中的 next。", code="cursor_invalid") from None


class PositionQuery(serializers.Serializer):
    fiscal_year = serializers.IntegerField(min_value=2000, max_value=2999)
    voucher_type = serializers.RegexField(r"^[0-9]{4}\Z", help_text="凭证类型")


# Answers, as the OpenAPI document shows them --------------------------------------------------------------------------


class VoucherResult(Identity):
    """What became of one body of an envelope."""

    flag = serializers.IntegerField(help_text="0 单据，1 回单")
    digest = serializers.CharField(help_text="<Voucher> 文本的 SM3，十六进制")
    outcome = serializers.ChoiceField(["applied", "stored", "parked", "refused", "duplicate"])
    code = serializers.CharField(allow_blank=True)
    field = serializers.CharField(allow_blank=True)
    reason = serializers.CharField(allow_blank=True)


class VoucherResults(serializers.Serializer):
    results = VoucherResult(many=True)


class ItemAnswer(Identity):
    """What became of one answer of a partner."""

    outcome = serializers.ChoiceField(["accepted", "refused", "duplicate"])
    code = serializers.CharField(allow_blank=True)
    reason = serializers.CharField(allow_blank=True)


class ItemAnswers(serializers.Serializer):
    results = ItemAnswer(many=True)


class WaitingVoucher(Identity):
    digest = serializers.CharField(help_text="<Voucher> 文本的 SM3，十六进制")
    envelope = serializers.CharField(help_text="Base64：含这一张凭证的 MOF 信封（GBK）")


class WaitingVouchers(serializers.Serializer):
    results = WaitingVoucher(many=True)
    next = serializers.UUIDField(allow_null=True, help_text="下一页的 cursor")


class VoucherStatus(Identity):
    flag = serializers.IntegerField(help_text="0 单据，1 回单")
    status = serializers.IntegerField(
        help_text="凭证库状态：0 未接收，1 已接收，3 已签收，4 签收失败，5 已退回，12 已有回单"
    )
    state = serializers.CharField()
    digest = serializers.CharField()
    code = serializers.CharField(allow_blank=True)
    reason = serializers.CharField(allow_blank=True)


class StampPosition(serializers.Serializer):
    """What goes where on one voucher type, in which order."""

    flag = serializers.IntegerField(help_text="0 单据，1 回单")
    position = serializers.CharField(help_text="Signature 或 SignStamp 的 No")
    name = serializers.CharField()
    kind = serializers.ChoiceField(["signature", "official", "finance", "personal", "transfer"])
    ordinal = serializers.IntegerField(help_text="签章次序")
    required = serializers.BooleanField()


class StampPositions(serializers.Serializer):
    results = StampPosition(many=True)


class ProblemError(serializers.Serializer):
    pointer = serializers.CharField()
    code = serializers.CharField()
    message = serializers.CharField()


class Problem(serializers.Serializer):
    """RFC 9457."""

    type = serializers.CharField()
    title = serializers.CharField()
    title_en = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField()
    detail = serializers.CharField()
    instance = serializers.CharField()
    request_id = serializers.CharField()
    retryable = serializers.BooleanField()
    errors = ProblemError(many=True)
