"""Where a payment is, like a parcel: each stop with who and when, from the events and decisions themselves."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from core.models import Transition
from parties.chain_rules import needed_nodes
from parties.duties import Post
from parties.errors import ReviewChainMissing
from parties.models import ReviewDecision, ReviewNode
from parties.review import choose_chains, load_chains
from payments.models import PaymentRequest
from payments.states import RequestState
from payments.submitting import chain_facts

S = RequestState
_STOPPED = {
    S.BLOCKED: "监控拦截",
    S.ON_HOLD: "监控挂起",
    S.RETURNED: "已退回",
    S.VOIDED: "已作废",
    S.WITHDRAWN: "已撤回",
}
_AFTER_REVIEW = (
    ("制单", ("issue",), S.APPROVED),
    ("签章发送", ("seal", "print"), S.VOUCHERED),
    ("银行支付", ("pay_full", "pay_part", "fail"), S.SEALED),
    ("清算", ("clear",), S.PAID),
)
_WAITING_AT = {
    S.APPROVED: "制单", S.VOUCHERED: "签章发送", S.SEALED: "银行支付", S.ON_PAPER: "银行支付", S.ACCEPTED: "银行支付",
    S.BANK_REFUSED: "银行支付", S.PAID: "清算", S.PARTIALLY_PAID: "清算",
}  # fmt: skip


@dataclass(frozen=True)
class Stop:
    """One stop: `status` is done, now, bad or todo."""

    label: str
    status: str
    who: str = ""
    at: datetime | None = None


def stops_of(request: PaymentRequest, events: list[Transition], decisions: list[ReviewDecision]) -> list[Stop]:
    """Return the stops of a request in order, as far as its amount needs them; one query for the chain."""
    last = {event.action: event for event in events}
    submitted = max(
        (e for e in events if e.action in ("submit", "hold", "block") and e.source != S.IN_REVIEW),
        key=lambda e: e.id,
        default=None,
    )
    drafting = request.state in (S.DRAFT, S.RETURNED) or submitted is None
    stops = [
        Stop("录入提交", "now" if drafting else "done", submitted.actor_name if submitted and not drafting else "",
             submitted.at if submitted and not drafting else None)
    ]  # fmt: skip
    if request.state in _STOPPED:
        event = events[-1] if events else None
        label = _STOPPED[S(request.state)]
        stops.append(Stop(label, "bad", event.actor_name, event.at) if event else Stop(label, "bad"))
    mine: dict[int, list[ReviewDecision]] = defaultdict(list)
    for decision in sorted(decisions, key=lambda d: d.at):
        if decision.revision == request.revision and decision.decision == "approve":
            mine[decision.ordinal].append(decision)
    for node in _nodes(request):
        for decision in mine[node.ordinal]:
            stops.append(Stop(Post(node.post).label, "done", decision.actor_name, decision.at))
        for _seat in range(len(mine[node.ordinal]), node.countersign):
            waiting = request.state == S.IN_REVIEW and node.ordinal == request.node
            stops.append(Stop(Post(node.post).label, "now" if waiting else "todo"))
    return stops + _later(request, last)


def _later(request: PaymentRequest, last: dict[str, Transition]) -> list[Stop]:
    here = _WAITING_AT.get(S(request.state))
    names = [name for name, _, _ in _AFTER_REVIEW]
    reached = names.index(here) if here else (len(names) if request.state in (S.CLEARED, S.FAILED) else 0)
    stops = []
    for index, (name, actions, _) in enumerate(_AFTER_REVIEW):
        event = next((last[action] for action in actions if action in last), None)
        if request.state == S.FAILED and name == "清算":
            continue
        if index < reached and event is not None:
            bad = event.action == "fail"
            stops.append(Stop("银行支付失败" if bad else name, "bad" if bad else "done", event.actor_name, event.at))
        elif name == here:
            stops.append(Stop("银行退回" if request.state == S.BANK_REFUSED else name,
                              "bad" if request.state == S.BANK_REFUSED else "now"))  # fmt: skip
        else:
            stops.append(Stop(name, "todo"))
    return stops


def _nodes(request: PaymentRequest) -> list[ReviewNode]:
    """Return the nodes this request needs: of its own chain, or of the one it would run on if submitted now."""
    if request.chain_id is not None:
        return load_chains({request.chain_id}, [request]).needed(request)
    try:
        chain_id = choose_chains(request.adm_div_code, {request.id: chain_facts(request)})[request.id]
    except ReviewChainMissing:
        return []
    return needed_nodes(load_chains({chain_id}).nodes[chain_id], request.amount)
