"""What an installation sets about where bytes may go: ports, closed networks, the only hosts, and plain http."""

import socket

import pytest

from cii_project import system_checks
from integrations.transport import http, network_rules, streams
from integrations.transport.addresses import parse_url
from integrations.transport.network_rules import (
    address_refusal,
    host_entry,
    host_refusal,
    network_entry,
    parse_rules,
    plain_url_problem,
)
from tests.receiver import Receiver


@pytest.fixture(autouse=True)
def _only_what_a_test_sets(settings):
    settings.ALLOWED_NETWORKS, settings.DENIED_NETWORKS, settings.OUTGOING_HOSTS = [], [], []


def resolver(monkeypatch, **names: str) -> list[str]:
    """Names that resolve to these addresses; the list of names that were asked for."""
    asked = []

    def fake(host, port, *args, **kwargs):
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (names[host.replace(".", "_")], port))]

    monkeypatch.setattr(socket, "getaddrinfo", fake)
    return asked


# --- ports --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "ip", "port"),
    [
        ("10.0.0.7:8443", "10.0.0.7", 8443),
        ("10.1.0.0/16:443", "10.1.2.3", 443),
        ("10.1.0.0/16:443", "::ffff:10.1.2.3", 443),
        ("[fd00::1]:443", "fd00::1", 443),
        ("[fd00::/8]:443", "fd12::7", 443),
        (" 10.0.0.7:8443 ", "10.0.0.7", 8443),
    ],
)
def test_an_entry_with_a_port_opens_that_port_alone(entry, ip, port):
    assert address_refusal(ip, port, parse_rules((entry,))) is None
    said = address_refusal(ip, port + 1, parse_rules((entry,))) or ""
    assert f":{port + 1} to the setting ALLOWED_NETWORKS" in said


@pytest.mark.parametrize(
    ("entry", "ip"),
    [
        ("10.0.0.7", "10.0.0.7"),
        ("10.0.0.0/8", "10.1.2.3"),
        ("fd00::/8", "fd00::1"),
        ("[fd00::1]", "fd00::1"),
        ("fd00::1", "fd00::1"),
    ],
)
def test_an_entry_without_a_port_opens_all_ports(entry, ip):
    for port in (1, 22, 443, 65535):
        assert address_refusal(ip, port, parse_rules((entry,))) is None


@pytest.mark.parametrize(
    "text",
    [
        "", "everything", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.7:", "10.0.0.7:0", "10.0.0.7:65536", "10.0.0.7:https",
        "10.0.0.7:+443", "10.0.0.7:\uff14\uff14\uff13", "[fd00::1", "[fd00::/8]443", "[fd00::]/8:443", "[10.0.0.7]:", "fd00::1/8",
        "fd00::1]:443", "fe80::1%eth0/128:443", "10.0.0.7:443:443", "::ffff:10.0.0.0/104", "[::ffff:10.0.0.7]:443",
    ],
)  # fmt: skip
def test_an_entry_that_could_mean_nothing_is_refused_by_name(text):
    with pytest.raises(ValueError, match="ALLOWED_NETWORKS: “") as caught:
        network_entry("ALLOWED_NETWORKS", text)
    assert text in str(caught.value)
    assert "10.20.0.0/16" in str(caught.value)


def test_a_call_goes_to_the_port_of_the_entry_alone(settings):
    with Receiver() as open_one, Receiver() as closed_one:
        settings.ALLOWED_NETWORKS = [f"127.0.0.1:{open_one.port}"]
        assert http.request("POST", open_one.url()).status == 200
        with pytest.raises(
            http.RequestRefused, match=f"add 127.0.0.1:{closed_one.port} to the setting ALLOWED_NETWORKS"
        ):
            http.request("POST", closed_one.url())
        assert closed_one.connections == 0


@pytest.mark.parametrize("open_it", [streams.open_stream, http.open_tunnel])
def test_mail_and_the_relay_keep_to_the_same_network_rules(settings, open_it):
    with Receiver() as receiver:
        settings.ALLOWED_NETWORKS = [f"127.0.0.1:{receiver.port + 1}"]
        with pytest.raises(http.RequestRefused, match="ALLOWED_NETWORKS"):
            open_it("127.0.0.1", receiver.port, 5.0)
        settings.ALLOWED_NETWORKS = ["127.0.0.1"]
        settings.DENIED_NETWORKS = ["127.0.0.1"]
        with pytest.raises(http.RequestRefused, match="DENIED_NETWORKS"):
            open_it("127.0.0.1", receiver.port, 5.0)
        settings.DENIED_NETWORKS, settings.OUTGOING_HOSTS = [], ["mail.example.com"]
        with pytest.raises(http.RequestRefused, match="OUTGOING_HOSTS"):
            open_it("127.0.0.1", receiver.port, 5.0)


