"""The address of the client that sent a request, behind the proxies that TRUSTED_PROXIES names."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest

ClientIp = IPv4Address | IPv6Address


def client_address(request: HttpRequest) -> str:
    """The client's IP address; "" where the server knows none, as on a Unix socket.

    ``X-Forwarded-For`` is read from the right, one entry for each proxy of TRUSTED_PROXIES: entries further
    to the left were written by the client.
    """
    address = _parsed(request.META.get("REMOTE_ADDR", ""))
    for entry in reversed(request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")):
        if address is None or not is_trusted_proxy(address):
            break
        if (hop := _parsed(entry)) is None:
            break
        address = hop
    return str(address) if address else ""


def is_from_trusted_proxy(request: HttpRequest) -> bool:
    """Whether the peer itself is a trusted proxy, so that its ``X-Forwarded-…`` headers are believed."""
    peer = _parsed(request.META.get("REMOTE_ADDR", ""))
    return peer is not None and is_trusted_proxy(peer)


def network_of(address: str) -> str:
    """The network that one client has: an IPv4 address itself, of IPv6 the /64 in which a client chooses
    addresses freely."""
    parsed = _parsed(address)
    if not isinstance(parsed, IPv6Address):
        return address
    return str(IPv6Network((parsed, 64), strict=False).network_address)


def is_trusted_proxy(address: ClientIp) -> bool:
    return any(address in network for network in _networks(tuple(settings.TRUSTED_PROXIES)))


@lru_cache(maxsize=8)
def _networks(texts: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(text.strip()) for text in texts)


def _parsed(text: str) -> ClientIp | None:
    """The address in one entry of the header, with or without a port; IPv4 also where it is mapped into IPv6."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
