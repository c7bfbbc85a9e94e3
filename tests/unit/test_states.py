"""The life of a job: which moves there are, and which there are not."""

from itertools import product

import pytest

from jobs.engine import lifecycle
from jobs.models import Job
from jobs.states import DUE, IN_FLIGHT, LIVE, MOVES, SETTLED, JobState

LEGAL = {
    ("waiting", "queued"),
    ("waiting", "failed"),
    ("waiting", "cancelled"),
    ("queued", "running"),
    ("queued", "waiting"),
    ("queued", "failed"),
    ("queued", "cancelled"),
    ("running", "running"),
    ("running", "retrying"),
    ("running", "waiting"),
    ("running", "succeeded"),
    ("running", "failed"),
    ("running", "cancelled"),
    ("retrying", "queued"),
    ("retrying", "failed"),
    ("retrying", "cancelled"),
}
EVERY_PAIR = list(product(JobState.values, JobState.values))


class TestMoves:
    @pytest.mark.parametrize(("before", "after"), EVERY_PAIR)
    def test_are_those_of_the_design_and_no_others(self, before, after):
        assert (after in MOVES.get(JobState(before), ())) == ((before, after) in LEGAL)

    @pytest.mark.parametrize("settled", sorted(SETTLED))
    def test_never_leave_a_settled_state(self, settled):
        assert settled not in MOVES

    def test_lead_from_every_live_state_to_failed_and_cancelled(self):
        assert all({JobState.FAILED, JobState.CANCELLED} <= MOVES[state] for state in LIVE)

    @pytest.mark.parametrize(
        ("before", "after"), [pair for pair in EVERY_PAIR if pair not in LEGAL]
    )
    def test_refuse_an_illegal_one_before_the_database_is_asked(self, before, after):
        # This test may not touch a database: a statement would fail it.
        with pytest.raises(ValueError, match="not a move a job can make"):
            lifecycle.move(Job(state=before), JobState(after))


class TestStates:
    def test_are_either_live_or_settled(self):
        assert set(JobState) == LIVE | SETTLED
        assert not LIVE & SETTLED

    def test_are_due_or_in_flight_while_they_are_live(self):
        assert {*DUE, *IN_FLIGHT} == LIVE
