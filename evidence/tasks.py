"""What Celery's beat does for the log; each tick finds by itself what is due, so a lost one costs nothing."""

from celery import shared_task
from django.utils import timezone

from evidence import chain, rooting


@shared_task(name="evidence.sequence")
def sequence(**_later_arguments: object) -> None:
    """Place what was noted since the last second."""
    chain.sequence()


@shared_task(name="evidence.make_roots")
def make_roots(**_later_arguments: object) -> None:
    """Root the streams that are due."""
    rooting.make_roots(now=timezone.now())


@shared_task(name="evidence.stamp_roots")
def stamp_roots(**_later_arguments: object) -> None:
    """Get time stamps for the newest roots that have none."""
    rooting.stamp_roots(now=timezone.now())
