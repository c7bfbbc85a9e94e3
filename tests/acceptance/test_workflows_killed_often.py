"""Workflows killed twenty times at every named crash point. `make slow` runs it."""

from collections.abc import Iterator

import pytest

from tests.harness import dooming, stepping
from tests.harness.dooming import RELAYS, RELAYS_WITH_TIMERS
from tests.harness.system import System
from tests.harness.workflow_crash_points import IN_REQUESTS, IN_STEPS, IN_TIMEOUTS

TIMES = 20


@pytest.fixture(scope="module")
def system(shared_system: System) -> System:
    shared_system.env |= dooming.ENV
    return shared_system


@pytest.mark.slow
@pytest.mark.timeout(1_800)
class TestTwentyTimesEach:
    @pytest.fixture(autouse=True)
    def alone(self, system: System) -> Iterator[None]:
        """Leave no process to the next test."""
        yield
        dooming.kill_all(system)

    def test_completes_each_once(self, system):
        # Given hundreds of workflows, twenty of them for each point
        doomed = dooming.doom(system, times=TIMES)

        # Then each has met its death and is completed once, or has timed out once
        for point in (*IN_STEPS, *IN_REQUESTS):
            dooming.assert_completed(system, doomed, point, times=TIMES)
        for point in IN_TIMEOUTS:
            dooming.assert_timed_out(system, doomed, point, times=TIMES)
        dooming.assert_nothing_left(system)

    def test_survives_relays_that_die(self, system):
        system.worker(concurrency=4)
        for point in RELAYS:
            for number in range(TIMES):
                workflow_id = stepping.start(system, f"{point} r{number}")
                dooming.die_of(system, point)
                relay = system.relay()
                dooming.complete(system, workflow_id)
                stepping.assert_completed_once(system, workflow_id, f"{point} r{number}")
                relay.kill()
        system.relay()
        dooming.assert_nothing_left(system)

    def test_survives_relays_that_die_with_a_timer(self, system):
        system.worker(concurrency=4)
        for point in RELAYS_WITH_TIMERS:
            for number in range(TIMES):
                relay = system.relay()
                workflow_id = stepping.start(system, f"{point} r{number}")
                stepping.wait_for_step(system, 4, workflow_id)
                relay.kill()
                dooming.make_due(system, workflow_id)
                dooming.die_of(system, point)
                relay = system.relay()
                stepping.wait_for_end(system, "timeout", workflow_id)
                dooming.assert_timed_out_once(system, workflow_id, f"{point} r{number}")
                relay.kill()
        system.relay()
        dooming.assert_nothing_left(system)
