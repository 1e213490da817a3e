"""A user's accounts side by side: what each source says and how old that is, differences marked, factors with their
assurance, and why the accounts belong together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from checks.models import Account, AccountFreshness, Assurance, FieldGroup, JoinReason, SourceFreshness
from checks.services import ACTIVE_FACTOR, ASSURANCE

FieldText = Callable[[Account], str | None]


@dataclass(frozen=True, slots=True)
class FieldComparison:
    """One field over all accounts; None is unknown, the empty text none."""

    label: str
    values: Sequence[str | None]
    differs: bool


@dataclass(frozen=True, slots=True)
class Factor:
    kind: str
    device: str
    active: bool
    assurance: str
    variant: str


def _plain(name: str) -> FieldText:
    return lambda account: getattr(account, name) or None


def _given(name: str) -> FieldText:
    """For columns that tell none (empty) from unknown (NULL)."""
    return lambda account: getattr(account, name)


def _time(name: str) -> FieldText:
    def say(account: Account) -> str | None:
        value: datetime | None = getattr(account, name)
        return f"{value:%Y-%m-%d %H:%M}" if value else None

    return say


def _flag(name: str) -> FieldText:
    return lambda account: {True: "yes", False: "no", None: None}[getattr(account, name)]


def _listed(name: str) -> FieldText:
    def say(account: Account) -> str | None:
        value: list[object] | None = getattr(account, name)
        return None if value is None else ", ".join(str(item) for item in value)

    return say


def _sign_in(account: Account) -> str | None:
    if account.last_sign_in_at:
        place = f" ({account.last_sign_in_country})" if account.last_sign_in_country else ""
        return f"{account.last_sign_in_at:%Y-%m-%d %H:%M}{place}"
    return "never" if account.last_sign_in_known else None


def _applications(account: Account) -> str | None:
    if account.applications is None:
        return None
    return ", ".join(str(application.get("name", "")) for application in account.applications)


def _join(account: Account) -> str | None:
    if not account.join_reason:
        return None
    date = f", {account.joined_at:%Y-%m-%d}" if account.joined_at else ""
    shared = " (its employee id joins nobody)" if account.employee_id_shared else ""
    return f"{account.get_join_reason_display()}{date}{shared}"


# Label, what an account says, and whether sources should agree on it.
ACCOUNT_FIELDS: tuple[tuple[str, FieldText, bool], ...] = (
    ("Login", _plain("login"), False),
    ("Immutable id", _plain("source_key"), False),
    ("Immutable id elsewhere", _plain("source_anchor"), False),
    ("Joined by", _join, False),
    ("E-mail", _plain("email"), True),
    ("Display name", _plain("display_name"), True),
    ("Employee id", _plain("employee_id"), True),
    ("Status", lambda account: account.status, True),
    ("User type", _given("user_type"), True),
    ("Department", _plain("department"), True),
    ("Title", _plain("title"), True),
    ("Company", _plain("company"), True),
    ("Phone", _plain("phone"), True),
    ("Locale", _plain("locale"), False),
    ("Manager", _given("manager"), True),
    ("Owner", _given("owner"), True),
    ("Created", _time("created_at"), False),
    ("Status changed", _time("status_changed_at"), False),
    ("Last sign-in", _sign_in, False),
    ("Failed sign-ins since", lambda a: None if a.failed_sign_ins is None else str(a.failed_sign_ins), False),
    ("Password changed", _time("password_changed_at"), False),
    ("Password never expires", _flag("password_never_expires"), False),
    ("MFA", _flag("mfa"), False),
    ("May bypass MFA", _flag("mfa_bypass"), False),
    ("Credentials exposed", _flag("credentials_exposed"), False),
    ("Administrator roles", _listed("admin_roles"), False),
    ("Groups", _listed("groups"), False),
    ("Forwards mail to", _listed("forwarding"), False),
    ("Applications", _applications, False),
)


def named_users(accounts: Sequence[Account]) -> dict[str, int]:
    """The users that the accounts name as manager or owner, by login, e-mail or employee id: key → user. One query."""
    keys = {key for account in accounts for key in (account.manager_key, account.owner_key) if key}
    named = Q(login_key__in=keys) | Q(email_key__in=keys) | Q(employee_key__in=keys)
    columns = ("login_key", "email_key", "employee_key")
    found = Account.objects.filter(named, user__isnull=False).values_list("user_id", *columns) if keys else []
    return {key: user for user, *known in found if user is not None for key in known if key in keys}


def compare_accounts(
    accounts: Sequence[Account], people: Mapping[str, int] | None = None
) -> list[FieldComparison]:
    """Only fields of which some account says something. Texts are compared trimmed and case-folded; two
    names of one of ``people`` (:func:`named_users`) are the same."""
    known = people or {}
    lines = []
    for label, say, should_agree in ACCOUNT_FIELDS:
        values = [say(account) for account in accounts]
        if all(value is None for value in values):
            continue
        distinct: set[object] = {value.strip().casefold() for value in values if value}
        if label in ("Manager", "Owner"):
            distinct = {known.get(str(key), key) for key in distinct}
        lines.append(FieldComparison(label, values, should_agree and len(distinct) > 1))
    return lines


def join_texts(accounts: Sequence[Account]) -> list[tuple[Account, str]]:
    """Why each of several accounts belongs to the same user; empty for a single account."""
    if len(accounts) < 2:
        return []
    return [(account, _join_text(account)) for account in accounts]


def _join_text(account: Account) -> str:
    values = {
        JoinReason.EMAIL: account.email,
        JoinReason.EMPLOYEE_ID: account.employee_id,
        JoinReason.LOGIN: account.login,
        JoinReason.SOURCE_KEY: account.source_anchor or account.source_key,
    }
    reason = JoinReason(account.join_reason) if account.join_reason in JoinReason.values else None
    if reason is None:
        return "Not recorded"
    if reason is JoinReason.MEMBER:
        return f"Joined by {account.joined_by or 'a member'}"
    value = values.get(reason, "")
    return f"{reason.label}: {value}" if value else str(reason.label)


def account_ages(accounts: Sequence[Account]) -> dict[int, list[tuple[str, datetime]]]:
    """Account id → when its fields were last read: one time for all groups, or each group's label and time. Two queries."""
    of_source: dict[int, dict[str, datetime]] = {}
    sources = {account.source_id for account in accounts}
    for source, group, as_of in SourceFreshness.objects.filter(source__in=sources).values_list(
        "source_id", "group", "as_of"
    ):
        of_source.setdefault(source, {})[group] = as_of
    own: dict[int, dict[str, datetime]] = {}
    for pk, group, as_of in AccountFreshness.objects.filter(account__in=accounts).values_list(
        "account_id", "group", "as_of"
    ):
        own.setdefault(pk, {})[group] = as_of
    return {
        account.pk: _ages(of_source.get(account.source_id, {}) | own.get(account.pk, {}))
        for account in accounts
    }


def _ages(groups: Mapping[str, datetime]) -> list[tuple[str, datetime]]:
    if len(set(groups.values())) == 1:
        return [("", next(iter(groups.values())))]
    labels = dict(FieldGroup.choices)
    return [(str(labels.get(group, group)), groups[group]) for group in FieldGroup.values if group in groups]


def account_factors(account: Account) -> list[Factor] | None:
    """None: the source does not say."""
    if account.mfa_factors is None:
        return None
    found = []
    for factor in account.mfa_factors:
        level = ASSURANCE.get(factor.get("kind", ""))
        variant = {1: "warning", 2: "info", 3: "success"}.get(level or 0, "plain")
        label = Assurance(level).label if level else "Unknown"
        active = str(factor.get("status") or "").casefold() in ACTIVE_FACTOR
        found.append(Factor(factor.get("kind", ""), factor.get("device") or "", active, label, variant))
    return found
