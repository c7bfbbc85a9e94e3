"""Ways to die before a worker runs a job: unknown types, expiry, a lane without a queue."""

import uuid
from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from jobs import enqueue, registry
from tests.harness import deaths, ledger, novelty
from tests.harness.processes import Worker
from tests.harness.system import System
from tests.harness.tasks import add_effect_fenced, do_nothing

OLD = "tests.harness.tasks,tests.harness.dying,tests.harness.witness"
ENV = {
    "JOBS_UNKNOWN_TYPE_SECONDS": "5",
    "JOBS_RECOVERY_INTERVAL_SECONDS": "1",
    "JOBS_EXTRA_TASK_MODULES": OLD,
}
GOOD = b'[[], {"label": "x"}, {}]'

HOUR = timedelta(hours=1)

#: No worker of this module takes from it.
UNATTENDED = "notifications"


@pytest.fixture(scope="module")
def system(shared_system: System) -> System:
    shared_system.env |= ENV
    shared_system.run("declare_topology")
    shared_system.relay()
    return shared_system


@pytest.fixture(scope="module")
def worker(system: System) -> Worker:
    """It takes from one lane, and the dead."""
    return system.worker(queues=["jobs", "alerts", "jobs.dead_letters"])


class TestUnknownType:
    def test_waits_for_a_deploy_and_dies_if_none_comes(self, system, worker):
        # Given jobs of types that no worker knows, one of them another program's
        pid, theirs, body = worker.pid, str(uuid.uuid4()), b"[[], {}, {}]"
        headers = {"lang": "py", "task": "tests.not_ours", "id": theirs}
        system.queues.publish("jobs.tests.not_ours", body, headers=headers)
        with system.orm():
            ours, late = enqueue(novelty.never_come, {}).pk, enqueue(novelty.come_late, {}).pk
        old = system.worker("old", queues=["exports"])

        # Then each is put back, and none is dead
        for job in (ours, late, theirs):
            wait_until_resting(system, job)
        assert deaths.all_dead_letters(system) == []
        deaths.assert_works_on(system)

        # When a worker of the next release replaces one, then it runs what it has learnt
        old.terminate()
        newer = {"JOBS_EXTRA_TASK_MODULES": f"{OLD},tests.harness.novelty"}
        with system.worker("newer", queues=["exports"], env=newer):
            ledger.wait_for_state(system, late, "succeeded")
        assert ledger.outcomes(system, late) == ["succeeded"]
        assert ledger.job_row(system, late)["worker"].startswith("newer@")

        # And what nobody learns has died when its time is over, without an attempt
        for job, name in ((ours, "tests.never_come"), (theirs, "tests.not_ours")):
            death = deaths.wait_for_death(system, job)
            assert (death.row.reason, death.row.queue) == ("rejected", "jobs")
            assert (death.row.error_type, death.attempts) == ("UnknownTaskType", 0)
            assert f"No job type is named '{name}'" in death.row.error
            assert death.cause is None
            assert ledger.job_row(system, job)["dispatch"] > 0
        assert deaths.dead_letters_of(system, late) == []
        deaths.assert_works_on(system)
        assert (worker.pid, worker.alive) == (pid, True)


class TestExpired:
    def test_before_its_turn_came(self, system, worker):
        with system.orm():
            soon = timezone.now() + timedelta(seconds=1)
            job = enqueue(do_nothing, {"label": "x"}, run_at=soon + HOUR, expires_at=soon)
        death = deaths.wait_for_death(system, job.pk)
        assert_never_ran(death, "JobExpired", "It expired at")
        assert (death.row.reason, death.row.queue) == ("ledger", "jobs")
        assert worker.alive

    def test_while_it_was_queued(self, system, worker):
        # Given two children that are busy until after the job's time
        with system.orm():
            busy = {"label": "busy", "seconds": 3}
            jobs = [enqueue(add_effect_fenced, busy) for _ in range(2)]
        for each in jobs:
            ledger.wait_for_state(system, each.pk, "running")
        with system.orm():
            soon = timezone.now() + timedelta(seconds=1)
            job = enqueue(do_nothing, {"label": "x"}, expires_at=soon)

        death = deaths.wait_for_death(system, job.pk)
        assert_never_ran(death, "JobExpired", "It expired at")
        assert (death.row.reason, death.row.queue) == ("rejected", "jobs")
        assert death.row.dispatch == 1
        assert worker.alive

    def test_by_the_time_limit_of_its_message(self, system, worker):
        # Given a message of another program, with a time to live, that nobody takes
        known, job = deaths.all_dead_letters(system), str(uuid.uuid4())
        headers = {"lang": "py", "task": "tests.do_nothing", "id": job}
        key = f"{UNATTENDED}.tests.do_nothing"
        system.queues.publish(key, GOOD, headers=headers, expiration="200")

        death = deaths.wait_for_new(system, known)
        assert_never_ran(death, "JobExpired", "It expired in its queue")
        assert (death.row.reason, death.row.queue) == ("expired", UNATTENDED)
        assert bytes(death.row.body) == GOOD
        assert ledger_has_no(system, job)
        deaths.assert_works_on(system)


class TestUnroutable:
    def test_a_lane_without_a_queue(self, system, worker, monkeypatch):
        # Given a type whose lane is gone; for this test only, as the system checks refuse it
        stray = replace(registry.get_type(novelty.never_come.name), queue="nowhere")
        monkeypatch.setitem(registry._types, stray.name, stray)
        with system.orm():
            job = enqueue(novelty.never_come, {})
        death = deaths.wait_for_death(system, job.pk)
        assert_never_ran(death, "Unroutable", "No queue is bound for lane 'nowhere'")
        assert (death.row.reason, death.row.queue) == ("ledger", "nowhere")
        deaths.assert_works_on(system)
        assert worker.alive


class TestAfterAllThat:
    def test_no_second_dead_letter_has_come(self, system, worker):
        deaths.wait_until_quiet(system)
        twice = "SELECT job_id FROM jobs_deadletter GROUP BY job_id HAVING count(*) > 1"
        assert system.rows(twice) == []

    def test_the_parent_process_never_connected_to_the_database(self, system, worker):
        connected = deaths.pids_that_connected(worker)
        assert connected & set(worker.children())
        assert worker.pid not in connected


def wait_until_resting(system: System, job_id: object) -> None:
    query = "SELECT 1 FROM jobs_job WHERE id = %s AND state = 'waiting' AND run_at > now()"
    system.wait_for(
        lambda: system.value(query, job_id), seconds=deaths.SECONDS, what="it was put back"
    )


def assert_never_ran(death: deaths.Death, error_type: str, said: str) -> None:
    assert (death.row.error_type, death.attempts) == (error_type, 0)
    assert said in death.row.error
    assert death.cause is None


def ledger_has_no(system: System, job_id: str) -> bool:
    return not system.rows("SELECT 1 FROM jobs_job WHERE id = %s", job_id)
