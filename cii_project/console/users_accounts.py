"""A user's accounts side by side: what each source says, differences marked, factors with their assurance."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q

from checks.models import Account, Assurance
from checks.spellings import ACTIVE_FACTOR, ASSURANCE

Say = Callable[[Account], str | None]


@dataclass(frozen=True, slots=True)
class Line:
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


def _plain(name: str) -> Say:
    return lambda account: getattr(account, name) or None


def _given(name: str) -> Say:
    """For columns that tell none (empty) from unknown (NULL)."""
    return lambda account: getattr(account, name)


def _time(name: str) -> Say:
    def say(account: Account) -> str | None:
        value: datetime | None = getattr(account, name)
        return f"{value:%Y-%m-%d %H:%M}" if value else None

    return say


def _flag(name: str) -> Say:
    return lambda account: {True: "yes", False: "no", None: None}[getattr(account, name)]


def _listed(name: str) -> Say:
    def say(account: Account) -> str | None:
        value: list[Any] | None = getattr(account, name)
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


# Label, what an account says, and whether sources should agree on it.
FIELDS: tuple[tuple[str, Say, bool], ...] = (
    ("Login", _plain("login"), False),
    ("E-mail", _plain("email"), True),
    ("Display name", _plain("display_name"), True),
    ("Employee id", _plain("employee_id"), True),
    ("Status", lambda account: account.status, True),
    ("User type", _given("user_type"), True),
    ("Department", _plain("department"), True),
    ("Title", _plain("title"), True),
    ("Company", _plain("company"), True),
    ("Phone", _plain("phone"), True),
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


def people_named(accounts: Sequence[Account]) -> dict[str, int]:
    """Whom the accounts name as manager or owner, by login, e-mail or employee id: key → user. One query."""
    keys = {key for account in accounts for key in (account.manager_key, account.owner_key) if key}
    named = Q(login_key__in=keys) | Q(email_key__in=keys) | Q(employee_key__in=keys)
    columns = ("login_key", "email_key", "employee_key")
    found = Account.objects.filter(named, user__isnull=False).values_list("user_id", *columns) if keys else []
    return {key: user for user, *known in found if user is not None for key in known if key in keys}


def side_by_side(accounts: Sequence[Account], people: Mapping[str, int] | None = None) -> list[Line]:
    """Only fields of which some account says something. Texts are compared trimmed and case-folded; two
    names of one of ``people`` (:func:`people_named`) are the same."""
    known = people or {}
    lines = []
    for label, say, should_agree in FIELDS:
        values = [say(account) for account in accounts]
        if all(value is None for value in values):
            continue
        told: set[object] = {value.strip().casefold() for value in values if value}
        if label in ("Manager", "Owner"):
            told = {known.get(str(key), key) for key in told}
        lines.append(Line(label, values, should_agree and len(told) > 1))
    return lines


def factors_of(account: Account) -> list[Factor] | None:
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
