"""What is kept of a mail server's words."""

import pytest

from notifications.channels.email.words import WORDS_CHARACTERS, one_line

SECRET = "Zq3xV9Lk0aB7-_cD2eF5gH8iJ1kL4mN6oP0qR2sT4uV"
INV = f"inv_{SECRET}"


class TestOneLine:
    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("", ""),
            ("5.7.1 \tread\x07 this\r\n", "5.7.1 read this"),
            ("550 <ann@example.com>: no such mailbox", "550 <ann@example.com>: no such mailbox"),
            ("Queued as 4f_on-off 1/2 = 50%", "Queued as 4f_on-off 1/2 = 50%"),
            ("see https://example.com/why", "see [link]"),
            ("see <HTTP://example.com>!", "see <[link]"),
            ("see www.example.com/why now", "see [link] now"),
            ("listed URL hxxps://example.com/x", "listed URL [link]"),
            (f"token {INV} listed", "token [token] listed"),
            (f"token={INV}&x", "token=[token]&x"),
            (f"whsec_{SECRET}= and off_0123456789ab_{SECRET}", "[token] and [token]"),
        ],
    )
    def test_holds_what_helps_and_no_link_or_token(self, text, line):
        assert one_line(text) == line

    @pytest.mark.parametrize(
        "text",
        [
            f"listed URL https://offload.example/invitations/accept?token={INV}",
            f"listed offload.example/invitations/accept?token={INV}",
            f"listed hxxps[:]//offload[.]example/accept?token={INV.upper()}",
            f"line: https://offload.example/accept?token=3D{INV[:20]}=\n{INV[20:]}",
            f"line: token=3D{INV[:20]}=\r\n{INV[20:]}",
            f"https%3A%2F%2Foffload.example%2F%3Ftoken%3Dinv%5F{SECRET}",
            f"cut at 300: {'x' * 270} {INV}",
        ],
    )
    def test_holds_no_part_of_a_secret(self, text):
        line = one_line(text).lower()

        for part in (SECRET[:8], SECRET[8:16], SECRET[20:28], SECRET[-8:]):
            assert part.lower() not in line

    def test_ends_after_300_characters(self):
        assert one_line("x" * 400) == "x" * WORDS_CHARACTERS

    def test_reads_long_words_as_quickly_as_short_ones(self):
        assert len(one_line("a" * 2_000_000)) == WORDS_CHARACTERS
