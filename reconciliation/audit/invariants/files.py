"""I24: what was attached lies in the file store byte by byte, and nothing else lies there."""

from collections.abc import Iterator

from attachments.models import StoredFile
from attachments.store import is_final_name
from core.errors import NotFound
from reconciliation.audit.findings import CodeCheck, Finding, Invariant, Scope, SqlCheck, in_region

TABLE = "attachments_storedfile"


def _files_hold(scope: Scope) -> Iterator[Finding]:
    """Read every file once, whatever number of rows name it."""
    assert scope.files is not None, "not asked without a store"
    rows = StoredFile.objects.order_by("digest", "pk")
    if scope.region is not None:
        rows = rows.filter(adm_div_code=scope.region)
    waiting = scope.files.waiting()
    seen, found = "", (0, "")
    for row in rows.iterator(chunk_size=1000):
        if row.digest != seen:
            seen = row.digest
            try:
                found = scope.files.size_and_digest(row.digest)
            except NotFound:
                found = (-1, "")
        size, digest = found
        if size < 0:
            if row.digest not in waiting:  # committed a moment ago; `settle` sees to it
                yield Finding(TABLE, str(row.pk), f"文件 {row.digest[:16]}… 不在存储中")
        elif size != row.size:
            yield Finding(TABLE, str(row.pk), f"文件 {row.digest[:16]}… 应为 {row.size} 字节，实为 {size} 字节")
        elif digest != row.digest:
            yield Finding(TABLE, str(row.pk), f"文件 {row.digest[:16]}… 的内容与摘要不符（现为 {digest[:16]}…）")


def _no_orphans(scope: Scope) -> Iterator[Finding]:
    assert scope.files is not None, "not asked without a store"
    if scope.region is not None:  # a file does not say whose it is
        return
    known = set(StoredFile.objects.values_list("digest", flat=True))
    for name in sorted(scope.files.names()):
        if name not in known:
            what = "没有任何单据登记过" if is_final_name(name) else "不是按摘要命名的"
            yield Finding("attachments", name, f"存储中的文件 {name[:40]} {what}")


_ATTACHMENTS = f"""
SELECT 'payments_attachment' AS "table", a.id::text AS id,
       concat('附件 ', a.file_name, ' 与其文件登记不一致') AS explanation, a.size - f.size AS delta
  FROM payments_attachment a JOIN attachments_storedfile f ON f.id = a.file_id
 WHERE {in_region("a")}
   AND (a.adm_div_code, a.fiscal_year, a.digest, a.size, a.media_type)
       IS DISTINCT FROM (f.adm_div_code, f.fiscal_year, f.digest, f.size, f.media_type)
"""

I24 = Invariant(
    "I24",
    "附件与摘要相符，无缺无余",
    (
        CodeCheck("Each stored file exists, as long as recorded and with the recorded SM3.", _files_hold),
        CodeCheck("Nothing lies in the store that no row names.", _no_orphans),
        SqlCheck("An attachment says of its file what the file's row says.", _ATTACHMENTS),
    ),
    needs_files=True,
)
