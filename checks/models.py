"""Accounts, users, checks, runs and findings.

A *user* (a person or a non-human identity) has one *account* or more, each from a *source*. A *check* evaluates all users;
a *finding* is one user who fails it, from one run on; a *run* is one evaluation.
"""

import secrets
import uuid
from datetime import datetime
from typing import Self

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Q
from django.utils import timezone

from checks.indexes import Folded

# The signed-in member, as in Django's requests.
Member = AbstractBaseUser | AnonymousUser


def short_id() -> str:
    """Eight hex digits, the form in which the contract names a source or a target."""
    return secrets.token_hex(4)


class Severity(models.TextChoices):
    """The severity of a check, the most severe first: pages, commands and messages use this order."""

    CRITICAL = "critical", "Critical"
    HIGH = "high", "High"
    MEDIUM = "medium", "Medium"
    LOW = "low", "Low"


_SEVERITY_RANKS = {severity: rank for rank, severity in enumerate(Severity.values)}


def severity_rank(severity: str) -> int:
    """0 for critical to 3 for low: the key to sort by. Raises ``KeyError``."""
    return _SEVERITY_RANKS[severity]


class SourceKind(models.TextChoices):
    IDENTITY = "identity", "Identity provider"
    HR = "hr", "HR system"


class Source(models.Model):
    """A source of accounts: one identity provider or one HR system."""

    slug = models.SlugField(max_length=64, unique=True)
    name = models.CharField(max_length=128)
    kind = models.CharField(max_length=16, choices=SourceKind.choices, default=SourceKind.IDENTITY)
    provider = models.CharField(
        max_length=32, default="FILE", help_text="The vendor, as the contract writes it: OKTA, ENTRA …"
    )
    short_id = models.CharField(max_length=8, unique=True, default=short_id, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    last_import_at = models.DateTimeField(null=True, blank=True)
    deleted_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When the source was deleted. Its accounts are deleted too; its imports stay for the history.",
    )
    lost_fields = models.JSONField(
        default=list,
        blank=True,
        editable=False,
        help_text="[{field, accounts, of, bearable, import_id}]: what an import made unknown for many accounts, until a "
        "later one gives it again",
    )

    class Meta:
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.name


class SourceMapping(models.Model):
    """The mapping of one source's columns and words. It applies to files and to custom attributes of an
    API."""

    class DateOrder(models.TextChoices):
        YMD = "ymd", "Year, month, day"
        DMY = "dmy", "Day, month, year"
        MDY = "mdy", "Month, day, year"

    source = models.OneToOneField(Source, on_delete=models.CASCADE, related_name="mapping")
    columns = models.JSONField(
        default=dict, blank=True, help_text="{column of the file: field of the record}"
    )
    words = models.JSONField(
        default=dict, blank=True, help_text="{field of the record: {word of the file: meaning}}"
    )
    date_order = models.CharField(
        max_length=3,
        choices=DateOrder.choices,
        blank=True,
        help_text="The order in dates such as 1/2/2026. Empty: such dates are not read.",
    )
    zone = models.CharField(
        max_length=64, blank=True, help_text="IANA time zone of times without an offset. Empty: UTC."
    )
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"mapping of {self.source}"


class Import(models.Model):
    """One file that was imported, or one synchronisation, with its report."""

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

    # The report.
    unread_fields = models.JSONField(
        default=list, blank=True, help_text="[field]: fields that no record had; their last values were kept"
    )
    unknown_words = models.JSONField(
        default=list,
        blank=True,
        help_text="[{field, word, count}]: words without a meaning, most frequent first",
    )
    warnings = models.JSONField(default=list, blank=True, help_text="[{field, text}]; field may be empty")

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.source} {self.started_at:%Y-%m-%d %H:%M}"


class RejectedRow(models.Model):
    """A record that an import could not use. It is deleted 30 days after the import."""

    of_import = models.ForeignKey(
        Import, on_delete=models.CASCADE, related_name="rejected_rows", db_column="import_id", db_index=False
    )
    line = models.PositiveIntegerField(help_text="line of a CSV file, or number of the record")
    record = models.JSONField(help_text="the record as the file has it: {column: value}, or its text")
    problems = models.JSONField(default=list, help_text="[{column, value, expected}]")

    class Meta:
        indexes = [models.Index(fields=["of_import", "line"])]

    def __str__(self) -> str:
        return f"line {self.line} of {self.of_import}"