# --- closed networks ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("denied", "ip"),
    [
        ("10.0.0.0/24", "10.0.0.7"),
        ("10.0.0.7:443", "10.0.0.7"),
        ("10.0.0.0/24", "::ffff:10.0.0.7"),
        ("10.0.0.0/24", "64:ff9b::a00:7"),
        ("10.0.0.0/24", "2002:a00:7::1"),
        ("10.0.0.0/24", "64:ff9b:1::a00:7"),
        ("10.0.0.0/24", "::10.0.0.7"),
        ("10.0.0.0/24", "::ffff:0:10.0.0.7"),
        ("10.0.0.0/24", "2001:0:a00:7::1"),
        ("10.0.0.0/24", "2001:0:101:101:0:0:f5ff:fff8"),
        ("93.184.216.0/24", "93.184.216.34"),
        ("2606:4700::/32", "2606:4700:4700::1111"),
        ("0.0.0.0/0", "1.1.1.1"),
    ],
)
def test_a_closed_network_stays_closed_whatever_else_is_open(denied, ip):
    given = parse_rules(("0.0.0.0/0", "::/0", "10.0.0.0/8:443"), (denied,))
    assert f"is closed by the entry {denied} of the setting DENIED_NETWORKS" in (
        address_refusal(ip, 443, given) or ""
    )


def test_a_closed_port_closes_no_other():
    given = parse_rules(("10.0.0.0/8",), ("10.0.0.0/8:22",))
    assert address_refusal("10.0.0.7", 443, given) is None
    assert "DENIED_NETWORKS" in (address_refusal("10.0.0.7", 22, given) or "")


def test_a_kept_connection_ends_with_its_permission(settings):
    with Receiver() as receiver:
        settings.ALLOWED_NETWORKS = ["127.0.0.1"]
        assert http.request("POST", receiver.url()).status == 200
        settings.DENIED_NETWORKS = [f"127.0.0.1:{receiver.port}"]
        with pytest.raises(http.RequestRefused, match="DENIED_NETWORKS"):
            http.request("POST", receiver.url())
        settings.DENIED_NETWORKS, settings.OUTGOING_HOSTS = [], ["hooks.example.com"]
        with pytest.raises(http.RequestRefused, match="OUTGOING_HOSTS"):
            http.request("POST", receiver.url())
        assert len(receiver.requests) == 1


@pytest.mark.parametrize("setting", ["ALLOWED_NETWORKS", "DENIED_NETWORKS", "OUTGOING_HOSTS"])
def test_a_setting_that_cannot_be_read_is_our_fault_and_calls_nobody(settings, setting):
    with Receiver() as receiver:
        settings.ALLOWED_NETWORKS = ["127.0.0.1"]
        setattr(settings, setting, ["a b"])
        with pytest.raises(http.LocalFault, match=setting):
            http.request("POST", receiver.url())
        assert receiver.connections == 0


# --- the only hosts -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "url", "called"),
    [
        ("hooks.example.com", "https://hooks.example.com/x", True),
        ("hooks.example.com", "https://HOOKS.example.com./x", True),
        ("Hooks.Example.com.", "https://hooks.example.com/x", True),
        ("hooks.example.com", "https://hooks.example.com:8443/", True),
        ("hooks.example.com:443", "https://hooks.example.com:8443/", False),
        ("hooks.example.com", "https://a.hooks.example.com/", False),
        ("hooks.example.com", "https://evilhooks.example.com/", False),
        ("hooks.example.com", "https://hooks.example.com.evil.example/", False),
        ("*.example.com", "https://a.example.com/", True),
        ("*.example.com", "https://a.b.example.com/", True),
        ("*.example.com", "https://example.com/", False),
        ("*.example.com", "https://evilexample.com/", False),
        ("*.example.com:443", "https://a.example.com:80/", False),
        ("bücher.example", "https://xn--bcher-kva.example/", True),
        ("10.0.0.7:8443", "https://10.0.0.7:8443/", True),
        ("[fd00::1]:443", "https://[fd00::1]/", True),
        ("fd00::1", "https://[fd00:0::1]/", True),
    ],
)
def test_only_the_hosts_of_the_setting_are_called(entry, url, called):
    parsed = parse_url(url)
    said = host_refusal(parsed.host, parsed.port, parse_rules(hosts=(entry,)))
    assert (said is None) == called
    if said:
        assert f"add {parsed.host}:{parsed.port}" in said


