"""Immutable ids that mean one account wherever they are written.

An id is unique in its source. To join accounts of two sources it must be unique everywhere: a number or a name is not, even
if two sources call it an id. Known are ids of Active Directory and Entra ID (GUID), of Okta, and of Google Workspace.
"""

import re
from base64 import b64decode
from uuid import UUID

# In braces as Windows writes it, or as a URN (RFC 9562, section 4).
_GUID = re.compile(r"(?:urn:uuid:)?\{?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\}?", re.I)
# Sixteen bytes in base64: Entra's onPremisesImmutableId is the objectGUID of Active Directory as it is stored.
_ENCODED_GUID = re.compile(r"[A-Za-z0-9+/]{21}[AQgw]==")
# The same bytes as csvde writes them.
_HEXADECIMAL_GUID = re.compile(r"X'([0-9a-f]{32})'", re.I)
_OKTA = re.compile(r"00u[A-Za-z0-9]{17}")
_GOOGLE = re.compile(r"1[0-9]{20}")
# The GUIDs that stand for none (RFC 9562, sections 5.9 and 5.10).
_NONE = frozenset(("00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"))


def anchor_of(immutable_id: str) -> str:
    """The form in which an immutable id is compared between sources, "" for one that other sources may use for others.

    A GUID is its text in lower case; its 16 bytes, in base64 or hexadecimal, are read in the order of Windows (MS-DTYP,
    2.3.4.2).
    """
    # Nearly all other ids are shorter than the shortest of these.
    if len(immutable_id) < 20:
        return ""
    if found := _GUID.fullmatch(immutable_id):
        guid = found[1].lower()
        return "" if guid in _NONE else guid
    if data := _bytes_of(immutable_id):
        guid = str(UUID(bytes_le=data))
        return "" if guid in _NONE else guid
    if _OKTA.fullmatch(immutable_id) or _GOOGLE.fullmatch(immutable_id):
        return immutable_id
    return ""


def _bytes_of(text: str) -> bytes:
    """The 16 bytes of a GUID; none for another text."""
    if _ENCODED_GUID.fullmatch(text):
        return b64decode(text)
    found = _HEXADECIMAL_GUID.fullmatch(text)
    return bytes.fromhex(found[1]) if found else b""
