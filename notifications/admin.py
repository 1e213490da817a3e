"""The operators' records of what was told to whom. All is changed on the pages, through the services."""

from django.contrib import admin

from checks.admin import RecordAdmin
from notifications import models


@admin.register(models.Configuration)
class ConfigurationAdmin(RecordAdmin):
    list_display = ("__str__", "tenant_id", "run_time", "run_zone", "base_url")


@admin.register(models.Subscription)
class SubscriptionAdmin(RecordAdmin):
    list_display = ("check_ref", "integration", "audience", "created_by", "created_at")
    list_filter = ("audience", "integration")
    search_fields = ("check_ref__slug", "integration__name")
    list_select_related = ("check_ref", "integration", "created_by")


@admin.register(models.MessageTemplate)
class MessageTemplateAdmin(RecordAdmin):
    list_display = ("check_ref", "kind", "audience", "updated_by", "updated_at")
    list_filter = ("kind", "audience")
    search_fields = ("check_ref__slug", "text")
    list_select_related = ("check_ref", "updated_by")


@admin.register(models.Event)
class EventAdmin(RecordAdmin):
    list_display = ("created_at", "origin", "check_ref", "users", "run", "requested_by")
    list_filter = ("origin", "check_ref")
    search_fields = ("=id",)
    list_select_related = ("check_ref", "run", "requested_by")
    ordering = ("-created_at",)


@admin.register(models.Delivery)
class DeliveryAdmin(RecordAdmin):
    """Without the bytes: they may be long, and the delivery's page shows them with secrets masked."""

    list_display = (
        "created_at",
        "integration",
        "state",
        "audience",
        "users",
        "attempts",
        "status_code",
        "reason",
    )
    list_filter = ("state", "integration", "audience")
    search_fields = ("=id",)
    list_select_related = ("integration",)
    ordering = ("-created_at", "-id")
    exclude = ("body", "lease")


@admin.register(models.Attempt)
class AttemptAdmin(RecordAdmin):
    list_display = ("started_at", "delivery", "number", "outcome", "status_code", "latency_ms", "reason")
    list_filter = ("outcome",)
    search_fields = ("=delivery__id",)
    ordering = ("-started_at", "-id")
