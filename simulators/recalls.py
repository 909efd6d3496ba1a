"""A bank asked not to pay: what it has not paid it stops for good, even if the voucher comes after the question."""

import sqlite3
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from simulators.storage import insert
from simulators.wire import Identity

if TYPE_CHECKING:
    from simulators.bank import Bank

_NAMES = ("adm_div_code", "fiscal_year", "voucher_type", "voucher_no")
_IDENTITY = "voucher_no = ? AND voucher_type = ? AND fiscal_year = ? AND adm_div_code = ?"


def stop(bank: "Bank", items: Iterable[Mapping[str, Any]]) -> None:
    """Stop every voucher asked about that is not executed; what is executed stays so, and the query will say it."""
    with bank.storage.write() as db:
        for item in items:
            one = Identity(*(str(item.get(name, "")) for name in _NAMES))
            key = (one.voucher_no, one.voucher_type, one.fiscal_year, one.adm_div_code)
            row = db.execute(
                f"SELECT r.id, r.digest, o.id AS order_id, o.done FROM received r LEFT JOIN orders o"
                f" ON o.received_id = r.id WHERE r.{_IDENTITY.replace(' AND ', ' AND r.')} AND r.flag = 0"
                " AND r.status = 'accepted'",
                key,
            ).fetchone()
            if stopped(db, one) or (row is not None and (row["done"] or row["digest"] != item.get("digest"))):
                continue
            if row is not None:
                db.execute("UPDATE received SET status = 'returned', reason = '应撤回停付' WHERE id = ?", (row["id"],))
                db.execute("UPDATE orders SET done = 1 WHERE id = ?", (row["order_id"],))
            else:
                _keep_unseen(db, bank, one, item)
            insert(
                db,
                "recalled",
                **one.as_dict(),
                digest=str(item.get("digest", "")),
                recall_no=str(item.get("recall_no", "")),
                reason=str(item.get("reason", "")),
                recalled_on=bank.today(db),
            )


def stopped(db: sqlite3.Connection, one: Identity) -> bool:
    """Whether this voucher must not be paid any more."""
    key = (one.voucher_no, one.voucher_type, one.fiscal_year, one.adm_div_code)
    return db.execute(f"SELECT 1 FROM recalled WHERE {_IDENTITY}", key).fetchone() is not None


def _keep_unseen(db: sqlite3.Connection, bank: "Bank", one: Identity, item: Mapping[str, Any]) -> None:
    """Note a voucher that has not come yet as returned, so that a question is answered and a late copy refused."""
    insert(
        db,
        "received",
        **one.as_dict(),
        flag=0,
        digest=str(item.get("digest", "")),
        body="",
        sender="",
        status="returned",
        reason="应撤回停付",
        received_on=bank.today(db),
    )
