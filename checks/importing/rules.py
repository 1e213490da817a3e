"""The rules by which one source's values are read, and the notes of a reading. Pure.

:class:`ReadingRules` are set by a member or by a recognised layout. :class:`Note` is a converter's report of
a value that it reads as unknown.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple
from zoneinfo import ZoneInfo

from checks.errors import ChecksError
from checks.importing.placeholders import fold

# Sources whose e-mail and security question serve password reset only.
ENTRA_PROVIDERS = frozenset(
    fold(name)
    for name in [
        "ENTRA",
        "ENTRA_ID",
        "MICROSOFT_ENTRA",
        "MICROSOFT_ENTRA_ID",
        "AZURE",
        "AZURE_AD",
        "AZURE_ACTIVE_DIRECTORY",
        "AAD",
        "AZUREAD",
        "MICROSOFT",
        "MICROSOFT_365",
        "MICROSOFT365",
        "M365",
        "OFFICE_365",
        "OFFICE365",
        "O365",
        "MSGRAPH",
        "MS_GRAPH",
        "MICROSOFT_GRAPH",
    ]
)
ENTRA_COLUMNS = frozenset(
    fold(name)
    for name in [
        "methodsRegistered",
        "isMfaRegistered",
        "isMfaCapable",
        "isSsprRegistered",
        "isPasswordlessCapable",
        "isSystemPreferredAuthenticationMethodEnabled",
        "defaultMfaMethod",
        "systemPreferredAuthenticationMethods",
        "userPreferredMethodForSecondaryAuthentication",
        "StrongAuthenticationRequirements",
        "StrongAuthenticationMethods",
        "perUserMfaState",
        "Per-user MFA state",
        "authMethods",
        "Multi-factor authentication capable",
        "Multifactor authentication capable",
        "Methods registered",
        "onPremisesSyncEnabled",
    ]
)

# Field → the folded word of the source → what it means here.
Words = tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class ReadingRules:
    """How to read one source's values.

    ``dates``: ``mdy``, ``dmy`` or ``ymd``, the order of dates such as 1/2/2026; "" if not set. ``zone``: IANA
    name of the time zone of times without an offset; "" is UTC. ``words``: (field, word of the source, meaning), the
    meaning as :func:`checks.importing.meanings.check_meaning` accepts it. ``entra``: the values are Microsoft Entra's.
    ``hr``: the source is an HR system.
    """

    dates: str = ""
    zone: str = ""
    words: Words = ()
    entra: bool = False
    hr: bool = False

    @cached_property
    def meanings(self) -> dict[str, dict[str, str]]:
        """Field → folded word → meaning."""
        found: dict[str, dict[str, str]] = {}
        for field, word, meaning in self.words:
            found.setdefault(field, {})[fold(word) or word.strip()] = meaning
        return found

    @cached_property
    def time_zone(self) -> ZoneInfo | None:
        return ZoneInfo(self.zone) if self.zone else None


class Refused(ChecksError):
    """A value is not what its column takes; the text says what was expected."""


class NoteKind(StrEnum):
    """Why a value is unknown although the record has one."""

    UNKNOWN_WORD = "unknown_word"
    LEFTOVER = "leftover"
    FUTURE = "future"
    # A termination that is still to come.
    AHEAD = "ahead"


class Unread(ChecksError):
    """A value has to be read as unknown and reported.

    ``value``: what the column stores; ``kind``, ``word``, ``text``: see :class:`Note`.
    """

    def __init__(self, value: object, kind: "NoteKind", word: str, text: str = "") -> None:
        super().__init__(word)
        self.value, self.kind, self.word, self.text = value, kind, word, text


class Note(NamedTuple):
    """One value that was read as unknown; ``text``: what to do about it, for kinds other than an unknown word."""

    field: str
    kind: NoteKind
    word: str
    text: str = ""
