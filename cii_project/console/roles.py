"""Who may do what in the pages: three groups, made by ``manage.py setup``.

A *Viewer* reads; an *Operator* also acts (runs checks, tests, replays, excludes users, imports files,
ticks targets); an *Engineer* also shapes (integrations and their secrets, checks, messages, settings).
A superuser is an Engineer. Each includes the one before.
"""

from enum import IntEnum
from typing import Any


class Role(IntEnum):
    NONE = 0
    VIEWER = 1
    OPERATOR = 2
    ENGINEER = 3

    @property
    def label(self) -> str:
        return self.name.capitalize()


GROUPS = {role.label: role for role in (Role.VIEWER, Role.OPERATOR, Role.ENGINEER)}


def role_of(user: Any) -> Role:
    """The highest role that a person's groups give; one query, kept on the user for the request."""
    if not user.is_authenticated or not user.is_active:
        return Role.NONE
    if user.is_superuser:
        return Role.ENGINEER
    if not hasattr(user, "_console_role"):
        names = user.groups.filter(name__in=GROUPS).values_list("name", flat=True)
        user._console_role = max((GROUPS[name] for name in names), default=Role.NONE)
    role: Role = user._console_role
    return role
