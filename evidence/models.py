"""The log: entries, roots over them, and time stamps of the roots."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from core.merkle import CompactRange
from evidence.errors import LogDamaged
from evidence.formats import ROOT_PREFIX
from evidence.triggers import guards, kept


class Entry(models.Model):
    """One noted fact. `id` is the order of arrival; without `seq` it still waits for its place in the stream."""

    # What the application's role may write, once; everything else is the database's own (`grant_app_role`).
    written_once: ClassVar = ("seq", "payload_sm3", "prev", "entry_sm3")

    id = models.BigAutoField(primary_key=True)
    stream = models.CharField("日志", max_length=20)
    kind = models.CharField("事项", max_length=60)
    subject_table = models.CharField("表", max_length=63)
    subject_id = models.CharField("行", max_length=64)
    noted_at = models.DateTimeField("记录时间")  # whole seconds, as the entry says it
    seq = models.BigIntegerField("序号", null=True)
    payload_sm3 = models.CharField("内容摘要", max_length=64, null=True)
    prev = models.CharField("前一条", max_length=64, null=True)
    entry_sm3 = models.CharField("本条摘要", max_length=64, null=True)

    class Meta:
        verbose_name = verbose_name_plural = "存证条目"
        constraints = [
            models.UniqueConstraint(fields=["stream", "seq"], name="one_entry_per_place"),
            models.CheckConstraint(
                name="entry_placed_whole",
                condition=Q(seq=None, payload_sm3=None, prev=None, entry_sm3=None)
                | Q(seq__gt=0, payload_sm3__isnull=False, prev__isnull=False, entry_sm3__isnull=False),
            ),
        ]
        indexes = [
            models.Index(fields=["stream", "id"], name="entry_waiting", condition=Q(seq__isnull=True)),
            models.Index(fields=["subject_table", "subject_id"], name="entry_subject"),
        ]
        triggers = guards()

    def __str__(self) -> str:
        return f"{self.stream} #{self.seq or '…'} {self.kind}"

    @property
    def subject(self) -> str:
        return f"{self.subject_table}/{self.subject_id}"


class EvidenceRoot(models.Model):
    """A signed Merkle root over the first `size` entries of a stream. `frontier` is what the next root goes on from."""

    id = models.BigAutoField(primary_key=True)
    stream = models.CharField("日志", max_length=20)
    size = models.BigIntegerField("条目数")
    root = models.CharField("根", max_length=64)
    frontier = models.TextField()  # hexadecimal, 64 digits for each node of the compact range
    text = models.TextField(
        "根文本"
    )  # canonical JSON, without the prefix, which has a byte PostgreSQL keeps in no text
    signature = models.BinaryField("签名")
    certificate_serial = models.CharField("证书", max_length=64)
    at = models.DateTimeField("时间")

    class Meta:
        verbose_name = verbose_name_plural = "存证根"
        indexes = [models.Index(fields=["stream", "size", "id"], name="root_of_size")]
        triggers = kept(append_only=True)

    def __str__(self) -> str:
        return f"{self.stream} {self.size} {self.root[:12]}…"

    @property
    def signed_text(self) -> bytes:
        return ROOT_PREFIX + self.text.encode()

    @property
    def compact_range(self) -> CompactRange:
        """What the next root goes on from.

        :raises LogDamaged: if somebody made it unreadable.
        """
        try:
            nodes = bytes.fromhex(self.frontier)
        except ValueError as error:
            raise LogDamaged(f"根 {self.pk} 的数据已损坏。", stream=self.stream) from error
        return CompactRange(self.size, tuple(nodes[at : at + 32] for at in range(0, len(nodes), 32)))


class RootTimestamp(models.Model):
    """An RFC 3161 token over a root's text; it may come long after the root, when the authority answers again."""

    id = models.BigAutoField(primary_key=True)
    root = models.ForeignKey(EvidenceRoot, models.PROTECT, related_name="timestamps")
    token = models.BinaryField("时间戳")  # DER
    at = models.DateTimeField("取得时间")

    class Meta:
        verbose_name = verbose_name_plural = "存证时间戳"
        triggers = kept(append_only=True)

    def __str__(self) -> str:
        return f"{self.root_id} {self.at:%Y-%m-%d %H:%M:%S}"
