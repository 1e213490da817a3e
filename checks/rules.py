"""A check of the catalogue with an installation's settings and scope, as expressions over ``User``."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import add
from typing import Any

from django.db.models import BigIntegerField, Case, F, Q, QuerySet, Value, When
from django.db.models.expressions import Combinable

from checks.catalogue import get
from checks.catalogue.base import CatalogueCheck, Settings
from checks.models import Account, Check, Exclusion, User
from checks.records import folded
from checks.verdicts import WORDS, Place, Verdict, complement, mask, place


@dataclass(frozen=True, slots=True)
class Rule:
    """What one check asks of a user. ``scope`` and ``audience`` decide who is judged at all."""

    check: Check
    place: Place
    protected_only: bool
    in_scope: Q
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


def build_rule(
    check: Check, now: datetime, *, settings: Settings | None = None, scope: Scope | None = None
) -> Rule:
    """The rule of ``check`` at ``now``; ``settings`` and ``scope`` may differ from the stored ones (a preview)."""
    catalogued = get(check.slug)
    settings = effective_settings(check) if settings is None else settings
    return Rule(
        check=check,
        place=place(check.slot),
        protected_only=catalogued.protected_only,
        in_scope=_in_scope(check, catalogued, scope or Scope.of(check), now),
        fails=catalogued.fails(settings, now),
        unknown=catalogued.unknown(settings, now),
    )


def _in_scope(check: Check, catalogued: CatalogueCheck, scope: Scope, now: datetime) -> Q:
    condition = catalogued.audience
    if scope.included_domains:
        condition &= Q(domain__in=scope.included_domains)
    if scope.ignored_domains:
        condition &= ~Q(domain__in=scope.ignored_domains)
    if scope.ignored_logins:
        condition &= ~Q(pk__in=_users_named(scope.ignored_logins))
    excluded = active_exclusions(check, now)
    if excluded.exists():
        condition &= ~Q(pk__in=excluded.values("user_id"))
    return condition


def active_exclusions(check: Check, now: datetime) -> QuerySet[Exclusion]:
    """The exclusions that hold at ``now``: one with an end date holds until that moment."""
    return Exclusion.objects.filter(Q(until__isnull=True) | Q(until__gt=now), check_ref=check)


def _users_named(logins: Sequence[str]) -> QuerySet[Any, Any]:
    """Ids of the users of whom an account has one of these logins or e-mails, case-folded.

    The accounts carry the folded keys; folding in the database would differ for non-ASCII names.
    """
    keys = [folded(login) for login in logins]
    accounts = Account.objects.filter(Q(login_key__in=keys) | Q(email_key__in=keys), user__isnull=False)
    return accounts.values("user_id")


def failing_users(rule: Rule) -> QuerySet[User]:
    """The users who fail the rule, in the database's own words."""
    users = User.objects.filter(rule.in_scope).filter(rule.fails)
    return users.filter(protected=True) if rule.protected_only else users


def verdict_words(rules: Sequence[Rule]) -> list[Combinable]:
    """For each word the stored one with these rules' bits judged anew."""
    return [_word(rules, index, f"verdict_{name}") for index, name in enumerate(WORDS)]


def _word(rules: Sequence[Rule], word: int, column: str) -> Combinable:
    mine = [rule for rule in rules if rule.place.word == word]
    if not mine:
        return F(column)
    parts: list[Combinable] = [F(column).bitand(complement(mask((rule.place for rule in mine), word)))]
    # The population is asked once for all checks that share it.
    protected = [_verdict(rule) for rule in mine if rule.protected_only]
    if protected:
        parts.append(_case(When(protected=True, then=reduce(add, protected)), default=0))
    parts += [_verdict(rule) for rule in mine if not rule.protected_only]
    return reduce(add, parts)


def _verdict(rule: Rule) -> Case:
    whens = _whens(
        [(rule.fails, rule.place.bits(Verdict.FAILS)), (rule.unknown, rule.place.bits(Verdict.UNKNOWN))]
    )
    judged = _case(*whens, default=rule.place.bits(Verdict.PASSES))
    if not rule.in_scope:
        return judged
    return _case(When(rule.in_scope, then=judged), default=0)


def _whens(answers: Iterable[tuple[Q | None, int]]) -> list[When]:
    return [When(condition, then=_integer(bits)) for condition, bits in answers if condition]


def _case(*whens: When, default: int) -> Case:
    return Case(*whens, default=_integer(default), output_field=BigIntegerField())


def _integer(value: int) -> Value:
    return Value(value, output_field=BigIntegerField())
