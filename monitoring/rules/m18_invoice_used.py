"""M18 重复发票: one invoice is paid once."""

from collections.abc import Mapping

from monitoring.facts import Finding, PaymentFacts


def evaluate(facts: PaymentFacts, parameters: Mapping[str, str]) -> Finding | None:
    """Hit if another live document uses an invoice of this one, or this one names an invoice twice."""
    keys = [(invoice.code, invoice.number) for invoice in facts.invoices]
    used = [
        invoice for invoice, key in zip(facts.invoices, keys, strict=True) if invoice.used_by or keys.count(key) > 1
    ]
    if not used:
        return None
    first = used[0]
    where = f"已用于 {first.used_by}" if first.used_by else "在本单重复填写"
    return Finding(
        field="invoices",
        label="发票",
        limit="一张发票只能使用一次",
        text=f"{first.code} {first.number} {where}；一张发票只能使用一次，本单共有 {len(used)} 张重复。",
        seen={
            "invoices": [
                {"code": i.code, "number": i.number, "amount": f"{i.amount:.2f}", "used_by": i.used_by} for i in used
            ]
        },
    )
