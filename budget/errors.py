from core.errors import Conflict, TreasuryError


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