@pytest.mark.parametrize(
    "text", ["", "*", "*.", "a.*.example", "https://a.example", "a.example/x", "a.example?x", "u@a.example", "a b", "a.example:", "a.example:x", "0x7f.1", "10.0.0.0/8"]
)  # fmt: skip
def test_a_host_entry_that_could_mean_nothing_is_refused_by_name(text):
    with pytest.raises(ValueError, match="OUTGOING_HOSTS: “") as caught:
        host_entry("OUTGOING_HOSTS", text)
    assert text in str(caught.value)


def test_another_host_is_not_even_resolved(settings, monkeypatch):
    asked = resolver(monkeypatch, other_example="93.184.216.34")
    settings.OUTGOING_HOSTS = ["hooks.example.com"]
    with pytest.raises(
        http.RequestRefused, match=r"other\.example must not be called: the setting OUTGOING_HOSTS"
    ):
        http.request("POST", "https://other.example/")
    assert asked == []


def test_the_only_hosts_still_pass_the_address_rule(settings, monkeypatch):
    resolver(monkeypatch, hooks_example_com="169.254.169.254")
    settings.OUTGOING_HOSTS = ["hooks.example.com"]
    with pytest.raises(http.RequestRefused, match="link-local"):
        http.request("POST", "https://hooks.example.com/")


# --- plain http ------------------------------------------------------------------------------------------


def test_a_public_host_is_not_called_by_plain_http(monkeypatch):
    resolver(monkeypatch, hook_example="93.184.216.34")
    dialled = []
    monkeypatch.setattr(
        streams, "dial", lambda *a: dialled.append(a) or (_ for _ in ()).throw(OSError("stopped"))
    )
    with pytest.raises(http.RequestRefused) as caught:
        http.request("POST", "http://hook.example/")
    said = str(caught.value)
    assert "hook.example must not be called by http://" in said
    assert (
        "Write https://, add 93.184.216.34:80 to the setting ALLOWED_NETWORKS, or allow plain http for this target"
        in said
    )
    assert dialled == []
    with pytest.raises(http.ReceiverUnreachable):
        http.request("POST", "http://hook.example/", plain=True)
    with pytest.raises(http.ReceiverUnreachable):
        http.request("POST", "https://hook.example/")
    assert len(dialled) == 2


def test_an_open_network_is_called_by_plain_http(settings):
    with Receiver() as receiver:
        settings.ALLOWED_NETWORKS = [f"127.0.0.1:{receiver.port}"]
        assert http.request("POST", receiver.url()).status == 200


def test_plain_http_opens_no_network():
    with Receiver() as receiver, pytest.raises(http.RequestRefused, match="loopback"):
        http.request("POST", receiver.url(), plain=True)


def test_a_name_with_one_public_address_is_not_called_by_plain_http(settings, monkeypatch):
    settings.ALLOWED_NETWORKS = ["127.0.0.1"]
    addresses = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 80)) for ip in ("127.0.0.1", "93.184.216.34")
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: addresses)
    with pytest.raises(http.RequestRefused, match=r"add 93\.184\.216\.34:80"):
        http.request("POST", "http://both.example/")


def test_a_connection_by_permission_of_one_target_serves_no_other(settings, monkeypatch):
    """The same URL: allowed for one target, and not for the next one."""
    with Receiver() as receiver:
        monkeypatch.setattr(network_rules.Rules, "opens", lambda self, ip, port: False)
        monkeypatch.setattr(streams, "address_refusal", lambda *a: None)
        assert http.request("POST", receiver.url(), plain=True).status == 200
        with pytest.raises(http.RequestRefused, match="must not be called by http://"):
            http.request("POST", receiver.url())


@pytest.mark.parametrize(
    ("url", "allowed", "accepted"),
    [
        ("https://hook.example/", [], True),
        ("http://hook.example/", [], False),
        ("http://hook.example/", ["10.0.0.0/8"], True),
        ("http://hook.example/", ["10.0.0.0/8:443"], False),
        ("http://hook.example:8080/", ["10.0.0.0/8:8080"], True),
        ("http://93.184.216.34/", ["10.0.0.0/8"], False),
        ("http://10.0.0.7/", ["10.0.0.0/8"], True),
        ("http://10.0.0.7:8080/", ["10.0.0.0/8:80"], False),
        ("http://[fd00::1]:8080/", ["[fd00::/8]:8080"], True),
    ],
)
def test_a_url_is_accepted_only_if_plain_http_can_lead_into_an_open_network(url, allowed, accepted):
    said = plain_url_problem(parse_url(url), parse_rules(tuple(allowed)))
    assert (said is None) == accepted
    if said:
        private = "10.0.0.7" in url
        assert ("add 10.0.0.7:8080 to the setting ALLOWED_NETWORKS" in said) == private
        assert ("allow plain http for this target" in said) != private


