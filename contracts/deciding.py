"""The steps of a contract's life. Filing, completing and terminating are somebody else's than the maker's."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction

from contracts.errors import ContractFieldInvalid, ContractInUse
from contracts.locking import context_for, lock_contracts
from contracts.models import Acceptance, Contract
from contracts.states import CONTRACT_FLOW
from contracts.usage import used_of
from core.actors import Actor
from core.outcomes import Outcome, judge
from core.transitions import check_move, move
from parties.errors import ActedBefore

ACTIONS = {
    "file": "备案",
    "return": "退回修改",
    "drop": "作废草稿",
    "start": "开始履行",
    "complete": "完结",
    "terminate": "终止",
}
_BY_ANOTHER = frozenset({"file", "return", "complete", "terminate"})
_ENDING = frozenset({"complete", "terminate"})
_EXPLAINED = frozenset({"return", "terminate"})


@transaction.atomic(durable=True)
def decide_contracts(
    *, contract_ids: Sequence[UUID], action: str, officer: Actor, reason: str = "", now: datetime
) -> Outcome[Contract]:
    """Take one step of their life for many contracts: file, return, drop, start, complete or terminate.

    Refused per item: not_found, transition_not_allowed, role_required, acted_before (the maker decides nothing, who
    accepted does not complete), contract_in_use (payments under way when a contract ends).

    :raises ContractFieldInvalid: for an unknown action, or where words are needed and none are given.
    """
    if action not in ACTIONS:
        raise ContractFieldInvalid("没有这种办理。", field="action")
    if action in _EXPLAINED and not reason.strip():
        raise ContractFieldInvalid(f"请填写{ACTIONS[action]}原因。", field="reason")
    context_for(officer, now)
    found = lock_contracts(contract_ids, officer)
    accepters = _accepters(found) if action == "complete" else set()
    uses = used_of(found) if action in _ENDING else {}

    def check(contract: Contract) -> None:
        check_move(CONTRACT_FLOW, contract, action, officer)
        if action in _BY_ANOTHER and officer.person_id == contract.created_by_id:
            raise ActedBefore("您是本合同录入人，不能办理（岗位分离）。", field="officer")
        if (contract.id, officer.person_id) in accepters:
            raise ActedBefore("您是本合同验收登记人，不能办理完结（岗位分离）。", field="officer")
        if action in _ENDING and uses[contract.id].in_transit:
            raise ContractInUse(
                f"合同还有在途支付 {uses[contract.id].in_transit:,.2f}，待支付完成后再办理。", field="state"
            )

    outcome = judge(found, contract_ids, check)
    if action == "file":
        ids = [contract.id for contract in outcome.accepted]
        Contract.objects.filter(pk__in=ids).update(filed_by_id=officer.person_id, filed_at=now)
        for contract in outcome.accepted:
            contract.filed_by_id, contract.filed_at = officer.person_id, now
    move(CONTRACT_FLOW, outcome.accepted, action, by=officer, at=now, reason=reason[:300])
    return outcome


def _accepters(contracts: Sequence[Contract]) -> set[tuple[UUID, UUID | None]]:
    rows = Acceptance.objects.filter(contract__in=[c.id for c in contracts], person__isnull=False)
    return set(rows.values_list("contract_id", "person_id"))
