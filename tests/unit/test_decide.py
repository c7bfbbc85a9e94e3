"""What becomes of a slot: every policy in one table."""

from datetime import UTC, datetime, timedelta

import pytest

from jobs.models import SchedulePolicy
from jobs.schedules.decide import ON_TIME, Line, is_missed, is_paused
from jobs.states import MissedPolicy, OverlapPolicy

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
GRACE, OLDEST = 60, 3_600


def policy_with(**columns):
    return SchedulePolicy(grace_seconds=GRACE, catch_up_seconds=OLDEST, waiting_max=3, **columns)


def ago(seconds):
    return NOW - timedelta(seconds=seconds)


#: How late each is found: on its time, late, over its grace, and too old to be caught up.
ON, LATE, MISSED, OLD = 0, 30, 600, 7_200

#: What went before: (a job of an earlier slot is live, slots that wait already).
LINES = {
    "FREE": (False, 0), "BUSY": (True, 0), "QUEUE": (False, 1), "FULL": (False, 3),
    "BUSY_QUEUE": (True, 1), "BUSY_FULL": (True, 3),
}  # fmt: skip

#: found      line        overlap   allow      skip       wait
OF_DUE_SLOTS = f"""
   {ON}       FREE                 ran        ran        ran
   {ON}       BUSY                 ran        overlap    waiting
   {ON}       QUEUE                ran        waiting    waiting
   {ON}       FULL                 ran        overlap    overlap
   {ON}       BUSY_QUEUE           ran        overlap    waiting
   {ON}       BUSY_FULL            ran        overlap    overlap
   {LATE}     FREE                 late       late       late
   {LATE}     BUSY                 late       overlap    waiting
   {LATE}     QUEUE                late       waiting    waiting
   {LATE}     FULL                 late       overlap    overlap
   {LATE}     BUSY_QUEUE           late       overlap    waiting
   {LATE}     BUSY_FULL            late       overlap    overlap
"""

#: found      line        missed    skip       run_once   run_once    run_all
#:                                             (newest)   (another)
OF_MISSED_SLOTS = f"""
   {MISSED}   FREE                 policy     waiting    policy      waiting
   {MISSED}   BUSY                 policy     waiting    policy      waiting
   {MISSED}   QUEUE                policy     waiting    policy      waiting
   {MISSED}   FULL                 policy     policy     policy      policy
   {MISSED}   BUSY_QUEUE           policy     waiting    policy      waiting
   {MISSED}   BUSY_FULL            policy     policy     policy      policy
   {OLD}      FREE                 policy     policy     policy      policy
   {OLD}      BUSY                 policy     policy     policy      policy
   {OLD}      QUEUE                policy     policy     policy      policy
   {OLD}      FULL                 policy     policy     policy      policy
"""

OVERLAPS = (OverlapPolicy.ALLOW, OverlapPolicy.SKIP, OverlapPolicy.WAIT)
MISSES = (
    (MissedPolicy.SKIP, True),
    (MissedPolicy.RUN_ONCE, True),
    (MissedPolicy.RUN_ONCE, False),
    (MissedPolicy.RUN_ALL, False),
)


def cells(table, columns):
    """Yield (seconds late, line, column, outcome) of each cell."""
    for row in table.strip().splitlines():
        seconds, line, *outcomes = row.split()
        for column, outcome in zip(columns, outcomes, strict=True):
            yield pytest.param(
                int(seconds), line, column, outcome, id=f"{seconds}s-{line}-{column}-{outcome}"
            )


def decide(policy, seconds, line, *, is_newest=True):
    busy, waiting = LINES[line]
    return Line(policy, NOW, busy=busy, waiting=waiting).decide(ago(seconds), is_newest=is_newest)


class TestASlot:
    @pytest.mark.parametrize("missed", MissedPolicy)
    @pytest.mark.parametrize(
        ("seconds", "line", "overlap", "outcome"), list(cells(OF_DUE_SLOTS, OVERLAPS))
    )
    def test_within_its_grace_follows_the_policy_of_overlaps(
        self, seconds, line, overlap, outcome, missed
    ):
        policy = policy_with(overlap=overlap, missed=missed)
        assert decide(policy, seconds, line) == outcome

    @pytest.mark.parametrize("overlap", OverlapPolicy)
    @pytest.mark.parametrize(
        ("seconds", "line", "missed", "outcome"), list(cells(OF_MISSED_SLOTS, MISSES))
    )
    def test_over_its_grace_follows_the_policy_of_missed_ones(
        self, seconds, line, missed, outcome, overlap
    ):
        policy = policy_with(missed=missed[0], overlap=overlap)
        assert decide(policy, seconds, line, is_newest=missed[1]) == outcome

    @pytest.mark.parametrize("line", LINES)
    @pytest.mark.parametrize("seconds", [ON, LATE, MISSED, OLD])
    @pytest.mark.parametrize("overlap", OverlapPolicy)
    @pytest.mark.parametrize("missed", MissedPolicy)
    def test_in_a_pause_is_skipped_by_it_whatever_else(self, missed, overlap, seconds, line):
        policy = policy_with(
            missed=missed, overlap=overlap, paused_until=NOW + timedelta(seconds=1)
        )
        assert decide(policy, seconds, line) == "pause"


