"""Subscriptions, events, deliveries and attempts: who is notified, and whether it arrived.

An *event* is what a run has to tell about one check. A *delivery* is one request of that event to one target: a batch of
its users, or one person's message. An *attempt* is one try to send a delivery. Events and deliveries commit together with
the findings that they are about: they are the outbox.
"""

import uuid
from datetime import time
from zoneinfo import available_timezones

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from checks.models import Check, Finding, Run, User
from integrations.models import Integration
from integrations.services import ENGLISH
from notifications.validators import (
    validate_accent,
    validate_addresses,
    validate_https_url,
    validate_language,
    validate_line,
    validate_sender,
    validate_signature,
)


def validate_zone(value: str) -> None:
    if value not in available_timezones():
        raise ValidationError(f"Unknown time zone “{value}”. Use a name such as UTC or Europe/Berlin.")


class Weekday(models.TextChoices):
    """From Monday, as ``datetime.weekday`` counts."""

    MONDAY = "monday", "Monday"
    TUESDAY = "tuesday", "Tuesday"
    WEDNESDAY = "wednesday", "Wednesday"
    THURSDAY = "thursday", "Thursday"
    FRIDAY = "friday", "Friday"
    SATURDAY = "saturday", "Saturday"
    SUNDAY = "sunday", "Sunday"


class ReportPeriod(models.TextChoices):
    WEEKLY = "weekly", "Every week"
    MONTHLY = "monthly", "Every month"


class Configuration(models.Model):
    """The installation's own settings: one row, created by ``manage.py setup``."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    tenant_id = models.UUIDField(
        default=uuid.uuid4, help_text="names this installation in the source of each event"
    )
    tenant_name = models.CharField(max_length=128, blank=True)
    account = models.CharField(
        max_length=12, default="000000000000", validators=[RegexValidator(r"^\d{12}$", "Write 12 digits.")]
    )
    region = models.CharField(max_length=64, default="self-hosted")
    base_url = models.URLField(blank=True, help_text="the address of the console; used in referenceUrl")
    run_time = models.TimeField(default=time(6), help_text="when the checks run each day")
    run_zone = models.CharField(max_length=64, default="UTC", validators=[validate_zone])
    weekly_on = models.CharField(
        max_length=9, choices=Weekday.choices, default=Weekday.MONDAY, help_text="the day of weekly digests"
    )
    max_users_per_event = models.PositiveIntegerField(
        default=1000, validators=[MinValueValidator(1), MaxValueValidator(10_000)]
    )
    # Direct messages to more people than either limit allows are held (planning/holds.py). 0: no limit.
    max_people_per_run = models.PositiveIntegerField(default=200)
    max_people_percent = models.PositiveSmallIntegerField(default=20, validators=[MaxValueValidator(100)])
    attempt_retention_days = models.PositiveSmallIntegerField(default=30)
    payload_retention_days = models.PositiveSmallIntegerField(default=14)
    # The latest daily time whose run was started: it makes the daily run start once, however often it is requested.
    daily_slot = models.DateTimeField(null=True, editable=False)
    # When the last sweep ran. A time in the future shows that the clock was set back.
    swept_at = models.DateTimeField(null=True, editable=False)
    # No direct messages are sent between these times of day, in the zone of the daily run.
    quiet_from = models.TimeField(null=True, blank=True)
    quiet_until = models.TimeField(null=True, blank=True)

    # The report by e-mail (cii_project/reporting).
    report_every = models.CharField(max_length=8, choices=ReportPeriod.choices, blank=True)
    report_recipients = models.CharField(
        max_length=2000,
        blank=True,
        validators=[validate_addresses],
        help_text="e-mail addresses, with commas between them",
    )
    # The latest time for which the report was sent, or from which it was set up.
    report_slot = models.DateTimeField(null=True, editable=False)

    language = models.CharField(
        max_length=8,
        default=ENGLISH,
        validators=[validate_language],
        help_text="of messages to lists, and to people whose own language is not known",
    )
    # What people read (docs/messages.md). A check may have its own (CheckMessageSettings).
    instructions_url = models.CharField(
        max_length=1000,
        blank=True,
        validators=[validate_https_url],
        help_text="where people find how to do it, such as the page for enrolling",
    )
    contact = models.CharField(
        max_length=200,
        blank=True,
        validators=[validate_line],
        help_text="who answers questions; empty: each check's own",
    )
    due_days = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(365)],
        help_text="days until a user should have acted; empty: each check's own",
    )
    signature = models.TextField(max_length=500, blank=True, validators=[validate_signature])
    logo_url = models.CharField(max_length=1000, blank=True, validators=[validate_https_url])
    accent_colour = models.CharField(
        max_length=7, blank=True, validators=[validate_accent], help_text="of the button in mails, as #rrggbb"
    )

    def __str__(self) -> str:
        return self.tenant_name or str(self.tenant_id)

    def clean(self) -> None:
        if (self.quiet_from is None) != (self.quiet_until is None):
            empty = "quiet_from" if self.quiet_from is None else "quiet_until"
            raise ValidationError({empty: "Give both times of the quiet hours, or neither."})

    @property
    def limits_people(self) -> bool:
        """Whether direct messages are counted before they are sent."""
        return bool(self.max_people_per_run or self.max_people_percent)

    @classmethod
    def load(cls) -> "Configuration":
        """The one row; created with defaults if it does not exist yet."""
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
    """A target is enabled on a check, for one audience, with a filter and a frequency.

    What a run does not send itself is planned after it (planning/due.py). ``opened_until`` and ``resolved_until``
    hold the start of the last run covered, for findings opened and resolved. They move in the transaction that
    plans the deliveries.
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

    filter = models.JSONField(default=dict, blank=True, help_text="planning/filters.py")
    cadence = models.CharField(max_length=16, choices=Cadence.choices, default=Cadence.IMMEDIATELY)
    resolved = models.BooleanField(default=False, help_text="also send users who no longer fail")
    after_days = models.PositiveSmallIntegerField(
        default=0,
        validators=[MaxValueValidator(365)],
        help_text="send only users who still fail after this number of days",
    )
    remind_days = models.PositiveSmallIntegerField(
        default=0,
        validators=[MaxValueValidator(365)],
        help_text="days between reminders to a person; 0: none",
    )

    starts_after = models.DateTimeField(
        default=timezone.now,
        editable=False,
        help_text="findings of runs that started up to then are not sent",
    )
    opened_until = models.DateTimeField(default=timezone.now, editable=False)
    resolved_until = models.DateTimeField(default=timezone.now, editable=False)
    last_scheduled_at = models.DateTimeField(
        default=timezone.now, editable=False, help_text="the last daily or weekly time that was handled"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["check_ref", "integration", "audience"], name="subscription_once")
        ]

    def __str__(self) -> str:
        return f"{self.check_ref} → {self.integration} ({self.audience})"


