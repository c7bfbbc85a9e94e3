"""The admin's pages of schedules: what they show, what they refuse, and what their actions do."""

import json
from datetime import timedelta

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

from jobs.models import Job, Process, ScheduleCursor, SchedulePolicy, ScheduleRevision, Slot
from jobs.schedules import operations
from jobs.states import SlotOutcome
from tests.drills import run_atomic, run_freely
from tests.people import make_user

pytestmark = pytest.mark.django_db(transaction=True)

WHO = "root@offload.example"
HOSTILE = "<script>alert(1)</script>"
LIST = reverse("admin:django_celery_beat_periodictask_changelist")
ADD = reverse("admin:django_celery_beat_periodictask_add")

#: What the page posts of the policy when nobody has touched it.
POLICY = {
    "missed": "run_once", "grace_seconds": "60", "catch_up_seconds": "86400",
    "catch_up_per_minute": "60", "overlap": "allow", "waiting_max": "100",
}  # fmt: skip


@pytest.fixture
def admin(client):
    client.force_login(make_user(WHO, is_staff=True, is_superuser=True))
    return client


@pytest.fixture
def nightly():
    return make_schedule()


def make_crontab(**fields) -> CrontabSchedule:
    return CrontabSchedule.objects.create(
        **{"minute": "0", "hour": "3", "timezone": "UTC", **fields}
    )


def make_schedule(name="nightly", **fields) -> PeriodicTask:
    times = {} if {"interval", "clocked"} & fields.keys() else {"crontab": make_crontab()}
    values = {"task": run_atomic.name, **times, **fields}
    return PeriodicTask.objects.create(name=name, **values)


def page_of(row, action="change"):
    opts = row._meta
    return reverse(f"admin:{opts.app_label}_{opts.model_name}_{action}", args=[row.pk])


def text_of(answer) -> str:
    assert answer.status_code == 200, answer.status_code
    return str(answer.content.decode())


def said(answer) -> list[str]:
    return [str(message) for message in answer.context["messages"]]


def form_of(schedule: PeriodicTask | None = None, **changed) -> dict[str, str]:
    """Return what a schedule's page posts, with some of it changed."""
    given = {
        "name": "nightly", "task": run_atomic.name, "enabled": "on", "kwargs": "{}",
        "args": "[]", "headers": "{}", "policy-TOTAL_FORMS": "1",
        "policy-INITIAL_FORMS": "1" if schedule else "0", **policy_form(schedule),
    }  # fmt: skip
    if schedule is not None:
        given |= {"name": schedule.name, "crontab": str(schedule.crontab_id or "")}
    return {name: value for name, value in {**given, **changed}.items() if value is not None}


def policy_form(schedule, **changed) -> dict[str, str]:
    given = {f"policy-0-{name}": value for name, value in {**POLICY, **changed}.items()}
    return {**given, "policy-0-schedule": str(schedule.pk)} if schedule else given


def errors_of(answer) -> dict[str, str]:
    assert answer.status_code == 200, answer.status_code
    errors = answer.context["adminform"].form.errors
    return {field: " ".join(texts) for field, texts in errors.items()}


