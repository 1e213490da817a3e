"""Runs in any order among imports, deletions, links, settings, exclusions, days and deaths: each ends with the open
findings and the counts of a recomputation from nothing, which reads no stored verdict and no earlier count."""

from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from checks import evaluation
from checks.accounts import link_account
from checks.models import Account, Check, Exclusion, Finding, Run, User
from checks.rules import build_rule, verdict_words
from checks.services import exclude_user, run_checks, update_check
from checks.verdicts import Verdict
from tests.checks.test_reference import empty, load, world

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


def exclude(chance: Random, clock: Clock) -> None:
    if users := list(User.objects.order_by("pk")):
        check, user = chance.choice(list(Check.objects.order_by("slug"))), chance.choice(users)
        if not Exclusion.objects.filter(check_ref=check, user=user).exists():
            exclude_user(
                check, user, reason="away", until=clock.moment + timedelta(days=chance.randint(1, 20))
            )


def let_days_pass(chance: Random, clock: Clock) -> None:
    clock.moment += timedelta(days=chance.choice([1, 8, 40]))


def die_before_the_words(chance: Random, clock: Clock) -> None:
    with mock.patch.object(evaluation, "store_words", side_effect=Killed), pytest.raises(Killed):
        run_checks(trigger="command")
    Run.objects.filter(state=Run.State.FAILED).update(state=Run.State.DIED)


def run_some(chance: Random, clock: Clock) -> None:
    enabled = list(Check.objects.filter(enabled=True).order_by("slug").values_list("slug", flat=True))
    run_checks(trigger="command", slugs=chance.sample(enabled, min(5, len(enabled))))


ACTIONS: list[Callable[[Random, Clock], None]] = [
    import_others,
    delete_somebody,
    link,
    change_settings,
    exclude,
    let_days_pass,
    die_before_the_words,
    run_some,
]


def agrees_with_a_recomputation(run: Run) -> None:
    assert run.started_at
    assert run.users == User.objects.filter(protected=True).count()
    for result in run.results.select_related("check_ref"):
        rule = build_rule(result.check_ref, run.started_at)
        place = rule.place
        verdict_of = {place.bits(verdict): verdict for verdict in Verdict}
        words = User.objects.values_list("pk", *verdict_words([rule]))
        verdicts = {pk: verdict_of[both[place.word] & place.mask] for pk, *both in words}
        found = list(verdicts.values())
        assert (result.evaluated, result.failing, result.unknown) == (
            len(found) - found.count(Verdict.OUT_OF_SCOPE),
            found.count(Verdict.FAILS),
            found.count(Verdict.UNKNOWN),
        ), result.check_ref.slug
        open_ = Finding.objects.filter(check_ref=result.check_ref, resolved_at=None)
        assert sorted(open_.values_list("user_id", flat=True)) == sorted(
            pk for pk, verdict in verdicts.items() if verdict is Verdict.FAILS
        ), result.check_ref.slug


@pytest.mark.django_db
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from(ACTIONS), min_size=2, max_size=5), st.integers(0, 10**6))
def test_whatever_happened_before_a_run_ends_where_a_recomputation_does(actions, seed):
    empty()
    Exclusion.objects.all().delete()
    Check.objects.update(enabled=True, ignored_domains=[], settings={}, ordinary=None)
    chance, clock = Random(seed), Clock()
    with mock.patch("django.utils.timezone.now", clock):
        import_others(chance, clock)
        for action in [run_some, *actions]:
            action(chance, clock)
            # The next one begins later, as it does in life.
            clock.moment += timedelta(seconds=1)
            agrees_with_a_recomputation(run_checks(trigger="command"))
            clock.moment += timedelta(seconds=1)
