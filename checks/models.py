"""Users in, findings out.

A *user* (a person or a non-human identity) is joined over its *accounts*, one per *source*. A *check*
judges all users at once; a *finding* says that a user fails a check since a run; a *run* is one
evaluation. Nothing here knows of messages.
"""

import secrets
import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from checks.indexes import Folded


def short_id() -> str:
    """Eight hex digits, the form in which the contract names a source or a target."""
    return secrets.token_hex(4)


class SourceKind(models.TextChoices):
    IDENTITY = "identity", "Identity provider"
    HR = "hr", "HR system"


class Source(models.Model):
    """Where accounts come from: one identity provider or one HR system."""

    slug = models.SlugField(max_length=64, unique=True)
    name = models.CharField(max_length=128)
    kind = models.CharField(max_length=16, choices=SourceKind.choices, default=SourceKind.IDENTITY)
    provider = models.CharField(
        max_length=32, default="FILE", help_text="The vendor, as the contract writes it: OKTA, ENTRA …"
    )
    short_id = models.CharField(max_length=8, unique=True, default=short_id, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    last_import_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.name


class Import(models.Model):
    """One file or one synchronisation that was read into a source."""

    class State(models.TextChoices):
        SUCCEEDED = "succeeded", "Succeeded"
        PARTIAL = "partial", "Partial"
        FAILED = "failed", "Failed"

    source = models.ForeignKey(Source, on_delete=models.CASCADE, related_name="imports")
    state = models.CharField(max_length=16, choices=State.choices)
    file_name = models.CharField(max_length=255, blank=True)
    full = models.BooleanField(default=False)
    # The row is written when the import ends, in its own transaction: no import is ever left "running".
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    read = models.PositiveIntegerField(default=0)
    created = models.PositiveIntegerField(default=0)
    changed = models.PositiveIntegerField(default=0)
    unchanged = models.PositiveIntegerField(default=0)
    deleted = models.PositiveIntegerField(default=0)
    rejected = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.source} {self.started_at:%Y-%m-%d %H:%M}"


class Status(models.TextChoices):
    ACTIVE = "active"
    STAGED = "staged"
    PROVISIONED = "provisioned"
    RECOVERY = "recovery"
    PASSWORD_EXPIRED = "password_expired"  # noqa: S105  a status, not a password
    LOCKED_OUT = "locked_out"
    SUSPENDED = "suspended"
    DISABLED = "disabled"
    DEPROVISIONED = "deprovisioned"
    DELETED = "deleted"
    TRANSIENT = "transient"


class UserType(models.TextChoices):
    INTERNAL = "internal"
    GUEST = "guest"
    EXTERNAL = "external"
    SERVICE_ACCOUNT = "service_account"
    SHARED_MAILBOX = "shared_mailbox"
    CONFERENCE_ROOM = "conference_room"
    EQUIPMENT = "equipment"


class Assurance(models.IntegerChoices):
    LOW = 1, "Low"
    MEDIUM = 2, "Medium"
    HIGH = 3, "High"


