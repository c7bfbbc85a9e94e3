"""The wiring of the product: settings, Celery, routes, and who is asking."""

from project.celery import app as celery_app

__all__ = ["celery_app"]
