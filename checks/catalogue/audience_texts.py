"""The texts of a check for each audience, as data. ``{{name}}`` stands for a setting of the check.

The texts for a user and a manager are for people who know nothing of identity security: short, friendly, without blame
or jargon, and without what only an administrator can do.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UserText:
    """To the user: what was found on their account, why it matters, what to do, by when, and the contact."""

    found: str
    why: str
    actions: Sequence[str]
    due_days: int
    contact: str = "your IT help desk"


@dataclass(frozen=True, slots=True)
class ManagerText:
    """To the manager, about one account of the team: what was found, and what the manager can do."""

    found: str
    actions: Sequence[str]


@dataclass(frozen=True, slots=True)
class ListText:
    """For administrators: what was found. The check's recommended actions say what to do."""

    found: str


@dataclass(frozen=True, slots=True)
class AudienceText:
    """The text for one audience, with the settings filled in. ``why`` and ``due_days`` are the user's alone;
    a list has no ``contact``."""

    found: str
    actions: Sequence[str]
    why: str = ""
    due_days: int = 0
    contact: str = ""
    subject: str = ""


@dataclass(frozen=True, slots=True)
class AudienceTexts:
    """``subject``: what was found in a few words, as it follows “Your account:” or a colleague's name in the subject of a
    mail."""

    subject: str
    user: UserText
    manager: ManagerText
    list: ListText
