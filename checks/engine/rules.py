"""A check of the catalogue with an installation's settings and scope, as expressions over ``User``."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import BigIntegerField, Case, Exists, OuterRef, Q, QuerySet, Value, When
from django.db.models.expressions import Combinable

from checks import dialect
from checks.catalogue import catalogue_check
from checks.catalogue.definition import Settings
from checks.domains import spellings
from checks.engine.outcomes import Outcome
from checks.folding import folded
from checks.freshness import groups_read, stale_users
from checks.models import Account, Check, Exclusion, FieldGroup, Finding, User


@dataclass(frozen=True, slots=True)
class Rule:
    """One check as conditions on a user. ``audience`` (of the catalogue) and ``scope`` (of the installation) decide which
    users are evaluated. ``reads``: the groups of fields that the conditions depend on."""

    check: Check
    audience: Q
    scope: Q
    fails: Q
    unknown: Q | None
    reads: frozenset[FieldGroup]


@dataclass(frozen=True, slots=True)
class Scope:
    """Which users an installation exempts from a check by domain and login."""

    ignored_domains: Sequence[str] = ()
    included_domains: Sequence[str] = ()
    ignored_logins: Sequence[str] = ()

    @classmethod
    def of(cls, check: Check) -> "Scope":
        return cls(check.ignored_domains, check.included_domains, check.ignored_logins)


def effective_settings(check: Check) -> Settings:
    """The check's settings: the catalogue's defaults, then what the installation has set."""
    fields = catalogue_check(check.slug).fields
    stored = {name: value for name, value in check.settings.items() if name in fields}
    return Settings({name: field.initial for name, field in fields.items()} | stored)


def build_rule(
    check: Check,
    now: datetime,
    *,
    settings: Settings | None = None,
    scope: Scope | None = None,
    excluding: bool | None = None,
) -> Rule:
    """The rule of ``check`` at ``now``; ``settings`` and ``scope`` may differ from the stored ones (a preview).

    ``excluding``: whether the check has an active exclusion; None: find out.
    """
    catalogued = catalogue_check(check.slug)
    settings = effective_settings(check) if settings is None else settings
    fails, unknown = catalogued.fails(settings, now), catalogued.unknown(settings, now)
    return Rule(
        check=check,
        audience=catalogued.audience,
        scope=_in_scope(check, scope or Scope.of(check), now, excluding),
        fails=fails,
        unknown=unknown,
        reads=groups_read(catalogued.audience, fails, unknown or Q()),
    )


def checks_reading(groups: Iterable[FieldGroup], now: datetime) -> list[Check]:
    """The enabled checks that depend on one of these groups of fields."""
    wanted = set(groups)
    enabled = Check.objects.filter(enabled=True).order_by("slug")
    return [check for check in enabled if wanted & build_rule(check, now, excluding=False).reads]


def _in_scope(check: Check, scope: Scope, now: datetime, excluding: bool | None) -> Q:
    condition = Q()
    if scope.included_domains:
        condition &= Q(domain__in=dialect.among(spellings(scope.included_domains)))
    if scope.ignored_domains:
        condition &= ~Q(domain__in=dialect.among(spellings(scope.ignored_domains)))
    if scope.ignored_logins:
        condition &= ~_is_named(scope.ignored_logins)
    excluded = Exclusion.objects.active_at(now).filter(check_ref=check)
    if excluded.exists() if excluding is None else excluding:
        condition &= ~Q(pk__in=excluded.values("user_id"))
    return condition


def _is_named(logins: Sequence[str]) -> Q:
    """The condition that an account of the user has one of these logins or e-mails.

    Compares the stored folded keys: the databases fold non-ASCII text differently. One subquery for each key, so that each
    uses its own index.
    """
    keys = [folded(login) for login in logins]
    accounts = Account.objects.filter(user__isnull=False).values("user_id")
    by_login = accounts.filter(login_key__in=dialect.among(keys))
    by_email = accounts.filter(email_key__in=dialect.among(keys))
    return Q(pk__in=by_login) | Q(pk__in=by_email)


def failing_users(rule: Rule) -> QuerySet[User]:
    """The users who fail the rule. Keep this order: at equal cost PostgreSQL evaluates conditions left to right, and
    ``fails`` is the most selective."""
    users = User.objects.filter(rule.fails).filter(rule.audience)
    return users.filter(protected=True).filter(rule.scope)


def newly_failing_users(check: Check, now: datetime) -> QuerySet[User]:
    """The users who would get a new finding in a run at ``now``. A finding that would be reopened is not new.
    A user with a value that is too old gets none."""
    rule = build_rule(check, now)
    known = Finding.objects.filter(check_ref=check, user=OuterRef("pk"))
    return (
        failing_users(rule)
        .exclude(pk__in=stale_users(rule.reads, now))
        .exclude(Exists(known.filter(resolved_at=None)))
        .exclude(Exists(known.filter(resolution=Finding.Resolution.UNKNOWN)))
    )


def outcome(rule: Rule, shift: int = 0) -> Combinable:
    """The rule's :class:`Outcome` for a protected user, shifted left by ``shift`` bits. The age of values is not considered."""

    def is_(answer: Outcome) -> Value:
        return Value(answer << shift, output_field=BigIntegerField())

    whens = [When(rule.fails, then=is_(Outcome.FAIL))]
    if rule.unknown:
        whens.append(When(rule.unknown, then=is_(Outcome.UNKNOWN)))
    evaluated = Case(*whens, default=is_(Outcome.PASS), output_field=BigIntegerField())
    in_scope = rule.audience & rule.scope
    if not in_scope:
        return evaluated
    default = is_(Outcome.OUT_OF_SCOPE)
    return Case(When(in_scope, then=evaluated), default=default, output_field=BigIntegerField())
