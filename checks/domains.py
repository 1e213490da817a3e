"""Domain names: settings keep them in ASCII, accounts have them as their source writes them (IDNA 2008, RFC 5891). Pure."""

import unicodedata
from collections.abc import Iterable

import idna


def ascii_domain(text: str) -> str:
    """The domain in lower case and ASCII. Raises UnicodeError for a name that IDNA does not allow.

    Python's codec ``idna`` follows the version of 2003, in which straße.example is another's strasse.example.
    """
    return text.lower() if text.isascii() else idna.encode(text, uts46=True).decode("ascii")


def written_domain(text: str) -> str:
    """The domain of an address in one spelling of its letters, not folded: ß stays."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFC", text.lower())


def spellings(domains: Iterable[str]) -> list[str]:
    """Domains in ASCII as accounts may write them: in ASCII and in Unicode."""
    found = set(domains)
    for domain in tuple(found):
        if "xn--" in domain:
            try:
                found.add(idna.decode(domain))
            except UnicodeError:
                # A name of a registry that follows the version of 2003.
                continue
    return sorted(found)
