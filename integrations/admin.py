"""Read-only records of integrations and syncs in Django's admin, without sealed columns. Changes go through the console."""

from django.contrib import admin

from cii_project.audit.admin import RecordAdmin
from integrations import models


@admin.register(models.Integration)
class IntegrationAdmin(RecordAdmin):
    list_display = (
        "name",
        "kind",
        "state",
        "failing_since",
        "last_success_at",
        "consecutive_failures",
        "short_id",
    )
    list_filter = ("kind", "state")
    search_fields = ("name", "description", "short_id")
    # The URL may contain a secret in its query string.
    exclude = ("sealed", "settings")


@admin.register(models.SigningSecret)
class SigningSecretAdmin(RecordAdmin):
    list_display = ("integration", "created_at", "expires_at")
    list_select_related = ("integration",)
    exclude = ("sealed",)


@admin.register(models.OAuthToken)
class OAuthTokenAdmin(RecordAdmin):
    list_display = ("integration", "generation", "expires_at", "claimed_until")
    list_select_related = ("integration",)
    exclude = ("sealed", "fingerprint", "claim")


@admin.register(models.SourceConnection)
class SourceConnectionAdmin(RecordAdmin):
    list_display = ("source_slug", "kind", "state", "next_sync_at", "last_success_at", "secret_expires_on")
    list_filter = ("kind", "state")
    exclude = ("sealed", "sealed_token", "settings")


@admin.register(models.RateBucket)
class RateBucketAdmin(RecordAdmin):
    list_display = ("connection", "name", "calls", "window_seconds")
    list_select_related = ("connection",)


@admin.register(models.Sync)
class SyncAdmin(RecordAdmin):
    list_display = ("connection", "state", "trigger", "created_at", "finished_at", "calls", "error")
    list_filter = ("state", "trigger")
    list_select_related = ("connection",)
    exclude = ("claim",)


@admin.register(models.SyncPass)
class SyncPassAdmin(RecordAdmin):
    list_display = ("sync", "slug", "state", "pages", "records", "done", "expected", "error")
    list_filter = ("state",)
    list_select_related = ("sync__connection",)
    # The provider's own links.
    exclude = ("cursor",)


@admin.register(models.SpooledPage)
class SpooledPageAdmin(RecordAdmin):
    list_display = ("sync_pass", "number")
    list_select_related = ("sync_pass__sync__connection",)
    exclude = ("content", "cursor_digest")


@admin.register(models.PushToken)
class PushTokenAdmin(RecordAdmin):
    list_display = ("connection", "created_at", "expires_at", "last_used_at")
    list_select_related = ("connection",)
    exclude = ("digest",)


@admin.register(models.ScimResource)
class ScimResourceAdmin(RecordAdmin):
    list_display = ("scim_id", "kind", "connection", "name_key", "version", "modified_at", "is_pending")
    list_filter = ("kind", "is_deleted", "is_pending")
    list_select_related = ("connection",)
    search_fields = ("scim_id", "name_key", "external_id")


@admin.register(models.ScimMember)
class ScimMemberAdmin(RecordAdmin):
    list_display = ("group", "member")
    list_select_related = ("group__connection", "member__connection")
