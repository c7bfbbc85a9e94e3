"""What the admin does to schedules, and the times that they share."""

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse
from django.utils import timezone
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)

from jobs.models import Job, SchedulePolicy, ScheduleRevision, Slot
from jobs.schedules.decide import is_paused
from tests.people import OPERATOR
from tests.schedule_pages import LIST, page_of, said, text_of
from tests.schedules import make_schedule

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def nightly():
    return make_schedule(cron="0 3 * * *")


class TestActions:
    def act(self, admin, action, *schedules, **given):
        keys = [str(each.pk) for each in schedules]
        return admin.post(LIST, {"action": action, "_selected_action": keys, **given}, follow=True)

    def test_run_one_now_as_the_clock_would(self, admin, nightly):
        PeriodicTask.objects.update(priority=7, headers='{"x": "y"}', expire_seconds=60)
        assert "Run this schedule now" in text_of(admin.get(page_of(nightly, "run_now")))
        assert not Job.objects.exists()

        answer = admin.post(page_of(nightly, "run_now"), follow=True)

        job, slot = Job.objects.get(), Slot.objects.get()
        assert (slot.asked_by, slot.job_id) == (OPERATOR, job.pk)
        options = job.message_options or {}
        assert (options["priority"], options["headers"]["x"]) == (7, "y")
        assert job.expires_at is not None
        assert said(answer) == [f"nightly runs now as job {job.pk}."]
        assert LogEntry.objects.get().change_message == said(answer)[0]

    def test_say_why_one_can_not_be_run(self, admin, nightly):
        PeriodicTask.objects.update(kwargs="{")
        answer = admin.post(page_of(nightly, "run_now"), follow=True)
        assert "kwargs: not JSON" in said(answer)[0]
        answer = admin.post(page_of(nightly, "enable"), follow=True)
        assert "kwargs: not JSON" in said(answer)[0]
        assert not LogEntry.objects.exists()

    def test_run_the_selected_once_somebody_has_agreed(self, admin, nightly):
        weekly = make_schedule("weekly")
        self.act(admin, "run_selected", nightly, weekly)
        assert not Job.objects.exists()
        self.act(admin, "run_selected", nightly, weekly, asked="1")
        assert Job.objects.count() == 2

    def test_pause_until_a_moment_and_resume(self, admin, nightly):
        page = page_of(nightly, "pause")
        assert "datetime-local" in text_of(admin.get(page))
        admin.post(page, {"until": "2999-01-01T10:00"})
        policy = SchedulePolicy.objects.get()
        assert f"{policy.paused_until:%Y-%m-%d %H:%M}" == "2999-01-01 10:00"

        admin.post(page_of(nightly, "resume"))

        policy.refresh_from_db()
        assert not is_paused(policy, timezone.now())
        assert {each.by for each in ScheduleRevision.objects.order_by("-id")[:2]} == {OPERATOR}

    def test_refuse_a_pause_that_has_passed(self, admin, nightly):
        answer = admin.post(page_of(nightly, "pause"), {"until": "2020-01-01T10:00"}, follow=True)
        assert "has passed" in said(answer)[0]
        assert "Enter a valid date" in text_of(
            admin.post(page_of(nightly, "pause"), {"until": "soon"})
        )

    def test_switch_the_selected_without_forgetting_their_last_run(self, admin, nightly):
        PeriodicTask.objects.update(last_run_at=timezone.now())
        self.act(admin, "disable_selected", nightly)
        nightly.refresh_from_db()
        assert not nightly.enabled
        assert nightly.last_run_at is not None
        self.act(admin, "enable_selected", nightly)
        nightly.refresh_from_db()
        assert nightly.enabled

    def test_pause_and_resume_the_selected(self, admin, nightly):
        self.act(admin, "pause_selected", nightly, asked="1", until="2999-01-01T10:00")
        assert "paused" in text_of(admin.get(LIST))
        self.act(admin, "resume_selected", nightly)
        assert "paused" not in text_of(admin.get(LIST))

    def test_are_offered_as_they_make_sense(self, admin, nightly):
        text = text_of(admin.get(page_of(nightly)))
        assert page_of(nightly, "disable") in text
        assert page_of(nightly, "enable") not in text
        assert page_of(nightly, "resume") not in text

    def test_of_the_stock_are_gone(self, admin, nightly):
        for action in ("run_tasks", "toggle_tasks", "enable_tasks", "disable_tasks"):
            self.act(admin, action, nightly)
        assert not Job.objects.exists()
        assert PeriodicTask.objects.get().enabled


