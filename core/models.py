"""Tables every app stands on: events, numbers, keys, days. No business nouns."""

import operator
from functools import reduce

import pgtrigger
from django.db import models

from core.ids import new_id


class RegionYearModel(models.Model):
    """Every business row says whose it is and of which budget year; both lead every unique key and index,
    so that the tables can later be partitioned by year and distributed by region without a change."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    adm_div_code = models.CharField("行政区划", max_length=9)
    fiscal_year = models.PositiveSmallIntegerField("会计年度")

    class Meta:
        abstract = True


def append_only(name: str = "append_only") -> pgtrigger.Protect:
    """Return the trigger of a fact table: no UPDATE, no DELETE, whoever asks."""
    return pgtrigger.Protect(name=name, operation=pgtrigger.Update | pgtrigger.Delete)


def any_changed(*fields: str) -> pgtrigger.Q:
    """Return the trigger condition that one of these columns gets another value (columns of foreign keys by name)."""
    changes = [pgtrigger.Q(**{f"old__{field}__df": pgtrigger.F(f"new__{field}")}) for field in fields]
    return reduce(operator.or_, changes)


class Transition(models.Model):
    """One accepted move of one document: its history and its audit trail. Append-only; `id` gives the order."""

    id = models.BigAutoField(primary_key=True)
    adm_div_code = models.CharField(max_length=9)
    fiscal_year = models.PositiveSmallIntegerField()
    document_type = models.CharField(max_length=40)
    document_id = models.UUIDField()
    action = models.CharField(max_length=24)
    source = models.CharField(max_length=20)
    target = models.CharField(max_length=20)
    person_id = models.UUIDField(null=True)
    actor_name = models.CharField(max_length=60)
    reason_code = models.CharField(max_length=40, blank=True)
    reason = models.CharField(max_length=300, blank=True)
    request_id = models.CharField(max_length=40, blank=True)
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["document_id", "id"], name="transition_document")]
        triggers = [append_only()]

    def __str__(self) -> str:
        return f"{self.document_type} {self.action} {self.source}→{self.target}"


class NumberCounter(models.Model):
    """The last number given out for one kind of document; taken in the transaction that uses it, so without gaps."""

    adm_div_code = models.CharField(max_length=9)
    fiscal_year = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=20)
    last = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["adm_div_code", "fiscal_year", "kind"], name="one_counter_per_kind")
        ]


class NumberRule(models.Model):
    """How a region writes its numbers, e.g. kind 5201 as `ZF{seq:04d}`; without a row `{year}{kind}{seq:07d}`.

    A rule stays as it was entered: numbers already given out must be read by it for ever.
    """

    adm_div_code = models.CharField(max_length=9)
    kind = models.CharField(max_length=20)
    pattern = models.CharField(max_length=40)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["adm_div_code", "kind"], name="one_number_rule_per_kind")]
        triggers = [append_only("rule_stays")]


class IdempotencyKey(models.Model):
    """A caller's key for one business action, with the digest of what was asked and the answer given. Kept a year."""

    owner = models.CharField(max_length=60)
    key = models.CharField(max_length=80)
    payload_digest = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField()
    answer = models.JSONField()
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["owner", "key"], name="idempotency_key_once")]
        triggers = [pgtrigger.Protect(name="no_update", operation=pgtrigger.Update)]


class BusinessDay(models.Model):
    """The day a region's books stand on. A day is opened and closed by people, not by the clock."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    adm_div_code = models.CharField(max_length=9)
    date = models.DateField()
    fiscal_year = models.PositiveSmallIntegerField()
    cut_off = models.TimeField()
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.CharField(max_length=60, blank=True)
    digest = models.CharField(max_length=64, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["adm_div_code", "date"], name="one_row_per_business_day"),
            models.UniqueConstraint(
                fields=["adm_div_code"], condition=models.Q(closed_at__isnull=True), name="one_open_day_per_region"
            ),
        ]
        triggers = [
            pgtrigger.Protect(
                name="closed_days_stay_closed",
                operation=pgtrigger.Update | pgtrigger.Delete,
                condition=pgtrigger.Q(old__closed_at__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return f"{self.adm_div_code} {self.date}"


class Workday(models.Model):
    """Whether a date is worked, with holidays and make-up days (调休); a year without rows is refused, not guessed."""

    date = models.DateField(primary_key=True)
    worked = models.BooleanField()
    note = models.CharField(max_length=60, blank=True)
