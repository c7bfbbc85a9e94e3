"""Retry by hand: a new job that points to the old one, once for each."""

import pytest
from django.db import IntegrityError, transaction

from jobs import operations
from jobs.errors import NotReplayable, UnknownJob, UnknownTaskType
from jobs.models import Job
from tests.deliveries import at_once
from tests.drills import ACME, GLOBEX, effects, fresh, leave_effect, make_job, script

pytestmark = pytest.mark.django_db(transaction=True)


def replay(job, **options):
    return operations.replay_job(job_id=job.pk, by="ann", **options)


class TestReplay:
    @pytest.mark.parametrize("state", ["failed", "cancelled"])
    def test_runs_the_same_again_as_a_new_job(self, state):
        old = make_job(state=state, failures=4, attempt=4, losses=2, key="report-7")

        new = fresh(replay(old))

        assert new.pk != old.pk
        assert new.replay_of == old
        assert (new.type, new.payload, new.queue) == (old.type, old.payload, old.queue)
        assert (new.tenant_id, new.partition) == (old.tenant_id, old.partition)
        assert (new.state, new.failures, new.attempt, new.losses) == ("waiting", 0, 0, 0)
        assert fresh(old).state == state

    @pytest.mark.parametrize("state", ["waiting", "queued", "running", "retrying", "succeeded"])
    def test_is_refused_for_any_other(self, state):
        job = make_job(state=state)

        with pytest.raises(NotReplayable, match=state):
            replay(job)

        assert Job.objects.count() == 1

    def test_happens_once(self):
        old = make_job(state="failed")
        replay(old)

        with pytest.raises(NotReplayable, match="replay the newest"):
            replay(old)

        assert Job.objects.count() == 2

    def test_happens_once_when_asked_for_many_times_at_once(self):
        old = make_job(state="failed")

        answers = at_once(*[lambda: replay(old)] * 6)

        assert [type(answer) for answer in answers].count(Job) == 1
        assert [type(answer) for answer in answers].count(NotReplayable) == 5
        assert Job.objects.filter(replay_of=old).count() == 1

    def test_of_the_newest_goes_on(self):
        oldest = make_job(state="failed")
        middle = replay(oldest)
        Job.objects.filter(pk=middle.pk).update(state="cancelled")

        assert replay(middle).replay_of == middle

    def test_finds_no_job_of_another_tenant(self):
        job = make_job(state="failed", tenant_id=ACME)

        with pytest.raises(UnknownJob):
            replay(job, tenant_id=GLOBEX)

    def test_of_a_type_that_is_gone_says_which_there_are(self):
        job = make_job(state="failed", type="old.release")

        with pytest.raises(UnknownTaskType, match=r"drills\.run_atomic"):
            replay(job)


class TestOnReplayed:
    def test_shares_the_transaction(self, monkeypatch):
        told = []

        def point(old, new):
            told.append((old.pk, new.pk))
            leave_effect("pointed")

        monkeypatch.setattr(script, "on_replayed", point)
        old = make_job(state="failed")
        new = replay(old)

        assert (told, effects("pointed")) == ([(old.pk, new.pk)], 1)

    def test_undoes_the_replay_when_it_fails(self, monkeypatch):
        def fail(old, new):
            leave_effect("pointed")
            raise LookupError("the export is gone")

        monkeypatch.setattr(script, "on_replayed", fail)
        old = make_job(state="failed")

        with pytest.raises(LookupError):
            replay(old)

        assert (Job.objects.count(), effects()) == (1, 0)

    def test_is_not_taken_for_a_second_replay_when_the_database_refuses_it(self, monkeypatch):
        def fail(old, new):
            raise IntegrityError("null value in column of the feature's own")

        monkeypatch.setattr(script, "on_replayed", fail)

        with pytest.raises(IntegrityError):
            replay(make_job(state="failed"))

    def test_leaves_the_callers_transaction_usable_when_the_replay_is_refused(self):
        old = make_job(state="failed")
        replay(old)

        with transaction.atomic():
            with pytest.raises(NotReplayable):
                replay(old)
            leave_effect("after")

        assert effects("after") == 1
