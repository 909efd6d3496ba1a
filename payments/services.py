"""What other apps, views and tasks may call. One verb each; every use case takes a batch."""

from payments.attaching import attach_files, remove_attachment
from payments.drafting import DetailInput, RequestInput, revise_draft, save_drafts, write_drafts
from payments.invoice_use import InvoiceInput
from payments.issuing import (
    cancel_payment_vouchers,
    issue_payment_vouchers,
    prepare_sealing,
    seal_payment_vouchers,
    void_refused_requests,
)
from payments.reviewing import (
    RETURN_REASONS,
    approve_payment_requests,
    cancel_payment_requests,
    dispose_held_requests,
    prepare_decision,
    reject_payment_requests,
    return_payment_requests,
)
from payments.submitting import submit_payment_requests

__all__ = [
    "RETURN_REASONS",
    "DetailInput",
    "InvoiceInput",
    "RequestInput",
    "approve_payment_requests",
    "attach_files",
    "cancel_payment_requests",
    "cancel_payment_vouchers",
    "dispose_held_requests",
    "issue_payment_vouchers",
    "prepare_decision",
    "prepare_sealing",
    "reject_payment_requests",
    "remove_attachment",
    "return_payment_requests",
    "revise_draft",
    "save_drafts",
    "seal_payment_vouchers",
    "submit_payment_requests",
    "void_refused_requests",
    "write_drafts",
]
