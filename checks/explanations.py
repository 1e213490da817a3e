"""Why a user fails, and what to do: the texts and details that a message carries."""

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from checks import dialect, light
from checks.catalogue import get
from checks.catalogue.base import Settings, is_identity
from checks.models import Account, Check, Source, Status, User
from checks.rules import effective_settings

# What the explanations of the catalogue read. What is not here takes them a query for each row: a test finds out.
USER_COLUMNS = (
    "id", "name", "manager_id", "created_at", "department", "employee_id", "failed_sign_ins", "hr_department_differs",
    "hr_manager_differs", "hr_title_differs", "last_sign_in_at", "last_sign_in_country", "password_changed_at",
    "shared_with", "stuck_since", "terminated_since", "title", "user_type",
)  # fmt: skip
_ACCOUNT_COLUMNS = (
    "id", "user_id", "source_id", "admin_roles", "app_unused_since", "applications", "assurance", "created_at",
    "credentials_exposed", "department", "employee_id", "factors_known", "failed_sign_ins", "forwarding", "is_admin",
    "last_sign_in_at", "last_sign_in_country", "last_sign_in_ip", "manager", "mfa", "mfa_bypass", "mfa_enabled",
    "mfa_factors", "owner", "password_changed_at", "password_never_expires", "phishing_resistant", "status",
    "status_changed_at", "title", "user_type",
)  # fmt: skip
_SOURCE_COLUMNS = ("id", "name", "kind", "provider", "short_id")
_PLACEHOLDER = re.compile(r"\{\{\s*(\w+)\s*\}\}")


def description(check: Check) -> list[str]:
    """The check's paragraphs, placeholders replaced by its settings."""
    return _substituted(get(check.slug).description, effective_settings(check))


def recommended_actions(check: Check) -> list[str]:
    """What to do about the users who fail, placeholders replaced by the check's settings."""
    return _substituted(get(check.slug).recommended_actions, effective_settings(check))


def _substituted(paragraphs: Sequence[str], settings: Settings) -> list[str]:
    def text(match: re.Match[str]) -> str:
        value = settings[match[1]]
        return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)

    return [_PLACEHOLDER.sub(text, paragraph) for paragraph in paragraphs]


def login_details(
    check: Check, users: Sequence[User], *, now: datetime, tenant_id: UUID | str
) -> list[dict[str, Any]]:
    """The contract's ``loginDetails``: ``{"login", "details": [{"key", "value"}]}`` a user, in the order given.

    A value is itself JSON text. ``providersFailingChecks`` comes first; what follows is the check's own.
    One query, however many users.
    """
    catalogued, settings = get(check.slug), effective_settings(check)
    accounts = _accounts(users)
    details = []
    for user in users:
        mine = accounts[user.pk]
        failing = [account for account in mine if catalogued.failing_account(account, settings, now)]
        # What changed since the run may leave none; the user failed nevertheless.
        failing = failing or [account for account in mine if is_identity(account)] or mine
        providers = [f"providerFailingCheck-{check.slug}-{source_key(each, tenant_id)}" for each in failing]
        explained = catalogued.explain(user, mine, settings, now)
        pairs = [("providersFailingChecks", list(dict.fromkeys(providers)))]
        pairs += [(key, value) for key, value in explained.items() if value is not None]
        details.append(
            {"login": user.name, "details": [{"key": key, "value": _json(value)} for key, value in pairs]}
        )
    return details


def source_key(account: Account, tenant_id: UUID | str) -> str:
    """How the contract names a source: ``<tenant>__OKTA__1c2d3e4f``."""
    return f"{tenant_id}__{account.source.provider}__{account.source.short_id}"


def _accounts(users: Sequence[User]) -> dict[int, list[Account]]:
    """The users' accounts that are not deleted, identity accounts first."""
    accounts: dict[int, list[Account]] = defaultdict(list)
    sources: dict[int, Source] = {}
    rows = Account.objects.filter(user__in=dialect.among(user.pk for user in users)).exclude(
        status=Status.DELETED
    )
    of_source = [f"source__{name}" for name in _SOURCE_COLUMNS]
    for values in rows.order_by("id").values_list(*_ACCOUNT_COLUMNS, *of_source):
        account = light.instance(Account, _ACCOUNT_COLUMNS, values[: len(_ACCOUNT_COLUMNS)])
        source = sources.get(account.source_id)
        if source is None:
            source = light.instance(Source, _SOURCE_COLUMNS, values[len(_ACCOUNT_COLUMNS) :])
            sources[source.id] = source
        light.relate(account, "source", source)
        accounts[account.user_id or 0].append(account)
    for mine in accounts.values():
        mine.sort(key=lambda account: not is_identity(account))
    return accounts


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and ``Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _json(value: Any) -> str:
    return _encode(iso(value) if isinstance(value, datetime) else value)


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no place in a message")


_encode = json.JSONEncoder(default=_plain, ensure_ascii=False, separators=(",", ":")).encode
