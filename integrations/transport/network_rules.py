"""Which hosts and addresses may be called. Pure: nothing here resolves or connects.

An address is dialled only if it is global unicast. An IPv4-mapped address is checked as its IPv4 address. In addition to
Python's ``is_global``, whose tables differ between versions, a list of ranges is refused. :class:`Rules` are the
installation's settings: networks that are open in addition to the public internet, networks that are always
closed, and the only hosts. Multicast, broadcast and the unspecified address are always closed.
"""

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from integrations.transport.addresses import Url, parse_url

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Never global, in any version of Python: IANA's special-purpose registries, and Azure's wire server.
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
# The last 32 bits are an IPv4 address: NAT64 (RFC 6052, RFC 8215), translated (RFC 2765), compatible (RFC 4291).
_IPV4_AT_END = tuple(
    map(IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "::ffff:0:0:0/96", "::/96")),
)
_NO_IPV4 = IPv6Network("::/112")  # ::1 and its like
_MAPPED = IPv6Network("::ffff:0:0/96")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a setting: a network and a port; ``port`` is None for all ports."""

    text: str
    network: Network
    port: int | None

    def covers(self, address: Address, port: int) -> bool:
        """Whether the entry includes this address and port."""
        same_version = self.network.version == address.version
        return same_version and address in self.network and self.port in (None, port)


@dataclass(frozen=True, slots=True)
class HostEntry:
    """One entry of ``OUTGOING_HOSTS``: a host or, with ``*.``, all names below it; ``port`` is None for all ports."""

    host: str
    port: int | None

    def covers(self, host: str, port: int) -> bool:
        """Whether the entry includes this host and port."""
        name = host.removesuffix(".")
        same = name.endswith(self.host[1:]) if self.host.startswith("*.") else name == self.host
        return same and self.port in (None, port)


@dataclass(frozen=True, slots=True, eq=False)
class Rules:
    """The installation's rules; empty ``hosts`` means any host."""

    allowed: tuple[Entry, ...] = ()
    denied: tuple[Entry, ...] = ()
    hosts: tuple[HostEntry, ...] = ()

    def opens(self, ip: Address | str, port: int) -> bool:
        """Whether an entry of ``ALLOWED_NETWORKS`` covers the address."""
        address = _unwrapped(ip_address(ip) if isinstance(ip, str) else ip)
        return any(entry.covers(address, port) for entry in self.allowed)


PUBLIC_ONLY = Rules()


@lru_cache(maxsize=64)
def parse_rules(
    allowed: tuple[str, ...] = (), denied: tuple[str, ...] = (), hosts: tuple[str, ...] = ()
) -> Rules:
    """The settings ``ALLOWED_NETWORKS``, ``DENIED_NETWORKS`` and ``OUTGOING_HOSTS`` as rules.

    Raises ValueError that names the setting and the malformed entry.
    """
    return Rules(
        tuple(network_entry("ALLOWED_NETWORKS", text) for text in allowed),
        tuple(network_entry("DENIED_NETWORKS", text) for text in denied),
        tuple(host_entry("OUTGOING_HOSTS", text) for text in hosts),
    )


def network_entry(setting: str, text: str) -> Entry:
    """``10.0.0.7``, ``10.0.0.0/8``, ``10.0.0.7:8443``, ``10.1.0.0/16:443``, ``fd00::/8``, ``[fd00::1]:443`` or ``[fd00::/8]:443``."""
    try:
        inside, port = _with_port(text.strip())
        network = ip_network(inside)
    except ValueError as error:
        expected = "Write a network such as 10.20.0.0/16, or one with a port such as 10.0.0.7:8443 or [fd00::/8]:443."
        raise ValueError(f"{setting}: “{text}” is not a network ({error}). {expected}") from error
    if network.version == 6 and network.subnet_of(_MAPPED):
        raise ValueError(
            f"{setting}: “{text}” means IPv4 addresses. Write them as IPv4, such as 10.20.0.0/16."
        )
    return Entry(text.strip(), network, port)


def host_entry(setting: str, text: str) -> HostEntry:
    """``hooks.example.com``, ``*.example.com``, an address, each also with a port."""
    try:
        inside, port = _with_port(text.strip())
        name = inside.removeprefix("*.")
        url = parse_url(f"https://[{name}]/" if ":" in name else f"https://{name}/")
        if url.target != "/":
            raise ValueError("it is more than a name")
    except ValueError as error:
        expected = "Write one such as hooks.example.com, *.example.com or hooks.example.com:8443."
        raise ValueError(f"{setting}: “{text}” is not a host ({error}). {expected}") from error
    host = url.host.removesuffix(".")
    return HostEntry(host if name == inside else f"*.{host}", port)


