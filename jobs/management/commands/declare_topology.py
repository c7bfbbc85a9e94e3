"""`manage.py declare_topology`: declares every exchange and queue."""

from typing import Any

from celery import current_app
from django.conf import settings
from django.core.management.base import CommandError

from jobs.engine.publisher import BROKER_FAULTS, declare_topology
from jobs.errors import BrokerUnreachable
from jobs.lanes import lanes
from jobs.management.base import TableCommand, refuse_embedded


class Command(TableCommand):
    help = (
        "Declare every exchange, queue and binding in RabbitMQ. Harmless when done again; "
        "relay and workers do it by themselves. Fails where a queue exists with other arguments."
    )

    def handle(self, **options: Any) -> None:
        refuse_embedded("`manage.py up` declares its queues in its own memory.")
        try:
            with current_app.connection_for_write() as connection:
                connection.connect()
                refused = declare_topology(connection)
        except BROKER_FAULTS as error:
            raise BrokerUnreachable(str(error)) from error
        rows = [
            {"queue": queue.name, "exchange": queue.exchange.name, "binding": queue.routing_key}
            for queue in (*lanes(), settings.JOBS_DEAD_LETTER_QUEUE)
        ]
        self.print_rows(rows, as_json=options["json"], nothing="no queues")
        if refused:
            raise CommandError(
                f"Left as they are: {'; '.join(refused)}. A queue's arguments never change: "
                "give it a new name, or delete it once it is empty."
            )
