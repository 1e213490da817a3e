"""The address rule and the URL parser: every form that is known to have walked around a guard."""

# ruff: noqa: RUF001

import ipaddress
import os
import socket
from random import Random

import pytest
from hypothesis import given, strategies as st

from integrations.transport import network_rules
from integrations.transport.addresses import UrlError, parse_url
from integrations.transport.network_rules import REFUSED as REFUSED_NETWORKS

PUBLIC = ["93.184.216.34", "1.1.1.1", "2606:4700:4700::1111", "2a00:1450:4001:82a::200e", "::ffff:1.1.1.1"]

REFUSED = [
    ("0.0.0.0", "not the address of one machine"),
    ("0.1.2.3", "this network"),
    ("10.0.0.1", "private"),
    ("100.64.0.1", "carrier-grade NAT"),
    ("100.127.255.255", "carrier-grade NAT"),
    ("127.0.0.1", "loopback"),
    ("127.255.255.254", "loopback"),
    ("169.254.169.254", "metadata"),
    ("169.254.170.2", "metadata"),
    ("172.16.0.1", "private"),
    ("172.31.255.255", "private"),
    ("192.0.0.1", "IETF"),
    ("192.0.0.9", "IETF"),
    ("192.0.2.1", "documentation"),
    ("192.88.99.1", "6to4 relay"),
    ("192.168.1.1", "private"),
    ("198.18.0.1", "benchmarking"),
    ("198.51.100.1", "documentation"),
    ("203.0.113.1", "documentation"),
    ("168.63.129.16", "Azure"),
    ("224.0.0.1", "multicast"),
    ("239.255.255.250", "multicast"),
    ("240.0.0.1", "reserved"),
    ("255.255.255.255", "not the address of one machine"),
    ("::", "not the address of one machine"),
    ("::1", "loopback"),
    ("::7f00:1", "public internet"),
    ("::ffff:127.0.0.1", "loopback"),
    ("::ffff:100.64.0.1", "carrier-grade NAT"),
    ("::ffff:169.254.169.254", "metadata"),
    ("::ffff:168.63.129.16", "Azure"),
    ("::ffff:0:127.0.0.1", "public internet"),
    ("64:ff9b::7f00:1", "NAT64"),
    ("64:ff9b::101:101", "NAT64"),
    ("64:ff9b:1::a00:1", "NAT64"),
    ("100::1", "discard"),
    ("2001::1", "Teredo"),
    ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "Teredo"),
    ("2001:2::1", "public internet"),
    ("2001:10::1", "public internet"),
    ("2001:db8::1", "documentation"),
    ("2002:7f00:1::1", "6to4"),
    ("2002:c0a8:101::1", "6to4"),
    ("3fff::1", "documentation"),
    ("5f00::1", "segment routing"),
    ("fc00::1", "private"),
    ("fd00:ec2::254", "private"),
    ("fe80::1", "link-local"),
    ("fe80::1%eth0", "link-local"),
    ("fe80::1%lo", "link-local"),
    ("fec0::1", "site-local"),
    ("ff02::1", "multicast"),
    ("ff0e::1", "multicast"),
]


def address_refusal(ip, *allowed):
    return network_rules.address_refusal(ip, 443, network_rules.parse_rules(allowed))


@pytest.mark.parametrize("ip", PUBLIC)
def test_a_public_address_may_be_dialled(ip):
    assert address_refusal(ip) is None


@pytest.mark.parametrize(("ip", "why"), REFUSED)
def test_every_other_form_is_refused_with_its_reason(ip, why):
    assert why in (address_refusal(ip) or "")


@pytest.mark.parametrize(
    ("ip", "cidr"),
    [
        ("10.20.0.7", "10.20.0.0/16"),
        ("::ffff:10.20.0.7", "10.20.0.0/16"),
        ("fd12::1", "fd12::/16"),
        ("::1", "::1/128"),
    ],
)
def test_the_setting_opens_a_network_by_cidr_and_nothing_beside_it(ip, cidr):
    assert address_refusal(ip, cidr) is None
    assert address_refusal("10.21.0.1", cidr)


@pytest.mark.parametrize(
    "ip", ["224.0.0.1", "ff02::1", "0.0.0.0", "::", "255.255.255.255", "::ffff:224.0.0.1"]
)
def test_no_setting_opens_what_names_no_single_machine(ip):
    assert address_refusal(ip, "0.0.0.0/0", "::/0")


def test_an_open_nat64_prefix_still_checks_the_address_within():
    assert address_refusal("64:ff9b::101:101", "64:ff9b::/96") is None
    assert "loopback" in (address_refusal("64:ff9b::7f00:1", "64:ff9b::/96") or "")