class TestAdding:
    def test_takes_schedule_and_policy_from_one_form(self, admin):
        policy = policy_form(None, missed="run_all", waiting_max="7")
        answer = admin.post(ADD, form_of(crontab=make_crontab().pk, **policy))

        assert answer.status_code == 302
        schedule = PeriodicTask.objects.get()
        assert (schedule.name, schedule.policy.missed) == ("nightly", "run_all")
        assert SchedulePolicy.objects.get().waiting_max == 7
        newest = ScheduleRevision.objects.order_by("-id")[0]
        assert (newest.by, newest.definition["missed"]) == (WHO, "run_all")

    def test_gives_the_default_policy_to_one_that_names_none(self, admin):
        assert admin.post(ADD, form_of(crontab=make_crontab().pk)).status_code == 302
        assert SchedulePolicy.objects.get().missed == "run_once"
        assert [each.by for each in ScheduleRevision.objects.all()] == [WHO]

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
        answer = admin.post(ADD, form_of(**{"crontab": make_crontab().pk, **changed}))
        assert reason in errors_of(answer)[field]
        assert not PeriodicTask.objects.exists()

    def test_refuses_an_interval_below_a_second(self, admin):
        often = IntervalSchedule.objects.create(every=5, period="microseconds")
        answer = admin.post(ADD, form_of(interval=often.pk))
        assert "the shortest is one second" in errors_of(answer)["interval"]

    def test_refuses_the_sun_with_a_reason(self, admin):
        sun = SolarSchedule.objects.create(event="sunset", latitude=1, longitude=1)
        answer = admin.post(ADD, form_of(solar=sun.pk))
        assert "can't be told in advance" in errors_of(answer)["solar"]
        assert not PeriodicTask.objects.exists()

    def test_takes_a_plain_task_with_a_queue(self, admin):
        given = {"task": "celery.backend_cleanup", "queue": "jobs", "args": "[1]"}
        answer = admin.post(ADD, form_of(crontab=make_crontab().pk, **given))
        assert answer.status_code == 302


class TestEditing:
    def test_writes_down_who_changed_what(self, admin, nightly):
        admin.post(page_of(nightly), form_of(nightly, kwargs='{"label": "other"}'))
        newest = ScheduleRevision.objects.order_by("-id")[0]
        assert newest.by == WHO
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
            [PeriodicTask(name="bulk", task="drills.run_atomic", crontab=make_crontab())]
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
        assert (newest.by, newest.changes) == (WHO, {"deleted": [False, True]})


class TestPage:
    def test_shows_the_next_five_slots_in_its_zone(self, admin):
        oslo = make_schedule(crontab=make_crontab(timezone="Europe/Oslo"))
        text = text_of(admin.get(page_of(oslo)))
        assert text.count("(03:00 CE") == 5
        assert "At 03:00 AM" in text or "At 03:00" in text

    def test_shows_what_became_of_the_last_slots(self, admin, nightly):
        operations.trigger_schedule(schedule_id=nightly.pk, by="ann")
        job = Job.objects.get()
        Job.objects.update(
            state="failed", error=f"disk is full {HOSTILE}", settled_at=timezone.now()
        )
        Slot.objects.create(
            schedule=nightly, schedule_name="nightly", at=timezone.now(), outcome="overlap"
        )
        text = text_of(admin.get(page_of(nightly)))
        assert "by ann · job failed · disk is full" in text
        assert HOSTILE not in text
        assert page_of(job) in text
        assert "Skipped: overlap" in text
        assert "0%: 0 of 1 succeeded" in text

    def test_survives_a_job_that_was_deleted(self, admin, nightly):
        slot = operations.trigger_schedule(schedule_id=nightly.pk, by="ann")
        Job.objects.all().delete()
        for address in (page_of(nightly), LIST, page_of(slot)):
            assert "deleted" in text_of(admin.get(address)) or address == LIST

    def test_shows_when_a_pause_ends(self, admin, nightly):
        until = timezone.now() + timedelta(days=3)
        operations.pause_schedule(schedule_id=nightly.pk, until=until, by="ann")
        assert f"until {until:%a %Y-%m-%d %H:%M}" in text_of(admin.get(page_of(nightly)))

    @pytest.mark.parametrize("outcome", SlotOutcome.values)
    def test_shows_every_outcome(self, admin, nightly, outcome):
        slot = Slot.objects.create(
            schedule=nightly, schedule_name="nightly", at=timezone.now(), outcome=outcome
        )
        for address in (LIST, page_of(nightly), page_of(slot)):
            text_of(admin.get(address))


