"""A small breaker for tests, and what opens it and tells how it stands."""

from django.utils import timezone

from tests.drills import take
from tests.outgoing import anew, attempt_often, make_delivery, trust_loopback

THRESHOLD, SECONDS, MOST = 3, 60, 150


def make_breakers_small(settings):
    """Let endpoints on loopback be tried, and few failures open a breaker for a minute."""
    trust_loopback(settings)
    settings.NOTIFICATIONS_BREAKER_FAILURES = THRESHOLD
    settings.NOTIFICATIONS_BREAKER_SECONDS = SECONDS
    settings.NOTIFICATIONS_BREAKER_MAX_SECONDS = MOST


def open_breaker(endpoint):
    """Let as many attempts fail as it takes; return the delivery that they were of."""
    delivery = make_delivery(endpoint)
    attempt_often(delivery, THRESHOLD)
    return delivery


def columns(endpoint):
    now = anew(endpoint)
    return now.failures_in_a_row, now.openings, now.open_until


def open_seconds(endpoint):
    return (anew(endpoint).open_until - timezone.now()).total_seconds()


def due_now(*deliveries):
    return {each.id for each in take()} & {str(each.job_id) for each in deliveries}
