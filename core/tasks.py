from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from core.models import IdempotencyKey

KEPT = timedelta(days=366)


@shared_task(name="core.forget_old_keys")
def forget_old_keys(**_later_arguments: object) -> None:
    """Let go of idempotency keys after a year; until then the same key never acts twice."""
    IdempotencyKey.objects.filter(created_at__lt=timezone.now() - KEPT).delete()