class Upload(models.Model):
    """A file from the browser, from its upload until the import has ended; at most 24 hours.

    The content is in its parts. The row keeps the progress of the import, which pages show.
    """

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    source = models.ForeignKey(Source, on_delete=models.CASCADE, related_name="uploads")
    file_name = models.CharField(max_length=255)
    file_format = models.CharField(max_length=16, help_text="csv, json or jsonl")
    size = models.PositiveBigIntegerField(help_text="bytes, before sealing")
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    options = models.JSONField(
        default=dict, blank=True, help_text="{full, force, strict, replace}: how the file will be imported"
    )
    preview = models.JSONField(
        null=True, blank=True, help_text="what a dry run found; empty: none since the mapping was changed"
    )
    records_read = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    started_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    host = models.CharField(max_length=255, blank=True)
    pid = models.PositiveIntegerField(null=True, blank=True)
    result = models.OneToOneField(
        Import, null=True, blank=True, on_delete=models.SET_NULL, related_name="upload"
    )
    error = models.TextField(blank=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.file_name} for {self.source}"


class UploadPart(models.Model):
    """One part of an uploaded file: 1 MiB of it (the last part: less), sealed."""

    upload = models.ForeignKey(Upload, on_delete=models.CASCADE, related_name="parts", db_index=False)
    number = models.PositiveIntegerField(help_text="from 0")
    sealed = models.BinaryField()

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["upload", "number"], name="part_of_upload")]

    def __str__(self) -> str:
        return f"part {self.number} of {self.upload}"


class Status(models.TextChoices):
    ACTIVE = "active"
    ON_LEAVE = "on_leave"
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


# With one of these a user can sign in at an identity provider.
ENABLED_STATUSES = frozenset({Status.ACTIVE, Status.PASSWORD_EXPIRED, Status.LOCKED_OUT, Status.RECOVERY})
# A user whose accounts all have one of these is not protected.
GONE_STATUSES = frozenset({Status.DELETED, Status.DEPROVISIONED, Status.DISABLED})
# An HR record with one of these means that the user is employed.
EMPLOYED_STATUSES = frozenset({Status.ACTIVE, Status.ON_LEAVE})
# These contradict an active account of the same user.
BLOCKED_STATUSES = frozenset({Status.DISABLED, Status.SUSPENDED, Status.DEPROVISIONED})
# An account should not keep one of these.
TEMPORARY_STATUSES = frozenset(
    {
        Status.STAGED,
        Status.PROVISIONED,
        Status.RECOVERY,
        Status.PASSWORD_EXPIRED,
        Status.LOCKED_OUT,
        Status.TRANSIENT,
    }
)


class UserType(models.TextChoices):
    INTERNAL = "internal"
    GUEST = "guest"
    EXTERNAL = "external"
    SERVICE_ACCOUNT = "service_account"
    SHARED_MAILBOX = "shared_mailbox"
    CONFERENCE_ROOM = "conference_room"
    EQUIPMENT = "equipment"


NON_HUMAN_TYPES = frozenset({UserType.SERVICE_ACCOUNT, UserType.SHARED_MAILBOX})
GUEST_TYPES = frozenset({UserType.GUEST, UserType.EXTERNAL})
# Not evaluated: these are no users.
RESOURCE_TYPES = frozenset({UserType.CONFERENCE_ROOM, UserType.EQUIPMENT})


class JoinReason(models.TextChoices):
    """Why an account belongs to its user."""

    FIRST = "first", "The user was created for this account"
    SOURCE_KEY = "source_key", "Same immutable id"
    EMPLOYEE_ID = "employee_id", "Same employee id"
    EMAIL = "email", "Same e-mail"
    LOGIN = "login", "Same login"
    MEMBER = "member", "Joined by a member"


class Assurance(models.IntegerChoices):
    LOW = 1, "Low"
    MEDIUM = 2, "Medium"
    HIGH = 3, "High"


