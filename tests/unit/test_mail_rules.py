"""Which addresses, subjects and pieces of HTML a mail may have."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications.channels.email.rules import check_address, check_html, check_subject
from notifications.errors import MailRefused

LONG_DOMAIN = ".".join(["d" * 61] * 3) + ".com"  # 189 characters
HALF = "\ud83d"  # The first half of an emoji.


class TestCheckAddress:
    @pytest.mark.parametrize(
        "address",
        [
            "ann@example.com",
            "Ann.Lee@example.com",
            "ann+exports@mail.example.co.uk",
            "o'neill@example.com",
            "a@b.co",
            "ann-lee_1@example-2.com",
            "1@2.example",
            "{ann}|#$&*/?=^`~@example.com",
            "ann@xn--bcher-kva.example",
            "ann@example.xn--p1ai",
            "l" * 64 + "@example.com",
            "l" * 64 + "@" + LONG_DOMAIN[:-4] + ".io",
            "ann@bücher.example",
            "ann@почта.рф",
            "ann@例え.テスト",
        ],
    )
    def test_returns_a_plain_address(self, address):
        assert check_address(address) == address

    @pytest.mark.parametrize(
        ("address", "checked"),
        [
            ("Ann@EXAMPLE.Com", "Ann@example.com"),
            ("ann@BÜCHER.example", "ann@bücher.example"),
            ("ann@bu\u0308cher.example", "ann@bücher.example"),  # The same letter in two parts.
        ],
    )
    def test_writes_a_domain_in_one_way(self, address, checked):
        assert check_address(address) == checked

    @pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\x00", "\u2028", "\u2029", "\x85"])
    @pytest.mark.parametrize("place", ["{}ann@example.com", "a{}nn@example.com",
                                       "ann@exam{}ple.com", "ann@example.com{}",
                                       "ann@example.com{}Bcc: eve@example.com"])  # fmt: skip
    def test_refuses_whatever_ends_a_line_anywhere(self, end, place):
        assert_refused(place.format(end))

    @pytest.mark.parametrize(
        "hidden",
        [
            *"\t\x07\x1b\x7f\x0b\x0c\x1c\x1f",
            *"\u200b\u200c\u200d\u2060\ufeff\u00ad\u180e\u061c",  # Nobody sees them.
            *"\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",  # Directions.
            *" \u00a0\u2003\u3000\u1680\u202f",  # Spaces.
            *"\U000e0041\ue000\ufffe",  # Tags, private use, no character at all.
            HALF,
        ],
        ids=ascii,
    )
    @pytest.mark.parametrize("place", ["{}ann@example.com", "an{}n@example.com",
                                       "ann@exa{}mple.com", "ann@example.com{}"])  # fmt: skip
    def test_refuses_whatever_nobody_sees(self, hidden, place):
        assert_refused(place.format(hidden))

    @pytest.mark.parametrize(
        "address",
        [
            "",
            "@",
            "ann",
            "ann@",
            "@example.com",
            "ann@@example.com",
            "ann@eve@example.com",
            ".ann@example.com",
            "ann.@example.com",
            "an..n@example.com",
        ],
    )
    def test_refuses_what_has_not_two_sides(self, address):
        assert_refused(address)

    @pytest.mark.parametrize(
        "address",
        [
            "ann@example.com,eve@example.com",
            "ann@example.com;eve@example.com",
            "friends:ann@example.com;",
            "Ann <ann@example.com>",
            "<ann@example.com>",
            '"Ann" <ann@example.com>',
            '"ann lee"@example.com',
            '"ann"@example.com',
            '"ann@evil.example"@example.com',
            "ann(comment)@example.com",
            "ann@example.com(comment)",
            "ann@(comment)example.com",
            "ann\\@eve@example.com",
            "mailto:ann@example.com",
        ],
    )
    def test_refuses_lists_names_quotes_and_comments(self, address):
        assert_refused(address)

    @pytest.mark.parametrize(
        "address",
        [
            "@relay.example:ann@example.com",
            "ann%example.com@relay.example",
            "relay!ann@example.com",
            "ann%40example.com@example.com",
            "ann@example.com%0d%0aBcc:eve@example.com",
            "ann@example%2ecom",
            "=?utf-8?q?ann=40evil.example=3e?=@example.com",
            "=?x?q?ann@example.com",
        ],
    )
    def test_refuses_ways_through_other_servers_and_encodings(self, address):
        assert_refused(address)

    @pytest.mark.parametrize(
        "address",
        [
            "ann@localhost",
            "ann@mailserver",
            "ann@[127.0.0.1]",
            "ann@[IPv6:::1]",
            "ann@127.0.0.1",
            "ann@2130706433",
            "ann@::1",
            "ann@example.com.",
            "ann@.example.com",
            "ann@example..com",
            "ann@-example.com",
            "ann@example-.com",
            "ann@exam_ple.com",
            "ann@example.c",
            "ann@example.com:25",
            "ann@example.com/x",
            "ann@" + "d" * 64 + ".com",
        ],
    )
    def test_refuses_what_is_no_domain(self, address):
        assert_refused(address)

    @pytest.mark.parametrize(
        "domain",
        [
            "straße.example",  # Would go to strasse.example.
            "exam\uff0eple.com",  # Letters that turn into a dot, or hold one, or a slash.
            "example\u3002com",
            "exam\u2100ple.com",
            "\uff45xample.com",  # A wide e.
            "ⓔxample.com",
            "ex\u0131mple\u0307.com\u0345",
            "ü" * 60 + ".example",  # Too long once it is encoded.
            "-ü.example",
            "ü-.example",
            "exa/mple-ü.example",
            "_ü.example",
            "xn--ü.example",
        ],
    )
    def test_refuses_domains_that_are_sent_as_others(self, domain):
        assert_refused(f"ann@{domain}")

    @pytest.mark.parametrize("local", ["änn", "аnn", "用户", "ann\u0301"])  # noqa: RUF001
    def test_refuses_other_letters_than_ascii_before_the_at(self, local):
        assert_refused(f"{local}@example.com")

    def test_refuses_what_is_too_long(self):
        assert_refused("l" * 65 + "@example.com")
        assert_refused("l" * 62 + "@" + LONG_DOMAIN + ".example")

    def test_refuses_what_is_too_long_once_it_is_encoded(self):
        domain = ".".join(["字жλü" * 3] * 9) + ".example"

        assert len(f"ann@{domain}") < 254 < len(b"ann@" + domain.encode("idna"))
        assert_refused(f"ann@{domain}")

    def test_does_not_repeat_what_it_refuses(self):
        with pytest.raises(MailRefused) as refused:
            check_address("eve secret@example.com")

        assert str(refused.value) == "email: must not hold spaces"

    @given(st.text(max_size=300) | st.builds("{}@{}".format, st.text(), st.text()))
    def test_either_refuses_or_returns_what_one_header_can_hold(self, text):
        try:
            address = check_address(text)
        except MailRefused:
            return
        sent = address.encode("idna").decode() if not address.isascii() else address
        assert sent.isascii()
        assert sent.isprintable()
        assert sent.count("@") == 1
        assert check_address(address) == address


class TestCheckSubject:
    @pytest.mark.parametrize(
        "subject",
        [
            "Ready",
            "x",
            "s" * 200,
            "Grüße: „fertig“",
            "תקציר מוכן",
            "می‌خواهم",  # Holds a joiner that nobody sees, and needs it.
            "👩‍👩‍👧 are ready",
            "100% = all? (yes) <b>",
            "a =? b",
        ],
    )
    def test_returns_a_line_of_text(self, subject):
        assert check_subject(subject) == subject

    def test_leaves_out_the_spaces_around_it(self):
        assert check_subject("  Ready \u3000") == "Ready"

    @pytest.mark.parametrize(
        "subject",
        [
            "",
            " ",
            "\u00a0\u3000",
            "s" * 201,
            "Ready\r\nBcc: eve@example.com",
            "Ready\nBcc: eve@example.com",
            "Ready\r",
            "\nReady",
            "Ready\x00",
            "Rea\tdy",
            "Rea\x1bdy",
            "Rea\x7fdy",
            "Rea\x85dy",
            "Rea\u2028dy",
            "Rea\u2029dy",
            "Rea\u202edy",
            HALF,
            "=?utf-8?q?=0D=0ABcc=3A_eve?=",
        ],
        ids=ascii,
    )
    def test_refuses_anything_else(self, subject):
        with pytest.raises(MailRefused, match="^subject: must ") as refused:
            check_subject(subject)

        assert refused.value.field == "subject"


class TestCheckHtml:
    @pytest.mark.parametrize(
        "html", ["x", "<p>Hi</p>\r\n", "\n<p>\u2028ü👩‍👩‍👧</p>", "y" * 262_144]
    )
    def test_returns_it_as_it_is(self, html):
        assert check_html(html) == html

    @pytest.mark.parametrize(
        "html", ["", " \n\t", "<p>\x00</p>", f"<p>{HALF}</p>", "y" * 262_145, "ü" * 131_073]
    )
    def test_refuses_what_is_empty_or_can_not_be_stored(self, html):
        with pytest.raises(MailRefused, match="^html: must ") as refused:
            check_html(html)

        assert refused.value.field == "html"


def assert_refused(address):
    with pytest.raises(MailRefused, match="^email: must ") as refused:
        check_address(address)
    assert refused.value.field == "email"
