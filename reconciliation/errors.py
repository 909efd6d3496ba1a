from typing import Any

from core.errors import Conflict, TreasuryError


class StatementRefused(TreasuryError):
    """What a partner reported cannot be used; the subclasses say why."""

    code = "statement_refused"


class StatementTotalsDiffer(StatementRefused):
    code = "statement_totals_differ"


class StatementLineInvalid(StatementRefused):
    code = "statement_line_invalid"


class StatementPackInvalid(StatementRefused):
    code = "statement_pack_invalid"


class StatementBankForeign(StatementRefused):
    """The report names a bank that its sender is not, or that nobody registered."""

    code = "statement_bank_foreign"


class StatementDateUnknown(StatementRefused):
    """The report is of a date that is no business day of this region."""

    code = "statement_date_unknown"


class ReasonMissing(TreasuryError):
    """A difference is accepted only with a reason, and one short enough to keep."""

    code = "reason_required"


class ResolvedByRerun(Conflict):
    """A difference in money is settled by a business document and the next run, never by a note."""

    code = "resolved_by_rerun"


class DayNotClosable(Conflict):
    """The day cannot be closed yet; `blockers` lists every reason."""

    code = "day_not_closable"

    def __init__(self, blockers: list[Any]) -> None:
        self.blockers = blockers
        super().__init__(
            "业务日还不能日结：" + "；".join(blocker.text for blocker in blockers),
            field="business_date",
            blockers=[{"code": blocker.code, "text": blocker.text, "count": blocker.count} for blocker in blockers],
        )
