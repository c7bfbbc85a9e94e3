"""Identifiers that sort by the time they were made."""

import time
from datetime import UTC, datetime, timedelta

from jobs.ids import new_id


class TestNewId:
    def test_is_a_uuid_of_version_7(self):
        made = new_id()

        assert (made.version, made.variant) == (7, "specified in RFC 4122")

    def test_begins_with_the_milliseconds_of_its_making(self):
        before = time.time_ns() // 1_000_000
        milliseconds = new_id().int >> 80

        made_at = datetime.fromtimestamp(milliseconds / 1000, UTC)
        assert before <= milliseconds
        assert datetime.now(UTC) - made_at < timedelta(minutes=1)

    def test_sorts_in_the_order_of_making(self):
        made = [new_id() for _ in range(10_000)]

        assert made == sorted(made)
        assert len(set(made)) == 10_000
