"""Why a user fails, and what to do: the texts and details that a message carries."""

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from checks.catalogue import get
from checks.catalogue.base import Settings, is_identity
from checks.models import Account, Check, Status, User
from checks.rules import effective_settings

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
    rows = Account.objects.filter(user__in=[user.pk for user in users]).exclude(status=Status.DELETED)
    for account in rows.select_related("source").defer("groups").order_by("id"):
        if account.user_id is not None:
            accounts[account.user_id].append(account)
    for mine in accounts.values():
        mine.sort(key=lambda account: not is_identity(account))
    return accounts


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and ``Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _json(value: Any) -> str:
    return json.dumps(value, default=_plain, ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no place in a message")
