"""A year's classification codes: from the tables beside this file, from a file somebody brings, or from another year.

Codes are added, renamed and ended, never deleted: a payment keeps the code it was made with. Source: 政府收支分类科目,
docs/budget.md §codes.
"""

import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.db import transaction

from budget.codes import ClassificationCode, CodeKind, EconomicMapping, TableImport
from budget.tables import RowsRefused, Table, TableInvalid, read_table
from core.actors import Actor
from core.batch import copy_rows
from core.digests import sm3_hex
from core.errors import Conflict, RoleRequired

TABLES = Path(__file__).parent / "code_tables"
FILES = {
    CodeKind.FUNCTION: "expenditure_function.csv",
    CodeKind.GOV_ECONOMIC: "gov_economic.csv",
    CodeKind.DEPT_ECONOMIC: "dept_economic.csv",
    CodeKind.FUND_NATURE: "fund_nature.csv",
}
MAPPING = "economic_mapping"
KINDS = {**dict(CodeKind.choices), MAPPING: "经济分类对照"}
LENGTHS = {  # how many digits a code of each level has; the level above is the code cut short
    CodeKind.FUNCTION: (3, 5, 7),
    CodeKind.GOV_ECONOMIC: (3, 5),
    CodeKind.DEPT_ECONOMIC: (3, 5),
    CodeKind.FUND_NATURE: (1, 2, 3, 4),
}
NATURES = ("行政", "事业", "全部")


@dataclass(frozen=True)
class Imported:
    """What an import did, in rows."""

    added: int
    changed: int
    unchanged: int


@transaction.atomic(savepoint=False)
def load_codes(*, fiscal_year: int) -> None:
    """Load every code table of a year that has none yet; a year already loaded is left as it is."""
    if ClassificationCode.objects.filter(fiscal_year=fiscal_year).exists():
        return
    codes = [
        ClassificationCode(fiscal_year=fiscal_year, kind=kind, code=row["code"], name=row["name"])
        for kind, file_name in FILES.items()
        for row in _rows(file_name)
    ]
    copy_rows(codes)
    copy_rows([EconomicMapping(fiscal_year=fiscal_year, **row) for row in _rows("economic_mapping.csv")])


def _rows(file_name: str) -> Iterator[dict[str, str]]:
    with (TABLES / file_name).open(encoding="utf-8-sig", newline="") as table:
        yield from csv.DictReader(table)


@transaction.atomic(durable=True)
def import_codes(*, fiscal_year: int, kind: str, file_name: str, data: bytes, clerk: Actor, now: datetime) -> Imported:
    """Take a code table of a year from a file: all of it or nothing. New codes are added, known ones renamed or ended.

    Columns 编码 and 名称, 停用 if wanted; of the mapping 政府经济, 部门经济 and 单位性质. Importing the same file again
    changes nothing.

    :raises RoleRequired, TableInvalid. :raises RowsRefused: with every row that is wrong, and a file that says so.
    """
    _require_clerk(clerk)
    if kind not in KINDS:
        raise TableInvalid("请选择代码表。", field="kind")
    if not 2000 <= fiscal_year <= 2100:
        raise TableInvalid("年度应为 2000 至 2100。", field="fiscal_year")
    done = (
        _import_mapping(fiscal_year, file_name, data)
        if kind == MAPPING
        else _import(fiscal_year, CodeKind(kind), file_name, data)
    )
    _note(fiscal_year, kind, file_name, data, done, clerk, now)
    return done


@transaction.atomic(durable=True)
def copy_codes(*, from_year: int, to_year: int, clerk: Actor, now: datetime) -> Imported:
    """Begin a year with the codes and the mapping of another that have not been ended.

    :raises RoleRequired. :raises TableInvalid: if the year has no codes. :raises Conflict: if the new one has some.
    """
    _require_clerk(clerk)
    if ClassificationCode.objects.filter(fiscal_year=to_year).exists():
        raise Conflict(f"{to_year} 年度已有科目；请用导入补充。", field="to_year")
    kept = list(ClassificationCode.objects.filter(fiscal_year=from_year, ended=False))
    if not kept:
        raise TableInvalid(f"{from_year} 年度没有科目可复制。", field="from_year")
    standing = {(row.kind, row.code) for row in kept}
    pairs = [
        row
        for row in EconomicMapping.objects.filter(fiscal_year=from_year)
        if (CodeKind.GOV_ECONOMIC, row.gov_code) in standing and (CodeKind.DEPT_ECONOMIC, row.dept_code) in standing
    ]
    copy_rows([ClassificationCode(fiscal_year=to_year, kind=k.kind, code=k.code, name=k.name) for k in kept])
    copy_rows(
        [
            EconomicMapping(fiscal_year=to_year, gov_code=p.gov_code, dept_code=p.dept_code, unit_nature=p.unit_nature)
            for p in pairs
        ]
    )
    done = Imported(len(kept) + len(pairs), 0, 0)
    _note(to_year, "copy", f"{from_year} 年度", str(from_year).encode(), done, clerk, now)
    return done


