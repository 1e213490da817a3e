"""Whose address a request comes from: X-Forwarded-For is believed from trusted proxies alone."""

import pytest
from django.core.checks import run_checks
from django.test import RequestFactory

from cii_project.web.client_address import client_address, is_from_trusted_proxy, network_of


def request(peer: str, forwarded: str | None = None):
    headers = {} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded}
    return RequestFactory().get("/", REMOTE_ADDR=peer, **headers)


def test_without_trusted_proxies_the_peer_counts_whatever_the_header_says():
    assert client_address(request("198.51.100.1", "203.0.113.9")) == "198.51.100.1"


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("10.0.0.5", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.5", "6.6.6.6, 203.0.113.9", "203.0.113.9"),  # the client wrote the first
        ("10.0.0.5", "203.0.113.9, 10.0.0.6", "203.0.113.9"),  # two proxies
        ("10.0.0.5", "10.9.9.9, 10.0.0.6", "10.9.9.9"),  # every hop is a proxy: the outermost
        ("10.0.0.5", "", "10.0.0.5"),
        ("10.0.0.5", None, "10.0.0.5"),
        ("10.0.0.5", "nonsense", "10.0.0.5"),
        ("10.0.0.5", "6.6.6.6, nonsense", "10.0.0.5"),
        ("10.0.0.5", "203.0.113.9:4711", "203.0.113.9"),
        ("10.0.0.5", "[2001:db8::7]:4711", "2001:db8::7"),
        ("::ffff:10.0.0.5", "::ffff:203.0.113.9", "203.0.113.9"),
        ("203.0.113.9", "6.6.6.6", "203.0.113.9"),  # not through the proxy
        ("fe80::1%eth0", None, "fe80::1"),
        ("", "203.0.113.9", ""),  # a Unix socket
    ],
)
def test_each_trusted_proxy_vouches_for_one_entry_from_the_right(settings, peer, forwarded, client):
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    assert client_address(request(peer, forwarded)) == client


def test_only_the_peer_decides_whether_forwarded_headers_are_believed(settings):
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    assert is_from_trusted_proxy(request("10.0.0.5"))
    assert not is_from_trusted_proxy(request("203.0.113.9", "10.0.0.5"))


def test_a_client_holds_a_whole_network_of_ipv6_addresses():
    assert network_of("2001:db8:1:2:3:4:5:6") == network_of("2001:db8:1:2:ffff::1") == "2001:db8:1:2::"
    assert network_of("203.0.113.9") == "203.0.113.9"
    assert network_of("") == ""


def test_an_entry_that_is_not_a_network_is_refused_at_the_start(settings):
    settings.TRUSTED_PROXIES = ["proxy.example.com"]
    assert [error.id for error in run_checks() if "TRUSTED_PROXIES" in error.msg] == ["cii.E010"]
