"""Which addresses nothing is sent to."""

from ipaddress import ip_address, ip_network

import pytest

from notifications.channels.webhook.addresses import why_refused


@pytest.fixture(autouse=True)
def untrusted(settings):
    settings.NOTIFICATIONS_TRUSTED_NETWORKS = ()


class TestWhyRefused:
    @pytest.mark.parametrize(
        "address",
        [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2001:4860:4860::8888",
            "2001:200::1",
            "2606:4700::1111",
            "2a00::1",
            "2003::1",
        ],
    )
    def test_lets_public_unicast_addresses_pass(self, address):
        assert why_refused(ip_address(address)) is None

    @pytest.mark.parametrize(
        ("address", "kind"),
        [
            ("0.255.255.255", "this network"),
            ("10.255.255.255", "private"),
            ("100.127.255.255", "carrier-grade"),
            ("127.255.255.255", "loopback"),
            ("169.254.0.0", "link-local"),
            ("172.31.255.255", "private"),
            ("192.0.0.9", "IETF"),
            ("192.31.196.1", "AS112"),
            ("192.52.193.1", "AMT"),
            ("192.168.255.255", "private"),
            ("192.175.48.1", "AS112"),
            ("198.19.255.255", "benchmarking"),
            ("198.51.100.1", "documentation"),
            ("203.0.113.255", "documentation"),
            ("239.255.255.255", "multicast"),
            ("255.255.255.254", "future"),
            ("::2", "IPv4-compatible of 0.0.0.2"),
            ("::1:0:0:0", "global unicast"),
            ("64:ff9a::1", "global unicast"),
            ("100:0:0:1::1", "dummy"),
            ("1fff::1", "global unicast"),
            ("2001::", "Teredo"),
            ("2001:1::1", "IETF"),
            ("2001:3::1", "AMT"),
            ("2001:4:112::1", "AS112"),
            ("2001:2f:ffff::1", "ORCHID"),
            ("2001:30::1", "drone"),
            ("2001:1ff::1", "IETF"),
            ("2002:808:808::1", "6to4 of 8.8.8.8"),
            ("2620:4f:8000::1", "AS112"),
            ("3ffe::1", "6bone"),
            ("3fff:fff::1", "documentation"),
            ("4000::", "global unicast"),
            ("fdff::1", "unique local"),
            ("febf::1", "link-local"),
            ("feff::1", "site-local"),
            ("ff0e::1", "multicast"),
        ],
    )
    def test_names_the_kind_of_any_other(self, address, kind):
        assert kind in (why_refused(ip_address(address)) or "")

    @pytest.mark.parametrize(
        "carrier",
        [
            "::ffff:169.254.169.254",
            "::ffff:0:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::169.254.169.254",
            "2002:a9fe:a9fe:1::5",
            "2001:0:1:2:3:4:5601:5601",
        ],
    )
    def test_names_what_an_embedded_address_leads_to(self, carrier):
        assert "of 169.254.169.254, link-local (cloud metadata)" in str(
            why_refused(ip_address(carrier))
        )

    def test_refuses_more_than_the_standard_library_calls_private(self):
        # Given addresses that Python calls global, or did in one of its releases
        famous = ["64:ff9b::7f00:1", "2002:7f00:1::", "::7f00:1", "fec0::1", "192.88.99.1"]

        # Then none of them passes
        assert all(why_refused(ip_address(each)) for each in famous)


class TestTrustedNetworks:
    @pytest.mark.parametrize("address", ["10.20.0.1", "fd00:20::1"])
    def test_lets_an_address_pass_that_a_trusted_network_holds(self, settings, address):
        settings.NOTIFICATIONS_TRUSTED_NETWORKS = (
            ip_network("10.20.0.0/16"),
            ip_network("fd00:20::/64"),
        )
        assert why_refused(ip_address(address)) is None

    @pytest.mark.parametrize(
        "address",
        ["10.21.0.1", "::ffff:10.20.0.1", "::10.20.0.1", "64:ff9b::10.20.0.1", "2002:a14:1::"],
    )
    def test_looks_at_the_address_that_is_really_used(self, settings, address):
        settings.NOTIFICATIONS_TRUSTED_NETWORKS = (ip_network("10.20.0.0/16"),)
        assert why_refused(ip_address(address))

    def test_trusts_no_scope_id(self, settings):
        settings.NOTIFICATIONS_TRUSTED_NETWORKS = (ip_network("fe80::/10"),)
        assert why_refused(ip_address("fe80::1%eth0")) == "an address with a scope id"
        assert why_refused(ip_address("fe80::1")) is None
