"""Permissions in Django's admin, derived from the role alone."""

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import Permission
from django.db.models import Q, QuerySet

from cii_project.console.core.roles import Role, role_of


class RoleBackend(ModelBackend):
    """Signs members in by password, and derives their permissions in Django's admin from the role alone."""

    def _get_user_permissions(self, user_obj: object) -> QuerySet[Permission]:
        return Permission.objects.none()

    def _get_group_permissions(self, user_obj: object) -> QuerySet[Permission]:
        return Permission.objects.filter(_permissions_of(role_of(user_obj)))


def _permissions_of(role: Role) -> Q:
    """An Administrator reads the audit trail; the other records are for superusers, who need no permission."""
    if role >= Role.ADMINISTRATOR:
        return Q(content_type__app_label="audit", codename__startswith="view_")
    return Q(pk__in=[])
