"""Facts of this app that the evidence log keeps (docs/evidence.md)."""

from evidence.kinds import Kind, register

_SEALED = (
    "adm_div_code", "fiscal_year", "voucher_type", "voucher_no", "voucher_date", "sender", "receiver", "amount",
    "document_id", "text", "digest", "position", "signature", "signature_serial", "made_by_id", "sealed_by_id",
    "sealed_at",
)  # fmt: skip
_RECEIVED = (
    "adm_div_code", "fiscal_year", "sender", "voucher_type", "voucher_no", "flag", "text", "digest", "signatures",
    "stamps", "received_at",
)  # fmt: skip


def register_facts() -> None:
    """Name the columns of each kind; they never change once a fact is noted. Bytes stand there by their SM3."""
    sent = ("delivery_id", "number", "step", "outcome", "detail", "digest", "at")
    rejected = ("sender", "raw", "size", "code", "field", "reason", "at")
    kinds = {
        "voucher.sealed": ("凭证签章", "vouchers_voucher", _SEALED, "fact.signature <> ''"),
        "exchange.sent": ("发送与应答", "vouchers_deliveryattempt", sent, ""),
        "exchange.received": ("收到凭证", "vouchers_inboxmessage", _RECEIVED, ""),
        "exchange.rejected": ("拒收留痕", "vouchers_inboxrejection", rejected, ""),
    }
    for name, (title, table, columns, where) in kinds.items():
        register(Kind(name, title, table, {column: f'fact."{column}"' for column in columns}, where=where))
