"""The database against plain Python: the same records, evaluated by two pieces of code that share nothing.

Covers the whole way from records over accounts, joining, facts and freshness to findings; and what becomes of the
findings from run to run.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from django.db import connection
from hypothesis import given, strategies as st

from checks.catalogue import CATALOGUE
from checks.engine import evaluate, statements
from checks.engine.outcomes import MASK, Outcome, Place
from checks.engine.rules import build_rule
from checks.importing.accounts import import_accounts
from checks.models import (
    Account,
    AccountFreshness,
    Check,
    CheckResult,
    FieldGroup,
    Finding,
    Run,
    Source,
    SourceFreshness,
    User,
)
from checks.services import run_checks, sync_catalogue
from tests.checks import reference
from tests.checks.imports import undone
from tests.checks.reference import Person, Seen
from tests.examples import examples

SOURCES = {"okta": "identity", "entra": "identity", "hr": "hr"}
PEOPLE = 80
NOW = datetime.now().astimezone()
# Days on both sides of every default, a known future included; the exact boundaries are test_catalogue's.
DAYS = [-2, 0.5, 1.5, 6.5, 7.5, 13.5, 14.5, 29.5, 30.5, 179.5, 180.5, 364.5, 365.5, 900]


def address(number: int) -> str:
    return f"p{number}@corp.test"


def named(number: int, record: Mapping[str, Any]) -> dict[str, Any]:
    return {**record, "login": address(number), "email": address(number), "employee_id": f"E{1000 + number}"}


# Everybody has a record in every source or not; the employee id joins them, whatever type the sources give.
World = Mapping[tuple[int, str], Mapping[str, Any]]
STATUSES = [
    "active",
    "active",
    "active",
    "on_leave",
    "staged",
    "provisioned",
    "recovery",
    "password_expired",
    "locked_out",
    "suspended",
    "disabled",
]
TYPES = [
    "internal",
    "internal",
    "internal",
    "guest",
    "external",
    "service_account",
    "shared_mailbox",
    "conference_room",
]
KINDS = "sms voice email security_question password totp push hardware_otp hardware_otp_pin webauthn fido2 mystery"


class Chance(Random):
    """Values for records, on both sides of every question."""

    def moment(self) -> str:
        return (NOW - timedelta(days=self.choice(DAYS))).isoformat()

    def time(self) -> Any:
        return self.choice([self.moment(), self.moment(), self.moment(), None, "unknown"])

    def flag(self) -> Any:
        return self.choice([True, False, False, False, None, "unknown"])

    def some(self, item: Callable[[], Any]) -> Any:
        return self.choice([[item() for _ in range(self.randint(1, 2))], [], None, "unknown"])

    def factor(self) -> dict[str, Any]:
        return self.partly(
            kind=lambda: self.choice(KINDS.split()),
            status=lambda: self.choice(["active", "active", "revoked"]),
            device=lambda: self.choice(["one 11", "two 22", "three 33", "four 44", "five 55", "six 66"]),
        )

    def application(self) -> dict[str, Any]:
        return self.partly(name=lambda: self.choice(["Jira", "Figma"]), last_used_at=self.time)

    def partly(self, **fields: Callable[[], Any]) -> dict[str, Any]:
        """The first field always, the others mostly: a missing one is unknown."""
        first = next(iter(fields))
        return {name: make() for name, make in fields.items() if name == first or self.random() < 0.85}

    def person(self) -> Any:
        return self.choice([address(self.randint(0, PEOPLE)), None, "unknown"])  # the last of them is nobody

    def record(self) -> dict[str, Any]:
        return self.partly(
            status=lambda: self.choice([*STATUSES, "deprovisioned", "deleted", "transient", "unknown"]),
            user_type=lambda: self.choice([*TYPES, None, "unknown"]),
            created_at=self.time,
            status_changed_at=self.time,
            password_changed_at=self.time,
            last_sign_in_at=self.time,
            last_sign_in_country=lambda: self.choice(["DE", "KP", None, "unknown"]),
            failed_sign_ins=lambda: self.choice([0, 1, 2, 5, None]),
            mfa_enabled=self.flag,
            mfa_bypass=self.flag,
            password_never_expires=self.flag,
            credentials_exposed=self.flag,
            mfa_factors=lambda: self.some(self.factor),
            admin_roles=lambda: self.some(lambda: self.choice(["Owner", "Helpdesk"])),
            forwarding=lambda: self.some(lambda: self.choice(["x@corp.test", "x@evil.test"])),
            applications=lambda: self.some(self.application),
            manager=self.person,
            owner=self.person,
            department=lambda: self.choice(["Sales", "sales ", "Ops", None]),
            title=lambda: self.choice(["Clerk", "CLERK", "Chief", None]),
        )


def world(seed: int, people: int) -> World:
    """The records of so many people. Each person depends on the seed and its own number alone, so that
    hypothesis can shrink a failure to few people."""
    records = {}
    for number in range(people):
        chance = Chance(f"{seed} {number}")
        for slug in SOURCES:
            if chance.random() < 0.6:
                records[number, slug] = chance.record()
    return records


worlds = st.builds(world, st.integers(0, 10**9), st.integers(1, PEOPLE))

# Which groups of a source are older than their maximum age: for all accounts, or for those with an odd number.
Ages = Mapping[tuple[str, str], str]
GROUPS = [group.value for group in FieldGroup if group != FieldGroup.HR]
ages = st.dictionaries(
    st.tuples(st.sampled_from(list(SOURCES)), st.sampled_from(GROUPS)),
    st.sampled_from(["all", "odd", "even"]),
    max_size=4,
)


def is_too_old(whose: str, number: int) -> bool:
    return whose == "all" or (whose == "odd") == bool(number % 2)


def age(ages: Ages) -> None:
    """Every group has a maximum age; those of ``ages`` were read too long ago."""
    AccountFreshness.objects.all().delete()
    SourceFreshness.objects.all().delete()
    now = datetime.now().astimezone()
    old, recent = now - timedelta(days=15), now - timedelta(days=13)
    for slug in SOURCES:
        accounts = {
            int(account.login[1:].partition("@")[0]): account
            for account in Account.objects.filter(source__slug=slug)
        }
        for group in GROUPS:
            whose = ages.get((slug, group), "nobody")
            source = Source.objects.get(slug=slug)
            SourceFreshness.objects.create(
                source=source, group=group, as_of=old if whose in ("all", "odd") else recent, max_age_days=14
            )
            for number, account in accounts.items():
                if whose == "odd" and number % 2 == 0:
                    AccountFreshness.objects.create(account=account, group=group, as_of=recent)
                if whose == "even" and number % 2 == 0:
                    AccountFreshness.objects.create(account=account, group=group, as_of=old)


def load(world: World) -> None:
    for slug, kind in SOURCES.items():
        source, _ = Source.objects.get_or_create(slug=slug, defaults={"name": slug, "kind": kind})
        rows = [named(number, record) for (number, where), record in world.items() if where == slug]
        # A field that no record has is unknown to the reference; an import would keep its last values (test_coverage.py).
        if rows or source.accounts.exists():
            import_accounts(enumerate(rows, 2), source=source, full=True, force=True, replace=True)


def made_in_order(*worlds: World) -> list[tuple[int, str]]:
    """The keys of the records in the order in which their accounts were made."""
    order = list(SOURCES)
    return list(
        dict.fromkeys(key for world in worlds for key in sorted(world, key=lambda key: order.index(key[1])))
    )


def persons(world: World, made: Sequence[tuple[int, str]], ages: Ages) -> dict[str, Person]:
    """The people of the world as the reference sees them, their accounts in the order in which they were made."""
    found: dict[str, list[Seen]] = defaultdict(list)
    for number, slug in made:
        too_old = frozenset(g for (s, g), whose in ages.items() if s == slug and is_too_old(whose, number))
        found[address(number)].append(Seen(SOURCES[slug], named(number, world[number, slug]), too_old))
    people = {name: Person(seen) for name, seen in found.items()}
    holders: dict[str, set[str]] = defaultdict(set)
    for name, person in people.items():
        for device in devices(person):
            holders[device].add(name)
    for person in people.values():
        person.sharing = max((len(holders[device]) for device in devices(person)), default=0)
        # HR's word on the manager goes before the others'.
        by_rank = sorted(person.live, key=lambda seen: seen.kind != "hr")
        bosses = [name for seen in by_rank if (name := seen.given("manager")) in people]
        person.manager_known = bool(bosses)
        person.manager_on = people[bosses[0]].enabled if bosses else None
    return people


def devices(person: Person) -> set[str]:
    return {
        factor["device"]
        for seen in person.identity
        if seen.word("mfa_enabled") is not False
        for factor in seen.listed("mfa_factors") or []
        if factor.get("status", "active") == "active" and "device" in factor
        if factor["kind"]
        not in ("sms", "voice")  # "one 11" masks a telephone number, which then names nobody
    }


ANSWERS = {
    Outcome.FAIL: "fails",
    Outcome.UNKNOWN: "unknown",
    Outcome.PASS: "passes",
    Outcome.OUT_OF_SCOPE: "outside",
    Outcome.STALE: "stale",
}
Answers = Mapping[tuple[str, str], str]


def evaluated_by_the_database(now: datetime) -> Answers:
    """check, user → answer, as the pass computes it."""
    rules = [build_rule(check, now) for check in Check.objects.all()]
    answers = {(rule.check.slug, name): "outside" for rule in rules for name in names().values()}
    with evaluate.session(), connection.cursor() as cursor:
        evaluate.evaluate(rules, now)
        cursor.execute(f"SELECT * FROM {statements.OUTCOME_TABLE}")
        for user, *words in cursor.fetchall():
            for index, rule in enumerate(rules):
                place = Place.of(index)
                answer = ANSWERS[Outcome((words[place.word] >> place.shift) & MASK)]
                answers[rule.check.slug, names()[user]] = answer
    return answers


def names() -> dict[int, str]:
    return dict(User.objects.values_list("pk", "name"))


def evaluated_by_the_reference(now: datetime, worlds: Sequence[World], ages: Ages) -> Answers:
    """The last of the worlds that were imported one after the other."""
    hr = any(slug == "hr" for _, slug in worlds[-1])
    return {
        (slug, name): reference.evaluate(slug, person, now, hr_is_known=hr)
        for name, person in persons(worlds[-1], made_in_order(*worlds), ages).items()
        for slug in CATALOGUE
        if reference.is_known(slug)
    }


def open_findings() -> set[tuple[str, str]]:
    rows = Finding.objects.filter(resolved_at__isnull=True).values_list("check_ref__slug", "user__name")
    assert len(rows) == len(set(rows)), "two open findings of one user"
    return set(rows)


def empty() -> None:
    for model in (Finding, CheckResult, Run, Account, User, Source):
        model.objects.all().delete()
    sync_catalogue()
    unwritten = [slug for slug in CATALOGUE if not reference.is_known(slug)]
    Check.objects.filter(slug__in=unwritten).update(enabled=False)


def run() -> Run:
    done = run_checks(trigger="command")
    assert done.state == "succeeded", list(
        done.results.exclude(error="").values_list("check_ref__slug", "error")
    )
    return done


def disagreements(found: Mapping[Any, str], expected: Mapping[Any, str]) -> dict[Any, tuple[str | None, str]]:
    return {key: (found.get(key), answer) for key, answer in expected.items() if found.get(key) != answer}


def check_counts(done: Run, answers: Answers) -> None:
    for result in done.results.select_related("check_ref"):
        slug = result.check_ref.slug
        mine = [answer for (other, _), answer in answers.items() if other == slug]
        still = Finding.objects.filter(check_ref=result.check_ref, resolved_at=None).count()
        assert (result.evaluated, result.failing, result.unknown, result.stale) == (
            len(mine) - mine.count("outside"),
            still,
            mine.count("unknown"),
            mine.count("stale"),
        ), slug


def findings(**which: Any) -> set[tuple[str, str]]:
    return set(Finding.objects.filter(**which).values_list("check_ref__slug", "user__name"))


@pytest.mark.django_db
@examples(15)
@given(worlds, ages)
@undone()
def test_the_database_evaluates_as_the_specification_read_in_python(world, ages):
    empty()
    load(world)
    age(ages)

    done = run()

    expected = evaluated_by_the_reference(done.started_at, [world], ages)
    assert disagreements(evaluated_by_the_database(done.started_at), expected) == {}
    assert open_findings() == {key for key, answer in expected.items() if answer == "fails"}
    check_counts(done, expected)


@pytest.mark.django_db
@examples(8)
@given(st.lists(st.tuples(worlds, ages), min_size=2, max_size=4))
@undone()
def test_findings_open_reopen_and_resolve_as_the_specification_read_in_python(steps):
    empty()
    imported: list[World] = []
    state: dict[tuple[str, str], str] = defaultdict(lambda: "none")
    for change, ages in steps:
        # Some records are new, some differ, the others stay; who had no record keeps having none.
        imported.append({**(imported[-1] if imported else {}), **change})
        load(imported[-1])
        age(ages)

        done = run()

        expected = evaluated_by_the_reference(done.started_at, imported, ages)
        happened: dict[str, set[tuple[str, str]]] = defaultdict(set)
        for key, answer in expected.items():
            state[key], event = reference.follow(state[key], answer)
            happened[event].add(key)
        assert open_findings() == {key for key, finding in state.items() if finding == "open"}
        assert findings(resolution="unknown") == {key for key, f in state.items() if f == "suspended"}
        assert findings(opened_run=done) == happened["new"]
        for resolution in reference.RESOLUTIONS.values():
            assert findings(resolved_run=done, resolution=resolution) == happened[resolution], resolution
        assert sum(done.results.values_list("new", flat=True)) == len(happened["new"])
        check_counts(done, expected)