class TestTheLine:
    def test_lets_the_second_of_two_due_slots_find_the_first(self):
        for overlap, outcomes in (
            ("allow", ["late", "ran"]),
            ("skip", ["late", "overlap"]),
            ("wait", ["late", "waiting"]),
        ):
            line = Line(policy_with(overlap=overlap), NOW, busy=False, waiting=0)
            assert [line.decide(ago(30), is_newest=False), line.decide(NOW, is_newest=True)] == (
                outcomes
            )

    def test_counts_what_waits_up_to_the_limit(self):
        line = Line(policy_with(missed="run_all"), NOW, busy=False, waiting=1)
        outcomes = [line.decide(ago(900 - n), is_newest=False) for n in range(4)]
        assert outcomes == ["waiting", "waiting", "policy", "policy"]

    def test_is_not_busy_by_what_was_skipped(self):
        policy = policy_with(overlap="skip", missed="skip")
        line = Line(policy, NOW, busy=False, waiting=0)
        assert [line.decide(ago(600), is_newest=False), line.decide(NOW, is_newest=True)] == [
            "policy", "ran"
        ]  # fmt: skip

    def test_lets_a_due_slot_stand_for_the_missed_ones_before_it(self):
        # "Once for all of them": it is the newest, and it runs.
        line = Line(policy_with(missed="run_once"), NOW, busy=False, waiting=0)
        outcomes = [line.decide(ago(s), is_newest=s == 0) for s in (1_200, 600, 0)]
        assert outcomes == ["policy", "policy", "ran"]


class TestTheLimits:
    def test_of_on_time_late_and_missed_belong_to_the_better(self):
        policy = policy_with(missed="skip")
        assert decide(policy, ON_TIME.total_seconds(), "FREE") == "ran"
        assert decide(policy, ON_TIME.total_seconds() + 0.001, "FREE") == "late"
        assert decide(policy, GRACE, "FREE") == "late"
        assert decide(policy, GRACE + 0.001, "FREE") == "policy"

    def test_of_age_belong_to_what_is_caught_up(self):
        policy = policy_with(missed="run_all")
        assert decide(policy, OLDEST, "FREE") == "waiting"
        assert decide(policy, OLDEST + 0.001, "FREE") == "policy"

    def test_of_no_grace_call_every_late_slot_missed(self):
        policy = policy_with()
        policy.grace_seconds = 0
        assert is_missed(policy, ago(0.001), NOW)
        assert not is_missed(policy, NOW, NOW)

    def test_of_no_room_let_nothing_wait(self):
        policy = policy_with(missed="run_all", overlap="wait")
        policy.waiting_max = 0
        assert decide(policy, MISSED, "FREE") == "policy"
        assert decide(policy, ON, "BUSY") == "overlap"


class TestAPause:
    def test_holds_from_its_beginning_until_its_end(self):
        policy = policy_with(paused_from=ago(60), paused_until=ago(30))
        found = {seconds: is_paused(policy, ago(seconds)) for seconds in (61, 60, 31, 30, 0)}
        assert found == {61: False, 60: True, 31: True, 30: False, 0: False}

    def test_without_a_beginning_holds_all_before_its_end(self):
        assert is_paused(policy_with(paused_until=NOW), ago(10**6))

    def test_is_none_where_it_has_no_end(self):
        assert not is_paused(policy_with(paused_from=ago(60)), NOW)

    def test_is_a_matter_of_the_slots_own_time_not_of_when_it_is_decided(self):
        # Found missed after the pause: skipped by it all the same.
        policy = policy_with(
            missed="run_all", paused_from=ago(900), paused_until=ago(300)
        )  # fmt: skip
        assert decide(policy, 600, "FREE") == "pause"
        assert decide(policy, 200, "FREE") == "waiting"
