"""The Celery application: workers exchange vouchers, PostgreSQL remembers what is to be done."""

import logging.config
import os
from typing import Any

from celery import Celery
from celery.signals import setup_logging

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "treasury.settings.dev")

app = Celery("treasury")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def use_django_logging(**kwargs: Any) -> None:
    """Log JSON lines like the web does; without this Celery brings its own format."""
    from django.conf import settings

    logging.config.dictConfig(settings.LOGGING)
