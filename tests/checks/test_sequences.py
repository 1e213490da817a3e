"""Runs in any order among imports, deletions, links, settings, exclusions, days and deaths: each ends with the open
findings and the counts of a recomputation from nothing, check by check."""

from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from unittest import mock

import pytest
from hypothesis import example, given, strategies as st

from checks.catalogue import CATALOGUE
from checks.engine.outcomes import Outcome
from checks.engine.rules import Rule, build_rule, outcome
from checks.importing.accounts import link_account
from checks.models import Account, Check, Exclusion, FieldGroup, Finding, Run, SourceFreshness, User
from checks.services import exclude_user, run_checks, update_check
from tests.checks.test_reference import empty, load, world
from tests.examples import examples

PEOPLE = 6


class Clock:
    """Stands still, and goes on by days."""

    def __init__(self) -> None:
        self.moment = datetime.now().astimezone()

    def __call__(self) -> datetime:
        return self.moment


class Killed(BaseException):
    """Stands for the end of the process: nothing may catch it."""


def import_others(chance: Random, clock: Clock) -> None:
    load(world(chance.randrange(10**6), PEOPLE))


def delete_somebody(chance: Random, clock: Clock) -> None:
    if users := list(User.objects.order_by("pk")):
        chance.choice(users).delete()


def link(chance: Random, clock: Clock) -> None:
    accounts, users = list(Account.objects.order_by("pk")), list(User.objects.order_by("pk"))
    if accounts and users:
        link_account(chance.choice(accounts), chance.choice(users))


def change_settings(chance: Random, clock: Clock) -> None:
    for check in chance.sample(list(Check.objects.order_by("slug")), 3):
        update_check(check, ignored_domains=chance.choice([[], ["corp.test"]]), enabled=chance.random() < 0.7)
    no_mfa = Check.objects.get(slug="no-mfa")
    update_check(no_mfa, settings={"grace_days": chance.choice([0, 7, 30])}, enabled=True)


def ignore_a_domain_everywhere(chance: Random, clock: Clock) -> None:
    for check in Check.objects.all():
        update_check(check, ignored_domains=["corp.test", "other.test"])


def exclude(chance: Random, clock: Clock) -> None:
    if users := list(User.objects.order_by("pk")):
        check, user = chance.choice(list(Check.objects.order_by("slug"))), chance.choice(users)
        if not Exclusion.objects.filter(check_ref=check, user=user).exists():
            exclude_user(
                check, user, reason="away", until=clock.moment + timedelta(days=chance.randint(1, 20))
            )


def let_days_pass(chance: Random, clock: Clock) -> None:
    clock.moment += timedelta(days=chance.choice([1, 8, 40]))


def die_after_some_checks(chance: Random, clock: Clock) -> None:
    last = chance.randint(0, len(CATALOGUE) - 1)

    def die(done: int, total: int, text: str) -> None:
        if done >= min(last, total):
            raise Killed

    with pytest.raises(Killed):
        run_checks(trigger="command", progress=die)
    Run.objects.filter(state=Run.State.FAILED).update(state=Run.State.DIED)


def age_some_values(chance: Random, clock: Clock) -> None:
    """From here on these groups have a maximum age; days that pass make their values too old."""
    for freshness in chance.sample(list(SourceFreshness.objects.order_by("pk")), 2):
        freshness.max_age_days = chance.choice([None, 7, 30])
        freshness.save()


def run_some(chance: Random, clock: Clock) -> None:
    enabled = list(Check.objects.filter(enabled=True).order_by("slug").values_list("slug", flat=True))
    run_checks(trigger="command", slugs=chance.sample(enabled, min(5, len(enabled))))


ACTIONS: list[Callable[[Random, Clock], None]] = [
    import_others,
    delete_somebody,
    link,
    change_settings,
    ignore_a_domain_everywhere,
    exclude,
    let_days_pass,
    die_after_some_checks,
    age_some_values,
    run_some,
]


def agrees_with_a_recomputation(run: Run) -> None:
    """Each outcome by a statement of its own. A stale user's finding is as it was; the others fail or have none."""
    assert run.started_at
    assert run.users == User.objects.filter(protected=True).count()
    for result in run.results.select_related("check_ref"):
        rule = build_rule(result.check_ref, run.started_at)
        found = dict(User.objects.filter(protected=True).values_list("pk", outcome(rule)))
        stale = {pk for pk in stale_users(rule, run.started_at) if found.get(pk)}
        answers = [Outcome.STALE if pk in stale else answer for pk, answer in found.items()]
        open_ = set(
            Finding.objects.filter(check_ref=result.check_ref, resolved_at=None).values_list(
                "user_id", flat=True
            )
        )
        assert (result.evaluated, result.failing, result.unknown, result.stale) == (
            len(answers) - answers.count(Outcome.OUT_OF_SCOPE),
            len(open_),
            answers.count(Outcome.UNKNOWN),
            len(stale),
        ), result.check_ref.slug
        assert open_ - stale == {
            pk for pk, answer in found.items() if answer == Outcome.FAIL and pk not in stale
        }, result.check_ref.slug


def stale_users(rule: Rule, now: datetime) -> set[int]:
    too_old: set[int] = set()
    for freshness in SourceFreshness.objects.exclude(max_age_days=None).select_related("source"):
        group = FieldGroup.HR if freshness.source.kind == "hr" else FieldGroup(freshness.group)
        if group in rule.reads and freshness.as_of < now - timedelta(days=freshness.max_age_days or 0):
            accounts = Account.objects.filter(source=freshness.source).exclude(status="deleted")
            too_old.update(pk for pk in accounts.values_list("user_id", flat=True) if pk)
    return too_old


@pytest.mark.django_db
@examples(6)
@given(st.lists(st.sampled_from(ACTIONS), min_size=2, max_size=5), st.integers(0, 10**6))
# Five checks with an ignored domain were enough: SQLite's parser overflowed.
@example([ignore_a_domain_everywhere], 0)
def test_whatever_happened_before_a_run_ends_where_a_recomputation_does(actions, seed):
    empty()
    Exclusion.objects.all().delete()
    Check.objects.update(enabled=True, ignored_domains=[], settings={})
    chance, clock = Random(seed), Clock()
    with mock.patch("django.utils.timezone.now", clock):
        import_others(chance, clock)
        for action in [run_some, *actions]:
            action(chance, clock)
            # The next one begins later, as it does in life.
            clock.moment += timedelta(seconds=1)
            agrees_with_a_recomputation(run_checks(trigger="command"))
            clock.moment += timedelta(seconds=1)
