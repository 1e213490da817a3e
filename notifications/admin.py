"""Read-only pages of subscriptions, events, deliveries and attempts. The services change them."""

from django.contrib import admin

from cii_project.audit.admin import RecordAdmin
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


@admin.register(models.PostponedFinding)
class PostponedFindingAdmin(RecordAdmin):
    list_display = ("subscription", "finding")
    list_select_related = (
        "subscription__check_ref",
        "subscription__integration",
        "finding__user",
        "finding__check_ref",
    )


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


@admin.register(models.Hold)
class HoldAdmin(RecordAdmin):
    list_display = ("created_at", "state", "messages", "people", "counted", "run", "decided_by", "decided_at")
    list_filter = ("state",)
    list_select_related = ("run", "decided_by")


@admin.register(models.Delivery)
class DeliveryAdmin(RecordAdmin):
    """Without the body: the delivery's page in the console shows it with secrets masked."""

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


@admin.register(models.AttemptTotal)
class AttemptTotalAdmin(RecordAdmin):
    list_display = ("kind", "outcome", "bucket_ms", "shard", "attempts", "milliseconds")
    list_filter = ("kind", "outcome")
    ordering = ("kind", "outcome", "bucket_ms", "shard")


@admin.register(models.CheckMessageSettings)
class CheckMessageSettingsAdmin(RecordAdmin):
    list_display = ("check_ref", "instructions_url", "contact", "due_days", "sender")
    search_fields = ("check_ref__slug",)
    list_select_related = ("check_ref",)
