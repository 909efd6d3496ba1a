from django.apps import AppConfig


class PaymentsConfig(AppConfig):
    name = "payments"
    default_auto_field = "django.db.models.BigAutoField"
    verbose_name = "支付"

    def ready(self) -> None:
        from budget.methods import BY_TYPE, METHODS
        from contracts import usage
        from payments.clearing import apply_clearings
        from payments.contract_use import used_by_payments
        from payments.correction_vouchers import apply_correction_receipts, on_correction_answer
        from payments.issuing import on_voucher_answer
        from payments.receiving import apply_payment_receipts
        from payments.refunding import apply_refunds
        from payments.scheduled_facts import register_sources
        from payments.screening import declare_registers
        from vouchers import routing

        for kind in BY_TYPE:
            routing.register(kind, apply_payment_receipts, flag=1)
            routing.register_answer(kind, on_voucher_answer)
        for kind in sorted({method.refund_type for method in METHODS.values()}):
            routing.register(kind, apply_refunds)
        for kind in ("2301", "2302"):
            routing.register(kind, apply_clearings, flag=1)
        usage.register(used_by_payments)
        declare_registers()
        register_sources()
        for kind in ("5253", "5351"):
            routing.register(kind, apply_correction_receipts, flag=1)
            routing.register_answer(kind, on_correction_answer)