def test_an_open_6to4_prefix_still_checks_the_address_within():
    assert address_refusal("2002:101:101::1", "2002::/16") is None
    assert "loopback" in (address_refusal("2002:7f00:1::1", "2002::/16") or "")


def test_the_refusal_names_the_setting_and_what_to_add():
    assert "add 10.0.0.1:443 to the setting ALLOWED_NETWORKS" in (address_refusal("10.0.0.1") or "")
    assert "add [fd00::1]:443 to" in (address_refusal("fd00::1") or "")


# An oracle of its own making: blocks as integers, written down from IANA's registries.
ORACLE_V6 = [ipaddress.IPv6Network(n) for n in (
    "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
)]  # fmt: skip


@given(st.integers(0, 2**128 - 1).map(ipaddress.IPv6Address))
def test_no_ipv6_address_outside_global_unicast_passes(address):
    if address_refusal(address) is None and address.ipv4_mapped is None:
        assert int(address) >> 125 == 0b001
        assert not any(address in network for network in ORACLE_V6)


@given(st.integers(0, 2**32 - 1).map(ipaddress.IPv4Address))
def test_mapped_and_plain_forms_are_treated_alike(address):
    mapped = ipaddress.IPv6Address(f"::ffff:{address}")
    assert address_refusal(mapped) == address_refusal(address)
    if address_refusal(address) is None:
        assert address.is_global
        assert not any((address.is_multicast, address.is_reserved, address.is_private, address.is_link_local))


# --- URLs -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "host", "port", "target"),
    [
        ("https://Example.COM", "example.com", 443, "/"),
        ("http://example.com:8080/a?b=c", "example.com", 8080, "/a?b=c"),
        ("HTTPS://example.com./x", "example.com.", 443, "/x"),
        ("https://bücher.example/ü?q=ü", "xn--bcher-kva.example", 443, "/%C3%BC?q=%C3%BC"),
        ("https://my_host.internal/", "my_host.internal", 443, "/"),
        ("https://[2606:4700::1111]:8443/", "2606:4700::1111", 8443, "/"),
        ("https://1.2.3.4/", "1.2.3.4", 443, "/"),
        ("https://a.example?x=%20", "a.example", 443, "/?x=%20"),
    ],
)
def test_a_url_is_taken_apart_as_it_will_be_dialled(text, host, port, target):
    url = parse_url(text)
    assert (url.host, url.port, url.target) == (host, port, target)


@pytest.mark.parametrize(
    "text",
    [
        "", "example.com", "//example.com", "ftp://example.com", "file:///etc/passwd", "gopher://a/", "javascript:x",
        "https://", "https:///x", "https://?x", "https://user@example.com", "https://user:pw@example.com",
        "https://@example.com", "https://example.com@127.0.0.1", "https://example.com#x", "https://example.com/#",
        "https://example.com:0", "https://example.com:65536", "https://example.com:x", "https://example.com:",
        "https://example.com:-1", "https://exa mple.com", "https://example.com/a b", "https://example.com\\@127.0.0.1",
        "https://example.com\t/", " https://example.com", "https://example.com\r\nHost: x", "https://example.com/\x00",
        "https://127.1", "https://127.0.1", "https://2130706433", "https://0x7f000001", "https://0x7f.0.0.1",
        "https://0177.0.0.1", "https://017700000001", "https://127.0.0.01", "https://1.2.3.4.5",
        "https://256.1.1.1", "https://0x", "https://example.0x7f", "https://１２７.１", "https://①②⑦.⓪.1",
        "https://[::1%lo]/", "https://[::1%25lo]/", "https://[fe80::1%eth0]/", "https://[1.2.3.4]/", "https://[::1/",
        "https://[v1.x]/", "https://ex%61mple.com", "https://127%2e0.0.1", "https://a..b", "https://.a", "https://-a.b",
        "https://" + "a" * 64 + ".example", "https://a.example/" + "x" * 2048, "https://a;b.example", "https://a,b.example",
    ],
)  # fmt: skip
def test_a_url_that_could_mean_two_things_is_refused(text):
    with pytest.raises(UrlError) as caught:
        parse_url(text)
    assert len(str(caught.value)) > 10


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("https://a.example/" + "x" * 2048, "A URL has at most 2,048 characters."),
        ("https://a b", 'A URL must not contain spaces, control characters or any of \\ < > " ^ ` { | }. Percent-encode them.'),
        ("https://a.example:x", "This is not a URL. Write one such as https://example.com/hook."),
        ("ftp://a.example", "Write a whole URL that starts with https:// (or http://)."),
        ("https://u:p@a.example", "Leave user name and password out of the URL; use an authorization or a secret parameter."),
        ("https://a.example#x", "Leave out the fragment (# and what follows); it is never sent."),
        ("https://a.example:0", "The port must be 1 to 65535."),
        ("https://[::1%lo]/", "The text in [ ] is not an IPv6 address (a zone such as %eth0 is not allowed)."),
        ("https://\u00ad", "The host is not a valid international name."),
        ("https://127.1", "Write an IPv4 address as four decimal numbers, such as 192.0.2.1."),
        ("https://-a.b", "The host is not a valid name: use letters, digits, hyphens and dots."),
        ("https://a.example/" + "\u20ac" * 2000, "The URL is too long once it is encoded."),
    ],
)  # fmt: skip
def test_the_refusal_of_a_url_says_what_to_write_instead(text, said):
    with pytest.raises(UrlError) as caught:
        parse_url(text)
    assert str(caught.value) == said