class User(models.Model):
    """A person or a non-human identity.

    Three groups of columns: the merged profile; the *facts*, derived set-based from the accounts when
    these change, so that a rule is an expression over this one row; and the *verdicts*, the last
    answer of every check, which let a run touch only the users whose answer changed.

    The aggregates read the accounts that are not deleted. "Enabled account" means an identity account
    whose status is active, password_expired, locked_out or recovery. NULL means that no account could
    say (or, for a ``…_since`` column, that there is no such account). ``…_since`` columns that stem
    from a creation hold 1970-01-01 where the creation is unknown, since that is no grace.
    """

    # The order of the columns is for PostgreSQL, which walks a row from its first column to the last that a
    # statement asks for, faster up to the first that varies in length or is NULL: what a run reads comes first,
    # the profile last. Within that order the facts are grouped by subject where they can be. The migration
    # is put into this order by hand: makemigrations writes references last.

    # Verdicts: two bits a check, at the check's slot; see evaluation.py.
    verdict_a = models.BigIntegerField(default=0, editable=False)
    verdict_b = models.BigIntegerField(default=0, editable=False)

    # Facts that are always known.
    protected = models.BooleanField(
        default=False, help_text="not all accounts deleted, deprovisioned or disabled; no room, no equipment"
    )
    nhi = models.BooleanField(default=False, help_text="any account is a service account or shared mailbox")
    guest = models.BooleanField(default=False, help_text="any account is guest or external")
    last_sign_in_known = models.BooleanField(default=False, help_text="some account says when, or never")
    has_mfa = models.BooleanField(default=False, help_text="any enabled account with an active factor")
    password_unknown = models.BooleanField(default=False)
    stuck_unknown = models.BooleanField(default=False)
    in_hr = models.BooleanField(default=False)
    hr_status_unknown = models.BooleanField(default=False)
    applications_unknown = models.BooleanField(default=False)
    shared_with = models.PositiveIntegerField(
        default=0,
        help_text="users enrolled with one of this user's authenticators, this one included; 0 = none",
    )

    # Facts that may be unknown: who the user is.
    enabled = models.BooleanField(null=True, help_text="any identity account is enabled")
    internal = models.BooleanField(null=True, help_text="some account says internal, none guest or external")
    admin = models.BooleanField(null=True, help_text="any account holds an administrator role")

    # MFA, passwords, mail, over the enabled accounts.
    mfa_bypass = models.BooleanField(null=True)
    password_never_expires = models.BooleanField(null=True)
    forwards = models.BooleanField(null=True, help_text="any account forwards mail anywhere")
    credentials_exposed = models.BooleanField(null=True)

    # What the sources say of one another.
    type_missing = models.BooleanField(null=True)
    type_inconsistent = models.BooleanField(null=True)
    status_inconsistent = models.BooleanField(null=True)
    hr_manager_differs = models.BooleanField(null=True)
    hr_department_differs = models.BooleanField(null=True)
    hr_title_differs = models.BooleanField(null=True)
    manager_given = models.BooleanField(null=True)
    manager_enabled = models.BooleanField(null=True, help_text="the resolved manager's own enabled")
    owner_given = models.BooleanField(null=True)

    # Times and numbers.
    failed_sign_ins = models.PositiveIntegerField(null=True)
    created_at = models.DateTimeField(null=True, help_text="oldest creation of an identity account")
    last_sign_in_at = models.DateTimeField(null=True)
    password_changed_at = models.DateTimeField(null=True, help_text="the oldest password's")
    no_mfa_since = models.DateTimeField(null=True, help_text="oldest creation, accounts without MFA")
    no_mfa_latest = models.DateTimeField(null=True, help_text="youngest creation, accounts without MFA")
    mfa_unknown_since = models.DateTimeField(null=True)
    weak_mfa_since = models.DateTimeField(null=True, help_text="oldest creation, all factors low")
    not_resistant_since = models.DateTimeField(
        null=True, help_text="oldest creation, none phishing-resistant"
    )
    weak_unknown_since = models.DateTimeField(null=True, help_text="oldest creation, assurance unknown")
    resistant_unknown_since = models.DateTimeField(
        null=True, help_text="oldest creation, unknown whether phishing-resistant"
    )
    stuck_since = models.DateTimeField(null=True)
    terminated_since = models.DateTimeField(
        null=True, help_text="since when HR knows the user as not active; 1970 where HR gives no date"
    )
    app_unused_since = models.DateTimeField(null=True, help_text="oldest last use of an assigned application")

    # Texts that a rule reads.
    manager = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="reports"
    )
    owner = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="owned")
    domain = models.CharField(max_length=255, blank=True, help_text="of the name, lower case")
    last_sign_in_country = models.CharField(max_length=2, blank=True)

    # Profile, merged over the accounts: identity accounts first, by age, then HR accounts.
    name = models.CharField(
        max_length=320, help_text="How payloads name the user: the e-mail, else the first account's login"
    )
    login = models.CharField(max_length=320, blank=True)
    email = models.CharField(max_length=320, blank=True)
    display_name = models.CharField(max_length=320, blank=True)
    employee_id = models.CharField(max_length=128, blank=True)
    department = models.CharField(max_length=255, blank=True)
    title = models.CharField(max_length=255, blank=True)
    company = models.CharField(max_length=255, blank=True)
    phone = models.CharField(max_length=64, blank=True)
    user_type = models.CharField(max_length=32, blank=True)
    status = models.CharField(max_length=32, blank=True)

    # The case-folded join keys that this user is known by; accounts carry their own.
    employee_key = models.CharField(max_length=128, blank=True, editable=False)

    class Meta:
        indexes = [
            models.Index(fields=["name", "id"]),
            models.Index(Folded("name"), "id", name="user_name_prefix"),
            models.Index(Folded("display_name"), "id", name="user_display_prefix"),
            models.Index(fields=["shared_with"], condition=Q(shared_with__gt=0), name="user_shared"),
            # The lists filter by what is rare, in the order of the name; what is common needs no index.
            models.Index(fields=["name", "id"], condition=Q(admin=True), name="user_admins"),
            models.Index(fields=["name", "id"], condition=Q(guest=True), name="user_guests"),
            models.Index(fields=["name", "id"], condition=Q(nhi=True), name="user_nhi"),
            models.Index(fields=["name", "id"], condition=Q(protected=False), name="user_unprotected"),
            models.Index(fields=["status", "name", "id"], condition=~Q(status="active"), name="user_status"),
            models.Index(
                fields=["user_type", "name", "id"], condition=~Q(user_type="internal"), name="user_type"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Account(models.Model):
    """What one source says of one user: the record of the data set, and what follows from it alone.

    NULL is unknown. ``user_type``, ``manager`` and ``owner`` tell unknown (NULL: the source has no
    such field) from none (empty: the source gives none); lists tell unknown (NULL) from none ([]).
    """

    source = models.ForeignKey(Source, on_delete=models.CASCADE, related_name="accounts")
    user = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="accounts")
    linked_by_hand = models.BooleanField(default=False)

    login = models.CharField(max_length=320)
    email = models.CharField(max_length=320, blank=True)
    display_name = models.CharField(max_length=320, blank=True)
    first_name = models.CharField(max_length=255, blank=True)
    last_name = models.CharField(max_length=255, blank=True)
    employee_id = models.CharField(max_length=128, blank=True)
    department = models.CharField(max_length=255, blank=True)
    title = models.CharField(max_length=255, blank=True)
    company = models.CharField(max_length=255, blank=True)
    phone = models.CharField(max_length=64, blank=True)
    manager = models.CharField(max_length=320, null=True, blank=True)
    owner = models.CharField(max_length=320, null=True, blank=True)
    status = models.CharField(max_length=32, choices=Status.choices, null=True, blank=True)
    user_type = models.CharField(max_length=32, choices=UserType.choices, null=True, blank=True)
    created_at = models.DateTimeField(null=True, blank=True)
    status_changed_at = models.DateTimeField(null=True, blank=True)
    password_changed_at = models.DateTimeField(null=True, blank=True)
    last_sign_in_at = models.DateTimeField(null=True, blank=True)
    last_sign_in_known = models.BooleanField(default=False, help_text="without a time: never signed in")
    last_sign_in_country = models.CharField(max_length=2, blank=True)
    last_sign_in_ip = models.CharField(max_length=45, blank=True)
    failed_sign_ins = models.PositiveIntegerField(null=True, blank=True)
    mfa_enabled = models.BooleanField(null=True, blank=True)
    mfa_bypass = models.BooleanField(null=True, blank=True)
    password_never_expires = models.BooleanField(null=True, blank=True)
    credentials_exposed = models.BooleanField(null=True, blank=True)
    mfa_factors = models.JSONField(null=True, blank=True, help_text="[{kind, device, status}]")
    admin_roles = models.JSONField(null=True, blank=True)
    groups = models.JSONField(null=True, blank=True)
    forwarding = models.JSONField(null=True, blank=True)
    applications = models.JSONField(null=True, blank=True, help_text="[{name, last_used_at}]")

    # What follows from the record alone, computed when it is read.
    login_key = models.CharField(max_length=320, editable=False)
    email_key = models.CharField(max_length=320, blank=True, editable=False)
    employee_key = models.CharField(max_length=128, blank=True, editable=False)
    manager_key = models.CharField(max_length=320, blank=True, editable=False)
    owner_key = models.CharField(max_length=320, blank=True, editable=False)
    department_key = models.CharField(max_length=255, blank=True, editable=False)
    title_key = models.CharField(max_length=255, blank=True, editable=False)
    mfa = models.BooleanField(null=True, editable=False, help_text="an active MFA factor")
    assurance = models.PositiveSmallIntegerField(
        null=True, editable=False, choices=Assurance.choices, help_text="best of the active factors"
    )
    factors_known = models.BooleanField(default=False, editable=False)
    phishing_resistant = models.BooleanField(null=True, editable=False)
    is_admin = models.BooleanField(null=True, editable=False)
    app_unused_since = models.DateTimeField(null=True, editable=False)
    applications_known = models.BooleanField(default=False, editable=False)
    fingerprint = models.BinaryField(max_length=16, editable=False, default=b"")

    class Meta:
        constraints = [
            # The login first: the same index finds a login in any source. The operator class serves “begins
            # with” beside “equals” (PostgreSQL; others ignore it).
            models.UniqueConstraint(
                fields=["login_key", "source"],
                name="account_login_key",
                opclasses=["varchar_pattern_ops", "int8_ops"],
            )
        ]
        indexes = [
            models.Index(fields=["employee_key"], condition=~Q(employee_key=""), name="account_employee"),
            models.Index(
                fields=["email_key"],
                condition=~Q(email_key=""),
                name="account_email",
                opclasses=["varchar_pattern_ops"],
            ),
            models.Index(fields=["manager_key"], condition=~Q(manager_key=""), name="account_manager"),
            models.Index(fields=["owner_key"], condition=~Q(owner_key=""), name="account_owner"),
        ]

    def __str__(self) -> str:
        return f"{self.login} ({self.source})"


class Authenticator(models.Model):
    """A device or number that an active factor of an account is bound to."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="authenticators")
    kind = models.CharField(max_length=64)
    device_key = models.CharField(max_length=255, help_text="device id or phone number, normalised")

    class Meta:
        indexes = [models.Index(fields=["device_key", "account"])]

    def __str__(self) -> str:
        return f"{self.kind}:{self.device_key}"


class Forward(models.Model):
    """An address that an account's mail is forwarded to."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="forwards")
    address = models.CharField(max_length=320)
    domain = models.CharField(max_length=255)

    def __str__(self) -> str:
        return self.address


class Check(models.Model):
    """What an installation has set for a check of the catalogue; the rule itself is code."""

    slug = models.SlugField(max_length=64, unique=True)
    slot = models.PositiveSmallIntegerField(unique=True, editable=False)
    # The verdict that is stored as 0 (verdicts.Place), chosen when the first verdicts are stored, for good.
    ordinary = models.PositiveSmallIntegerField(null=True, editable=False)
    enabled = models.BooleanField(default=True)
    severity = models.CharField(
        max_length=8,
        choices=[("critical", "Critical"), ("high", "High"), ("medium", "Medium"), ("low", "Low")],
    )
    tags = models.JSONField(default=list, blank=True)
    settings = models.JSONField(default=dict, blank=True, help_text="only what differs from the default")
    ignored_domains = models.JSONField(default=list, blank=True)
    included_domains = models.JSONField(default=list, blank=True, help_text="empty: all")
    ignored_logins = models.JSONField(default=list, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.slug


class Exclusion(models.Model):
    """A user whom a check leaves out, for good or until a date (a snooze)."""

    check_ref = models.ForeignKey(
        Check, on_delete=models.CASCADE, related_name="exclusions", db_column="check_id"
    )
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="exclusions")
    until = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=500)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["check_ref", "user"], name="exclusion_once")]

    def __str__(self) -> str:
        return f"{self.user} excluded from {self.check_ref}"


