from collections.abc import Sequence
from dataclasses import dataclass

from core.errors import Conflict, TreasuryError


class RosterFieldInvalid(TreasuryError):
    """A field of a batch or list is missing or wrong; `field` names it."""

    code = "roster_field_invalid"


class FileRefused(TreasuryError):
    """The file cannot be read as a table of ours: too large, another kind, or not what it says it is."""

    code = "roster_file_refused"


@dataclass(frozen=True)
class RowError:
    """What is wrong at one place of the file; `row` as the spreadsheet counts, 0 for the file as a whole."""

    row: int
    column: str
    message: str

    def __str__(self) -> str:
        place = f"第 {self.row} 行" if self.row else "文件"
        return f"{place}{f'「{self.column}」' if self.column else ''}：{self.message}"


class RowsInvalid(TreasuryError):
    """Rows of the file are wrong; nothing of it was stored. `errors` are in the order of the file."""

    code = "roster_rows_invalid"

    def __init__(self, errors: Sequence[RowError], *, counted: int) -> None:
        first = errors[0]
        super().__init__(
            f"文件有 {counted} 处错误，没有导入任何一行。{first}", field="file", row=first.row, counted=counted
        )
        self.errors = list(errors)
        self.counted = counted


class RosterExists(Conflict):
    """The unit has an active batch of this month and kind, or an active list of this policy, period and township."""

    code = "roster_exists"


class RosterNotVoidable(Conflict):
    """Payments of the roster are under way or made."""

    code = "roster_not_voidable"


class PublicNoticeRunning(Conflict):
    """The public notice has not ended; until then anybody may object."""

    code = "public_notice_running"


class PayeeMissing(TreasuryError):
    """Nobody is registered to whom this withholding is paid."""

    code = "withholding_payee_missing"


class LinesDiffer(Conflict):
    """The payment lines are not the rows of the roster; nothing was stored."""

    code = "payment_lines_differ"


class NothingFailed(Conflict):
    """No row of the roster has failed, or all that failed are repeated already."""

    code = "nothing_failed"
