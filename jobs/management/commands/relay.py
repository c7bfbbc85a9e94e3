"""`manage.py relay`: the daemon that hands due jobs to RabbitMQ."""

import signal
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from jobs.engine.daemon import RelayDaemon
from jobs.engine.publisher import open_publisher


class Command(BaseCommand):
    help = "Hand due jobs to the broker until told to stop (SIGTERM or Ctrl-C). Any number may run."

    def handle(self, **options: Any) -> None:
        if settings.PROFILE == "embedded":
            raise CommandError(
                "CELERY_BROKER_URL is not set: in the embedded profile `manage.py up` relays."
            )
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        self.stdout.write("relay: waiting for due jobs")
        RelayDaemon(open_publisher(), stopping).run()