class PostponedFinding(models.Model):
    """A finding that was suspended when its subscription's digest covered the run that opened it. It is sent by the
    first digest after it was reopened."""

    subscription = models.ForeignKey(
        Subscription, on_delete=models.CASCADE, related_name="postponed", db_index=False
    )
    finding = models.ForeignKey(Finding, on_delete=models.CASCADE, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["subscription", "finding"], name="postponed_once")]

    def __str__(self) -> str:
        return f"finding {self.finding_id} of {self.subscription}"


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


class CheckMessageSettings(models.Model):
    """The settings of messages about one check. An empty one means the installation's."""

    check_ref = models.OneToOneField(
        Check, on_delete=models.CASCADE, related_name="message_settings", db_column="check_id"
    )
    instructions_url = models.CharField(max_length=1000, blank=True, validators=[validate_https_url])
    contact = models.CharField(max_length=200, blank=True, validators=[validate_line])
    due_days = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(365)]
    )
    signature = models.TextField(max_length=500, blank=True, validators=[validate_signature])
    # For mails. Empty: the target's.
    sender = models.CharField(max_length=320, blank=True, validators=[validate_sender])
    sender_name = models.CharField(max_length=100, blank=True, validators=[validate_line])
    reply_to = models.CharField(max_length=320, blank=True, validators=[validate_sender])

    FIELDS = ("instructions_url", "contact", "due_days", "signature", "sender", "sender_name", "reply_to")

    def __str__(self) -> str:
        return f"message settings of {self.check_ref}"


