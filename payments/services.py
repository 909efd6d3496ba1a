"""What other apps, views and tasks may call. One verb each; every use case takes a batch."""

from payments.attaching import attach_files, remove_attachment
from payments.correcting import (
    CorrectionInput,
    cancel_corrections,
    decide_corrections,
    prepare_correction_decision,
    save_corrections,
    submit_corrections,
)
from payments.correction_vouchers import (
    cancel_correction_vouchers,
    issue_correction_vouchers,
    prepare_correction_sealing,
    seal_correction_vouchers,
    void_refused_corrections,
)
from payments.cut_off import approve_exemptions, ask_exemptions
from payments.drafting import DetailInput, RequestInput, revise_draft, save_drafts, write_drafts
from payments.invoice_use import InvoiceInput
from payments.issuing import (
    cancel_payment_vouchers,
    issue_payment_vouchers,
    prepare_sealing,
    seal_payment_vouchers,
    void_refused_requests,
    withdraw_returned_requests,
)
from payments.prior_years import ask_to_give_back
from payments.recalls import ask_recalls, decide_recalls
from payments.refund_cases import decide_cases, propose_originals
from payments.refund_orders import order_refunds
from payments.reviewing import (
    RETURN_REASONS,
    approve_payment_requests,
    cancel_payment_requests,
    dispose_held_requests,
    give_up_payment_requests,
    prepare_decision,
    reject_payment_requests,
    return_payment_requests,
)
from payments.submitting import submit_payment_requests

__all__ = [
    "RETURN_REASONS",
    "CorrectionInput",
    "DetailInput",
    "InvoiceInput",
    "RequestInput",
    "approve_exemptions",
    "approve_payment_requests",
    "ask_exemptions",
    "ask_recalls",
    "ask_to_give_back",
    "attach_files",
    "cancel_correction_vouchers",
    "cancel_corrections",
    "cancel_payment_requests",
    "cancel_payment_vouchers",
    "decide_cases",
    "decide_corrections",
    "decide_recalls",
    "dispose_held_requests",
    "give_up_payment_requests",
    "issue_correction_vouchers",
    "issue_payment_vouchers",
    "order_refunds",
    "prepare_correction_decision",
    "prepare_correction_sealing",
    "prepare_decision",
    "prepare_sealing",
    "propose_originals",
    "reject_payment_requests",
    "remove_attachment",
    "return_payment_requests",
    "revise_draft",
    "save_corrections",
    "save_drafts",
    "seal_correction_vouchers",
    "seal_payment_vouchers",
    "submit_corrections",
    "submit_payment_requests",
    "void_refused_corrections",
    "void_refused_requests",
    "withdraw_returned_requests",
    "write_drafts",
]
