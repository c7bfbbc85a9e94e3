"""The admin's pages of schedules and slots: what they show."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from jobs.models import Job, Process, ScheduleCursor, ScheduleRevision, Slot
from jobs.schedules import operations
from jobs.states import SlotOutcome
from tests.drills import run_freely
from tests.schedule_pages import LIST, page_of, text_of
from tests.schedules import make_schedule

pytestmark = pytest.mark.django_db(transaction=True)

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def nightly():
    return make_schedule(cron="0 3 * * *")


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


class TestPage:
    def test_shows_the_next_five_slots_in_its_zone(self, admin):
        oslo = make_schedule(cron="0 3 * * *", zone="Europe/Oslo")
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
        text = text_of(admin.get(page_of(nightly)))
        assert f"until {until:%a %Y-%m-%d %H:%M}" in text
        assert text.count("UTC, skipped") == 3

    @pytest.mark.parametrize("outcome", SlotOutcome.values)
    def test_shows_every_outcome(self, admin, nightly, outcome):
        slot = Slot.objects.create(
            schedule=nightly, schedule_name="nightly", at=timezone.now(), outcome=outcome
        )
        for address in (LIST, page_of(nightly), page_of(slot)):
            text_of(admin.get(address))


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
        assert "created" in text_of(admin.get(address, {"q": "nightly"}))
        text = text_of(admin.get(page_of(revision)))
        assert "a program" in text
        assert "task: drills.run_atomic" in text
