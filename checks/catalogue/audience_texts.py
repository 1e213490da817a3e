"""The texts of a check for each audience, as data. ``{{name}}`` stands for a setting of the check.

The texts for a user and a manager are for people who know nothing of identity security: short, friendly, without blame
or jargon, and without what only an administrator can do.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UserText:
    """To the user: what was found on their account, why it matters, what to do, by when, and the contact.

    ``shows``: keys of the check's details that help the reader, such as the systems that it is about.
    """

    found: str
    why: str
    actions: Sequence[str]
    due_days: int
    contact: str = "your IT help desk"
    shows: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ManagerText:
    """To the manager, about one account of the team: what was found, what the manager can do, and the details that
    help with it."""

    found: str
    actions: Sequence[str]
    shows: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ListText:
    """For administrators: what was found. The check's recommended actions say what to do."""

    found: str


@dataclass(frozen=True, slots=True)
class AudienceText:
    """The text for one audience, with the settings filled in. ``why`` and ``due_days`` are the user's alone;
    a list has no ``contact`` and no ``shows``: it has all details of its users."""

    found: str
    actions: Sequence[str]
    why: str = ""
    due_days: int = 0
    contact: str = ""
    subject: str = ""
    shows: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class AudienceTexts:
    """``subject``: what was found in a few words, as it follows “Your account:” or a colleague's name in the subject of a
    mail."""

    subject: str
    user: UserText
    manager: ManagerText
    list: ListText
