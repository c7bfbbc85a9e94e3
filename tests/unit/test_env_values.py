"""What variables may hold: addresses, URLs and ports, and in which words the others are refused."""

import pytest
from django.core.mail.message import sanitize_address

from project import env
from project.env import BadSetting

NAME = "OFFLOAD_TEST"
SECRET = "canary"


@pytest.fixture
def given(monkeypatch):
    return lambda value: monkeypatch.setenv(NAME, value)


def refusal(read):
    """Return the one line that ends the process."""
    with pytest.raises(BadSetting) as refused:
        read()
    line = str(refused.value)
    assert line.startswith(f"{NAME}: ")
    assert f". Example: {NAME}=" in line
    assert SECRET not in line
    return line


class TestMailbox:
    @pytest.mark.parametrize(
        "value",
        [
            "offload@example.com",
            "<offload@example.com>",
            "Offload <offload@localhost>",
            "Acme Inc. <first.last+jobs@mail.example.com>",
            '"Acme, Inc." <offload@example.com>',
            "O'Neil & Co <offload@example.com>",
            "Büro <no-reply@bücher.example>",
        ],
    )
    def test_is_one_address_that_djangos_backend_can_send_from(self, given, value):
        given(value)

        assert env.mailbox(NAME, "") == value
        assert "@" in sanitize_address(value, "utf-8")

    @pytest.mark.parametrize(
        "value",
        [
            "",
            "Offload",
            "Offload offload@example.com",
            "Offload <offload>",
            "Offload <>",
            "a@example.com, b@example.com",
            "a@example.com;b@example.com",
            "a@example.com b@example.com",
            "Offload <a@example.com>, b@example.com",
            "Acme, Inc. <offload@example.com>",
            ".Acme <offload@example.com>",
            '"Offload <offload@example.com>"',
            "Offload <offload@example.com",
            "Ops@Home <offload@example.com>",
            "all: offload@example.com;",
            "a@@example.com",
            "a@example.com.",
            "a..b@example.com",
            "bücher@example.com",
            "Offload <a@example.com>\nBcc: b@example.com",
        ],
    )
    def test_is_no_other_text(self, given, value):
        given(value)
        words = "is not one e-mail address, or a name and one address in < >"

        assert words in refusal(lambda: env.mailbox(NAME, "Offload <offload@localhost>"))


class TestAddresses:
    @pytest.mark.parametrize("value", ["a@b.example;c@d.example", "<a@b.example>", "a@b@c.example"])
    def test_are_plain(self, given, value):
        given(value)

        assert "is no e-mail address" in refusal(lambda: env.addresses(NAME, example="a@b.example"))


class TestUrl:
    @pytest.mark.parametrize(
        ("value", "words"),
        [
            ("amqp://", "names no host"),
            ("amqp://:5672//", "names no host"),
            (f"amqp://user:{SECRET}@:5672//", "names no host"),
            (f"amqp://user:{SECRET}@the host", "holds a blank"),
            (f"amqp://user:{SECRET}@host\n.example", "holds a blank"),
            (f"amqp://user:{SECRET}", "can't be read: a port is a number"),
            (f"amqp://user:{SECRET}/x@host", "can't be read: a port is a number"),
            (f"user:{SECRET}@host", "starts with none of amqp://"),
        ],
    )
    def test_names_a_host_and_tells_no_password(self, given, value, words):
        given(value)

        assert words in refusal(
            lambda: env.url(NAME, "", schemes=("amqp",), example="amqp://127.0.0.1")
        )

    def test_of_some_schemes_needs_none(self, given):
        given("memory://")
        schemes = ("amqp", "memory")

        assert env.url(NAME, "", schemes=schemes, hostless=("memory",), example="") == "memory://"


class TestSite:
    def test_may_have_a_port_and_a_path(self, given):
        given("https://example.com:8443/offload/")

        assert env.site(NAME, "") == "https://example.com:8443/offload"

    @pytest.mark.parametrize(
        ("value", "words"),
        [
            ("https://", "names no host"),
            ("https:///offload", "names no host"),
            (f"https://user:{SECRET}@example.com", "holds a user or a password"),
            (f"https://example.com/?token={SECRET}", "holds a ? or a #"),
            ("https://example.com/#top", "holds a ? or a #"),
            ("https://example.com?", "holds a ? or a #"),
        ],
    )
    def test_is_what_links_can_begin_with(self, given, value, words):
        given(value)

        assert words in refusal(lambda: env.site(NAME, ""))


class TestDatabase:
    @pytest.mark.parametrize("value", ["postgres:///offload", "sqlite:///:memory:"])
    def test_may_be_without_a_host(self, given, value):
        given(value)

        assert env.database(NAME, "")["HOST"] == ""

    @pytest.mark.parametrize(
        ("value", "words"),
        [
            ("sqlite://offload.sqlite3", "names a host: a file's path is behind three slashes"),
            ("sqlite://", "names no database"),
            ("postgres://db/", "names no database"),
            (f"postgres://user:{SECRET}/offload", "can't be read"),
        ],
    )
    def test_is_named(self, given, value, words):
        given(value)

        assert words in refusal(lambda: env.database(NAME, ""))


class TestEmail:
    @pytest.mark.parametrize("scheme", ["smtp", "smtps", "smtp+tls", "smtp+ssl"])
    @pytest.mark.parametrize("rest", ["", ":25", f"user:{SECRET}@", f"user:{SECRET}@:25"])
    def test_by_smtp_goes_to_a_host(self, given, scheme, rest):
        given(f"{scheme}://{rest}")

        assert "names no host" in refusal(lambda: env.email(NAME, ""))

    @pytest.mark.parametrize("value", [f"submission://user:{SECRET}@host", "mail.example.com", ""])
    def test_of_another_scheme_is_told_all_that_there_are(self, given, value):
        given(value)
        line = refusal(lambda: env.email(NAME, ""))

        for scheme in ("smtp", "smtp+tls", "smtp+ssl", "consolemail", "filemail", "memorymail"):
            assert f"{scheme}://" in line

    @pytest.mark.parametrize("value", ["filemail://", "filemail:///mails", "filemail://var/mails"])
    def test_into_a_folder_goes_where_every_process_finds_it(self, given, value):
        given(value)

        assert "names no absolute path" in refusal(lambda: env.email(NAME, ""))

    @pytest.mark.parametrize("value", ["memorymail://", "filemail:////var/mails", "smtp://mail"])
    def test_goes_as_its_scheme_says(self, given, value):
        given(value)

        assert env.email(NAME, "")["EMAIL_BACKEND"].endswith(".EmailBackend")


class TestPorts:
    @pytest.mark.parametrize("value", ["", " ", ",", " , "])
    def test_are_one_at_least(self, given, value):
        given(value)

        assert "names no port" in refusal(lambda: env.ports(NAME, "443,8443"))
