"""Which addresses and URLs a target may have. Pure: nothing here resolves or connects.

The address rule: an address is dialled only if it is global unicast. IPv4-mapped addresses are judged
as the IPv4 address they mean. Beside what Python's ``is_global`` says (its tables differ between versions)
a list of ranges is refused by name. ``ALLOWED_NETWORKS`` opens networks by CIDR; multicast, broadcast and the
unspecified address stay closed whatever it says.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import quote, urlsplit

import idna

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAX_URL = 2048

# Never global, whatever the Python version: IANA's special-purpose registries, and Azure's wire server.
REFUSED: tuple[tuple[Network, str], ...] = tuple(
    (ip_network(cidr), what)
    for cidr, what in (
        ("0.0.0.0/8", "“this network”"),
        ("10.0.0.0/8", "a private network"),
        ("100.64.0.0/10", "carrier-grade NAT"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local, where clouds serve metadata"),
        ("172.16.0.0/12", "a private network"),
        ("192.0.0.0/24", "IETF protocol assignments"),
        ("192.0.2.0/24", "documentation"),
        ("192.88.99.0/24", "the 6to4 relay"),
        ("192.168.0.0/16", "a private network"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("168.63.129.16/32", "Azure's metadata service"),
        ("240.0.0.0/4", "reserved"),
        ("::1/128", "loopback"),
        ("64:ff9b::/96", "NAT64"),
        ("64:ff9b:1::/48", "NAT64"),
        ("100::/64", "the discard prefix"),
        ("2001::/32", "Teredo"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4"),
        ("3fff::/20", "documentation"),
        ("5f00::/16", "segment routing"),
        ("fc00::/7", "a private network"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
    )
)
# RFC 4291 §2.4, IANA: all global unicast IPv6 in use. Leaves out IPv4-compatible and IPv4-translated forms.
GLOBAL_UNICAST = IPv6Network("2000::/3")
NAT64 = IPv6Network("64:ff9b::/96")


def networks(cidrs: Iterable[str]) -> tuple[Network, ...]:
    """The networks of ``ALLOWED_NETWORKS``. Raises ValueError that names the entry which is none."""
    found = []
    for cidr in cidrs:
        try:
            found.append(ip_network(cidr.strip()))
        except ValueError as error:
            raise ValueError(
                f"ALLOWED_NETWORKS: “{cidr}” is no network; write one such as 10.20.0.0/16."
            ) from error
    return tuple(found)


def forbidden(ip: Address | str, allowed: Iterable[Network] = ()) -> str | None:
    """Why ``ip`` must not be dialled, as the end of a sentence, or None where it may."""
    address = _unwrapped(ip_address(ip) if isinstance(ip, str) else ip)
    if address.is_multicast:
        return f"{address} is multicast"
    if address.is_unspecified or address == IPv4Address("255.255.255.255"):
        return f"{address} names no single machine"
    if any(address in network for network in allowed if network.version == address.version):
        embedded = IPv4Address(int(address) & 0xFFFFFFFF) if address in NAT64 else None
        return forbidden(embedded, allowed) if embedded else None
    what = next((what for network, what in REFUSED if address in network), None)
    if what is None and not _global(address):
        what = "not on the public internet"
    if what is None:
        return None
    return (
        f"{address} is {what}; if this target is meant, add {address}/{address.max_prefixlen} "
        "or its network to the setting ALLOWED_NETWORKS"
    )


def _unwrapped(address: Address) -> Address:
    if isinstance(address, IPv6Address):
        # Without its zone ("fe80::1%eth0"), which no range test needs and which networks cannot contain.
        address = IPv6Address(int(address))
        return address.ipv4_mapped or address
    return address


def _global(address: Address) -> bool:
    return address.is_global and (isinstance(address, IPv4Address) or address in GLOBAL_UNICAST)


class BadUrl(ValueError):
    """A URL that no target may have; the message says what to write instead."""


@dataclass(frozen=True, slots=True)
class Url:
    """``host`` is ASCII, lower case, without brackets; ``target`` is path and query, percent-encoded."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def netloc(self) -> str:
        """As the Host header writes it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}{self.target}"


DEFAULT_PORTS = {"https": 443, "http": 80}
_UNSAFE = re.compile(r"[\x00-\x20\x7f-\xa0\\<>\"^`{|}\u2028\u2029]")
_HOST_NAME = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*"
)
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")


@lru_cache(maxsize=1024)
def parse_url(text: str) -> Url:
    """Parse a target's URL, strictly: what this returns is what is resolved, dialled and named in TLS.

    Raises :class:`BadUrl`. Host names go through IDNA (UTS 46). An IPv4 address must be four decimal
    numbers: the shorter, octal and hexadecimal forms that C libraries take are refused.
    """
    if len(text) > MAX_URL:
        raise BadUrl(f"A URL has at most {MAX_URL:,} characters.")
    if _UNSAFE.search(text):
        raise BadUrl(
            'A URL holds no spaces, control characters or any of \\ < > " ^ ` { | }. Percent-encode them.'
        )
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise BadUrl("This is no URL. Write one such as https://example.com/hook.") from error
    scheme = parts.scheme.lower()
    if scheme not in DEFAULT_PORTS or not parts.netloc:
        raise BadUrl("Write a whole URL that begins with https:// (or http://).")
    if "@" in parts.netloc:
        raise BadUrl(
            "Leave user name and password out of the URL; use an authorization or a secret parameter."
        )
    if "#" in text:
        raise BadUrl("Leave out the fragment (# and what follows); it is never sent.")
    if port == 0 or parts.netloc.endswith(":"):
        raise BadUrl("The port must be 1 to 65535.")
    host = _host(parts.netloc, parts.hostname or "")
    target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._[]")
    if parts.query:
        target += "?" + quote(parts.query, safe="/?%:@!$&'()*+,;=~-._[]")
    url = Url(scheme, host, port or DEFAULT_PORTS[scheme], target)
    if len(str(url)) > 4 * MAX_URL:
        raise BadUrl("The URL is too long once it is encoded.")
    return url


def _host(netloc: str, host: str) -> str:
    if netloc.startswith("["):
        try:
            return str(IPv6Address(host) if "%" not in host else IPv6Address(""))
        except ValueError:
            raise BadUrl(
                "What stands in [ ] is no IPv6 address (a zone such as %eth0 is not allowed)."
            ) from None
    if not host.isascii():
        try:
            host = idna.encode(host, uts46=True).decode("ascii").lower()
        except (idna.IDNAError, UnicodeError):
            raise BadUrl("The host is no valid international name.") from None
    name = host.removesuffix(".")
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        # WHATWG URL, "ends in a number": then it is an IPv4 address, and only the usual form of one is taken.
        try:
            return str(IPv4Address(name))
        except ValueError:
            raise BadUrl("Write an IPv4 address as four decimal numbers, such as 192.0.2.1.") from None
    if not _HOST_NAME.fullmatch(name):
        raise BadUrl("The host is no valid name: letters, digits, hyphens and dots.")
    return host
