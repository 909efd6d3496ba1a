"""When a rule is asked. Source: docs/monitoring.md."""

from django.db.models import TextChoices


class Point(TextChoices):
    """触发点: where in a document's life a rule is asked; SCHEDULED ones are asked once each business day."""

    PAYMENT_SUBMIT = "payment_submit", "支付提交"
    FINAL_APPROVAL = "final_approval", "终审"
    VOUCHER = "voucher", "凭证生成"
    RECEIPT = "receipt", "银行回单"
    SCHEDULED = "scheduled", "定时"


class Need(TextChoices):
    """What must be looked up before a rule can judge; a rule that is off costs no query."""

    FILED = "filed", "账户备案"
    LISTED = "listed", "收款人名单"
    RETURNED = "returned", "退票记录"
    EARLIER = "earlier", "近期付款"
    CASH = "cash", "本月提现"
    MONTHS = "months", "各月支付"
    ANNUAL = "annual", "年度限额"
    CALENDAR = "calendar", "工作日历"
    CONTRACT = "contract", "合同台账"
    INVOICES = "invoices", "发票台账"
    ROSTER = "roster", "发放名单"
    EXPENSE = "expense", "事前审批单"
