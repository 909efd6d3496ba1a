"""What a contract is now: the original with its approved supplements, what is accepted, what is certified."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db.models import Sum

from contracts import rules
from contracts.models import (
    Acceptance,
    Contract,
    ContractAllocation,
    ContractTerm,
    ProgressCertificate,
    SupplementAllocation,
    SupplementaryContract,
)
from contracts.rules import Stage
from contracts.states import SupplementState
from core.money import ZERO


@dataclass(frozen=True)
class Standing:
    """One contract as it is in force, amounts in yuan; `certified` is the work certified so far."""

    contract: Contract
    total: Decimal
    accounts: frozenset[str]
    stages: tuple[Stage, ...]
    allocations: dict[UUID, Decimal]
    accepted_amount: Decimal
    delivered: bool
    accepted: bool
    certified: Decimal

    def due(self, on: date) -> Decimal:
        """How much may have been paid by this day."""
        return rules.due_amount(
            self.stages,
            on,
            total=self.total,
            interim_cap=self.contract.interim_cap,
            delivered=self.delivered,
            accepted=self.accepted,
        )

    def due_if_accepted(self, on: date) -> Decimal:
        """How much, were the final acceptance on file."""
        return rules.due_amount(
            self.stages, on, total=self.total, interim_cap=self.contract.interim_cap, delivered=True, accepted=True
        )

    def retained(self, on: date) -> Decimal:
        """What is kept back of the certified work of a project's contract."""
        project = self.contract.project
        assert project is not None, "only a project keeps retention money"
        return rules.retention(
            self.certified, project.retention_ratio, project.retention_until, on, accepted=self.accepted
        )


def standings(contracts: Sequence[Contract]) -> dict[UUID, Standing]:
    """Read what these contracts are now; six statements whatever their number. `project` must be read along."""
    ids = [contract.id for contract in contracts]
    if not ids:
        return {}
    stages: dict[UUID, list[Stage]] = defaultdict(list)
    for term in ContractTerm.objects.filter(contract__in=ids).order_by("contract", "seq"):
        stages[term.contract_id].append(Stage(term.stage, term.amount, term.condition, term.due_on))
    shares: dict[UUID, dict[UUID, Decimal]] = defaultdict(dict)
    for row in ContractAllocation.objects.filter(contract__in=ids):
        shares[row.contract_id][row.indicator_id] = row.amount
    changes: dict[UUID, Decimal] = defaultdict(lambda: ZERO)
    accounts = {c.id: {a["account_no"] for a in c.supplier_accounts} for c in contracts}
    approved = {"contract__in": ids, "state": SupplementState.APPROVED}
    for supplement in SupplementaryContract.objects.filter(**approved).order_by("id"):
        changes[supplement.contract_id] += supplement.amount_change
        accounts[supplement.contract_id] |= {a["account_no"] for a in supplement.supplier_accounts}
        if supplement.amount_change:
            stages[supplement.contract_id].append(_stage_of(supplement))
    moved = SupplementAllocation.objects.filter(
        supplement__contract__in=ids, supplement__state=SupplementState.APPROVED
    )
    for contract_id, indicator_id, amount in moved.values_list("supplement__contract_id", "indicator_id", "amount"):
        shares[contract_id][indicator_id] = shares[contract_id].get(indicator_id, ZERO) + amount
    seen: dict[UUID, list[tuple[Decimal, bool]]] = defaultdict(list)
    for contract_id, amount, final in Acceptance.objects.filter(contract__in=ids).values_list(
        "contract_id", "amount", "final"
    ):
        seen[contract_id].append((amount, final))
    certified = {
        row["contract_id"]: row["sum"]
        for row in ProgressCertificate.objects.filter(contract__in=ids)
        .values("contract_id")
        .annotate(sum=Sum("amount"))
        .order_by()
    }
    return {
        c.id: Standing(
            contract=c,
            total=c.total + changes[c.id],
            accounts=frozenset(accounts[c.id]),
            stages=tuple(stages[c.id]),
            allocations=shares[c.id],
            accepted_amount=sum((amount for amount, _ in seen[c.id]), ZERO),
            delivered=bool(seen[c.id]),
            accepted=any(final for _, final in seen[c.id]),
            certified=certified.get(c.id, ZERO),
        )
        for c in contracts
    }


def _stage_of(supplement: SupplementaryContract) -> Stage:
    """A supplement's amount is due with the final acceptance; a reduction counts at once."""
    condition = rules.ACCEPTED if supplement.amount_change > 0 else rules.SIGNED
    return Stage(f"补充合同 {supplement.supplement_no}", supplement.amount_change, condition, None)
