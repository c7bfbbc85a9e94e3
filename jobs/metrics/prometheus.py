"""
What `GET /metrics` says: the state of the whole installation, read from the database.

Every web process reads the same rows, so it does not matter which one is asked. Each figure
comes from an index that holds live rows alone, or the last day's. Jobs that have settled are not
counted: that would read the whole ledger. How many there were is an event's business.
"""

from collections.abc import Iterable, Iterator
from datetime import timedelta

from django.db import Error
from django.db.models import Count, Max
from django.db.models.functions import Now
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from jobs import queries
from jobs.metrics import log_events
from jobs.models import DeadLetter, Job, Process, Slot
from jobs.states import DUE, IN_FLIGHT, DeadLetterState, SlotOutcome

CONTENT_TYPE = CONTENT_TYPE_LATEST

#: Of which slots the outcomes are counted.
SLOTS_WITHIN = timedelta(hours=24)


def render() -> bytes:
    """Return the figures as Prometheus's text; `offload_up 0` alone where the database is away."""
    registry = CollectorRegistry()
    registry.register(LedgerCollector())
    return generate_latest(registry)


class LedgerCollector(Collector):
    """Reads everything at once: half of the figures would look like a change."""

    def collect(self) -> Iterable[GaugeMetricFamily]:
        try:
            families = list(_read())
        except Error as error:
            log_events.not_readable(error)
            families = []
        return [_up(bool(families)), *families]


def _read() -> Iterator[GaugeMetricFamily]:
    yield _live_jobs()
    lag = queries.relay_lag().total_seconds()
    yield _gauge("relay_lag_seconds", "How long due jobs have waited for the relay.", lag)
    relays = Process.objects.living("relay").count()
    yield _gauge("relays_alive", "Relays that showed a sign of life in the last 30 s.", relays)
    yield from _beat()
    dead = DeadLetter.objects.filter(state=DeadLetterState.OPEN).count()
    yield _gauge("dead_letters_open", "Dead letters that wait for somebody.", dead)
    yield _slots()


def _up(readable: bool) -> GaugeMetricFamily:
    return _gauge("up", "1: the database could be read; 0: nothing else is known.", int(readable))


def _live_jobs() -> GaugeMetricFamily:
    """Ask once for each of the two partial indexes: no index is of all live states."""
    family = _gauge("jobs", "Jobs that have not settled.", labels=["state"])
    for states in (DUE, IN_FLIGHT):
        rows = Job.objects.filter(state__in=states).values_list("state").annotate(Count("pk"))
        counts = dict(rows.order_by())
        for state in states:
            family.add_metric([state.value], counts.get(state, 0))
    return family


def _beat() -> Iterator[GaugeMetricFamily]:
    """Nothing where no beat has ever ticked: 1970 would look like one that stopped."""
    ticked = Process.objects.filter(kind="beat").aggregate(at=Max("seen_at"))["at"]
    if ticked:
        text = "When a beat last ticked, in seconds since 1970 (UTC)."
        yield _gauge("beat_last_tick_timestamp_seconds", text, ticked.timestamp())


def _slots() -> GaugeMetricFamily:
    text = "Slots of schedules in the last 24 hours, by what became of them."
    family = _gauge("schedule_slots", text, labels=["outcome"])
    recent = Slot.objects.filter(at__gte=Now() - SLOTS_WITHIN)
    counts = dict(recent.values_list("outcome").annotate(Count("pk")).order_by())
    for outcome in SlotOutcome.values:
        family.add_metric([outcome], counts.get(outcome, 0))
    return family


def _gauge(
    name: str, text: str, value: float | None = None, *, labels: list[str] | None = None
) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"offload_{name}", text, value=value, labels=labels)