class User(models.Model):
    """A person or a non-human identity.

    The columns are the merged profile and the *facts*. Facts are derived set-based from the accounts when these change, so
    that a rule is an expression over one row.

    They aggregate the accounts that are not deleted. "Enabled account" is an identity account with one of
    ``ENABLED_STATUSES``. NULL means that no account gives the value (for a ``…_since`` column, that there is no such
    account). A ``…_since`` column of a creation is 1970-01-01 where the creation is unknown: no grace period.
    """

    # PostgreSQL walks a row from its first column to the last that a statement needs, and is faster up to the first that
    # varies in length or is NULL. So what a run reads comes first and the profile last; within that order the facts are
    # grouped by subject. makemigrations writes references last: the initial migration was ordered by hand.

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
    hr_unknown = models.BooleanField(
        default=False, help_text="an employee id joins nobody, so no HR record was found for it"
    )
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

    # Facts about sources that contradict each other.
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
    locale = models.CharField(max_length=35, blank=True, help_text="BCP 47, for messages to the user")
    user_type = models.CharField(max_length=32, blank=True)
    status = models.CharField(max_length=32, blank=True)

    # The folded employee id; the other join keys are the accounts'.
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
    """The record of one user at one source, and the columns derived from this record alone.

    NULL is unknown. In ``user_type``, ``manager`` and ``owner`` an empty text is none; in lists ``[]`` means
    none.
    """

    source = models.ForeignKey(Source, on_delete=models.CASCADE, related_name="accounts")
    user = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="accounts")
    join_reason = models.CharField(
        max_length=16,
        choices=JoinReason.choices,
        blank=True,
        editable=False,
        help_text="Why the account belongs to its user. Imports keep what a member joined.",
    )
    joined_at = models.DateTimeField(null=True, editable=False)
    joined_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )

    source_key = models.CharField(
        max_length=255,
        blank=True,
        help_text="The provider's immutable id, compared letter by letter. Empty: the source has none.",
    )
    source_anchor = models.CharField(
        max_length=255,
        blank=True,
        help_text="The immutable id of the same account in another source.",
    )
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
    locale = models.CharField(max_length=35, blank=True, help_text="BCP 47")
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

    # Derived from the record when it is read.
    login_key = models.CharField(max_length=320, editable=False)
    email_key = models.CharField(max_length=320, blank=True, editable=False)
    employee_key = models.CharField(
        max_length=128, blank=True, editable=False, help_text="empty for a placeholder too"
    )
    name_key = models.CharField(
        max_length=320,
        blank=True,
        editable=False,
        help_text="the words of the name, as joining compares them",
    )
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
    key_anchor = models.CharField(
        max_length=255,
        blank=True,
        editable=False,
        help_text="the immutable id as it is compared with the source_anchor of other accounts; empty for an id that is unique "
        "in its source only",
    )
    fingerprint = models.BinaryField(max_length=16, editable=False, default=b"")
    employee_id_shared = models.BooleanField(
        default=False,
        editable=False,
        help_text="Too many accounts of one source, or accounts of different people, have the employee id: it joins "
        "nobody.",
    )

    class Meta:
        constraints = [
            # The login comes first, so that the index finds a login in any source. The operator class serves
            # “starts with” and “equals” (PostgreSQL; others ignore it). A login that the provider gave to
            # another person is two accounts with different immutable ids.
            models.UniqueConstraint(
                fields=["login_key", "source", "source_key"],
                name="account_login_key",
                opclasses=["varchar_pattern_ops", "int8_ops", "text_ops"],
            ),
            models.UniqueConstraint(
                fields=["source_key", "source"], condition=~Q(source_key=""), name="account_source_key"
            ),
        ]
        indexes = [
            models.Index(fields=["employee_key"], condition=~Q(employee_key=""), name="account_employee"),
            models.Index(fields=["key_anchor"], condition=~Q(key_anchor=""), name="account_key_anchor"),
            models.Index(
                fields=["source_anchor"], condition=~Q(source_anchor=""), name="account_source_anchor"
            ),
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


class JoinSuggestion(models.Model):
    """An account that may belong to a user: a member decides. A rejected one is not suggested again."""

    class State(models.TextChoices):
        OPEN = "open", "Open"
        ACCEPTED = "accepted", "Accepted"
        REJECTED = "rejected", "Rejected"

    account = models.ForeignKey(
        Account, on_delete=models.CASCADE, related_name="join_suggestions", db_index=False
    )
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="join_suggestions")
    reason = models.CharField(
        max_length=16, choices=JoinReason.choices, help_text="what the two have in common"
    )
    doubt = models.CharField(max_length=255, help_text="why they were not joined, as a sentence")
    record = models.JSONField(
        null=True,
        blank=True,
        help_text="A record with this account's immutable id that seems to be another user's, not yet imported.",
    )
    found_by = models.ForeignKey(
        Import, null=True, on_delete=models.SET_NULL, related_name="join_suggestions"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    state = models.CharField(max_length=8, choices=State.choices, default=State.OPEN)
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "user"], name="suggestion_once")]
        indexes = [models.Index(fields=["id"], condition=Q(state="open"), name="suggestion_open")]

    def __str__(self) -> str:
        return f"{self.account} may be {self.user}"


class FieldGroup(models.TextChoices):
    """Fields of an account that a source reads together."""

    PROFILE = "profile", "Profile"
    PASSWORD = "password", "Password"
    SIGN_IN = "sign_in", "Sign-in"
    FACTORS = "factors", "MFA factors"
    ROLES = "roles", "Administrator roles"
    GROUPS = "groups", "Groups"
    APPLICATIONS = "applications", "Applications"
    FORWARDING = "forwarding", "Mail forwarding"
    RISK = "risk", "Risk"
    HR = "hr", "HR record"


