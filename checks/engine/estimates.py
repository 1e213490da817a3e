"""The number of users that a run would newly find now, by groups of checks. The console shows it before a
run. Writes only temporary tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from django.db.models import Q, QuerySet
from django.db.models.expressions import RawSQL
from django.utils import timezone

from checks.engine import evaluate, statements
from checks.engine.outcomes import Change
from checks.engine.runs import evaluate_users, selected_checks, validated_slugs
from checks.models import User

# A group's checks by slug, each with a further condition on its users.
Group = Mapping[str, Q]


@dataclass(frozen=True, slots=True)
class NewUsers:
    """``users``: distinct users of all the checks; ``by_group``, ``managers``: distinct users and their distinct managers
    for each group, in the given order; ``failed``: slugs of the checks that cannot be evaluated."""

    users: int
    by_group: Sequence[int]
    managers: Sequence[int]
    failed: Sequence[str] = field(default_factory=list)


def count_new_users(slugs: Sequence[str], groups: Sequence[Group]) -> NewUsers:
    """Evaluate all users by the enabled checks ``slugs`` (none: all). A check of a group that is not among them counts
    nobody. Raises ``UnknownChecks``."""
    checks = selected_checks(validated_slugs(slugs))
    ids = {check.slug: check.pk for check in checks}
    with evaluate.session():
        evaluated = evaluate_users(checks, timezone.now())
        everybody = _new_users({slug: Q() for slug in ids}, ids).count()
        found = [_new_users(group, ids) for group in groups]
        counts = [users.count() for users in found]
        managers = [users.exclude(manager=None).values("manager").distinct().count() for users in found]
    return NewUsers(everybody, counts, managers, sorted(evaluated.errors))


def _new_users(group: Group, ids: Mapping[str, int]) -> "QuerySet[User]":
    """The users with a new finding of one of the group's checks. Reads ``checks_change``."""
    by_condition: list[tuple[Q, list[int]]] = []
    for slug, condition in group.items():
        if slug not in ids:
            continue
        same = next((found for known, found in by_condition if known == condition), None)
        if same is None:
            by_condition.append((condition, [ids[slug]]))
        else:
            same.append(ids[slug])
    wanted = Q()
    for condition, checks in by_condition:
        statement = statements.new_users(len(checks))
        # Made of constants; every value is a parameter.
        among = RawSQL(statement, (int(Change.OPEN), *checks))  # noqa: S611  # nosec B611
        wanted |= condition & Q(pk__in=among)
    return User.objects.filter(wanted) if by_condition else User.objects.none()
