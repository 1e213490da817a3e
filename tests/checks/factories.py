"""Users with facts, as the engine's tests need them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from checks.models import Account, Check, Finding, Source, User
from checks.services import sync_catalogue

NOW = datetime(2026, 7, 1, 6, 0, 0, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def days_ago(days: float, now: datetime = NOW) -> datetime:
    return now - timedelta(days=days)


def make_user(name: str = "ann@example.com", **facts: Any) -> User:
    """A protected, enabled human with nothing wrong and everything known."""
    quiet: dict[str, Any] = {
        "name": name,
        "login": name,
        "email": name if "@" in name else "",
        "domain": name.partition("@")[2].lower(),
        "protected": True,
        "enabled": True,
        "internal": True,
        "admin": False,
        "created_at": days_ago(400),
        "last_sign_in_at": days_ago(0),
        "last_sign_in_known": True,
        "last_sign_in_country": "DE",
        "failed_sign_ins": 0,
        "has_mfa": True,
        "mfa_bypass": False,
        "password_changed_at": days_ago(10),
        "password_never_expires": False,
        "type_missing": False,
        "type_inconsistent": False,
        "status_inconsistent": False,
        "in_hr": True,
        "hr_manager_differs": False,
        "hr_department_differs": False,
        "hr_title_differs": False,
        "manager_given": True,
        "manager_enabled": True,
        "owner_given": True,
        "forwards": False,
        "credentials_exposed": False,
    }
    if "manager" not in facts and facts.get("manager_given", True):
        boss, _ = User.objects.get_or_create(name="boss@example.com", protected=False)
        quiet["manager"] = boss
    return User.objects.create(**quiet | facts)


def make_source(slug: str = "okta", **values: Any) -> Source:
    source, _ = Source.objects.get_or_create(
        slug=slug, defaults={"name": slug.capitalize(), "provider": slug.upper(), **values}
    )
    return source


def make_account(user: User, source: Source | None = None, **values: Any) -> Account:
    login = values.pop("login", user.name)
    email = values.pop("email", login if "@" in login else "")
    return Account.objects.create(
        source=source or make_source(),
        user=user,
        login=login,
        login_key=login.casefold(),
        email=email,
        email_key=email.casefold(),
        **{"status": "active", **values},
    )


def check_of(slug: str) -> Check:
    sync_catalogue()
    return Check.objects.get(slug=slug)


def open_names(slug: str) -> list[str]:
    """The names of the users with an open finding of this check, sorted."""
    findings = Finding.objects.filter(check_ref__slug=slug, resolved_at__isnull=True)
    return sorted(findings.values_list("user__name", flat=True))
