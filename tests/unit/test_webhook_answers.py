"""What is kept of a receiver's answer."""

from datetime import UTC, datetime

import pytest

from notifications.channels.webhook.answers import (
    RETRY_AFTER_MOST_SECONDS,
    Answer,
    excerpt_of,
    header,
    retry_after_seconds,
)

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


class TestAnswer:
    @pytest.mark.parametrize(
        ("status", "fault", "is_success"),
        [
            (199, "", False),
            (200, "", True),
            (204, "", True),
            (299, "", True),
            (300, "", False),
            (410, "", False),
            (200, "its answer is too long", False),
        ],
    )
    def test_is_a_success_with_a_2xx_and_no_fault(self, status, fault, is_success):
        answer = Answer(status, latency_ms=1, excerpt="", retry_after_seconds=None, fault=fault)
        assert answer.is_success == is_success


class TestExcerptOf:
    @pytest.mark.parametrize(
        ("body", "excerpt"),
        [
            (b"", ""),
            (b"ok\r\n\tfine", "ok\n\tfine"),
            ("Zoë 🎉".encode(), "Zoë 🎉"),
            (b"a\x00b\x1b[31m\x7f\x9b", "a�b�[31m��"),
            ("a\u0085\u202eb\u2066".encode(), "a��b�"),
            (b"\xff\xfe\xed\xa0\x80", "�����"),
        ],
    )
    def test_holds_nothing_that_is_obeyed(self, body, excerpt):
        assert excerpt_of(body) == excerpt

    @pytest.mark.parametrize("letter", ["a", "ë", "東", "🎉"])
    def test_is_of_1000_characters_whatever_their_bytes(self, letter):
        assert excerpt_of((letter * 5_000).encode()) == letter * 1_000


class TestHeader:
    def test_finds_a_name_in_any_spelling(self):
        headers = [(b"A", b"1"), (b"RETRY-after", b" 7 "), (b"Retry-After", b"8")]
        assert header(headers, b"retry-after") == "7"
        assert header(headers, b"missing") == ""


class TestRetryAfterSeconds:
    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            ("1", 1),
            ("120", 120),
            ("Mon, 04 May 2026 12:00:30 GMT", 30),
            ("Mon, 04 May 2026 14:00:30 +0200", 30),
            ("Monday, 04-May-26 12:01:00 GMT", 60),
            ("Mon May  4 12:00:10 2026", 10),
            ("999999999999", RETRY_AFTER_MOST_SECONDS),
            ("Mon, 04 May 9999 12:00:30 GMT", RETRY_AFTER_MOST_SECONDS),
        ],
    )
    def test_reads_seconds_and_dates(self, text, seconds):
        assert retry_after_seconds(text, now=NOW) == seconds

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "0",
            "-5",
            "+5",
            "1.5",
            "１２",
            "soon",
            "1e9",
            "9" * 5_000,
            "Mon, 04 May 2026 11:59:59 GMT",
            "Mon, 99 May 2026 12:00:30 GMT",
            "Mon, 04 May 99999999999 12:00:30 GMT",
            "Mon, 04 May 2026 12:00:30 +9999999",
            "Mon, 01 Jan 0001 00:00:00 +2359",
            ",,,,",
            "\x00",
        ],
    )
    def test_is_none_for_what_names_no_wait(self, text):
        assert retry_after_seconds(text, now=NOW) is None
