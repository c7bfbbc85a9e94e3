"""Workflows whose processes are killed at every named crash point: each step applied once."""

from collections.abc import Iterator

import pytest

from tests.harness import dooming, ledger, stepping
from tests.harness.crash_points import env_for
from tests.harness.dooming import RELAYS, RELAYS_WITH_TIMERS, Doomed
from tests.harness.system import System
from tests.harness.workflow_crash_points import IN_REQUESTS, IN_STEPS, IN_TIMEOUTS


@pytest.fixture(scope="module")
def system(shared_system: System) -> System:
    shared_system.env |= dooming.ENV
    return shared_system


@pytest.fixture(scope="module")
def doomed(system: System) -> Doomed:
    """One workflow for each point, all at once."""
    return dooming.doom(system, times=1)


@pytest.fixture(scope="module")
def quiet(system: System, doomed: Doomed) -> None:
    """Everybody who was to die before has died."""
    stepping.wait_for_end(system, "completed", *doomed.completed.values())
    stepping.wait_for_end(system, "timeout", *doomed.timeouts.values())
    ledger.wait_until_all_settled(system)


@pytest.fixture
def no_relay(system: System, quiet: None) -> Iterator[None]:
    """Leave no relay but those that a test starts itself."""
    dooming.kill_all(system, "relay")
    yield
    dooming.kill_all(system, "relay")


class TestAWorkerThatDies:
    @pytest.mark.parametrize("point", IN_STEPS)
    def test_in_a_step_lets_another_one_go_on(self, system, doomed, point):
        dooming.assert_completed(system, doomed, point)

    @pytest.mark.parametrize("point", IN_TIMEOUTS)
    def test_in_a_timeout_lets_another_one_fire_it_once(self, system, doomed, point):
        dooming.assert_timed_out(system, doomed, point)


class TestAWebProcessThatDies:
    @pytest.mark.parametrize("point", IN_REQUESTS)
    def test_in_a_request_lets_its_client_send_it_again(self, system, doomed, point):
        dooming.assert_completed(system, doomed, point)


class TestARelayThatDies:
    @pytest.mark.parametrize("point", RELAYS)
    def test_on_the_way_of_a_step_lets_another_one_send_it(self, system, no_relay, point):
        workflow_id = stepping.start(system, point)
        system.relay(env=env_for(system, point)).wait_until_gone()

        system.relay()

        dooming.complete(system, workflow_id)
        stepping.assert_completed_once(system, workflow_id, point)

    @pytest.mark.parametrize("point", RELAYS_WITH_TIMERS)
    def test_with_a_timer_lets_another_one_see_to_it(self, system, no_relay, point):
        # Given a deadline that has come while no relay ran
        workflow_id = stepping.start(system, point)
        relay = system.relay()
        stepping.wait_for_step(system, 4, workflow_id)
        relay.kill()
        dooming.make_due(system, workflow_id)

        # When the relay that sees it dies, before its job is on its way
        system.relay(env=env_for(system, point)).wait_until_gone()
        assert stepping.row(system, workflow_id)["status"] == "processing"
        system.relay()

        # Then another one fires it
        stepping.wait_for_end(system, "timeout", workflow_id)
        dooming.assert_timed_out_once(system, workflow_id, point)


class TestAWorkerThatDiesWithAllItsChildren:
    """After the relays, which need a worker that lives."""

    @pytest.mark.parametrize("point", ["long.after_work", "join.before_commit"])
    def test_lets_another_worker_go_on(self, system, quiet, point):
        label = f"{point} group"
        dooming.kill_all(system)
        system.relay()
        worker = system.worker("group", env=env_for(system, point, by="group"))
        workflow_id = stepping.start(system, label, crash_at=point)
        worker.wait_until_gone()

        system.worker("second")

        dooming.complete(system, workflow_id)
        stepping.assert_completed_once(system, workflow_id, label)


class TestAfterAllThat:
    def test_nothing_is_left_and_everybody_was_told_once(self, system, quiet):
        dooming.assert_nothing_left(system)
