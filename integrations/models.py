"""Configured targets, their signing secrets and access tokens; connected sources and their syncs.

``Integration.settings`` contains what may be shown. Every secret is in a column ``sealed``, encrypted
(auth/sealing.py), and is unsealed only in a :class:`~integrations.target_data.Target`.
"""

import secrets

from django.db import models
from django.db.models.functions import Lower


def short_id() -> str:
    """Eight hex digits; the contract's ``source`` names a target by them."""
    return secrets.token_hex(4)


class Integration(models.Model):
    """One configured target of one kind."""

    class State(models.TextChoices):
        ACTIVE = "active", "Active"
        PAUSED = "paused", "Paused"
        DISABLED = "disabled", "Disabled"

    name = models.CharField(max_length=64)
    kind = models.CharField(max_length=32)
    description = models.CharField(max_length=512, blank=True)
    short_id = models.CharField(max_length=8, unique=True, default=short_id, editable=False)
    state = models.CharField(max_length=16, choices=State.choices, default=State.ACTIVE)
    state_reason = models.CharField(max_length=500, blank=True)
    owner_email = models.EmailField(
        blank=True, help_text="gets an e-mail when this target fails or is disabled"
    )
    settings = models.JSONField(default=dict, blank=True)
    sealed = models.TextField(blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    # Limits; the kind's defaults apply where these are empty.
    per_second = models.FloatField(null=True, blank=True, help_text="sends a second, over all workers")
    concurrency = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="sends at a time, over all workers"
    )
    max_attempts = models.PositiveSmallIntegerField(null=True, blank=True, help_text="empty: 185")
    max_age_hours = models.PositiveSmallIntegerField(null=True, blank=True, help_text="empty: 24")

    # Health, written by the dispatcher.
    consecutive_failures = models.PositiveIntegerField(default=0, editable=False)
    failing_since = models.DateTimeField(null=True, blank=True, editable=False)
    last_success_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_attempt_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_reason = models.CharField(max_length=500, blank=True, editable=False)
    warned_at = models.DateTimeField(null=True, blank=True, editable=False)
    # The circuit breaker: while it is open, nothing is sent until then, and then one probe.
    breaker_until = models.DateTimeField(null=True, blank=True, editable=False)
    # The rate limit's cursor: the time up to which the allowance is spent.
    rate_cursor = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(Lower("name"), name="integration_name")]

    def __str__(self) -> str:
        return self.name


class SigningSecret(models.Model):
    """One live ``whsec_`` secret of a target; two during a rotation."""

    integration = models.ForeignKey(Integration, on_delete=models.CASCADE, related_name="signing_secrets")
    sealed = models.TextField(editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="the end of the overlap of a rotation")

    class Meta:
        ordering = ["-created_at", "-id"]

    def __str__(self) -> str:
        return f"signing secret of {self.integration}"


class OAuthToken(models.Model):
    """The access token that all workers share; the worker that holds the claim fetches the next one."""

    integration = models.OneToOneField(Integration, on_delete=models.CASCADE, related_name="oauth_token")
    fingerprint = models.CharField(max_length=64, editable=False, help_text="of the token request")
    sealed = models.TextField(blank=True, editable=False)
    generation = models.PositiveIntegerField(default=0, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True, editable=False)
    claimed_until = models.DateTimeField(null=True, blank=True, editable=False)
    claim = models.CharField(max_length=32, blank=True, editable=False)

    class Meta:
        verbose_name = "OAuth token"

    def __str__(self) -> str:
        return f"token of {self.integration}"


