"""Who is told what, and whether it arrived.

An *event* is what a run has to say about one check; a *delivery* is one request of that event to one
target (one batch of its users, or one person); an *attempt* is one try of a delivery. Events and
deliveries commit together with the findings that they speak of: they are the outbox.
"""

import uuid
from datetime import time

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from checks.models import Check, Finding, Run, User
from integrations.models import Integration


def validate_zone(value: str) -> None:
    from zoneinfo import available_timezones

    if value not in available_timezones():
        raise ValidationError(f"“{value}” is no time zone. Write one such as UTC or Europe/Berlin.")


class Weekday(models.TextChoices):
    """From Monday, as ``datetime.weekday`` counts."""

    MONDAY = "monday", "Monday"
    TUESDAY = "tuesday", "Tuesday"
    WEDNESDAY = "wednesday", "Wednesday"
    THURSDAY = "thursday", "Thursday"
    FRIDAY = "friday", "Friday"
    SATURDAY = "saturday", "Saturday"
    SUNDAY = "sunday", "Sunday"


class Configuration(models.Model):
    """The installation's own settings: one row, made by ``manage.py setup``."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    tenant_id = models.UUIDField(
        default=uuid.uuid4, help_text="names this installation in each event's source"
    )
    tenant_name = models.CharField(max_length=128, blank=True)
    account = models.CharField(
        max_length=12, default="000000000000", validators=[RegexValidator(r"^\d{12}$", "Write 12 digits.")]
    )
    region = models.CharField(max_length=64, default="self-hosted")
    base_url = models.URLField(blank=True, help_text="where people reach these pages; used in referenceUrl")
    run_time = models.TimeField(default=time(6), help_text="when the checks run each day")
    run_zone = models.CharField(max_length=64, default="UTC", validators=[validate_zone])
    weekly_on = models.CharField(
        max_length=9, choices=Weekday.choices, default=Weekday.MONDAY, help_text="the day of weekly digests"
    )
    max_users_per_event = models.PositiveIntegerField(
        default=1000, validators=[MinValueValidator(1), MaxValueValidator(10_000)]
    )
    attempt_retention_days = models.PositiveSmallIntegerField(default=30)
    payload_retention_days = models.PositiveSmallIntegerField(default=14)
    # The latest daily time whose run was started: what makes a daily run start once, whoever rings.
    daily_slot = models.DateTimeField(null=True, editable=False)
    # Nobody is written to in person between these times of day, in the zone of the daily run.
    quiet_from = models.TimeField(null=True, blank=True)
    quiet_until = models.TimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.tenant_name or str(self.tenant_id)

    def clean(self) -> None:
        if (self.quiet_from is None) != (self.quiet_until is None):
            empty = "quiet_from" if self.quiet_from is None else "quiet_until"
            raise ValidationError({empty: "Give both times of the quiet hours, or neither."})

    @classmethod
    def load(cls) -> "Configuration":
        """The one row, made with defaults where it does not exist yet."""
        return cls.objects.get_or_create(id=1)[0]


class Audience(models.TextChoices):
    LIST = "list", "The list of users, to the target"
    USER = "user", "Each failing user"
    MANAGER = "manager", "Each failing user's manager"


class Cadence(models.TextChoices):
    IMMEDIATELY = "immediately", "After each run"
    DAILY = "daily", "Once a day"
    WEEKLY = "weekly", "Once a week"


class Subscription(models.Model):
    """A target is enabled on a check: ticked in the dropdown of the check's page.

    What is not told within the run itself is told in *rounds* (rounds.py). A round covers the runs that
    have ended since the last one; ``told_until`` and ``resolved_until`` hold the start of the last run
    covered, for findings opened and resolved, and move in the transaction that plans the deliveries.
    """

    check_ref = models.ForeignKey(
        Check, on_delete=models.CASCADE, related_name="subscriptions", db_column="check_id"
    )
    integration = models.ForeignKey(Integration, on_delete=models.CASCADE, related_name="subscriptions")
    audience = models.CharField(max_length=8, choices=Audience.choices, default=Audience.LIST)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )

    filter = models.JSONField(default=dict, blank=True, help_text="whom it is about; see choosing.py")
    cadence = models.CharField(max_length=16, choices=Cadence.choices, default=Cadence.IMMEDIATELY)
    resolved = models.BooleanField(default=False, help_text="also told of those who no longer fail")
    after_days = models.PositiveSmallIntegerField(
        default=0, validators=[MaxValueValidator(365)], help_text="told of those who still fail so long after"
    )
    remind_days = models.PositiveSmallIntegerField(
        default=0, validators=[MaxValueValidator(365)], help_text="remind a person so often; 0: never"
    )

    since = models.DateTimeField(
        default=timezone.now, editable=False, help_text="what earlier runs found is nothing new to it"
    )
    told_until = models.DateTimeField(default=timezone.now, editable=False)
    resolved_until = models.DateTimeField(default=timezone.now, editable=False)
    slot = models.DateTimeField(
        default=timezone.now, editable=False, help_text="the last daily or weekly time that was handled"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["check_ref", "integration", "audience"], name="subscription_once")
        ]

    def __str__(self) -> str:
        return f"{self.check_ref} → {self.integration} ({self.audience})"


class MessageTemplate(models.Model):
    """The customised message of one check for one kind of target and one audience: Liquid text."""

    check_ref = models.ForeignKey(
        Check, on_delete=models.CASCADE, related_name="messages", db_column="check_id"
    )
    kind = models.CharField(max_length=32)
    audience = models.CharField(max_length=8, choices=Audience.choices, default=Audience.LIST)
    text = models.TextField(max_length=16_384)
    updated_at = models.DateTimeField(auto_now=True)
    updated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["check_ref", "kind", "audience"], name="message_once")]

    def __str__(self) -> str:
        return f"message of {self.check_ref} for {self.kind} ({self.audience})"


class Event(models.Model):
    """What a run has to say about one check. ``id`` is the contract's ``detail.id``."""

    class Origin(models.TextChoices):
        RUN = "run", "Newly failing in a run"
        RESOLVED = "resolved", "No longer failing in a run"
        DIGEST = "digest", "Collected since the last digest"
        PEOPLE = "people", "Messages to the people concerned"
        CURRENT = "current", "Sent by a person: all who fail now"
        TEST = "test", "Test message"
        CONNECTIVITY = "connectivity", "Test Connectivity"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    origin = models.CharField(max_length=16, choices=Origin.choices, default=Origin.RUN)
    run = models.ForeignKey(Run, null=True, on_delete=models.PROTECT, related_name="events")
    check_ref = models.ForeignKey(  # begins an index below
        Check,
        null=True,
        on_delete=models.CASCADE,
        related_name="events",
        db_column="check_id",
        db_index=False,
    )
    users = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField()
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["check_ref", "created_at"])]
        constraints = [
            models.UniqueConstraint(
                fields=["run", "check_ref", "origin"],
                condition=Q(origin__in=("run", "resolved")),
                name="one_event_a_run_and_check",
            )
        ]

    def __str__(self) -> str:
        return f"{self.check_ref or 'connectivity'} {self.created_at:%Y-%m-%d %H:%M}"


