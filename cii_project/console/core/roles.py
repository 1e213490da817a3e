"""Roles: four groups, made by ``manage.py setup``, each with the rights of the one before.

A *Viewer* reads; an *Operator* also acts (runs checks, tests, replays, excludes users, imports files,
enables targets); an *Engineer* also shapes (sources, integrations and their secrets, checks, messages, settings);
an *Administrator* also reads the audit trail. A superuser counts as an Administrator and alone can give
roles. The role is the only thing that counts: neither staff status nor a permission of Django's, given to
a member or a group, opens or allows anything (role_backend.py).
"""

from enum import IntEnum
from typing import Any


class Role(IntEnum):
    NONE = 0
    VIEWER = 1
    OPERATOR = 2
    ENGINEER = 3
    ADMINISTRATOR = 4

    @property
    def label(self) -> str:
        return self.name.capitalize()


ROLE_BY_GROUP = {role.label: role for role in Role if role > Role.NONE}
ROLE_NAMES = "Viewer, Operator, Engineer or Administrator"


def role_of(user: Any) -> Role:
    """The highest role that a member's groups give; one query, kept on the member for the request."""
    if not user.is_authenticated or not user.is_active:
        return Role.NONE
    if user.is_superuser:
        return Role.ADMINISTRATOR
    if not hasattr(user, "_console_role"):
        names = user.groups.filter(name__in=ROLE_BY_GROUP).values_list("name", flat=True)
        user._console_role = max((ROLE_BY_GROUP[name] for name in names), default=Role.NONE)
    role: Role = user._console_role
    return role