class SourceConnection(models.Model):
    """A connected source: how it is reached, when it is synced, and how that goes; or that it pushes.

    Its accounts belong to the ``checks.Source`` of the same slug.
    """

    class State(models.TextChoices):
        ACTIVE = "active", "Active"
        PAUSED = "paused", "Paused"

    source_slug = models.SlugField(max_length=64, unique=True, help_text="of the source in checks")
    kind = models.CharField(max_length=32)
    state = models.CharField(max_length=16, choices=State.choices, default=State.ACTIVE)
    state_reason = models.CharField(max_length=500, blank=True)
    settings = models.JSONField(default=dict, blank=True)
    sealed = models.TextField(blank=True, editable=False)
    period_hours = models.PositiveSmallIntegerField(default=24, help_text="how often a sync starts")
    rate_share = models.PositiveSmallIntegerField(
        default=50, help_text="percent of the provider's rate limit that a sync uses"
    )
    secret_expires_on = models.DateField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    next_sync_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_success_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="when the last listing was imported"
    )
    # Accounts that the last complete listing lacked and that were kept: over 5 % of a source need two listings.
    unconfirmed = models.JSONField(default=list, blank=True, editable=False)
    # Of a source that is a file: what tells the content that was imported last from a later one, such as its ETag.
    read_version = models.JSONField(default=dict, blank=True, editable=False)
    sealed_token = models.TextField(blank=True, editable=False)
    token_expires_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_push_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="when a request last changed a user or group of it"
    )
    push_claimed_until = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="a worker imports what was pushed"
    )

    class Meta:
        ordering = ["source_slug"]

    def __str__(self) -> str:
        return self.source_slug


class RateBucket(models.Model):
    """One limit of a source's provider, shared by all workers: see sources/shared/rate.py."""

    connection = models.ForeignKey(SourceConnection, on_delete=models.CASCADE, related_name="rate_buckets")
    name = models.CharField(max_length=64)
    calls = models.FloatField(help_text="that the provider allows in the window")
    window_seconds = models.FloatField(default=60)
    next_at = models.FloatField(default=0, help_text="epoch seconds of the next call")
    paused_until = models.FloatField(default=0, help_text="epoch seconds; no call before")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["connection", "name"], name="bucket_of_connection")]

    def __str__(self) -> str:
        return f"{self.name} of {self.connection}"


class Sync(models.Model):
    """One reading of a source through its API, from its first call to the import of its last pass."""

    class State(models.TextChoices):
        RUNNING = "running", "Running"
        HELD = "held", "Held"
        SUCCEEDED = "succeeded", "Succeeded"
        PARTIAL = "partial", "Partial"
        FAILED = "failed", "Failed"
        DROPPED = "dropped", "Dropped"

    class Trigger(models.TextChoices):
        SCHEDULE = "schedule", "Schedule"
        MEMBER = "member", "Sync now"
        COMMAND = "command", "Command line"

    connection = models.ForeignKey(SourceConnection, on_delete=models.CASCADE, related_name="syncs")
    state = models.CharField(max_length=16, choices=State.choices, default=State.RUNNING)
    trigger = models.CharField(max_length=16, choices=Trigger.choices)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=500, blank=True)
    # A worker takes the claim, works for some seconds, and returns it; the next worker continues at
    # ``due_at``.
    due_at = models.DateTimeField()
    claim = models.CharField(max_length=32, blank=True, editable=False)
    claimed_until = models.DateTimeField(null=True, blank=True, editable=False)
    faults = models.PositiveSmallIntegerField(default=0, help_text="calls in a row that failed")
    throttles = models.PositiveSmallIntegerField(
        default=0, help_text="calls in a row that met a limit of the provider"
    )
    fault_reason = models.CharField(max_length=500, blank=True)
    calls = models.PositiveIntegerField(default=0)
    waited_seconds = models.FloatField(default=0, help_text="for limits of the provider")
    held = models.JSONField(
        null=True, blank=True, help_text="{live, missing, accounts: [id]}: what the listing would delete"
    )
    decision = models.CharField(max_length=200, blank=True, help_text="who released or dropped it, and when")
    is_forced = models.BooleanField(default=False)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["connection"], condition=models.Q(state="running"), name="one_running_sync"
            )
        ]

    def __str__(self) -> str:
        return f"sync of {self.connection}, {self.created_at:%Y-%m-%d %H:%M}"