class SourceFreshness(models.Model):
    """When a group of fields of a source's accounts was last read."""

    source = models.ForeignKey(Source, on_delete=models.CASCADE, related_name="freshness")
    group = models.CharField(max_length=16, choices=FieldGroup.choices)
    as_of = models.DateTimeField()
    max_age_days = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        help_text="An older value neither opens nor resolves a finding. Empty: the age has no effect.",
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["source", "group"], name="freshness_of_source")]

    def __str__(self) -> str:
        return f"{self.get_group_display()} of {self.source}"


class AccountFreshness(models.Model):
    """When a group of fields of one account was read, where that differs from its source."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="freshness")
    group = models.CharField(max_length=16, choices=FieldGroup.choices)
    as_of = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "group"], name="freshness_of_account")]

    def __str__(self) -> str:
        return f"{self.get_group_display()} of {self.account}"


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
    """An installation's settings of a check of the catalogue; the rule itself is code."""

    slug = models.SlugField(max_length=64, unique=True)
    enabled = models.BooleanField(default=True)
    severity = models.CharField(max_length=8, choices=Severity.choices)
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


class ExclusionQuerySet(models.QuerySet["Exclusion"]):
    def active_at(self, now: datetime) -> Self:
        """The exclusions that hold at ``now``: one with an end date holds until that moment."""
        return self.filter(Q(until__isnull=True) | Q(until__gt=now))


class Exclusion(models.Model):
    """A user exempt from a check, permanently or until a date."""

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

    objects = ExclusionQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["check_ref", "user"], name="exclusion_once")]

    def __str__(self) -> str:
        return f"{self.user} excluded from {self.check_ref}"

    @property
    def is_active(self) -> bool:
        """Whether the exclusion holds now, by the rule of :meth:`ExclusionQuerySet.active_at`."""
        return self.until is None or self.until > timezone.now()


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
    failing_users = models.PositiveIntegerField(
        null=True, help_text="users with an open finding of any check when the run ended"
    )
    error = models.TextField(blank=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            # One run at a time, over all hosts.
            models.UniqueConstraint(
                models.Value(1), condition=Q(state__in=("queued", "running")), name="one_live_run"
            )
        ]

    def __str__(self) -> str:
        return f"Run {self.created_at:%Y-%m-%d %H:%M}"


class CheckResult(models.Model):
    """The counts of one check in one run."""

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
    stale = models.PositiveIntegerField(
        default=0,
        help_text="users with a value that is too old; one with an open finding counts as failing too",
    )
    duration_ms = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True)
    finished_at = models.DateTimeField(null=True)
    unknown_causes = models.JSONField(
        default=list,
        blank=True,
        help_text="[{name, source, share}]: why users are unknown or stale, most frequent first",
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "check_ref"], name="result_once")]

    def __str__(self) -> str:
        return f"{self.check_ref} in {self.run}"


class GroupResult(models.Model):
    """The open findings of one department's or one source's users after a run: the report compares such rows.

    ``name`` is empty for users without a department; ``is_rest``: all groups beyond the largest, together.
    """

    class Dimension(models.TextChoices):
        DEPARTMENT = "department", "Department"
        SOURCE = "source", "Source"

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="groups")
    dimension = models.CharField(max_length=16, choices=Dimension.choices)
    name = models.CharField(max_length=255, blank=True)
    is_rest = models.BooleanField(default=False)
    users = models.PositiveIntegerField(help_text="in scope of the checks")
    failing_users = models.PositiveIntegerField()
    findings = models.PositiveIntegerField(help_text="a user who fails two checks has two")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "dimension", "name", "is_rest"], name="group_result_once")
        ]

    def __str__(self) -> str:
        return f"{self.name or self.dimension} in {self.run}"


class Finding(models.Model):
    """One user failing one check, from the run that opened it to the run that resolved it.

    A finding that was resolved as unknown is suspended: it is reopened if the user fails again, and gets another resolution
    once the user is known not to fail. A user has at most one open or suspended finding of a check.
    """

    class Resolution(models.TextChoices):
        CURED = "cured", "Cured"
        UNKNOWN = "unknown", "Can no longer be evaluated"
        OUT_OF_SCOPE = "out_of_scope", "Out of scope"

    # A first run may open half a million findings. The indexes below serve lookups by check and by run, so Django's own
    # are omitted. So are the foreign key constraints on check and run, which are tested row by row: run_checks holds both
    # rows, and nothing deletes them while findings refer to them.
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
            ),
            models.UniqueConstraint(
                fields=["check_ref", "user"], condition=Q(resolution="unknown"), name="suspended_finding"
            ),
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
