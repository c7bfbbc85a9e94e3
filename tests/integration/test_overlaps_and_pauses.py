"""What becomes of a slot whose predecessor still runs, or that lies in a pause."""

from datetime import timedelta

import pytest

from jobs import enqueue
from jobs.models import Job, Slot
from jobs.schedules.moments import moment_of
from jobs.schedules.operations import (
    pause_schedule,
    resume_schedule,
    switch_schedule,
)
from jobs.states import JobState
from jobs.testing import run_enqueued_jobs
from tests.drills import run_freely
from tests.schedules import (
    START,
    jobs_of,
    ledger,
    make_schedule,
    proved,
)

pytestmark = pytest.mark.django_db(transaction=True)


class TestAnOverlap:
    @pytest.fixture
    def busy(self, beat):
        def start(overlap, **policy):
            schedule = make_schedule(policy={"overlap": overlap, **policy})
            beat.run(hours=1)
            return schedule

        return start

    def test_is_allowed(self, beat, busy):
        schedule = busy("allow")
        beat.run(hours=1)
        assert ledger(schedule) == ["13:00 ran", "14:00 ran"]
        assert Job.objects.live().count() == 2

    def test_is_skipped(self, beat, busy):
        schedule = busy("skip")
        beat.run(hours=1)
        run_enqueued_jobs()
        beat.run(hours=1)
        assert ledger(schedule) == ["13:00 ran", "14:00 overlap", "15:00 ran"]
        assert len(jobs_of(schedule)) == 2

    def test_waits_and_follows_at_once(self, beat, busy):
        schedule = busy("wait")
        beat.run(hours=1)
        assert ledger(schedule) == ["13:00 ran", "14:00 waiting"]
        run_enqueued_jobs()
        beat.run(seconds=2)
        assert ledger(schedule) == ["13:00 ran", "14:00 late"]
        assert moment_of(jobs_of(schedule)[-1]).hour == 14

    def test_lets_no_more_wait_than_the_limit(self, beat, busy):
        schedule = busy("wait", waiting_max=2)
        for _ in range(3):
            beat.pass_time(hours=1)
            beat.tick()
        assert ledger(schedule)[1:] == ["14:00 waiting", "15:00 waiting", "16:00 overlap"]

    @pytest.mark.parametrize("state", ["waiting", "queued", "running", "retrying"])
    def test_is_one_while_a_job_is_live_in_any_state(self, beat, busy, state):
        schedule = busy("skip")
        Job.objects.update(state=state)
        beat.run(hours=1)
        assert ledger(schedule)[-1] == "14:00 overlap"

    @pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled"])
    def test_is_none_once_it_has_settled(self, beat, busy, state):
        schedule = busy("skip")
        Job.objects.update(state=state)
        beat.run(hours=1)
        assert ledger(schedule)[-1] == "14:00 ran"

    @pytest.mark.parametrize(("overlap", "outcome"), [("skip", "overlap"), ("wait", "waiting")])
    def test_is_one_while_a_part_is_live(self, beat, busy, overlap, outcome):
        # Given a job that has succeeded, after it enqueued a part that has not
        schedule = busy(overlap)
        [job] = jobs_of(schedule)
        part = enqueue(run_freely, {}, slot_id=job.slot_id)
        Job.objects.filter(pk=job.pk).update(state=JobState.SUCCEEDED)

        beat.run(hours=1)
        assert ledger(schedule)[-1] == f"14:00 {outcome}"

        Job.objects.filter(pk=part.pk).update(state=JobState.SUCCEEDED)
        beat.run(seconds=2)
        run_enqueued_jobs()
        beat.run(hours=1)
        assert ledger(schedule)[-1] == "15:00 ran"

    def test_is_no_matter_of_other_schedules(self, beat, busy):
        busy("skip")
        other = make_schedule("other", policy={"overlap": "skip"})
        beat.run(hours=1)
        assert ledger(other) == ["14:00 ran"]

    def test_is_not_wanted_any_more_where_the_schedule_is_disabled(self, beat, busy):
        schedule = busy("wait")
        beat.run(hours=1)
        switch_schedule(schedule_id=schedule.pk, enabled=False, by="ann")
        run_enqueued_jobs()
        beat.run(minutes=1)
        assert ledger(schedule) == ["13:00 ran", "14:00 policy"]
        assert "disabled while the slot waited" in Slot.objects.get(outcome="policy").error


class TestAPause:
    def test_skips_slots_until_it_ends(self, beat):
        schedule = make_schedule()
        until = START + timedelta(hours=2, minutes=30)
        pause_schedule(schedule_id=schedule.pk, until=until, by="ann")
        beat.run(hours=3)
        assert ledger(schedule) == ["13:00 pause", "14:00 pause", "15:00 ran"]
        assert proved(beat.now)

    def test_holds_back_what_waits_to_be_caught_up(self, beat):
        schedule = make_schedule(policy={"missed": "run_all"})
        beat.tick()
        beat.pass_time(hours=3, minutes=30)
        beat.restart()
        beat.tick()
        pause_schedule(schedule_id=schedule.pk, until=beat.now + timedelta(hours=1), by="ann")
        beat.run(seconds=20)
        assert ledger(schedule) == ["13:00 caught_up", "14:00 waiting", "15:00 waiting"]

        resume_schedule(schedule_id=schedule.pk, by="ann")
        beat.run(seconds=5)
        assert ledger(schedule) == ["13:00 caught_up", "14:00 caught_up", "15:00 caught_up"]

    def test_of_the_newest_lets_the_one_before_run_for_all_missed(self, beat):
        schedule = make_schedule(policy={"missed": "run_once"})
        beat.tick()
        beat.pass_time(hours=3, minutes=30)
        pause_schedule(schedule_id=schedule.pk, until=beat.now + timedelta(hours=1), by="ann")
        beat.pass_time(minutes=45)
        beat.restart()
        beat.run(seconds=5)
        assert ledger(schedule) == ["13:00 policy", "14:00 policy", "15:00 waiting", "16:00 pause"]

        resume_schedule(schedule_id=schedule.pk, by="ann")
        beat.run(seconds=5)
        assert ledger(schedule)[2] == "15:00 caught_up"

    def test_is_ended_earlier_and_what_it_skipped_stays_skipped(self, beat):
        schedule = make_schedule(policy={"missed": "run_all"})
        pause_schedule(schedule_id=schedule.pk, until=START + timedelta(days=1), by="ann")
        beat.run(hours=1, minutes=30)
        resume_schedule(schedule_id=schedule.pk, by="ann")
        beat.run(hours=1)
        assert ledger(schedule) == ["13:00 pause", "14:00 ran"]

    def test_leaves_what_was_due_before_it(self, beat):
        # Given slots that no beat was there for, and a pause after them
        schedule = make_schedule(policy={"missed": "run_all"})
        beat.tick()
        beat.pass_time(hours=1, minutes=30)
        pause_schedule(schedule_id=schedule.pk, until=beat.now + timedelta(hours=1), by="ann")
        beat.pass_time(hours=1, minutes=20)
        beat.restart()
        beat.run(minutes=1)
        assert ledger(schedule) == ["13:00 caught_up", "14:00 pause"]
