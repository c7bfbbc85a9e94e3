"""The Celery application: what `celery -A project …` starts."""

import os
import threading
from pathlib import Path
from typing import Any

from celery import Celery
from celery.signals import beat_init, celeryd_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
os.environ.setdefault("FLOWER_CONF", str(Path(__file__).with_name("flower.py")))

app = Celery("project")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@celeryd_init.connect
@beat_init.connect
def refuse_to_be_alone(**_: Any) -> None:
    """End a worker or beat without a broker; those of `manage.py up` are in no main thread."""
    from django.conf import settings

    from project.env import BadSetting

    alone = threading.current_thread() is threading.main_thread()
    if settings.PROFILE == "embedded" and alone:
        fault = "is not set; without RabbitMQ `manage.py up` runs everything in one process"
        raise BadSetting("CELERY_BROKER_URL", fault, "amqp://user:password@127.0.0.1:5672//")
