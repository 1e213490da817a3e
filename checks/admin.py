"""The operators' records of users, checks and runs: to look at and to search. What a service changes
(docs/architecture.md, "One place for each mutation") is read-only here."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.paginator import InfinitePaginator

from checks import models
from checks.searching import accounts_called, called


class FirstPages(InfinitePaginator):
    """A page costs as much as all before it, so the pages end; filters and the search lead to the rest."""

    count = 2000


class RecordAdmin(ModelAdmin):
    """Nothing is added, changed or deleted; lists are paged without counting the whole table."""

    paginator = FirstPages
    show_full_result_count = False
    list_per_page = 50
    ordering: Any = ("-id",)

    def found(self, term: str) -> dict[str, Any]:
        """What a search keeps, where the table is too large for a search of Django's own."""
        return {}

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        term = search_term.replace("\0", "").strip()
        if term and (found := self.found(term)):
            return queryset.filter(**found), False
        return super().get_search_results(request, queryset, search_term)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(models.Source)
class SourceAdmin(RecordAdmin):
    """A source may be renamed; its kind may not change, since the users' facts were derived by it."""

    list_display = ("name", "slug", "kind", "provider", "short_id", "last_import_at")
    list_filter = ("kind",)
    search_fields = ("name", "slug", "provider")
    ordering = ("slug",)
    readonly_fields = ("slug", "kind", "short_id", "created_at", "last_import_at")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return ModelAdmin.has_change_permission(self, request, obj)


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
    search_help_text = "The beginning of a name, an e-mail or a login; or a whole employee id"
    ordering = ("name", "id")
    exclude = ("verdict_a", "verdict_b", "employee_key")

    def found(self, term: str) -> dict[str, Any]:
        return {"pk__in": called(term).ids}


@admin.register(models.Account)
class AccountAdmin(RecordAdmin):
    list_display = ("login", "source", "user", "status", "user_type", "mfa", "is_admin", "last_sign_in_at")
    list_filter = ("source", "status", "user_type", "linked_by_hand")
    search_fields = ("login_key",)
    search_help_text = "The beginning of a login or an e-mail; or a whole employee id"
    list_select_related = ("source", "user")
    exclude = ("fingerprint",)

    def found(self, term: str) -> dict[str, Any]:
        return {"pk__in": accounts_called(term)}


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
        "duration_ms",
    )
    list_filter = ("check_ref", "severity")
    list_select_related = ("run", "check_ref")


@admin.register(models.Finding)
class FindingAdmin(RecordAdmin):
    list_display = ("check_ref", "user", "opened_at", "resolved_at", "resolution")
    list_filter = ("check_ref", "resolution")
    search_fields = ("user__name",)
    search_help_text = "The beginning of a user's name, e-mail or login"
    list_select_related = ("check_ref", "user")

    def found(self, term: str) -> dict[str, Any]:
        return {"user__in": called(term).ids}
