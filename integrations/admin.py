"""The operators' records of integrations. All is changed on the Integrations page, through the services;
sealed secrets are shown nowhere."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from integrations import models


class RecordAdmin(ModelAdmin):
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


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
    # The URL may hold a secret in its query string; the page shows it to those who may edit it.
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
