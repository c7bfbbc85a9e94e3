"""
Leaves room for others among the workers of the lane, where one side hangs: a mail server, or a
tenant's endpoints.
"""

from django.conf import settings
from django.db.models import Q, QuerySet

from jobs.errors import NotNow
from jobs.models import Job
from jobs.states import JobState

#: How soon a job looks again whether there is room.
REST_SECONDS = 2


def leave_room_beside_tenant(job: Job) -> None:
    """
    Let no tenant's endpoints hold all workers: they may hang, or be slow, all at once.

    :raises NotNow: if its tenant has NOTIFICATIONS_TENANT_IN_FLIGHT_MAX attempts under way.
    """
    tenants = Job.objects.filter(tenant_id=job.tenant_id)
    most = settings.NOTIFICATIONS_TENANT_IN_FLIGHT_MAX
    _leave_room(job, tenants, most=most, whose="its tenant's")


def leave_room_beside_mails(job: Job) -> None:
    """
    Let mails not hold all workers: the mail server is one for all tenants, and may hang.

    The relay hands over no more than that, so what waits costs nothing. This is for what comes
    past it: messages of other programs, which are put back once and then wait for the relay.

    :raises NotNow: if NOTIFICATIONS_MAILS_IN_FLIGHT_MAX are under way, over all tenants.
    """
    most = settings.NOTIFICATIONS_MAILS_IN_FLIGHT_MAX
    _leave_room(job, Job.objects.all(), most=most, whose="the mails'")


def _leave_room(job: Job, others: QuerySet[Job], *, most: int, whose: str) -> None:
    """
    Count those that began before: of many that begin at once the first ones go. Counting all of
    them, each would make room for the others, and again when all come back together.
    """
    running = others.filter(type=job.type, state=JobState.RUNNING)
    before = Q(started_at__lt=job.started_at) | Q(started_at=job.started_at, pk__lt=job.pk)
    if running.filter(before).count() >= most:
        raise NotNow(f"{whose} share of the workers is in use", seconds=REST_SECONDS)
