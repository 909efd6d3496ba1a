from celery import shared_task
from django.utils import timezone

from monitoring.scheduled import run_all


@shared_task(name="monitoring.run_scheduled")
def run_scheduled(**_later_arguments: object) -> None:
    """Ask the scheduled rules of every region whose business day has not had its run."""
    run_all(now=timezone.now())
