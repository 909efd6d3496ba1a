from core.errors import Conflict, DayClosed, TreasuryError


class IndicatorExceeded(TreasuryError):
    """E1: the indicator has less available than asked."""

    code = "indicator_exceeded"


class QuotaExceeded(TreasuryError):
    """The arrived quota (授权) or the approved plan (直接) has less left than asked."""

    code = "quota_exceeded"


class PlanExceedsIndicator(TreasuryError):
    """E2: plans may not exceed the indicator's total less what is frozen."""

    code = "plan_exceeds_indicator"


class CodeUnknown(TreasuryError):
    code = "code_unknown"


class EconomicMappingMissing(TreasuryError):
    """The government and department economic codes do not belong together for this kind of unit."""

    code = "economic_mapping_missing"


class ClearingLimitExceeded(Conflict):
    code = "clearing_limit_exceeded"


class MethodUnknown(TreasuryError):
    code = "method_unknown"


class PayerAccountNotAllowed(TreasuryError):
    """F1: the nature of the money decides from which kind of account it may be paid."""

    code = "payer_account_not_allowed"


class YearClosed(DayClosed):
    """The budget year is being closed or is closed. What partners send meanwhile waits, as it does without a day."""

    code = "year_closed"


class DocumentInvalid(TreasuryError):
    """A field of an indicator document, or of one of its lines, is missing or wrong."""

    code = "document_invalid"


class TransferForbidden(TreasuryError):
    """A rule of transfers (调剂规则) forbids it; the message says which and what to do instead."""

    code = "transfer_forbidden"
