"""Puts our pages in the place of django-celery-beat's, whose actions go past the ledger."""

from collections.abc import Callable
from typing import Any

import django_celery_beat.admin  # noqa: F401  # Registers its pages now, not over ours later.
from django.contrib import admin
from django.db.models import Model


def register_instead(model: type[Model]) -> Callable[[Any], Any]:
    """Register a page like `admin.register`, instead of the stock one."""
    admin.site.unregister(model)
    return admin.register(model)
