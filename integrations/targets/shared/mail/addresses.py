"""Addresses of mail: which ones a server can be asked to carry. Pure."""

import unicodedata
from collections.abc import Iterable
from email.headerregistry import Address
from functools import lru_cache

import idna
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

# A first test of a field of a document; :func:`smtp_address` decides.
ADDRESS = r"[^\s@<>,;:\"()\[\]\\]{1,64}@[^\s@<>,;:\"()\[\]\\]{1,253}"
ADDRESS_HINT = "Write an e-mail address such as ann@example.com."
MOST_LOCAL_BYTES = 64  # RFC 5321 §4.5.3.1.1, in UTF-8


@lru_cache(maxsize=1024)  # the sender of a target is the same in each of its mails
def smtp_address(address: str) -> str | None:
    """``address`` as SMTP carries it; None if it has no such form.

    The domain is written by IDNA. A part before the @ with letters beyond ASCII needs a server with SMTPUTF8 (RFC 6531);
    it is normalized to NFC, so that it does not depend on the keyboard.
    """
    local, _, domain = address.rpartition("@")
    if not domain.isascii():
        try:
            domain = idna.encode(domain, uts46=True).decode("ascii")
        except (idna.IDNAError, UnicodeError):
            return None
    local = unicodedata.normalize("NFC", local)
    if len(local.encode("utf-8", "replace")) > MOST_LOCAL_BYTES:
        return None
    # The start of an encoded word (RFC 2047 §2): what reads the header may take it for another address.
    if "=?" in local:
        return None
    # RFC 6531 §3.3 adds the characters beyond ASCII to those of an atom.
    as_ascii = "".join(character if character.isascii() else "a" for character in local)
    try:
        validate_email(f"{as_ascii}@{domain}")
        made = Address(username=as_ascii, domain=domain)
    except (ValidationError, ValueError, IndexError):
        return None
    if made.addr_spec != f"{as_ascii}@{domain}" or not all(map(_is_letter_or_mark, local)):
        return None
    return f"{local}@{domain}"


def without_repeats(addresses: Iterable[str]) -> list[str]:
    """The first address of each mailbox.

    The domain counts in lower case (RFC 5321 §2.4) and by IDNA; the part before the @ may depend on its case.
    """
    first: dict[str, str] = {}
    for address in addresses:
        local, _, domain = (smtp_address(address) or address).rpartition("@")
        first.setdefault(f"{local}@{domain.lower()}", address)
    return list(first.values())


def _is_letter_or_mark(character: str) -> bool:
    """No controls, spaces, separators, or characters that turn the direction of text."""
    return character.isascii() or unicodedata.category(character)[0] in "LMNS"
