"""The system checks of mails and webhooks: ours pass, and what contradicts itself is told."""

import pytest

from notifications.checks import ATTEMPTS, check_settings


def faults():
    found = check_settings()
    assert all(fault.msg and fault.hint for fault in found)
    return [(fault.id, fault.msg.partition(" ")[0]) for fault in found]


class TestCheckSettings:
    def test_finds_nothing_wrong_with_our_own(self):
        assert faults() == []

    @pytest.mark.parametrize("name", ATTEMPTS)
    def test_wants_an_attempt_to_end_before_its_job_is_ended(self, settings, name):
        settings.JOBS_SOFT_LIMIT_SECONDS = 600
        setattr(settings, name, 599)
        assert faults() == []

        setattr(settings, name, 600)
        assert faults() == [("notifications.W001", name)]

    def test_wants_a_breaker_to_open_for_no_longer_than_its_most(self, settings):
        settings.NOTIFICATIONS_BREAKER_MAX_SECONDS = settings.NOTIFICATIONS_BREAKER_SECONDS
        assert faults() == []

        settings.NOTIFICATIONS_BREAKER_SECONDS += 1
        assert faults() == [("notifications.W002", "NOTIFICATIONS_BREAKER_SECONDS")]
