"""The invariants, one file for each or for a small group that reads the same tables. Ids as in docs/audit.md."""

from reconciliation.audit.findings import Invariant
from reconciliation.audit.invariants.approvals import I06
from reconciliation.audit.invariants.authority import I03, I04
from reconciliation.audit.invariants.balances import I02
from reconciliation.audit.invariants.clearings import I10, I11
from reconciliation.audit.invariants.contracts import I28
from reconciliation.audit.invariants.corrections import I26
from reconciliation.audit.invariants.days import I12, I22
from reconciliation.audit.invariants.evidence_log import I18
from reconciliation.audit.invariants.exchange import I14, I15
from reconciliation.audit.invariants.files import I24
from reconciliation.audit.invariants.histories import I17
from reconciliation.audit.invariants.inbox import I16
from reconciliation.audit.invariants.keys import I21
from reconciliation.audit.invariants.numbers import I08
from reconciliation.audit.invariants.payrolls import I29
from reconciliation.audit.invariants.people import I19
from reconciliation.audit.invariants.projections import I25
from reconciliation.audit.invariants.receipts import I09
from reconciliation.audit.invariants.refunds import I13
from reconciliation.audit.invariants.seals import I07
from reconciliation.audit.invariants.settlement import I05
from reconciliation.audit.invariants.year_end import I23

# What reliability asks for and no table holds yet: said aloud, never counted as held.
I01 = Invariant("I01", "总账借贷平衡", missing="总账（分录表）尚未建立。")
I20 = Invariant("I20", "收款人主数据双人维护", missing="收款人主数据表尚未建立，收款人随支付申请一并审核（I06）。")

INVARIANTS: tuple[Invariant, ...] = (
    *(I01, I02, I03, I04, I05, I06, I07, I08, I09, I10, I11, I12, I13),
    *(I14, I15, I16, I17, I18, I19, I20, I21, I22, I23, I24, I25, I26),
    *(I28, I29),
)

__all__ = ["INVARIANTS"]
