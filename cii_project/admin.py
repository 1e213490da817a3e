"""Django's admin for what is not ours: members and roles, the audit trail, the queue."""

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.http import HttpRequest
from django_q.models import Failure, OrmQ, Schedule, Success
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from cii_project.audit.admin import AuditedAdmin, RecordAdmin
from cii_project.audit.models import AuditEntry
from cii_project.audit.sentences import sentence
from cii_project.models import MemberPreference, SavedFilter
from integrations.services import mask, settings_secrets

for theirs in (User, Group, Schedule, Success, Failure, OrmQ):
    if admin.site.is_registered(theirs):
        admin.site.unregister(theirs)


@admin.register(User)
class MemberAdmin(AuditedAdmin, DjangoUserAdmin, ModelAdmin):  # type: ignore[type-arg]  # none at run time
    """Members and their roles, for superusers alone (:class:`~cii_project.console.sign_in.role_backend.RoleBackend`). Staff status
    and Django's own permissions are not shown: they decide nothing here."""

    list_display = ("username", "email", "first_name", "last_name", "is_active", "is_superuser")
    list_filter = ("is_superuser", "is_active", "groups")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Personal", {"fields": ("first_name", "last_name", "email")}),
        ("Role", {"fields": ("is_active", "is_superuser", "groups")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    # Django's two-column selector has labels that a screen reader may not read.
    filter_horizontal = ()


@admin.register(Group)
class RoleAdmin(RecordAdmin):
    """The roles; they are given on a member's page."""

    ordering = ("name",)
    search_fields = ("name",)
    exclude = ("permissions",)


@admin.register(AuditEntry)
class AuditEntryAdmin(RecordAdmin):
    list_display = ("at", "what", "address")
    list_filter = ("action", "actor_kind")
    search_fields = ("^actor", "^address", "^object_label")

    @admin.display(description="What happened")
    def what(self, entry: AuditEntry) -> str:
        return sentence(entry)


@admin.register(SavedFilter)
class SavedFilterAdmin(RecordAdmin):
    list_display = ("name", "page", "member", "is_shared")
    list_filter = ("page", "is_shared")
    search_fields = ("name", "^member__username")
    list_select_related = ("member",)


@admin.register(MemberPreference)
class MemberPreferenceAdmin(RecordAdmin):
    list_display = ("member", "zone")
    list_select_related = ("member",)


# Editing a schedule or queueing a task runs any function, so the queue is read-only here.
@admin.register(Schedule)
class ScheduleAdmin(RecordAdmin):
    list_display = ("name", "func", "schedule_type", "minutes", "next_run", "repeats")


@admin.register(Success)
class SuccessAdmin(RecordAdmin):
    list_display = ("name", "func", "started", "stopped")
    search_fields = ("name", "func")
    ordering = ("-stopped",)
    # Arguments and results of tasks are pickled: unpickling runs code.
    exclude = ("args", "kwargs", "result", "hook")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Success]:
        found: QuerySet[Success] = super().get_queryset(request)
        return found.filter(success=True).defer("args", "kwargs", "result")


@admin.register(Failure)
class FailureAdmin(RecordAdmin):
    list_display = ("name", "func", "started", "stopped", "attempt_count")
    search_fields = ("name", "func")
    ordering = ("-stopped",)
    exclude = ("args", "kwargs", "hook", "result")
    readonly_fields = ("traceback",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Failure]:
        found: QuerySet[Failure] = super().get_queryset(request)
        return found.filter(success=False)

    @admin.display
    def traceback(self, failure: Failure) -> str:
        """Masked: a library may quote a setting in its errors."""
        return mask(str(failure.result), settings_secrets())


@admin.register(OrmQ)
class QueuedAdmin(RecordAdmin):
    list_display = ("id", "key", "lock")
    exclude = ("payload",)
