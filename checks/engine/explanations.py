"""Why users fail and what to do: the texts and details of messages and pages."""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import TypedDict
from uuid import UUID

from checks import dialect
from checks.catalogue import catalogue_check
from checks.catalogue.audience_texts import AudienceText
from checks.catalogue.definition import Settings, is_identity
from checks.engine.model_rows import model_from_row, set_related
from checks.engine.rules import effective_settings
from checks.models import Account, Check, Source, Status, User

# The fields that the catalogue's explanations read. Any other field costs a query per account; a test finds
# it.
_ACCOUNT_FIELDS = (
    "id", "user_id", "source_id", "admin_roles", "app_unused_since", "applications", "assurance", "created_at",
    "credentials_exposed", "department", "employee_id", "factors_known", "failed_sign_ins", "forwarding", "is_admin",
    "last_sign_in_at", "last_sign_in_country", "last_sign_in_ip", "manager", "mfa", "mfa_bypass", "mfa_enabled",
    "mfa_factors", "owner", "password_changed_at", "password_never_expires", "phishing_resistant", "status",
    "status_changed_at", "title", "user_type",
)  # fmt: skip
_SOURCE_FIELDS = ("id", "name", "kind", "provider", "short_id")
_PLACEHOLDER = re.compile(r"\{\{\s*(\w+)\s*\}\}")


class DetailPair(TypedDict):
    """``value`` is JSON."""

    key: str
    value: str


class LoginDetail(TypedDict):
    """One item of the contract's ``loginDetails``."""

    login: str
    details: list[DetailPair]


def check_description(check: Check, translate: Callable[[str], str] = str) -> list[str]:
    """The check's paragraphs, placeholders replaced by its settings. ``translate`` is called with each before that."""
    paragraphs = map(translate, catalogue_check(check.slug).description)
    return _substituted(paragraphs, effective_settings(check), translate)


def recommended_actions(check: Check, translate: Callable[[str], str] = str) -> list[str]:
    """The recommended actions of a check, with its settings filled in."""
    actions = map(translate, catalogue_check(check.slug).recommended_actions)
    return _substituted(actions, effective_settings(check), translate)


def audience_texts(check: Check, translate: Callable[[str], str] = str) -> dict[str, AudienceText]:
    """Audience (``list``, ``user``, ``manager``) → its texts, placeholders replaced by the check's settings.

    ``actions`` of a list are the recommended actions. ``translate`` is called with each text before that.
    """
    texts, settings = catalogue_check(check.slug).texts, effective_settings(check)

    def text(english: str) -> str:
        return _substituted([translate(english)], settings, translate)[0]

    subject, contact = translate(texts.subject), translate(texts.user.contact)
    return {
        "user": AudienceText(
            text(texts.user.found),
            [text(action) for action in texts.user.actions],
            text(texts.user.why),
            texts.user.due_days,
            contact,
            subject,
            texts.user.shows,
        ),
        "manager": AudienceText(
            text(texts.manager.found),
            [text(action) for action in texts.manager.actions],
            contact=contact,
            subject=subject,
            shows=texts.manager.shows,
        ),
        "list": AudienceText(text(texts.list.found), recommended_actions(check, translate)),
    }


def _substituted(
    paragraphs: Iterable[str], settings: Settings, translate: Callable[[str], str] = str
) -> list[str]:
    def text(match: re.Match[str]) -> str:
        value = settings[match[1]]
        return (
            ", ".join(translate(str(item)) for item in value)
            if isinstance(value, list | tuple)
            else str(value)
        )

    return [_PLACEHOLDER.sub(text, paragraph) for paragraph in paragraphs]


def login_details(
    check: Check, users: Sequence[User], *, now: datetime, tenant_id: UUID | str
) -> list[LoginDetail]:
    """The contract's ``loginDetails``: for each user ``{"login", "details": [{"key", "value"}]}``, in the given order.

    A value is itself JSON text. ``providersFailingChecks`` comes first, then the check's own details. One query for any
    number of users.
    """
    return _details(check, users, _accounts(users), now, tenant_id)


def user_details(
    user: User, checks: Iterable[Check], *, now: datetime, tenant_id: UUID | str
) -> dict[str, LoginDetail]:
    """Slug → the item of :func:`login_details` that explains why ``user`` fails the check. The accounts are read once
    for all the checks."""
    accounts = _accounts([user])
    return {check.slug: _details(check, [user], accounts, now, tenant_id)[0] for check in checks}


def _details(
    check: Check,
    users: Sequence[User],
    accounts: Mapping[int, list[Account]],
    now: datetime,
    tenant_id: UUID | str,
) -> list[LoginDetail]:
    catalogued, settings = catalogue_check(check.slug), effective_settings(check)
    details: list[LoginDetail] = []
    for user in users:
        own = accounts[user.pk]
        failing = [account for account in own if catalogued.failing_account(account, settings, now)]
        # Accounts may have changed since the run, so that none fails; the finding is still open.
        failing = failing or [account for account in own if is_identity(account)] or own
        providers = [f"providerFailingCheck-{check.slug}-{provider_key(each, tenant_id)}" for each in failing]
        explained = catalogued.explain(user, own, settings, now)
        pairs: list[tuple[str, object]] = [("providersFailingChecks", list(dict.fromkeys(providers)))]
        pairs += [(key, value) for key, value in explained.items() if value is not None]
        details.append(
            {"login": user.name, "details": [{"key": key, "value": _json(value)} for key, value in pairs]}
        )
    return details


def provider_key(account: Account, tenant_id: UUID | str) -> str:
    """The contract's name of a source: ``<tenant>__OKTA__1c2d3e4f``."""
    return f"{tenant_id}__{account.source.provider}__{account.source.short_id}"


def _accounts(users: Sequence[User]) -> dict[int, list[Account]]:
    """The users' accounts that are not deleted, identity accounts first."""
    accounts: dict[int, list[Account]] = defaultdict(list)
    sources: dict[int, Source] = {}
    rows = Account.objects.filter(user__in=dialect.among(user.pk for user in users)).exclude(
        status=Status.DELETED
    )
    of_source = [f"source__{name}" for name in _SOURCE_FIELDS]
    for values in rows.order_by("id").values_list(*_ACCOUNT_FIELDS, *of_source):
        account = model_from_row(Account, _ACCOUNT_FIELDS, values[: len(_ACCOUNT_FIELDS)])
        source = sources.get(account.source_id)
        if source is None:
            source = model_from_row(Source, _SOURCE_FIELDS, values[len(_ACCOUNT_FIELDS) :])
            sources[source.id] = source
        set_related(account, "source", source)
        accounts[account.user_id or 0].append(account)
    for own in accounts.values():
        own.sort(key=lambda account: not is_identity(account))
    return accounts


def iso(moment: datetime) -> str:
    """The time in ISO 8601, in UTC with milliseconds and ``Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _json(value: object) -> str:
    return _encode(iso(value) if isinstance(value, datetime) else value)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(
        f"A detail is a {type(value).__name__}. Use text, numbers, times, lists and dictionaries."
    )


_encode = json.JSONEncoder(default=_plain, ensure_ascii=False, separators=(",", ":")).encode
