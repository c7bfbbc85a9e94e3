"""Holds back the jobs of a partition while what they need is down."""

from datetime import timedelta

from django.db.models.functions import Now

from jobs.models import PartitionHold

REASON_MAX_CHARACTERS = 200


def hold_partition(partition: str, *, seconds: float, reason: str = "") -> None:
    """
    Let the relay take no job of this partition for so long, by the database's clock.

    In the caller's transaction. Jobs that were handed over already are not stopped: they find out
    for themselves. A second hold takes the first one's place.
    """
    until = Now() + timedelta(seconds=seconds)
    PartitionHold.objects.update_or_create(
        partition=partition, defaults={"until": until, "reason": reason[:REASON_MAX_CHARACTERS]}
    )


def release_partition(partition: str) -> None:
    """Let the relay take its jobs again. Harmless where nothing is held."""
    PartitionHold.objects.filter(partition=partition).delete()