class Run(models.Model):
    """One evaluation of some or all checks."""

    class State(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        SUCCEEDED = "succeeded", "Succeeded"
        PARTIAL = "partial", "Some checks failed to run"
        FAILED = "failed", "Failed"
        DIED = "died", "Died"

    class Trigger(models.TextChoices):
        SCHEDULE = "schedule", "Daily schedule"
        PERSON = "person", "Run Checks Now"
        COMMAND = "command", "Command line"

    LIVE = ("queued", "running")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    state = models.CharField(max_length=16, choices=State.choices, default=State.QUEUED)
    trigger = models.CharField(max_length=16, choices=Trigger.choices)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    slugs = models.JSONField(default=list, blank=True, help_text="the checks asked for; empty: all enabled")
    notify = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    host = models.CharField(max_length=255, blank=True)
    pid = models.PositiveIntegerField(null=True, blank=True)
    phase = models.CharField(max_length=64, blank=True)
    users = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True)
    # The users' verdict words agree with this run's findings. A run that died before that is repaired
    # by the next one.
    settled = models.BooleanField(default=False, editable=False)
    # The verdicts of all checks on all users when this run ended, for the next one; empty if it did not.
    counted = models.JSONField(default=dict, editable=False)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            # One run at a time: the second one meets this, whatever host it is on.
            models.UniqueConstraint(
                models.Value(1), condition=Q(state__in=("queued", "running")), name="one_live_run"
            )
        ]

    def __str__(self) -> str:
        return f"Run {self.created_at:%Y-%m-%d %H:%M}"


