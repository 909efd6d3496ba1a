"""The composition root: puts the apps together. Nobody imports it."""

from treasury.celery import app as celery_app

__all__ = ["celery_app"]