# --- what is said at the start -----------------------------------------------------------------------------


def test_an_entry_without_a_port_is_said_at_the_start(settings):
    settings.ALLOWED_NETWORKS = ["10.0.0.0/8", "10.0.0.7:443", "fd00::/8", "[fd00::1]:443"]
    found = system_checks.networks()
    assert [(one.id, one.is_serious()) for one in found] == [("cii.W006", False)] * 2
    assert "“10.0.0.0/8” names no port" in found[0].msg
    assert "10.0.0.0/8:443" in found[0].hint
    assert "[fd00::/8]:443" in found[1].hint


def test_a_slip_in_any_of_the_settings_is_said_at_the_start(settings):
    settings.ALLOWED_NETWORKS = ["10.0.0.1/8"]
    settings.DENIED_NETWORKS = ["10.0.0.7:0", "10.0.0.0/8"]
    settings.OUTGOING_HOSTS = ["https://a.example", "a.example"]
    assert [one.id for one in system_checks.networks()] == ["cii.E006"] * 3


NETWORK = "Write a network such as 10.20.0.0/16, or one with a port such as 10.0.0.7:8443 or [fd00::/8]:443."
HOST = "Write one such as hooks.example.com, *.example.com or hooks.example.com:8443."
BRACKET = "the bracket is not closed or is followed by something other than a port"


@pytest.mark.parametrize(
    ("entry", "read", "said"),
    [
        ("[fd00::1", network_entry, f"X: “[fd00::1” is not a network ({BRACKET}). {NETWORK}"),
        ("10.0.0.7:0", network_entry, f"X: “10.0.0.7:0” is not a network (the port “0” is not a number from 1 to 65535). {NETWORK}"),
        ("10.0.0.7:000443", network_entry, f"X: “10.0.0.7:000443” is not a network (the port “000443” is not a number from 1 to 65535). {NETWORK}"),
        ("a.example/x", host_entry, f"X: “a.example/x” is not a host (it is more than a name). {HOST}"),
    ],
)  # fmt: skip
def test_the_refusal_of_an_entry_says_what_to_write_instead(entry, read, said):
    with pytest.raises(ValueError, match="X: ") as caught:
        read("X", entry)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("entry", "host", "port"),
    [
        (" hooks.example.com ", "hooks.example.com", None),
        ("Hooks.Example.com.:8443", "hooks.example.com", 8443),
        ("*.example.com:1", "*.example.com", 1),
        ("10.0.0.7:65535", "10.0.0.7", 65535),
        ("[fd00::1]:443", "fd00::1", 443),
        ("[fd00::1]", "fd00::1", None),
        ("fd00::1", "fd00::1", None),
    ],
)
def test_an_entry_is_a_host_and_perhaps_a_port(entry, host, port):
    found = host_entry("OUTGOING_HOSTS", entry)
    assert (found.host, found.port) == (host, port)


def test_an_entry_of_a_network_keeps_its_text():
    assert network_entry("ALLOWED_NETWORKS", " 10.0.0.0/8 ").text == "10.0.0.0/8"


def test_a_host_that_is_not_among_them_is_named_as_an_entry_writes_it():
    said = host_refusal("fd00::1", 443, parse_rules(hosts=("a.example",)))
    assert (
        said
        == "the setting OUTGOING_HOSTS names the only hosts that are called; if this one is meant, add [fd00::1]:443"
    )


@pytest.mark.parametrize(
    ("url", "way_out"),
    [
        ("http://a.example/", "Write https://, or allow plain http for this target."),
        (
            "http://93.184.216.34./",
            "Write https://, add 93.184.216.34:80 to the setting ALLOWED_NETWORKS, or allow plain http for this target.",
        ),
    ],
)
def test_plain_http_is_refused_with_a_way_out(url, way_out):
    said = plain_url_problem(parse_url(url), parse_rules())
    assert said == f"The request and its credentials could be read on the way. {way_out}"
