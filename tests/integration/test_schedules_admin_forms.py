"""The admin's forms of schedules: what they save, and what they refuse."""

import json
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone
from django_celery_beat.models import (
    ClockedSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)

from jobs.models import ScheduleCursor, SchedulePolicy, ScheduleRevision, Slot
from jobs.schedules import operations
from tests.people import OPERATOR
from tests.schedule_pages import ADD, LIST, errors_of, form_of, page_of, policy_form, text_of
from tests.schedules import make_crontab, make_schedule

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def nightly():
    return make_schedule(cron="0 3 * * *")


class TestAdding:
    def test_takes_schedule_and_policy_from_one_form(self, admin):
        policy = policy_form(None, missed="run_all", waiting_max="7")
        answer = admin.post(ADD, form_of(crontab=make_crontab("0 3 * * *").pk, **policy))

        assert answer.status_code == 302
        schedule = PeriodicTask.objects.get()
        assert (schedule.name, schedule.policy.missed) == ("nightly", "run_all")
        assert SchedulePolicy.objects.get().waiting_max == 7
        newest = ScheduleRevision.objects.order_by("-id")[0]
        assert (newest.by, newest.definition["missed"]) == (OPERATOR, "run_all")

    def test_gives_the_default_policy_to_one_that_names_none(self, admin):
        assert admin.post(ADD, form_of(crontab=make_crontab("0 3 * * *").pk)).status_code == 302
        assert SchedulePolicy.objects.get().missed == "run_once"
        assert [each.by for each in ScheduleRevision.objects.all()] == [OPERATOR]

    def test_offers_job_types_before_plain_tasks(self, admin):
        text = text_of(admin.get(ADD))
        types, plain = text.index("Job types"), text.index("Plain Celery tasks")
        assert types < text.index('value="drills.run_atomic"') < plain

    @pytest.mark.parametrize(
        ("changed", "field", "reason"),
        [
            ({"kwargs": "{"}, "kwargs", "not JSON"),
            ({"kwargs": "[]"}, "kwargs", "not JSON of an object"),
            ({"kwargs": '{"label": 7}'}, "kwargs", "label: Input should be"),
            ({"kwargs": json.dumps({"label": "x" * 70_000})}, "kwargs", "at most 65536 fit"),
            ({"kwargs": r'{"label": "\u0000"}'}, "kwargs", "NUL"),
            ({"kwargs": r'{"label": "\ud800"}'}, "kwargs", "surrogates not allowed"),
            ({"kwargs": "[" * 100_000}, "kwargs", "not JSON"),
            ({"headers": r'{"x": "\ud800"}'}, "headers", "surrogates not allowed"),
            (
                {"task": "celery.backend_cleanup", "kwargs": r'{"x": "\ud800"}'},
                "kwargs",
                "surrogates not allowed",
            ),
            ({"args": "[1]"}, "args", "keyword arguments alone"),
            ({"args": "{"}, "args", "not JSON"),
            ({"headers": "[]"}, "headers", "not JSON of an object"),
            ({"task": "drills.unknown"}, "task", "drills.unknown"),
            ({"task": ""}, "task", "required"),
            ({"queue": "elsewhere"}, "queue", "go to the lane"),
            ({"exchange": "x"}, "exchange", "its type's lane"),
            ({"routing_key": "x"}, "routing_key", "its type's lane"),
            ({"priority": "256"}, "priority", "less than or equal to 255"),
            (
                {"expire_seconds": "5", "expires_0": "2030-01-01", "expires_1": "00:00"},
                "expire_seconds",
                "both are set",
            ),
            ({"crontab": ""}, "__all__", "must be set"),
        ],
    )
    def test_refuses_what_beat_would_refuse_at_its_field(self, admin, changed, field, reason):
        answer = admin.post(ADD, form_of(**{"crontab": make_crontab("0 3 * * *").pk, **changed}))
        assert reason in errors_of(answer)[field]
        assert not PeriodicTask.objects.exists()

    def test_refuses_an_interval_below_a_second(self, admin):
        often = IntervalSchedule.objects.create(every=5, period="microseconds")
        answer = admin.post(ADD, form_of(interval=often.pk))
        assert "the shortest is one second" in errors_of(answer)["interval"]

    def test_refuses_a_moment_that_has_passed(self, admin):
        past = ClockedSchedule.objects.create(clocked_time=timezone.now() - timedelta(minutes=1))
        answer = admin.post(ADD, form_of(clocked=past.pk, one_off="on"))
        assert "has passed" in errors_of(answer)["clocked"]
        assert not PeriodicTask.objects.exists()

    def test_refuses_the_sun_with_a_reason(self, admin):
        sun = SolarSchedule.objects.create(event="sunset", latitude=1, longitude=1)
        answer = admin.post(ADD, form_of(solar=sun.pk))
        assert "can't be told in advance" in errors_of(answer)["solar"]
        assert not PeriodicTask.objects.exists()

    def test_takes_a_plain_task_with_a_queue(self, admin):
        given = {"task": "celery.backend_cleanup", "queue": "jobs", "args": "[1]"}
        answer = admin.post(ADD, form_of(crontab=make_crontab("0 3 * * *").pk, **given))
        assert answer.status_code == 302


