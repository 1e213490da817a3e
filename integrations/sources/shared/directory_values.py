"""Values of directories as the record writes them. Pure."""

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

# FILETIME: 100 ns since 1601. 0 and the largest 64-bit number mean never (MS-ADTS 2.2.16 ff.).
_FILETIME_START = datetime(1601, 1, 1, tzinfo=UTC)
_NEVER = frozenset((0, 0x7FFFFFFFFFFFFFFF))
_GENERALIZED = re.compile(r"(\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})?(?:[.,]\d+)?(Z|[+-]\d{2}(?:\d{2})?)")
_PART = re.compile(r"(?:\\.|[^,;\\])+", re.DOTALL)
_ESCAPED = re.compile(r"((?:\\[0-9A-Fa-f]{2})+)|\\(.)", re.DOTALL)


def guid(value: bytes) -> str:
    """objectGUID as text; "" for bytes that are none. Its first three parts are little-endian."""
    return str(UUID(bytes_le=value)) if len(value) == 16 else ""


def filetime(text: str | None) -> datetime | None:
    """The moment of a FILETIME; None for none, for a sentinel, and for what is no moment."""
    try:
        ticks = int(text or "")
    except ValueError:
        return None
    if ticks in _NEVER or ticks < 0:
        return None
    try:
        # Integers: a float has not enough digits.
        return _FILETIME_START + timedelta(microseconds=ticks // 10)
    except OverflowError:
        return None


def generalized_time(text: str | None) -> datetime | None:
    """The moment of a generalizedTime (RFC 4517 §3.3.13); None for none or another text."""
    found = _GENERALIZED.fullmatch(text or "")
    if not found:
        return None
    *parts, zone = found.groups()
    offset = "+0000" if zone == "Z" else zone.ljust(5, "0")
    try:
        return datetime.strptime("".join(part or "00" for part in parts) + offset, "%Y%m%d%H%M%S%z")
    except ValueError:
        return None


def moment_text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def number(text: str | None) -> int | None:
    """A whole number; None for none or another text."""
    return int(text) if text and re.fullmatch(r"-?\d{1,19}", text, re.ASCII) else None


def parts_of(dn: str) -> list[tuple[str, str]]:
    """Attribute in lower case and value of each part of a distinguished name (RFC 4514), escapes resolved."""
    parts = (part.partition("=") for part in _PART.findall(dn) if "=" in part)
    return [(name.strip().lower(), _unescaped(value.strip())) for name, _, value in parts]


def dn_key(dn: str) -> str:
    """A key that is equal for equal distinguished names in any spelling."""
    return "\n".join(f"{name}={' '.join(value.split()).casefold()}" for name, value in parts_of(dn))


def first_name(dn: str) -> str:
    """The value of the first part of a distinguished name: that of a group is its name."""
    parts = parts_of(dn)
    return parts[0][1] if parts else ""


def domain_of(dn: str) -> str:
    """The DNS name of the domain of a distinguished name: DC=corp,DC=example → corp.example."""
    return ".".join(value for name, value in parts_of(dn) if name == "dc")


def domain_root(dn: str) -> str:
    """The distinguished name of the domain that holds this one."""
    return ",".join(f"DC={value}" for name, value in parts_of(dn) if name == "dc")


def _unescaped(value: str) -> str:
    def plain(found: re.Match[str]) -> str:
        if found[1]:
            return bytes.fromhex(found[1].replace("\\", "")).decode("utf-8", "replace")
        return found[2]

    return _ESCAPED.sub(plain, value)
