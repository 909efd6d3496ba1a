from core.errors import Conflict, NotFound, TreasuryError


class FieldInvalid(TreasuryError):
    """One field of a request is missing or wrong; `field` names it."""

    code = "field_invalid"


class ReasonRequired(TreasuryError):
    code = "reason_required"


class MonitoringBlocks(TreasuryError):
    """A rule with the action 拦截 stands against it."""

    code = "monitoring_blocks"


class ContentChanged(Conflict):
    """The document is no longer the one that was approved."""

    code = "content_changed"


class ApprovalsIncomplete(Conflict):
    code = "approvals_incomplete"


class ReissueRefused(Conflict):
    """Only failed or refunded rows can be reissued, each once, for no more than failed or came back."""

    code = "reissue_refused"


class ReceiptAmountDiffers(TreasuryError):
    """A receipt row is neither paid in full nor 0.00, or the rows do not add up."""

    code = "receipt_amount_differs"


class ReceiptPayeeDiffers(TreasuryError):
    code = "receipt_payee_differs"


class ReceiptIncomplete(TreasuryError):
    code = "receipt_incomplete"


class PaymentUnknown(NotFound):
    code = "payment_unknown"


class RefundExceeds(Conflict):
    code = "refund_exceeds_payment"


class RefundRepeated(TreasuryError):
    """A refund notice lists one payment detail twice."""

    code = "refund_repeated"


class AlreadyCleared(Conflict):
    code = "already_cleared"


class ClearingAmountDiffers(TreasuryError):
    code = "clearing_amount_differs"


class AlreadyUsed(Conflict):
    """A cheque or a purchase that another live payment quotes."""

    code = "already_used"


class InvoiceUsed(Conflict):
    """Another live request rests on this invoice already."""

    code = "invoice_used"


class RecallRefused(Conflict):
    """The payment is not where a recall could reach it, or one is under way already."""

    code = "recall_refused"


class CaseRefused(Conflict):
    """The detail named is not one this money can have come from."""

    code = "case_refused"


class CorrectionRefused(TreasuryError):
    """A correction may change codes only: same unit, fund, bank, payee and no more than is still carried."""

    code = "correction_refused"


class GiveBackRefused(Conflict):
    code = "give_back_refused"


class ExemptionRefused(TreasuryError):
    """Only salaries may leave after the cut-off, and only once a second person has said so."""

    code = "exemption_refused"


class CutOffPassed(Conflict):
    """Today's payments are closed and the next working day belongs to another fiscal year."""

    code = "cut_off_passed"
