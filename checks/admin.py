"""Users, checks and runs in Django's admin, to read and to search. What a service changes (docs/architecture.md, "One
place for each mutation") is read-only here."""

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from checks import models
from checks.user_search import search_accounts, search_users
from cii_project.audit.admin import AuditedAdmin, RecordAdmin


@admin.register(models.Source)
class SourceAdmin(AuditedAdmin, RecordAdmin):
    """A source may be renamed; its kind may not change, since the users' facts were derived by it."""

    list_display = ("name", "slug", "kind", "provider", "short_id", "last_import_at")
    list_filter = ("kind",)
    search_fields = ("name", "slug", "provider")
    ordering = ("slug",)
    readonly_fields = ("slug", "kind", "short_id", "created_at", "last_import_at", "deleted_at")

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return bool(ModelAdmin.has_change_permission(self, request, obj))


@admin.register(models.Import)
class ImportAdmin(RecordAdmin):
    list_display = (
        "source",
        "state",
        "file_name",
        "started_at",
        "read",
        "created",
        "changed",
        "deleted",
        "rejected",
    )
    list_filter = ("state", "source", "full")
    search_fields = ("file_name",)
    list_select_related = ("source",)


@admin.register(models.SourceMapping)
class SourceMappingAdmin(RecordAdmin):
    list_display = ("source", "date_order", "zone", "updated_at")
    list_select_related = ("source",)


@admin.register(models.RejectedRow)
class RejectedRowAdmin(RecordAdmin):
    list_display = ("of_import", "line")
    list_select_related = ("of_import__source",)


@admin.register(models.Upload)
class UploadAdmin(RecordAdmin):
    list_display = ("file_name", "source", "state", "size", "created_by", "created_at")
    list_filter = ("state", "source")
    list_select_related = ("source", "created_by")
    ordering = ("-created_at",)


@admin.register(models.UploadPart)
class UploadPartAdmin(RecordAdmin):
    """Without the content, which is sealed."""

    list_display = ("upload", "number")
    list_select_related = ("upload__source",)
    exclude = ("sealed",)


@admin.register(models.User)
class UserAdmin(RecordAdmin):
    list_display = (
        "name",
        "display_name",
        "status",
        "user_type",
        "protected",
        "admin",
        "nhi",
        "guest",
        "last_sign_in_at",
    )
    list_filter = ("protected", "admin", "nhi", "guest")
    search_fields = ("name",)
    search_help_text = "The start of a name, an e-mail or a login; or a whole employee id"
    ordering = ("name", "id")
    exclude = ("employee_key",)

    def found(self, term: str) -> dict[str, object]:
        return {"pk__in": search_users(term).ids}


@admin.register(models.Account)
class AccountAdmin(RecordAdmin):
    list_display = ("login", "source", "user", "status", "user_type", "mfa", "is_admin", "last_sign_in_at")
    list_filter = ("source", "status", "user_type", "join_reason")
    search_fields = ("login_key",)
    search_help_text = "The start of a login or an e-mail; or a whole employee id"
    list_select_related = ("source", "user")
    exclude = ("fingerprint",)

    def found(self, term: str) -> dict[str, object]:
        return {"pk__in": search_accounts(term)}


@admin.register(models.JoinSuggestion)
class JoinSuggestionAdmin(RecordAdmin):
    list_display = ("account", "user", "reason", "state", "decided_by", "decided_at")
    list_filter = ("state", "reason")
    list_select_related = ("account__source", "user", "decided_by")


@admin.register(models.SourceFreshness)
class SourceFreshnessAdmin(RecordAdmin):
    list_display = ("source", "group", "as_of", "max_age_days")
    list_filter = ("source", "group")
    list_select_related = ("source",)


@admin.register(models.AccountFreshness)
class AccountFreshnessAdmin(RecordAdmin):
    list_display = ("account", "group", "as_of")
    list_filter = ("group",)
    list_select_related = ("account__source",)


@admin.register(models.Authenticator)
class AuthenticatorAdmin(RecordAdmin):
    list_display = ("kind", "device_key", "account")
    search_fields = ("device_key__exact",)
    search_help_text = "A whole device id or phone number"
    list_select_related = ("account__source",)


@admin.register(models.Forward)
class ForwardAdmin(RecordAdmin):
    list_display = ("address", "domain", "account")
    search_fields = ("^address", "^domain")
    list_select_related = ("account__source",)


@admin.register(models.Check)
class CheckAdmin(RecordAdmin):
    list_display = ("slug", "enabled", "severity", "tags", "updated_at")
    list_filter = ("enabled", "severity")
    search_fields = ("slug",)
    ordering = ("slug",)


@admin.register(models.Exclusion)
class ExclusionAdmin(RecordAdmin):
    list_display = ("user", "check_ref", "until", "reason", "created_by", "created_at")
    list_filter = ("check_ref",)
    search_fields = ("^user__name", "reason")
    list_select_related = ("user", "check_ref", "created_by")


@admin.register(models.Run)
class RunAdmin(RecordAdmin):
    list_display = (
        "created_at",
        "state",
        "trigger",
        "requested_by",
        "users",
        "started_at",
        "finished_at",
        "host",
    )
    list_filter = ("state", "trigger", "notify")
    search_fields = ("=id",)
    list_select_related = ("requested_by",)
    ordering = ("-created_at",)


@admin.register(models.CheckResult)
class CheckResultAdmin(RecordAdmin):
    list_display = (
        "run",
        "check_ref",
        "severity",
        "evaluated",
        "failing",
        "new",
        "resolved",
        "unknown",
        "stale",
        "duration_ms",
    )
    list_filter = ("check_ref", "severity")
    list_select_related = ("run", "check_ref")


@admin.register(models.GroupResult)
class GroupResultAdmin(RecordAdmin):
    list_display = ("run", "dimension", "name", "users", "failing_users", "findings")
    list_filter = ("dimension",)
    list_select_related = ("run",)


@admin.register(models.Finding)
class FindingAdmin(RecordAdmin):
    list_display = ("check_ref", "user", "opened_at", "resolved_at", "resolution")
    list_filter = ("check_ref", "resolution")
    search_fields = ("user__name",)
    search_help_text = "The start of a user's name, e-mail or login"
    list_select_related = ("check_ref", "user")

    def found(self, term: str) -> dict[str, object]:
        return {"user__in": search_users(term).ids}