class TestList:
    def test_shows_state_time_and_record(self, admin, nightly):
        text = text_of(admin.get(LIST))
        for words in ("nightly", "enabled", "At 03:00", "in "):
            assert words in text

    def test_shows_why_a_schedule_is_disabled(self, admin, nightly):
        PeriodicTask.objects.update(enabled=False)
        ScheduleCursor.objects.update(disabled_reason="kwargs: not JSON")
        assert 'title="kwargs: not JSON"' in text_of(admin.get(LIST))

    @pytest.mark.parametrize(
        ("given", "shown"),
        [({"enabled__exact": "0"}, {"off"}), ({"task": run_freely.name}, {"free"}),
         ({"q": "off"}, {"off"}), ({}, {"off", "free"})],
    )  # fmt: skip
    def test_filters_and_searches(self, admin, given, shown):
        make_schedule("off", enabled=False)
        make_schedule("free", task=run_freely.name)
        found = admin.get(LIST, given).context["cl"].result_list
        assert {each.name for each in found} == shown

    def test_asks_three_times_of_each_row_at_most(self, admin, django_assert_max_num_queries):
        for number in range(10):
            schedule = make_schedule(f"number {number}")
            operations.trigger_schedule(schedule_id=schedule.pk, by="ann")
        with django_assert_max_num_queries(12 + 3 * 10):
            admin.get(LIST)

    @pytest.mark.parametrize(
        ("seconds", "words"),
        [(None, "Beat has never ticked"), (2, "Beat: last tick 2 s ago"),
         (200, "Beat has not ticked for 3 min")],
    )  # fmt: skip
    def test_says_whether_beat_is_there(self, admin, seconds, words):
        if seconds is not None:
            seen = timezone.now() - timedelta(seconds=seconds)
            Process.objects.create(name="beat@x:1", kind="beat", seen_at=seen)
        assert words in text_of(admin.get(LIST))


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
        assert (slot.asked_by, slot.job_id) == (WHO, job.pk)
        assert job.message_options["priority"] == 7
        assert job.message_options["headers"]["x"] == "y"
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
        assert policy.paused_until <= timezone.now()
        assert {each.by for each in ScheduleRevision.objects.order_by("-id")[:2]} == {WHO}

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
        make_schedule("weekly", crontab=nightly.crontab)
        fields = {"minute": "30", "hour": "4", "day_of_month": "*", "month_of_year": "*",
                  "day_of_week": "*", "timezone": "Europe/Oslo"}  # fmt: skip
        inline = {"periodictask_set-TOTAL_FORMS": "0", "periodictask_set-INITIAL_FORMS": "0"}
        before = set(ScheduleRevision.objects.values_list("pk", flat=True))

        answer = admin.post(page_of(nightly.crontab), {**fields, **inline})

        assert answer.status_code == 302
        added = ScheduleRevision.objects.exclude(pk__in=before)
        assert {(each.schedule_name, each.by) for each in added} == {
            ("nightly", WHO),
            ("weekly", WHO),
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


class TestSlots:
    def test_are_listed_by_schedule_and_outcome(self, admin, nightly):
        weekly = make_schedule("weekly")
        for schedule, outcome in ((nightly, "ran"), (weekly, "pause")):
            Slot.objects.create(
                schedule=schedule, schedule_name=schedule.name, at=timezone.now(), outcome=outcome
            )
        address = reverse("admin:jobs_slot_changelist")
        for given in ({"schedule_id": str(weekly.pk)}, {"outcome__exact": "pause"}):
            found = admin.get(address, given).context["cl"].result_list
            assert [each.schedule_name for each in found] == ["weekly"]
        assert len(admin.get(address, {"schedule_id": "x"}).context["cl"].result_list) == 2

    def test_lead_to_their_jobs_and_back(self, admin, nightly):
        slot = operations.trigger_schedule(schedule_id=nightly.pk, by="ann")
        assert page_of(slot.job) in text_of(admin.get(page_of(slot)))
        assert page_of(slot) in text_of(admin.get(page_of(slot.job)))

    def test_can_not_be_changed(self, admin, nightly):
        slot = operations.trigger_schedule(schedule_id=nightly.pk, by="ann")
        assert admin.post(page_of(slot), {"outcome": "failed"}).status_code == 403


class TestRevisions:
    def test_say_who_changed_what(self, admin, nightly):
        revision = ScheduleRevision.objects.get()
        address = reverse("admin:jobs_schedulerevision_changelist")
        assert "drills.run_atomic" in text_of(admin.get(address, {"q": "nightly"}))
        assert "a program" in text_of(admin.get(page_of(revision)))