class CheckResult(models.Model):
    """What a run found for one check."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="results")
    check_ref = models.ForeignKey(
        Check, on_delete=models.CASCADE, related_name="results", db_column="check_id"
    )
    severity = models.CharField(max_length=8)
    evaluated = models.PositiveIntegerField(default=0)
    failing = models.PositiveIntegerField(default=0)
    new = models.PositiveIntegerField(default=0)
    resolved = models.PositiveIntegerField(default=0)
    unknown = models.PositiveIntegerField(default=0)
    duration_ms = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "check_ref"], name="result_once")]

    def __str__(self) -> str:
        return f"{self.check_ref} in {self.run}"


class Finding(models.Model):
    """A user fails a check from one run to another."""

    class Resolution(models.TextChoices):
        CURED = "cured", "Cured"
        UNKNOWN = "unknown", "Can no longer be judged"
        OUT_OF_SCOPE = "out_of_scope", "Out of scope"

    # A first run may open half a million findings. What is looked up by check or run has an index below,
    # so Django's own are left out; so is the row-by-row test that a check and a run exist, which run_checks
    # has in hand and nothing deletes while findings speak of them.
    check_ref = models.ForeignKey(
        Check,
        on_delete=models.CASCADE,
        related_name="findings",
        db_column="check_id",
        db_index=False,
        db_constraint=False,
    )
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="findings")
    opened_at = models.DateTimeField()
    opened_run = models.ForeignKey(
        Run, on_delete=models.PROTECT, related_name="opened", db_index=False, db_constraint=False
    )
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolved_run = models.ForeignKey(
        Run,
        null=True,
        on_delete=models.PROTECT,
        related_name="resolved",
        db_index=False,
        db_constraint=False,
    )
    resolution = models.CharField(max_length=16, choices=Resolution.choices, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["check_ref", "user"], condition=Q(resolved_at__isnull=True), name="open_finding"
            )
        ]
        indexes = [
            models.Index(fields=["opened_run", "check_ref", "id"]),
            models.Index(
                fields=["resolved_run", "check_ref", "id"],
                condition=Q(resolved_at__isnull=False),
                name="finding_resolved_run",
            ),
            models.Index(
                fields=["check_ref", "id"], condition=Q(resolved_at__isnull=True), name="finding_open"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} fails {self.check_ref}"
