"""What was approved: whether every needed node approved exactly what a document says now, by different persons."""

from collections.abc import Sequence
from uuid import UUID

from parties.chain_rules import is_complete
from parties.models import ReviewDecision
from parties.review import Chains, Reviewable, load_chains
from payments.errors import ApprovalsIncomplete, ContentChanged


class Approvals:
    """The approvals of the current revision of each document (one query for decisions, one for nodes)."""

    def __init__(self, documents: Sequence[Reviewable]) -> None:
        self._chains: Chains = load_chains({d.chain_id for d in documents if d.chain_id is not None}, documents)
        self._by_document: dict[UUID, list[ReviewDecision]] = {d.id: [] for d in documents}
        revisions = {d.id: d.revision for d in documents}
        rows = ReviewDecision.objects.filter(document_id__in=revisions, decision="approve")
        for decision in rows.select_related("delegation"):
            if decision.revision == revisions[decision.document_id]:
                self._by_document[decision.document_id].append(decision)

    def persons(self, document: Reviewable) -> set[UUID]:
        """Who has reviewed, and for whom: neither may take another part."""
        decisions = self._by_document[document.id]
        return {d.person_id for d in decisions} | {d.delegation.delegator_id for d in decisions if d.delegation}

    def check(self, document: Reviewable, digest_now: str) -> None:
        """:raises ApprovalsIncomplete, ContentChanged: unless every needed node approved exactly this content."""
        decisions = self._by_document[document.id]
        seats = len(decisions) + sum(1 for d in decisions if d.delegation)
        complete = is_complete(self._chains.needed(document), [(d.ordinal, d.post) for d in decisions])
        if not complete or len(self.persons(document)) != seats:
            raise ApprovalsIncomplete("审核意见不完整，不能办理。", field="approvals")
        if any(d.content_digest != digest_now for d in decisions) or digest_now != document.content_digest:
            raise ContentChanged("单据内容与审核时不一致，不能办理。", field="content_digest")