class TestEditing:
    def test_writes_down_who_changed_what(self, admin, nightly):
        admin.post(page_of(nightly), form_of(nightly, kwargs='{"label": "other"}'))
        newest = ScheduleRevision.objects.order_by("-id")[0]
        assert newest.by == OPERATOR
        assert newest.changes == {"kwargs": ["{}", '{"label": "other"}']}
        text = text_of(admin.get(page_of(nightly)))
        assert "kwargs: {} → {&quot;label&quot;: &quot;other&quot;}" in text

    def test_changes_the_policy_with_it(self, admin, nightly):
        changed = policy_form(nightly, overlap="skip")
        admin.post(page_of(nightly), form_of(nightly, **changed))
        nightly.policy.refresh_from_db()
        assert nightly.policy.overlap == "skip"
        assert ScheduleRevision.objects.order_by("-id")[0].changes == {"overlap": ["allow", "skip"]}

    def test_refuses_a_policy_that_could_not_be_kept(self, admin, nightly):
        changed = policy_form(nightly, catch_up_per_minute="0")
        text = text_of(admin.post(page_of(nightly), form_of(nightly, **changed)))
        assert "greater than or equal to 1" in text

    def test_keeps_a_run_and_a_pause_that_came_meanwhile(self, admin, nightly, monkeypatch):
        # Given a beat and an operator that write between the form's reading and its saving
        until = timezone.now() + timedelta(hours=1)
        check = PeriodicTask.validate_unique

        def meanwhile(self, *args, **kwargs):
            PeriodicTask.objects.filter(pk=nightly.pk).update(total_run_count=9)
            SchedulePolicy.objects.filter(pk=nightly.pk).update(paused_until=until)
            return check(self, *args, **kwargs)

        monkeypatch.setattr(PeriodicTask, "validate_unique", meanwhile)
        changed = policy_form(nightly, overlap="skip")
        admin.post(page_of(nightly), form_of(nightly, description="new", **changed))

        nightly = PeriodicTask.objects.get()
        assert (nightly.description, nightly.total_run_count) == ("new", 9)
        assert (nightly.policy.overlap, nightly.policy.paused_until) == ("skip", until)

    def test_shows_a_task_that_is_known_no_more_and_keeps_it_from_being_saved(self, admin, nightly):
        PeriodicTask.objects.filter(pk=nightly.pk).update(task="gone.task")
        assert 'value="gone.task" selected' in text_of(admin.get(page_of(nightly)))
        answer = admin.post(page_of(nightly), form_of(nightly, task="gone.task"))
        assert "gone.task" in errors_of(answer)["task"]

    def test_mends_a_schedule_that_the_scheduler_disabled(self, admin, nightly):
        PeriodicTask.objects.filter(pk=nightly.pk).update(enabled=False, kwargs="{")
        ScheduleCursor.objects.update(disabled_reason="kwargs: not JSON")
        assert "kwargs: not JSON" in text_of(admin.get(page_of(nightly)))

        admin.post(page_of(nightly), form_of(nightly))

        assert ScheduleCursor.objects.get().disabled_reason == ""

    def test_adds_what_a_schedule_lacks_that_was_saved_past_the_signals(self, admin):
        PeriodicTask.objects.bulk_create(
            [PeriodicTask(name="bulk", task="drills.run_atomic", crontab=make_crontab("0 3 * * *"))]
        )
        bulk = PeriodicTask.objects.get()
        assert "bulk" in text_of(admin.get(LIST))
        text_of(admin.get(page_of(bulk)))
        given = form_of(bulk, **{"policy-INITIAL_FORMS": "0", "policy-0-overlap": "wait"})
        assert admin.post(page_of(bulk), given).status_code == 302
        assert SchedulePolicy.objects.get().overlap == "wait"

    def test_deletes_a_schedule_and_keeps_its_slots(self, admin, nightly):
        operations.trigger_schedule(schedule_id=nightly.pk, by="ann")
        assert "nightly" in text_of(admin.get(page_of(nightly, "delete")))

        admin.post(page_of(nightly, "delete"), {"post": "yes"})

        assert not PeriodicTask.objects.exists()
        slot = Slot.objects.get()
        assert "nightly (deleted)" in text_of(admin.get(page_of(slot)))
        assert "nightly (deleted)" in text_of(admin.get(reverse("admin:jobs_slot_changelist")))
        newest = ScheduleRevision.objects.order_by("-id")[0]
        assert (newest.by, newest.changes) == (OPERATOR, {"deleted": [False, True]})