class TestTimes:
    def test_shared_by_two_schedules_change_both(self, admin, nightly):
        weekly = make_schedule("weekly")
        weekly.crontab = nightly.crontab
        weekly.save()
        fields = {"minute": "30", "hour": "4", "day_of_month": "*", "month_of_year": "*",
                  "day_of_week": "*", "timezone": "Europe/Oslo"}  # fmt: skip
        inline = {"periodictask_set-TOTAL_FORMS": "0", "periodictask_set-INITIAL_FORMS": "0"}
        before = set(ScheduleRevision.objects.values_list("pk", flat=True))

        answer = admin.post(page_of(nightly.crontab), {**fields, **inline})

        assert answer.status_code == 302
        added = ScheduleRevision.objects.exclude(pk__in=before)
        assert {(each.schedule_name, each.by) for each in added} == {
            ("nightly", OPERATOR),
            ("weekly", OPERATOR),
        }
        assert all(each.changes["crontab"] == ["0 3 * * *", "30 4 * * *"] for each in added)

    @pytest.mark.parametrize(
        ("model", "given", "fault"),
        [
            (IntervalSchedule, {"every": "1", "period": "microseconds"}, "shortest is one second"),
            (IntervalSchedule, {"every": "0", "period": "days"}, "greater than or equal to 1"),
            (IntervalSchedule, {"every": "2147483647", "period": "days"}, "2147483647 days"),
            (CrontabSchedule, {"minute": "61", "hour": "*", "day_of_month": "*",
                               "month_of_year": "*", "day_of_week": "*", "timezone": "UTC"}, "61"),
            (CrontabSchedule, {"minute": "0", "hour": "*", "day_of_month": "*",
                               "month_of_year": "*", "day_of_week": "*", "timezone": "Mars"},
             "Mars"),
        ],
    )  # fmt: skip
    def test_that_nothing_could_keep_are_refused(self, admin, model, given, fault):
        inline = {"periodictask_set-TOTAL_FORMS": "0", "periodictask_set-INITIAL_FORMS": "0"}
        address = reverse(f"admin:django_celery_beat_{model._meta.model_name}_add")
        assert fault in text_of(admin.post(address, {**given, **inline}))
        assert not model.objects.exists()

    def test_are_added(self, admin):
        inline = {"periodictask_set-TOTAL_FORMS": "0", "periodictask_set-INITIAL_FORMS": "0"}
        for model, given in (
            (IntervalSchedule, {"every": "5", "period": "minutes"}),
            (ClockedSchedule, {"clocked_time_0": "2030-01-01", "clocked_time_1": "00:00"}),
        ):
            name = f"admin:django_celery_beat_{model._meta.model_name}"
            assert admin.post(reverse(f"{name}_add"), {**given, **inline}).status_code == 302
            text_of(admin.get(reverse(f"{name}_changelist")))
            text_of(admin.get(page_of(model.objects.get())))

    def test_are_not_deleted_while_a_schedule_uses_them(self, admin, nightly):
        crontab = nightly.crontab
        assert "protected" in text_of(admin.get(page_of(crontab, "delete")))
        admin.post(page_of(crontab, "delete"), {"post": "yes"})
        assert PeriodicTask.objects.exists()

        PeriodicTask.objects.all().delete()
        admin.post(page_of(crontab, "delete"), {"post": "yes"})
        assert not CrontabSchedule.objects.exists()

    def test_of_the_sun_are_said_to_be_of_no_use(self, admin):
        sun = SolarSchedule.objects.create(event="sunset", latitude=1, longitude=1)
        address = reverse("admin:django_celery_beat_solarschedule_changelist")
        for each in (address, page_of(sun)):
            assert "No schedule can use these" in text_of(admin.get(each))
