"""A target's URL, parsed strictly. Pure: nothing here resolves or connects."""

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import quote, urlsplit

import idna

from integrations.errors import IntegrationError

MAX_URL = 2048


class UrlError(IntegrationError, ValueError):
    """A URL that a target must not have; the message says what to write instead."""


@dataclass(frozen=True, slots=True)
class Url:
    """A parsed URL: ``host`` in ASCII and lower case without brackets, ``target`` the percent-encoded path and query."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def netloc(self) -> str:
        """Host and port, as the Host header contains them."""
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
    """Parse a target's URL strictly. The result is what is resolved, dialled and verified by TLS.

    Host names are encoded by IDNA (UTS 46). An IPv4 address must be four decimal numbers; the shorter, octal and
    hexadecimal forms of C libraries are refused. Raises :class:`UrlError`.
    """
    if len(text) > MAX_URL:
        raise UrlError(f"A URL has at most {MAX_URL:,} characters.")
    if _UNSAFE.search(text):
        raise UrlError(
            'A URL must not contain spaces, control characters or any of \\ < > " ^ ` { | }. Percent-encode them.'
        )
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise UrlError("This is not a URL. Write one such as https://example.com/hook.") from error
    scheme = parts.scheme.lower()
    if scheme not in DEFAULT_PORTS or not parts.netloc:
        raise UrlError("Write a whole URL that starts with https:// (or http://).")
    if "@" in parts.netloc:
        raise UrlError(
            "Leave user name and password out of the URL; use an authorization or a secret parameter."
        )
    if "#" in text:
        raise UrlError("Leave out the fragment (# and what follows); it is never sent.")
    if port == 0 or parts.netloc.endswith(":"):
        raise UrlError("The port must be 1 to 65535.")
    host = _host(parts.netloc, parts.hostname or "")
    target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._[]")
    if parts.query:
        target += "?" + quote(parts.query, safe="/?%:@!$&'()*+,;=~-._[]")
    url = Url(scheme, host, port or DEFAULT_PORTS[scheme], target)
    if len(str(url)) > 4 * MAX_URL:
        raise UrlError("The URL is too long once it is encoded.")
    return url


def _host(netloc: str, host: str) -> str:
    if netloc.startswith("["):
        try:
            return str(IPv6Address(host) if "%" not in host else IPv6Address(""))
        except ValueError:
            raise UrlError(
                "The text in [ ] is not an IPv6 address (a zone such as %eth0 is not allowed)."
            ) from None
    if not host.isascii():
        try:
            host = idna.encode(host, uts46=True).decode("ascii").lower()
        except (idna.IDNAError, UnicodeError):
            raise UrlError("The host is not a valid international name.") from None
    name = host.removesuffix(".")
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        # WHATWG URL, "ends in a number": it is an IPv4 address, of which only the usual form is accepted.
        try:
            return str(IPv4Address(name))
        except ValueError:
            raise UrlError("Write an IPv4 address as four decimal numbers, such as 192.0.2.1.") from None
    if not _HOST_NAME.fullmatch(name):
        raise UrlError("The host is not a valid name: use letters, digits, hyphens and dots.")
    return host