def _import(fiscal_year: int, kind: CodeKind, file_name: str, data: bytes) -> Imported:
    table = read_table(name=file_name, data=data, required=("编码", "名称"), optional=("停用",))
    known = {
        row.code: row
        for row in ClassificationCode.objects.select_for_update()
        .filter(fiscal_year=fiscal_year, kind=kind)
        .order_by("pk")
    }
    _check_codes(table, kind, known)
    new, changed = [], []
    for row in table.rows:
        ended = row.get("停用", "") == "是"
        there = known.get(row["编码"])
        if there is None:
            code = ClassificationCode(
                fiscal_year=fiscal_year, kind=kind, code=row["编码"], name=row["名称"], ended=ended
            )
            new.append(code)
        elif (there.name, there.ended) != (row["名称"], ended if row.get("停用") else there.ended):
            there.name, there.ended = row["名称"], ended if row.get("停用") else there.ended
            changed.append(there)
    copy_rows(new)
    ClassificationCode.objects.bulk_update(changed, ["name", "ended"], batch_size=500)
    return Imported(len(new), len(changed), len(table.rows) - len(new) - len(changed))


def _check_codes(table: Table, kind: CodeKind, known: Mapping[str, ClassificationCode]) -> None:
    """:raises RowsRefused: with all that is wrong, row by row."""
    errors: dict[int, list[str]] = defaultdict(list)
    seen: dict[str, int] = {}
    lengths = LENGTHS[kind]
    there = {row["编码"] for row in table.rows} | set(known)
    for index, row in enumerate(table.rows):
        code, name = row["编码"], row["名称"]
        if not (code.isascii() and code.isdigit() and len(code) in lengths):
            errors[index].append(f"编码应为 {'、'.join(map(str, lengths))} 位数字")
        elif code in seen:
            errors[index].append(f"编码与第 {table.numbers[seen[code]]} 行重复")
        elif kind != CodeKind.FUND_NATURE and len(code) > 3 and code[:-2] not in there:
            errors[index].append(f"上级科目 {code[:-2]} 不存在")
        if not 0 < len(name) <= 100 or not name.isprintable():
            errors[index].append("名称应为 1 至 100 字")
        if row.get("停用", "") not in ("", "是", "否"):
            errors[index].append("停用应为“是”或“否”")
        seen.setdefault(code, index)
    if errors:
        raise RowsRefused(table, errors)


def _import_mapping(fiscal_year: int, file_name: str, data: bytes) -> Imported:
    columns = ("政府经济", "部门经济", "单位性质")
    table = read_table(name=file_name, data=data, required=columns)
    codes = ClassificationCode.objects.filter(fiscal_year=fiscal_year).values_list("kind", "code")
    known = set(codes)
    pairs = EconomicMapping.objects.filter(fiscal_year=fiscal_year)
    there = set(pairs.values_list("gov_code", "dept_code", "unit_nature"))
    errors: dict[int, list[str]] = defaultdict(list)
    seen: set[tuple[str, ...]] = set()
    for index, row in enumerate(table.rows):
        triple = tuple(row[column] for column in columns)
        if (CodeKind.GOV_ECONOMIC, triple[0]) not in known:
            errors[index].append(f"政府经济分类 {triple[0][:20]} 不存在")
        if (CodeKind.DEPT_ECONOMIC, triple[1]) not in known:
            errors[index].append(f"部门经济分类 {triple[1][:20]} 不存在")
        if triple[2] not in NATURES:
            errors[index].append(f"单位性质应为{'、'.join(NATURES)}")
        if triple in seen:
            errors[index].append("与前面的行重复")
        seen.add(triple)
    if errors:
        raise RowsRefused(table, errors)
    new = sorted(seen - there)
    copy_rows([EconomicMapping(fiscal_year=fiscal_year, gov_code=g, dept_code=d, unit_nature=n) for g, d, n in new])
    return Imported(len(new), 0, len(seen) - len(new))


def _note(
    fiscal_year: int, kind: str, file_name: str, data: bytes, done: Imported, clerk: Actor, now: datetime
) -> None:
    TableImport.objects.create(
        adm_div_code=clerk.adm_div_code,
        fiscal_year=fiscal_year,
        kind=kind,
        file_name=file_name[:120],
        digest=sm3_hex(data),
        added=done.added,
        changed=done.changed,
        actor_name=clerk.name,
        at=now,
    )


def _require_clerk(clerk: Actor) -> None:
    if "budget_clerk" not in clerk.roles:
        raise RoleRequired("该操作需要岗位：预算科经办。", field="role")
