"""The engine's errors on their way from a worker's child to its parent."""

import pickle

import pytest

from jobs.errors import JobError, KeyInUse, MoveRefused, NotThisTime, UnknownTaskType
from jobs.models import Job
from jobs.states import JobState

ERRORS = [
    MoveRefused(Job(state=JobState.RUNNING), JobState.SUCCEEDED),
    NotThisTime("stale"),
    UnknownTaskType("reports.unknown", ["reports.known"]),
    KeyInUse(Job(key="report-7")),
]


class TestPickling:
    @pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
    def test_gives_the_same_error_with_its_message(self, error: JobError):
        # A worker whose parent can't read what its child sends ends, with all that it holds.
        arrived = pickle.loads(pickle.dumps(error))
        assert type(arrived) is type(error)
        assert str(arrived) == str(error)
