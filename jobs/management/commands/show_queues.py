"""`manage.py show_queues`: what each lane holds, by the broker and by the ledger."""

from typing import Any

from django.conf import settings

from jobs import queries
from jobs.engine.publisher import open_publisher
from jobs.errors import BrokerUnreachable
from jobs.lanes import lane_names
from jobs.management.base import Row, TableCommand
from jobs.states import LIVE, JobState

STATES = [state.value for state in JobState if state in LIVE]


class Command(TableCommand):
    help = (
        "Print each lane: messages ready in the broker, and live jobs in the ledger. "
        "Without a broker the ledger's numbers come all the same."
    )

    def handle(self, **options: Any) -> None:
        names = [*lane_names(), settings.JOBS_DEAD_LETTER_QUEUE.name]
        fault: BrokerUnreachable | None = None
        try:
            ready = ready_messages(names)
        except BrokerUnreachable as error:
            ready, fault = {}, error
        self.print_rows(rows_of(names, ready), as_json=options["json"], nothing="no queues")
        if fault:
            raise fault


def ready_messages(names: list[str]) -> dict[str, int | None]:
    """
    Return how many messages wait in each queue; none where the queues are another process's.

    :raises BrokerUnreachable: when the broker is away.
    """
    if settings.PROFILE == "embedded":
        return {}
    publisher = open_publisher()
    try:
        return {name: publisher.ready_messages(name) for name in names}
    finally:
        publisher.close()


def rows_of(names: list[str], ready: dict[str, int | None]) -> list[Row]:
    """Return a row for each queue, and for each lane that only the ledger knows."""
    live = queries.count_by_queue()
    strangers = sorted(live.keys() - set(names))
    return [
        {
            "queue": name,
            "ready": ready.get(name),
            **{state: live.get(name, {}).get(state, 0) for state in STATES},
        }
        for name in [*names, *strangers]
    ]
