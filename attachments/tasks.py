import logging

from celery import shared_task

from attachments.keeping import known_digests
from attachments.store import file_store

log = logging.getLogger(__name__)


@shared_task(name="attachments.settle")
def settle(**_later_arguments: object) -> None:
    """Finish or throw away what interrupted uploads left under `incoming/`."""
    placed, thrown = file_store().settle(known_digests)
    if placed or thrown:
        log.info("interrupted uploads settled", extra={"placed": placed, "thrown_away": thrown})
