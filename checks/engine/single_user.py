"""Evaluate one user by all enabled checks, without a run: for the user's page."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import DatabaseError

from checks.catalogue import CATALOGUE, catalogue_position
from checks.engine.evaluate import reading
from checks.engine.outcomes import Outcome
from checks.engine.rules import Rule, build_rule, outcome
from checks.engine.unknown_causes import UnknownCause, causes_of_user
from checks.freshness import stale_groups
from checks.models import Check, Exclusion, FieldGroup, Finding, User

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class UserOutcome:
    """The result that a run now would have for one user and one check.

    ``outcome``: ``fails``, ``passes``, ``unknown``, ``stale`` (a value is too old, so a run changes nothing), ``excluded``,
    ``out_of_scope`` or ``error`` (the check cannot be evaluated). ``has_finding``: whether a finding is open now.
    ``causes``: what is unknown; ``stale``: the groups of fields whose values are too old.
    """

    check: Check
    outcome: str
    has_finding: bool
    causes: Sequence[UnknownCause] = ()
    stale: Sequence[FieldGroup] = ()

    @property
    def opens(self) -> bool:
        """Whether a run would open a finding, or open it again."""
        return self.outcome == "fails" and not self.has_finding

    @property
    def resolves(self) -> bool:
        """Whether a run would resolve the open finding."""
        return self.has_finding and self.outcome in ("passes", "unknown", "excluded", "out_of_scope")


_NAMES = {
    Outcome.OUT_OF_SCOPE: "out_of_scope",
    Outcome.PASS: "passes",
    Outcome.FAIL: "fails",
    Outcome.UNKNOWN: "unknown",
}


def evaluate_user(user: User, now: datetime) -> list[UserOutcome]:
    """Evaluate ``user`` by each enabled check of the catalogue, in its order, from what the sources have given. Writes
    nothing. Takes at most ten statements for any number of checks."""
    checks = [check for check in Check.objects.filter(enabled=True) if check.slug in CATALOGUE]
    checks.sort(key=lambda check: catalogue_position(check.slug))
    active = Exclusion.objects.active_at(now).filter(user=user)
    excluded = set(active.values_list("check_ref_id", flat=True))
    # Exclusions are shown as such, so the rules are built without them.
    rules = [build_rule(check, now, excluding=False) for check in checks]
    found = _outcomes(user.pk, rules)
    stale = stale_groups(user.pk, now)
    has_finding = set(
        Finding.objects.filter(user=user, resolved_at__isnull=True).values_list("check_ref_id", flat=True)
    )
    unknown = [rule for rule in rules if found.get(rule.check.slug) is Outcome.UNKNOWN]
    causes = causes_of_user(user.pk, unknown) if unknown else {}
    return [
        _user_outcome(
            rule,
            found.get(rule.check.slug),
            rule.check.pk in excluded,
            rule.check.pk in has_finding,
            sorted(stale & rule.reads),
            causes,
        )
        for rule in rules
    ]


def _user_outcome(
    rule: Rule,
    found: Outcome | None,
    is_excluded: bool,
    has_finding: bool,
    stale: Sequence[FieldGroup],
    causes: Mapping[str, Sequence[UnknownCause]],
) -> UserOutcome:
    check = rule.check
    if found is None:
        return UserOutcome(check, "error", has_finding)
    if found is Outcome.OUT_OF_SCOPE:
        return UserOutcome(check, "out_of_scope", has_finding)
    if is_excluded:
        return UserOutcome(check, "excluded", has_finding)
    if stale:
        return UserOutcome(check, "stale", has_finding, stale=stale)
    return UserOutcome(check, _NAMES[found], has_finding, causes.get(check.slug, ()))


def _outcomes(user_id: int, rules: Sequence[Rule]) -> dict[str, Outcome]:
    """Slug → outcome; a check that cannot be evaluated is missing."""
    try:
        return _outcomes_of(user_id, rules)
    except DatabaseError:
        log.exception("A check cannot be evaluated for one user")
    found: dict[str, Outcome] = {}
    for rule in rules:
        try:
            found |= _outcomes_of(user_id, [rule])
        except DatabaseError:
            log.warning("Check cannot be evaluated", extra={"check": rule.check.slug})
    return found


def _outcomes_of(user_id: int, rules: Sequence[Rule]) -> dict[str, Outcome]:
    columns = {f"outcome_{index}": outcome(rule) for index, rule in enumerate(rules)}
    with reading():
        row = (
            User.objects.filter(pk=user_id, protected=True)
            .order_by()
            .annotate(**columns)
            .values_list(*columns)
            .first()
        )
    # A user outside the protected population is in the scope of no check.
    values = row or [Outcome.OUT_OF_SCOPE] * len(rules)
    return {rule.check.slug: Outcome(value) for rule, value in zip(rules, values, strict=True)}
