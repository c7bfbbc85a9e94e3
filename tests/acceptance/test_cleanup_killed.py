"""A worker that is killed in the middle of the nightly clean-up."""

import pytest

from tests.harness import ledger
from tests.harness.processes import Worker
from tests.harness.system import System

#: Thirty batches.
EXPIRED, LIVE = 300_000, 1_000

#: Each batch rests in its open transaction, so that a test is never too late to meet one.
REST_AT_EACH_BATCH = """
    CREATE FUNCTION rest() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN PERFORM pg_sleep(0.1); RETURN NULL; END $$;
    CREATE TRIGGER rest AFTER DELETE ON accounts_session EXECUTE FUNCTION rest();
"""

#: Recovery by seconds instead of minutes; nothing else differs from production.
IMPATIENT = {
    "JOBS_LEASE_SECONDS": "4",
    "JOBS_HEARTBEAT_SECONDS": "1",
    "JOBS_RECOVERY_INTERVAL_SECONDS": "1",
}

ADD_SESSIONS = """
    INSERT INTO accounts_session (session_key, session_data, expire_date)
    SELECT %s || number, '', now() + number * %s::interval FROM generate_series(1, %s) number
"""

SESSIONS = "accounts.delete_expired_sessions"


@pytest.fixture
def system(system: System) -> System:
    system.env |= IMPATIENT
    system.run("sync_schedules")
    system.rows(REST_AT_EACH_BATCH)
    system.rows(ADD_SESSIONS, "expired-", "-1 second", EXPIRED)
    system.rows(ADD_SESSIONS, "live-", "1 day", LIVE)
    return system


def count(system: System, kind: str) -> int:
    query = "SELECT count(*) FROM accounts_session WHERE session_key LIKE %s"
    return int(system.value(query, f"{kind}-%"))


def stop_in_the_middle(system: System, worker: Worker) -> None:
    """
    Stop a worker in its tracks as soon as the session that expired first is gone.

    It goes with the first batch, and a look for it costs nothing, unlike a count of all.
    """
    first = "SELECT count(*) = 0 FROM accounts_session WHERE session_key = %s"
    system.wait_for(
        lambda: system.value(first, f"expired-{EXPIRED}"), seconds=90, what="the first batch went"
    )
    worker.pause()


class TestAKilledCleanUp:
    def test_is_finished_by_another_worker(self, system: System) -> None:
        # Given a clean-up with much to delete, whose worker is killed with all its children
        system.relay()
        doomed = system.worker("doomed")
        system.run("trigger_schedule", "daily_cleanup")
        stop_in_the_middle(system, doomed)
        doomed.kill()
        assert 0 < count(system, "expired") < EXPIRED

        # When another worker starts
        system.worker("second")
        ledger.wait_until_all_settled(system)

        # Then what was left is gone too, nobody who is signed in has lost his session
        assert (count(system, "expired"), count(system, "live")) == (0, LIVE)
        # And every part has succeeded, also the one that was hit
        assert ledger.count_by_state(system).keys() == {"succeeded"}
        [hit] = system.rows("SELECT id FROM jobs_job WHERE type = %s", SESSIONS)
        first, *_, last = ledger.outcomes(system, hit["id"])
        assert (first, last) == ("lost", "succeeded")