class Delivery(models.Model):
    """One request of one event to one target: a batch of its users, or one person's message.

    ``id`` is the envelope's ``id``: the same on every retry and replay, as are the bytes of ``body``.
    """

    class State(models.TextChoices):
        DUE = "due", "Waiting"
        SENDING = "sending", "Being sent"
        DELIVERED = "delivered", "Delivered"
        DEAD = "dead", "Dead letter"
        SKIPPED = "skipped", "Skipped"

    OPEN = ("due", "sending")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # Both begin an index below.
    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="deliveries", db_index=False)
    integration = models.ForeignKey(
        Integration, on_delete=models.CASCADE, related_name="deliveries", db_index=False
    )
    audience = models.CharField(max_length=8, choices=Audience.choices, default=Audience.LIST)
    batch = models.PositiveIntegerField(default=1, help_text="index of the batch, from 1")
    batches = models.PositiveIntegerField(default=1)
    users = models.PositiveIntegerField(default=0)
    recipient = models.ForeignKey(
        User, null=True, on_delete=models.SET_NULL, related_name="+", help_text="of a direct message"
    )
    finding = models.ForeignKey(
        Finding, null=True, on_delete=models.SET_NULL, related_name="+", help_text="of a direct message"
    )
    about = models.JSONField(
        null=True, editable=False, help_text="the findings that a message of many speaks of (mentions.py)"
    )
    body = models.BinaryField(
        null=True, editable=False, help_text="the bytes of every attempt; empty after retention"
    )
    content_type = models.CharField(max_length=64, default="application/json; charset=utf-8")

    state = models.CharField(max_length=16, choices=State.choices, default=State.DUE)
    created_at = models.DateTimeField()
    due_at = models.DateTimeField(null=True, help_text="the next attempt's time")
    attempts = models.PositiveIntegerField(default=0, help_text="since the plan or the last replay")
    first_attempt_at = models.DateTimeField(null=True, help_text="since the plan or the last replay")
    delivered_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(
        null=True, help_text="since when the state is final; retention counts from it"
    )
    reason = models.CharField(max_length=500, blank=True)
    message_error = models.CharField(
        max_length=500, blank=True, help_text="why the customised message was replaced by the default"
    )
    status_code = models.PositiveSmallIntegerField(null=True)
    replays = models.PositiveSmallIntegerField(default=0)
    lease = models.CharField(max_length=32, blank=True, editable=False)
    lease_until = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(
                fields=["event", "integration", "audience", "batch"], name="one_delivery_a_batch"
            )
        ]
        indexes = [
            models.Index(fields=["integration", "due_at"], condition=Q(state="due"), name="delivery_due"),
            models.Index(fields=["finished_at"], condition=Q(body__isnull=False), name="delivery_body"),
            models.Index(fields=["state", "-created_at", "-id"]),
            models.Index(fields=["integration", "-created_at", "-id"]),
            models.Index(fields=["-created_at", "-id"]),
        ]

    def __str__(self) -> str:
        return str(self.id)


class Attempt(models.Model):
    """One try of a delivery: what came back, and what was decided."""

    class Outcome(models.TextChoices):
        DELIVERED = "delivered", "Delivered"
        RETRYABLE = "retryable", "Failed, retried"
        PERMANENT = "permanent", "Refused"
        GONE = "gone", "Gone"
        OURS = "ours", "Our own fault"

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="log")
    number = models.PositiveIntegerField(help_text="from 1, over all replays")
    started_at = models.DateTimeField()
    latency_ms = models.PositiveIntegerField(default=0)
    outcome = models.CharField(max_length=16, choices=Outcome.choices)
    status_code = models.PositiveSmallIntegerField(null=True)
    reason = models.CharField(max_length=500, blank=True)
    token_step = models.CharField(max_length=500, blank=True, help_text="what happened at the token endpoint")
    response_headers = models.JSONField(default=dict)
    response_body = models.TextField(blank=True, help_text="at most 8 KiB")
    next_attempt_at = models.DateTimeField(null=True)
    worker = models.CharField(max_length=128, blank=True)

    class Meta:
        ordering = ["-started_at", "-id"]
        indexes = [models.Index(fields=["delivery", "number"]), models.Index(fields=["started_at"])]

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.delivery_id}"