class Event(models.Model):
    """The news of a run about one check, for its targets. ``id`` is the contract's ``detail.id``."""

    class Origin(models.TextChoices):
        RUN = "run", "Newly failing in a run"
        RESOLVED = "resolved", "No longer failing in a run"
        DIGEST = "digest", "Collected since the last digest"
        PEOPLE = "people", "Direct messages"
        CURRENT = "current", "Sent by a member: all users who fail now"
        TEST = "test", "Test message"
        CONNECTIVITY = "connectivity", "Test Connectivity"

    # A member requested these, so they are never held.
    BY_MEMBER = ("current", "test", "connectivity")
    # A member sends these and sees the result: they are not retried, not replayed and never dead letters.
    TESTS = ("test", "connectivity")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    origin = models.CharField(max_length=16, choices=Origin.choices, default=Origin.RUN)
    run = models.ForeignKey(Run, null=True, on_delete=models.PROTECT, related_name="events")
    check_ref = models.ForeignKey(  # the first column of an index below
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


class Hold(models.Model):
    """The direct messages of one run or digest that wait for a member's decision, because they would reach more people
    than the limits allow. The numbers are those of the time at which they were held (planning/holds.py)."""

    class State(models.TextChoices):
        OPEN = "open", "Open"
        RELEASED = "released", "Released"
        DROPPED = "dropped", "Dropped"

    state = models.CharField(max_length=16, choices=State.choices, default=State.OPEN)
    created_at = models.DateTimeField()
    run = models.ForeignKey(
        Run,
        null=True,
        on_delete=models.SET_NULL,
        related_name="holds",
        help_text="the last run that had ended",
    )
    messages = models.PositiveIntegerField(default=0)
    people = models.PositiveIntegerField(default=0, help_text="recipients of these messages")
    counted = models.PositiveIntegerField(
        default=0, help_text="recipients, with those of other open holds and of the last hours"
    )
    users = models.PositiveIntegerField(default=0, help_text="users that the checks evaluate")
    max_people = models.PositiveIntegerField(default=0)
    max_percent = models.PositiveSmallIntegerField(default=0)
    checks = models.JSONField(default=dict, help_text="slug: findings that the messages are about")
    announced_at = models.DateTimeField(null=True, help_text="when the owners were sent an e-mail")
    decided_at = models.DateTimeField(null=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        ordering = ["-created_at", "-id"]

    def __str__(self) -> str:
        return f"Hold {self.created_at:%Y-%m-%d %H:%M}"


class Delivery(models.Model):
    """One request of one event to one target: a batch of its users, or one person's message.

    ``id`` is the envelope's ``id``: the same on every retry and replay, as are the bytes of ``body``.
    """

    class State(models.TextChoices):
        HELD = "held", "Held"
        DUE = "due", "Waiting"
        SENDING = "sending", "Being sent"
        DELIVERED = "delivered", "Delivered"
        DEAD = "dead", "Dead letter"
        SKIPPED = "skipped", "Skipped"
        TEST_FAILED = "test_failed", "Test failed"

    OPEN = ("due", "sending")
    # Retention removes nothing of these.
    PENDING = ("held", *OPEN)
    # Failed tests are not counted: nobody waits for their message.
    ENDED = ("delivered", "dead", "skipped")
    # Dropped by a member who decided about a hold.
    DROPPED = Q(state="skipped", hold__state="dropped")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # No separate index: each is the first column of an index below.
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
    finding_ranges = models.JSONField(
        null=True,
        editable=False,
        help_text="the findings of a message about several (planning/finding_ranges.py)",
    )
    body = models.BinaryField(
        null=True, editable=False, help_text="the bytes of every attempt; empty after retention"
    )
    content_type = models.CharField(max_length=64, default="application/json; charset=utf-8")

    state = models.CharField(max_length=16, choices=State.choices, default=State.DUE)
    # A held delivery without a hold waits for the end of its plan. The hold stays after its release or drop.
    hold = models.ForeignKey(
        Hold, null=True, on_delete=models.SET_NULL, related_name="deliveries", db_index=False
    )
    created_at = models.DateTimeField()
    due_at = models.DateTimeField(null=True, help_text="the next attempt's time")
    attempts = models.PositiveIntegerField(default=0, help_text="since the plan or the last replay")
    first_attempt_at = models.DateTimeField(null=True, help_text="since the plan or the last replay")
    delivered_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(
        null=True, help_text="when it reached its final state; retention counts from it"
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
            models.Index(fields=["hold", "state"], condition=Q(state="held"), name="delivery_held"),
            models.Index(
                fields=["hold", "created_at", "id"], condition=Q(hold__isnull=False), name="delivery_of_hold"
            ),
            models.Index(fields=["finished_at"], condition=Q(body__isnull=False), name="delivery_body"),
            models.Index(fields=["state", "-created_at", "-id"]),
            models.Index(fields=["integration", "-created_at", "-id"]),
            models.Index(fields=["-created_at", "-id"]),
        ]

    def __str__(self) -> str:
        return str(self.id)


class Attempt(models.Model):
    """One try to send a delivery: the answer, and what was decided."""

    # ``integrations.services.Result`` has these values.
    OUTCOMES = (
        ("delivered", "Delivered"),
        ("retryable", "Failed, retried"),
        ("permanent", "Refused"),
        ("gone", "Gone"),
        ("ours", "Internal error"),
    )

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="log")
    number = models.PositiveIntegerField(help_text="from 1, over all replays")
    started_at = models.DateTimeField()
    latency_ms = models.PositiveIntegerField(default=0)
    outcome = models.CharField(max_length=16, choices=OUTCOMES)
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


class AttemptTotal(models.Model):
    """The number of attempts of one kind of target with one outcome whose time fell into one bucket, and their time.

    It only rises, also when retention removes attempts, so that /metrics has counters. Tests by members do
    not count. Each worker adds to the rows of one shard: workers that record at the same moment rarely wait
    for each other.
    """

    # Upper bounds of the buckets, and the mark of the bucket above the last one.
    BUCKETS_MS = (50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000)
    SLOWER = 0
    SHARDS = 16

    shard = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=32)
    outcome = models.CharField(max_length=16, choices=Attempt.OUTCOMES)
    bucket_ms = models.PositiveIntegerField(help_text="the bucket's upper bound; 0: slower than all bounds")
    attempts = models.PositiveBigIntegerField(default=0)
    milliseconds = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["shard", "kind", "outcome", "bucket_ms"], name="one_total_a_bucket_and_shard"
            )
        ]

    def __str__(self) -> str:
        return f"{self.attempts} attempts of {self.kind}, {self.outcome}, {self.bucket_ms} ms"
