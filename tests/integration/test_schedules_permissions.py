"""Who may do what to schedules: each action by each kind of person, by GET and by POST."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from jobs.models import Job, SchedulePolicy, ScheduleRevision, Slot
from jobs.schedules import operations
from tests.drills import run_atomic
from tests.people import OPERATOR, WHO, browser_of, make_user

pytestmark = pytest.mark.django_db(transaction=True)

UNTIL = {"until": "2999-01-01T10:00"}

#: Action: the permission it needs beside view, and what its page posts.
ACTIONS: dict[str, tuple[str, dict[str, str]]] = {
    "run_now": ("trigger_schedule", {}),
    "pause": ("pause_schedule", UNTIL),
    "resume": ("pause_schedule", {}),
    "enable": ("change_periodictask", {}),
    "disable": ("change_periodictask", {}),
    "run_selected": ("trigger_schedule", {"asked": "1"}),
    "pause_selected": ("pause_schedule", {"asked": "1", **UNTIL}),
    "resume_selected": ("pause_schedule", {}),
    "enable_selected": ("change_periodictask", {}),
    "disable_selected": ("change_periodictask", {}),
    "delete": ("delete_periodictask", {"post": "yes"}),
}
OTHERS = {permission for permission, _ in ACTIONS.values()}
LIST = reverse("admin:django_celery_beat_periodictask_changelist")


@pytest.fixture
def schedule(request):
    """A schedule that the action under test would change."""
    action = request.node.callspec.params["action"] if hasattr(request.node, "callspec") else ""
    made = PeriodicTask.objects.create(
        name="nightly",
        task=run_atomic.name,
        crontab=CrontabSchedule.objects.create(minute="0", hour="3"),
        enabled=not action.startswith("enable"),
    )
    if action.startswith("resume"):
        until = datetime(2999, 1, 1, tzinfo=UTC)
        operations.pause_schedule(schedule_id=made.pk, until=until, by="ann")
    return made


def person(who: str, permission: str) -> Client:
    return browser_of(who, permission, others=OTHERS, seen=("view_periodictask",))


def request(client: Client, action: str, method: str, schedule: PeriodicTask):
    given: dict[str, Any] = {**ACTIONS[action][1]}
    if action.endswith("_selected"):
        given = {**given, "action": action, "_selected_action": [str(schedule.pk)]}
        return getattr(client, method)(LIST, given)
    name = f"admin:django_celery_beat_periodictask_{action}"
    return getattr(client, method)(reverse(name, args=[schedule.pk]), given)


def world() -> tuple[Any, ...]:
    """Return all that an action may change."""
    return (
        list(PeriodicTask.objects.values_list("enabled", flat=True)),
        list(SchedulePolicy.objects.values_list("paused_until", flat=True)),
        Slot.objects.count(),
        Job.objects.count(),
        ScheduleRevision.objects.count(),
    )


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("who", WHO)
class TestAnAction:
    def test_is_done_for_those_who_may(self, action, who, schedule):
        permission, _ = ACTIONS[action]
        client, before = person(who, permission), world()

        answer = request(client, action, "post", schedule)

        may = who in ("staff with", "superuser")
        assert (world() != before) == may
        if not may and not action.endswith("_selected"):
            assert answer.status_code in (302, 403)
            assert answer.status_code == 403 or "/login/" in answer.url

    def test_is_never_done_by_get(self, action, who, schedule):
        permission, _ = ACTIONS[action]
        client, before = person(who, permission), world()

        answer = request(client, action, "get", schedule)

        assert world() == before
        if who in ("anonymous", "user"):
            assert answer.status_code == 302
        if who == "staff without" and not action.endswith("_selected"):
            assert answer.status_code == 403


class TestWhoMayOnlyLook:
    """Staff that may view schedules, and nothing else."""

    @pytest.fixture
    def client(self):
        return person("staff with", "view_slot")

    def test_sees_schedule_and_policy_but_no_form(self, client, schedule):
        page = reverse("admin:django_celery_beat_periodictask_change", args=[schedule.pk])
        text = client.get(page).content.decode()
        assert "nightly" in text
        assert "Run once for all of them" in text
        assert 'name="kwargs"' not in text
        assert 'name="policy-0-missed"' not in text
        assert "/run-now/" not in text
        assert client.post(page, {"name": "other"}).status_code == 403

    def test_sees_slots_and_not_what_needs_another_permission(self, client, schedule):
        slot = operations.trigger_schedule(schedule_id=schedule.pk, by="ann")
        revision = ScheduleRevision.objects.get()
        slots = reverse("admin:jobs_slot_change", args=[slot.pk])
        assert client.get(slots).status_code == 200
        revisions = reverse("admin:jobs_schedulerevision_change", args=[revision.pk])
        assert client.get(revisions).status_code == 403

    def test_can_not_change_shared_times(self, client, schedule):
        page = reverse(
            "admin:django_celery_beat_crontabschedule_change", args=[schedule.crontab_id]
        )
        assert client.get(page).status_code == 403
        assert client.post(page, {"minute": "5"}).status_code == 403


class TestForgery:
    def test_is_refused(self, schedule):
        client = Client(enforce_csrf_checks=True)
        user = make_user(OPERATOR, is_staff=True, is_superuser=True)
        client.force_login(user)
        name = "admin:django_celery_beat_periodictask_run_now"
        assert client.post(reverse(name, args=[schedule.pk])).status_code == 403
        assert not Job.objects.exists()
