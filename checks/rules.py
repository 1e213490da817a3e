"""A check of the catalogue with an installation's settings and scope, as expressions over ``User``."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import BigIntegerField, Case, F, Q, QuerySet, Value, When
from django.db.models.expressions import Combinable

from checks.catalogue import get
from checks.catalogue.base import Settings
from checks.models import Account, Check, Exclusion, User
from checks.records import folded
from checks.verdicts import WORDS, Place, Verdict, complement, mask, place


@dataclass(frozen=True, slots=True)
class Rule:
    """What one check asks of a user. ``audience`` (the catalogue's) and ``scope`` (the installation's) decide
    who is judged at all."""

    check: Check
    place: Place
    protected_only: bool
    audience: Q
    scope: Q
    fails: Q
    unknown: Q | None


@dataclass(frozen=True, slots=True)
class Scope:
    """Whom an installation leaves out of a check."""

    ignored_domains: Sequence[str] = ()
    included_domains: Sequence[str] = ()
    ignored_logins: Sequence[str] = ()

    @classmethod
    def of(cls, check: Check) -> "Scope":
        return cls(check.ignored_domains, check.included_domains, check.ignored_logins)


def effective_settings(check: Check) -> Settings:
    """The check's settings: the catalogue's defaults, then what the installation has set."""
    fields = get(check.slug).fields
    stored = {name: value for name, value in check.settings.items() if name in fields}
    return Settings({name: field.initial for name, field in fields.items()} | stored)


def place_of(check: Check) -> Place:
    return place(check.slot, Verdict(check.ordinary or Verdict.OUT_OF_SCOPE))


def build_rule(
    check: Check,
    now: datetime,
    *,
    settings: Settings | None = None,
    scope: Scope | None = None,
    excluding: bool | None = None,
) -> Rule:
    """The rule of ``check`` at ``now``; ``settings`` and ``scope`` may differ from the stored ones (a preview).

    ``excluding``: whether the check excludes anybody now; None: look.
    """
    catalogued = get(check.slug)
    settings = effective_settings(check) if settings is None else settings
    return Rule(
        check=check,
        place=place_of(check),
        protected_only=catalogued.protected_only,
        audience=catalogued.audience,
        scope=_in_scope(check, scope or Scope.of(check), now, excluding),
        fails=catalogued.fails(settings, now),
        unknown=catalogued.unknown(settings, now),
    )


def _in_scope(check: Check, scope: Scope, now: datetime, excluding: bool | None) -> Q:
    condition = Q()
    if scope.included_domains:
        condition &= Q(domain__in=scope.included_domains)
    if scope.ignored_domains:
        condition &= ~Q(domain__in=scope.ignored_domains)
    if scope.ignored_logins:
        condition &= ~Q(pk__in=_users_named(scope.ignored_logins))
    excluded = active_exclusions(now).filter(check_ref=check)
    if excluded.exists() if excluding is None else excluding:
        condition &= ~Q(pk__in=excluded.values("user_id"))
    return condition


def active_exclusions(now: datetime) -> QuerySet[Exclusion]:
    """The exclusions that hold at ``now``: one with an end date holds until that moment."""
    return Exclusion.objects.filter(Q(until__isnull=True) | Q(until__gt=now))


def _users_named(logins: Sequence[str]) -> QuerySet[Any, Any]:
    """Ids of the users of whom an account has one of these logins or e-mails, case-folded.

    The accounts carry the folded keys; folding in the database would differ for non-ASCII names.
    """
    keys = [folded(login) for login in logins]
    accounts = Account.objects.filter(Q(login_key__in=keys) | Q(email_key__in=keys), user__isnull=False)
    return accounts.values("user_id")


def failing_users(rule: Rule) -> QuerySet[User]:
    """The users who fail the rule, in the database's own words."""
    # In this order: PostgreSQL asks as it was told to where it thinks two conditions as dear, and few fail.
    users = User.objects.filter(rule.fails).filter(rule.audience)
    users = users.filter(protected=True) if rule.protected_only else users
    return users.filter(rule.scope)


def verdict_words(rules: Sequence[Rule]) -> list[Combinable]:
    """For each word the stored one with these rules' bits judged anew."""
    return [_word(rules, index, f"verdict_{name}") for index, name in enumerate(WORDS)]


def _word(rules: Sequence[Rule], word: int, column: str) -> Combinable:
    mine = [rule for rule in rules if rule.place.word == word]
    if not mine:
        return F(column)
    others = F(column).bitand(complement(mask((rule.place for rule in mine), word)))
    protected = [rule for rule in mine if rule.protected_only]
    everybody = [rule for rule in mine if not rule.protected_only]
    parts = [_among(Q(protected=True), protected, _audiences(protected))] if protected else []
    return _sum([others, *parts, *_audiences(everybody)])


def _audiences(rules: Sequence[Rule]) -> list[Combinable]:
    """An audience is asked once for all checks that share it: that saves a fifteenth of the pass."""
    shared: dict[Q, list[Rule]] = {}
    for rule in rules:
        shared.setdefault(rule.audience, []).append(rule)
    return [_among(audience, those, [_verdict(rule) for rule in those]) for audience, those in shared.items()]


def _verdict(rule: Rule) -> Combinable:
    whens = _whens(
        [(rule.fails, rule.place.bits(Verdict.FAILS)), (rule.unknown, rule.place.bits(Verdict.UNKNOWN))]
    )
    return _among(rule.scope, [rule], [_case(*whens, default=rule.place.bits(Verdict.PASSES))])


def _among(condition: Q, rules: Sequence[Rule], verdicts: Sequence[Combinable]) -> Combinable:
    """The verdicts where the condition holds; elsewhere these rules judge nobody."""
    judged = _sum(verdicts)
    if not condition:
        return judged
    outside = sum(rule.place.bits(Verdict.OUT_OF_SCOPE) for rule in rules)
    return _case(When(condition, then=judged), default=outside)


def _sum(parts: Sequence[Combinable]) -> Combinable:
    """Added by halves: thirty sums one inside the other are too deep for SQLite's parser."""
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    return _sum(parts[:half]) + _sum(parts[half:])


def _whens(answers: Iterable[tuple[Q | None, int]]) -> list[When]:
    return [When(condition, then=_integer(bits)) for condition, bits in answers if condition]


def _case(*whens: When, default: int) -> Case:
    return Case(*whens, default=_integer(default), output_field=BigIntegerField())


def _integer(value: int) -> Value:
    return Value(value, output_field=BigIntegerField())
