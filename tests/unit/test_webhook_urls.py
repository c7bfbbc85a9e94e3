"""What the edge makes of a webhook's URL, without asking a name server."""

from ipaddress import ip_network

import pytest

from notifications.channels.webhook.urls import check_url, read_url
from notifications.errors import UrlRefused
from tests.webhook_hostile import ADDRESSES, NAMES, SPELLINGS

PORT = "8443"


@pytest.fixture
def trusted(settings):
    settings.NOTIFICATIONS_TRUSTED_NETWORKS = (ip_network("10.20.0.0/16"),)


@pytest.fixture(autouse=True)
def untrusted(settings):
    settings.NOTIFICATIONS_TRUSTED_NETWORKS = ()
    settings.NOTIFICATIONS_PORTS = frozenset({443, 8443})


class TestCheckUrl:
    @pytest.mark.parametrize(
        ("text", "normal"),
        [
            ("https://example.com", "https://example.com/"),
            ("HTTPS://Example.COM/Hooks?Key=A%2fb", "https://example.com/Hooks?Key=A%2fb"),
            ("https://example.com:443/", "https://example.com/"),
            ("https://example.com:0443/", "https://example.com/"),
            ("https://example.com:8443/a", "https://example.com:8443/a"),
            ("https://example.com./a", "https://example.com/a"),
            ("https://example.com?a=b/c@d:e", "https://example.com/?a=b/c@d:e"),
            ("https://xn--mller-kva.example/", "https://xn--mller-kva.example/"),
            ("https://a_b.example/{x}|y", "https://a_b.example/{x}|y"),
            ("https://8.8.8.8/", "https://8.8.8.8/"),
            ("https://0x8.010.2056/", "https://8.8.8.8/"),
            ("https://[2606:4700:0::1111]:8443", "https://[2606:4700::1111]:8443/"),
        ],
    )
    def test_returns_the_one_normal_spelling(self, text, normal):
        assert check_url(text) == normal
        assert check_url(normal) == normal

    @pytest.mark.parametrize(("text", "word"), ADDRESSES + SPELLINGS)
    def test_refuses_what_is_hostile_and_says_why(self, text, word):
        with pytest.raises(UrlRefused, match=word):
            check_url(text.replace("{port}", PORT))

    @pytest.mark.parametrize("host", [name for name, *_ in NAMES])
    def test_refuses_names_of_the_local_network(self, host):
        with pytest.raises(UrlRefused, match="local machine or network"):
            check_url(f"https://{host}/")

    @pytest.mark.parametrize("host", ["mylocalhost", "localhost.example.com", "internal.example"])
    def test_takes_names_that_look_local_and_are_not(self, host):
        assert check_url(f"https://{host}/")

    def test_refuses_http(self):
        with pytest.raises(UrlRefused, match="https"):
            check_url("http://example.com:443/")

    @pytest.mark.parametrize("host", ["example.com", "8.8.8.8", "[2606:4700::1111]"])
    def test_names_the_ports_that_are_allowed(self, host):
        with pytest.raises(UrlRefused, match=r"port 22.*443, 8443"):
            check_url(f"https://{host}:22/")

    @pytest.mark.parametrize("value", [None, 1, b"https://example.com/", ["https://example.com/"]])
    def test_refuses_what_is_no_text(self, value):
        with pytest.raises(UrlRefused, match="text"):
            check_url(value)

    def test_never_returns_more_than_it_takes(self):
        # Given a URL of 2,000 characters that grows with its spelling: 8.8 is 8.0.0.8
        text = "https://8.8/".ljust(2_000, "a")

        # When and then
        with pytest.raises(UrlRefused, match="2,004 characters"):
            check_url(text)
        assert len(check_url("https://example.com/".ljust(2_000, "a"))) == 2_000

    @pytest.mark.parametrize(("text", "word"), ADDRESSES + SPELLINGS)
    def test_keeps_paths_out_of_its_reasons(self, text, word):
        with pytest.raises(UrlRefused) as refusal:
            check_url(text.replace("{port}", PORT) + "SECRET")
        assert "SECRET" not in str(refusal.value)


class TestCheckUrlWithTrustedNetworks:
    @pytest.mark.parametrize(
        "text",
        [
            "http://10.20.0.1/",
            "http://10.20.0.1:8000/",
            "https://10.20.0.1:22/",
            "http://hooks.internal:8000/",
            "http://localhost:8000/",
            "http://example.com:8000/",
        ],
    )
    def test_takes_what_may_be_inside(self, trusted, text):
        assert check_url(text) == text

    @pytest.mark.parametrize(
        ("text", "word"),
        [
            ("http://10.21.0.1/", "private"),
            ("http://127.0.0.1/", "loopback"),
            ("https://[::ffff:10.20.0.1]/", "IPv4-mapped"),
            ("http://8.8.8.8:443/", "https"),
            ("https://8.8.8.8:22/", "port 22"),
        ],
    )
    def test_still_refuses_addresses_outside(self, trusted, text, word):
        with pytest.raises(UrlRefused, match=word):
            check_url(text)


class TestReadUrl:
    @pytest.mark.parametrize(
        ("text", "authority"),
        [
            ("https://example.com/", "example.com"),
            ("https://example.com:8443/", "example.com:8443"),
            ("http://example.com:443/", "example.com:443"),
            ("https://[::1]:8443/", "[::1]:8443"),
            ("https://[::1]/", "[::1]"),
        ],
    )
    def test_spells_the_host_as_its_header_has_it(self, text, authority):
        assert read_url(text).authority == authority
