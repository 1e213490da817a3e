"""The audit trail. Entries are added by :func:`cii_project.audit.services.record` and are never changed."""

from django.db import models


class ActorKind(models.TextChoices):
    MEMBER = "member"
    # The operating system's user who ran a management command.
    COMMAND = "command"
    # A worker or a schedule.
    SYSTEM = "system"
    # A visitor who has not signed in; the name is the one that was entered.
    VISITOR = "visitor"


class Action(models.TextChoices):
    ADD = "add"
    CHANGE = "change"
    DELETE = "delete"
    # A test, a replay, the start of a run: something was sent or started, no setting changed.
    ACT = "act"
    EXPORT = "export"
    REVEAL = "reveal"
    COMMAND = "command"
    SIGN_IN = "sign-in"
    SIGN_IN_FAILED = "sign-in-failed"
    LOCK_OUT = "lock-out"
    SIGN_OUT = "sign-out"


class AuditEntry(models.Model):
    """One action of one actor.

    Actor and object are stored as text, not as foreign keys: an entry outlives both and reads the same afterwards.
    """

    at = models.DateTimeField(db_index=True)
    actor_kind = models.CharField(max_length=16, choices=ActorKind.choices)
    # The member's key; empty for other kinds.
    actor_id = models.CharField(max_length=64, blank=True)
    actor = models.CharField(max_length=150, blank=True)
    # The client's IP address; for a command the name of the host that it ran on.
    address = models.CharField(max_length=255, blank=True)
    action = models.CharField(max_length=16, choices=Action.choices)
    # "app.model", the primary key and the name at that time; all empty where the action has no object.
    object_kind = models.CharField(max_length=64, blank=True)
    object_id = models.CharField(max_length=64, blank=True)
    object_label = models.CharField(max_length=200, blank=True)
    text = models.TextField(blank=True)
    # The values that changed, by name. Never a secret.
    before = models.JSONField(null=True, blank=True)
    after = models.JSONField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "audit entries"
        indexes = [models.Index(fields=["object_kind", "object_id"], name="audit_object")]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.actor or self.actor_kind}: {self.action} {self.object_label}"