class SyncPass(models.Model):
    """One pass of a sync and its checkpoint."""

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        READING = "reading", "Reading"
        READ = "read", "Read"
        IMPORTED = "imported", "Imported"
        FAILED = "failed", "Failed"

    sync = models.ForeignKey(Sync, on_delete=models.CASCADE, related_name="passes")
    slug = models.CharField(max_length=32)
    position = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=16, choices=State.choices, default=State.WAITING)
    cursor = models.JSONField(null=True, blank=True, help_text="of the next page")
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    pages = models.PositiveIntegerField(default=0)
    records = models.PositiveIntegerField(default=0)
    expected = models.PositiveIntegerField(
        null=True, blank=True, help_text="accounts, where each is one call"
    )
    done = models.PositiveIntegerField(default=0, help_text="accounts that were asked for")
    skipped = models.PositiveIntegerField(default=0, help_text="accounts that were gone")
    restarts = models.PositiveSmallIntegerField(
        default=0, help_text="times that it began again, because its place was not valid any longer"
    )
    created = models.PositiveIntegerField(default=0)
    changed = models.PositiveIntegerField(default=0)
    unchanged = models.PositiveIntegerField(default=0)
    deleted = models.PositiveIntegerField(default=0)
    rejected = models.PositiveIntegerField(default=0)
    import_id = models.BigIntegerField(null=True, blank=True, help_text="of the import in checks")
    version = models.JSONField(
        default=dict, blank=True, editable=False, help_text="of the file that was read, such as its ETag"
    )
    note = models.CharField(max_length=500, blank=True, help_text="which file was read, or why none was")
    error = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["sync", "slug"], name="pass_of_sync")]

    def __str__(self) -> str:
        return f"{self.slug} of {self.sync}"


class SpooledPage(models.Model):
    """The records of one page until they are imported: compressed and sealed, since they hold telephone numbers."""

    sync_pass = models.ForeignKey(SyncPass, on_delete=models.CASCADE, related_name="spool", db_index=False)
    number = models.PositiveIntegerField(help_text="from 0")
    cursor_digest = models.CharField(
        max_length=32, help_text="of the cursor that brought it: none comes twice"
    )
    content = models.BinaryField()

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["sync_pass", "number"], name="page_number_of_pass"),
            models.UniqueConstraint(fields=["sync_pass", "cursor_digest"], name="page_cursor_of_pass"),
        ]

    def __str__(self) -> str:
        return f"page {self.number} of {self.sync_pass}"


class PushToken(models.Model):
    """The SHA-256 of one bearer token with which a source pushes; two during a rotation. A token has 256 random bits."""

    connection = models.ForeignKey(SourceConnection, on_delete=models.CASCADE, related_name="push_tokens")
    digest = models.CharField(max_length=64, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="the end of the overlap of a rotation")
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["-created_at", "-id"]

    def __str__(self) -> str:
        return f"push token of {self.connection}"


class ScimResource(models.Model):
    """A user or group that a source has pushed (RFC 7643): what is needed to answer GET again, and to import it."""

    class Kind(models.TextChoices):
        USER = "User", "User"
        GROUP = "Group", "Group"

    connection = models.ForeignKey(SourceConnection, on_delete=models.CASCADE, related_name="scim_resources")
    kind = models.CharField(max_length=8, choices=Kind.choices)
    scim_id = models.CharField(max_length=36, unique=True)
    name_key = models.CharField(max_length=1024, help_text="userName or displayName, case-folded")
    external_id = models.CharField(max_length=255, blank=True)
    manager_id = models.CharField(max_length=320, blank=True, help_text="as it was pushed")
    document = models.JSONField(default=dict, help_text="without id, meta and what memberships say")
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField()
    modified_at = models.DateTimeField()
    is_deleted = models.BooleanField(default=False)
    # What the import has yet to see: a worker clears the mark only of the change that it has read.
    is_pending = models.BooleanField(default=True)
    change = models.PositiveIntegerField(default=1)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["connection", "name_key"],
                condition=models.Q(kind="User", is_deleted=False),
                name="scim_user_name",
            )
        ]
        indexes = [
            models.Index(fields=["connection", "kind", "id"], name="scim_listing"),
            models.Index(fields=["connection", "external_id"], name="scim_external_id"),
            models.Index(fields=["connection", "manager_id"], name="scim_manager"),
            models.Index(fields=["connection"], condition=models.Q(is_pending=True), name="scim_pending"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.scim_id} of {self.connection}"


class ScimMember(models.Model):
    """A membership of a pushed group: of a user, or of another group."""

    group = models.ForeignKey(ScimResource, on_delete=models.CASCADE, related_name="members")
    member = models.ForeignKey(ScimResource, on_delete=models.CASCADE, related_name="memberships")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["group", "member"], name="scim_member_of_group")]

    def __str__(self) -> str:
        return f"{self.member} in {self.group}"
