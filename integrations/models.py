"""Where messages go: an integration is one configured target of one kind.

What the owner may read back stands in ``settings``; every secret stands in ``sealed``, encrypted
(sealing.py), and leaves it only as a :class:`~integrations.targets.base.Target` on its way to a send.
"""

import secrets

from django.db import models
from django.db.models.functions import Lower


def short_id() -> str:
    """Eight hex digits, the form in which the contract's ``source`` names a target."""
    return secrets.token_hex(4)


class Integration(models.Model):
    class State(models.TextChoices):
        ACTIVE = "active", "Active"
        PAUSED = "paused", "Paused by a person"
        DISABLED = "disabled", "Disabled"

    name = models.CharField(max_length=64)
    kind = models.CharField(max_length=32)
    description = models.CharField(max_length=512, blank=True)
    short_id = models.CharField(max_length=8, unique=True, default=short_id, editable=False)
    state = models.CharField(max_length=16, choices=State.choices, default=State.ACTIVE)
    state_reason = models.CharField(max_length=500, blank=True)
    owner_email = models.EmailField(blank=True, help_text="is told when this target fails or is disabled")
    settings = models.JSONField(default=dict, blank=True)
    sealed = models.TextField(blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    # Limits; what the kind sets holds where these are empty.
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
    # The circuit breaker: while open, nothing is sent but one probe at the time given.
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
    """The access token that all workers share; ``claimed_until`` lets one of them fetch the next."""

    integration = models.OneToOneField(Integration, on_delete=models.CASCADE, related_name="oauth_token")
    fingerprint = models.CharField(
        max_length=64, editable=False, help_text="of what the token was asked with"
    )
    sealed = models.TextField(blank=True, editable=False)
    generation = models.PositiveIntegerField(default=0, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True, editable=False)
    claimed_until = models.DateTimeField(null=True, blank=True, editable=False)
    claim = models.CharField(max_length=32, blank=True, editable=False)

    class Meta:
        verbose_name = "OAuth token"

    def __str__(self) -> str:
        return f"token of {self.integration}"