def test_a_url_of_2048_characters_is_taken():
    assert parse_url("https://a.example/" + "x" * (2048 - len("https://a.example/")))


@pytest.mark.parametrize(
    "text", ["https://127.0.0.1.", "https://１２７.０.０.１", "https://127。0。0。1", "https://①②⑦.⓪.⓪.①/"]
)
def test_other_spellings_of_four_decimal_numbers_become_the_address_that_they_mean(text):
    host = parse_url(text).host
    assert host == "127.0.0.1"
    assert address_refusal(host)


@given(
    st.text(max_size=40),
    st.sampled_from(["https://{}", "http://{}/", "http://a@{}", "https://{}:80/x", "{}"]),
)
def test_whatever_parses_has_a_host_that_cannot_be_read_in_another_way(text, form):
    try:
        url = parse_url(form.format(text))
    except UrlError:
        return
    assert url.host.isascii()
    assert not set(url.host) & set("/\\@?#%[] \t\r\n")
    assert url.target.startswith("/")
    assert url.target.isascii()
    assert url.target.isprintable()
    assert parse_url(str(url)) == url
    last = url.host.removesuffix(".").rpartition(".")[2]
    if last.isdigit():
        ipaddress.IPv4Address(url.host)


# --- a hundred thousand of each -------------------------------------------------------------------------

SEED = int(os.environ.get("FUZZ_SEED", "20260301"))
PIECES = (
    *"0127.:/@#?%[]\\ \t\n", "127.0.0.1", "0x7f", "0177", "2130706433", "169.254.169.254", "localhost", "::1", "::ffff:",
    "[", "]", "https://", "http://", "HTTP://", "user@", "evil.example", "１２７", "。", "%2e", "%00", "\u200b", "ⅷ", "ß",
    "xn--", "-", "_", ":80", ":443", ":0", ":99999", "fe80::1%eth0", "64:ff9b::", "2002:", "0", ".", "..", "a" * 64,
)  # fmt: skip


def libc(host: str) -> str | None:
    """The address that the C library takes ``host`` for without asking anybody, in all its lenience."""
    try:
        return socket.getaddrinfo(host, 80, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)[0][4][0]
    except (OSError, UnicodeError):
        return None


def test_no_url_of_a_hundred_thousand_reaches_an_address_that_its_host_does_not_show():
    random = Random(SEED)
    taken = 0
    for _ in range(100_000):
        start = random.choice(("https://", "http://", ""))
        text = start + "".join(random.choice(PIECES) for _ in range(random.randint(1, 7)))
        try:
            url = parse_url(text)
        except UrlError:
            continue
        taken += 1
        meant = libc(url.host)
        if meant is not None:
            assert meant == url.host.removesuffix("."), (SEED, text)
    assert taken > 1000, "most of what is generated must not be refused for a dull reason"


def test_no_address_of_a_hundred_thousand_passes_that_is_not_global_unicast():
    random = Random(SEED)
    edges = [network.network_address for network, _ in REFUSED_NETWORKS] + [
        network.broadcast_address for network, _ in REFUSED_NETWORKS
    ]
    for _ in range(100_000):
        near = random.choice(edges)
        bits = near.max_prefixlen
        number = random.choice((random.getrandbits(bits), (int(near) + random.randint(-2, 2)) % 2**bits))
        address = ipaddress.IPv4Address(number) if bits == 32 else ipaddress.IPv6Address(number)
        if address_refusal(address) is None:
            inner = getattr(address, "ipv4_mapped", None) or address
            assert inner.is_global, (SEED, address)
            assert not inner.is_multicast, (SEED, address)
            assert not any(inner in network for network, _ in REFUSED_NETWORKS), (SEED, address)