def _with_port(text: str) -> tuple[str, int | None]:
    """The text before the port, without brackets, and the port."""
    if text.startswith("["):
        inside, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError("the bracket is not closed or is followed by something other than a port")
        port = rest[1:] if rest else None
    elif text.count(":") == 1:
        inside, _, port = text.partition(":")
    else:
        inside, port = text, None
    if port is None:
        return inside, None
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535):
        raise ValueError(f"the port “{port}” is not a number from 1 to 65535")
    return inside, int(port)


def address_refusal(ip: Address | str, port: int, rules: Rules = PUBLIC_ONLY) -> str | None:
    """Why ``ip`` must not be dialled at ``port``, as the end of a sentence; None if it may."""
    address = _unwrapped(ip_address(ip) if isinstance(ip, str) else ip)
    embedded = _embedded(address)
    for meant in (address, *embedded):
        for entry in rules.denied:
            if entry.covers(meant, port):
                return f"{meant} is closed by the entry {entry.text} of the setting DENIED_NETWORKS"
    if address.is_multicast:
        return f"{address} is multicast"
    if address.is_unspecified or address == IPv4Address("255.255.255.255"):
        return f"{address} is not the address of one machine"
    if rules.opens(address, port):
        return next((why for meant in embedded if (why := address_refusal(meant, port, rules))), None)
    what = next((what for network, what in REFUSED if address in network), None)
    if what is None and not _global(address):
        what = "not on the public internet"
    if what is None:
        return None
    return f"{address} is {what}; if this target is meant, add {entry_for(address, port)} to the setting ALLOWED_NETWORKS"


def entry_for(address: Address | str, port: int) -> str:
    """The narrowest entry of ``ALLOWED_NETWORKS`` that opens the address."""
    text = str(_unwrapped(ip_address(address) if isinstance(address, str) else address))
    return f"[{text}]:{port}" if ":" in text else f"{text}:{port}"


def host_refusal(host: str, port: int, rules: Rules) -> str | None:
    """Why ``OUTGOING_HOSTS`` does not allow ``host``, as the end of a sentence; None if it does."""
    if not rules.hosts or any(entry.covers(host, port) for entry in rules.hosts):
        return None
    shown = f"[{host}]" if ":" in host else host
    return f"the setting OUTGOING_HOSTS names the only hosts that are called; if this one is meant, add {shown}:{port}"


def plain_url_problem(url: Url, rules: Rules) -> str | None:
    """Why a target must not have this ``http://`` URL, as a sentence; None if it can lead into ``ALLOWED_NETWORKS``.

    A name is resolved only when it is called, so it may if any network is open at its port.
    """
    if url.scheme == "https":
        return None
    try:
        address = ip_address(url.host.removesuffix("."))
    except ValueError:
        way_out = "Write https://, or allow plain http for this target"
        possible = any(entry.port in (None, url.port) for entry in rules.allowed)
    else:
        if why := address_refusal(address, url.port, rules):
            return f"{url.host} must not be called: {why}."
        way_out = (
            f"Write https://, add {entry_for(address, url.port)} to the setting ALLOWED_NETWORKS, "
            "or allow plain http for this target"
        )
        possible = rules.opens(address, url.port)
    return None if possible else f"The request and its credentials could be read on the way. {way_out}."


def _embedded(address: Address) -> tuple[IPv4Address, ...]:
    """The IPv4 addresses that a gateway could reach by this IPv6 address: those at its end, 6to4 (RFC 3056), Teredo."""
    if isinstance(address, IPv4Address):
        return ()
    if address not in _NO_IPV4 and any(address in network for network in _IPV4_AT_END):
        return (IPv4Address(int(address) & 0xFFFFFFFF),)
    if address.sixtofour:
        return (address.sixtofour,)
    return address.teredo or ()


def _unwrapped(address: Address) -> Address:
    if isinstance(address, IPv6Address):
        # Without its zone ("fe80::1%eth0"), which no range test needs and which networks cannot contain.
        address = IPv6Address(int(address))
        return address.ipv4_mapped or address
    return address


def _global(address: Address) -> bool:
    return address.is_global and (isinstance(address, IPv4Address) or address in GLOBAL_UNICAST)
