"""The database against plain Python: the same records, judged twice, by two pieces of code that share nothing.

Covers the whole way from records over accounts, joining and facts to findings; and the second run, which
looks only at what changed, against the same records in an empty database.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from checks.accounts import import_accounts
from checks.catalogue import CATALOGUE
from checks.models import Account, Check, CheckResult, Finding, Run, Source, User
from checks.rules import place_of
from checks.services import run_checks, sync_catalogue
from checks.verdicts import Verdict
from tests.checks.reference import Person, Seen, judge

SOURCES = {"okta": "identity", "entra": "identity", "hr": "hr"}
PEOPLE = 80
NOW = datetime.now().astimezone()
# Days on both sides of every default, a known future included; the exact boundaries are test_catalogue's.
DAYS = [-2, 0.5, 1.5, 6.5, 7.5, 13.5, 14.5, 29.5, 30.5, 179.5, 180.5, 364.5, 365.5, 900]


def address(number: int) -> str:
    return f"p{number}@corp.test"


def named(number: int, record: Mapping[str, Any]) -> dict[str, Any]:
    return {**record, "login": address(number), "email": address(number)}


# Everybody has a record in every source or not; the same address joins them.
World = Mapping[tuple[int, str], Mapping[str, Any]]
STATUSES = [
    "active",
    "active",
    "active",
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
            device=lambda: self.choice(["one", "two", "three", "four", "five", "six"]),
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


def load(world: World) -> None:
    for slug, kind in SOURCES.items():
        source, _ = Source.objects.get_or_create(slug=slug, defaults={"name": slug, "kind": kind})
        rows = [named(number, record) for (number, where), record in world.items() if where == slug]
        import_accounts(enumerate(rows, 2), source=source, full=True, force=True)


def made_in_order(*worlds: World) -> list[tuple[int, str]]:
    """The keys of the records in the order in which their accounts were made."""
    order = list(SOURCES)
    return list(
        dict.fromkeys(key for world in worlds for key in sorted(world, key=lambda key: order.index(key[1])))
    )


def persons(world: World, made: Sequence[tuple[int, str]]) -> dict[str, Person]:
    """The people of the world as the reference sees them, their accounts in the order in which they were made."""
    found: dict[str, list[Seen]] = defaultdict(list)
    for number, slug in made:
        found[address(number)].append(Seen(SOURCES[slug], named(number, world[number, slug])))
    people = {name: Person(seen) for name, seen in found.items()}
    holders: dict[str, set[str]] = defaultdict(set)
    for name, person in people.items():
        for device in devices(person):
            holders[device].add(name)
    for person in people.values():
        person.sharing = max((len(holders[device]) for device in devices(person)), default=0)
        # HR's word on the manager goes before the others'.
        by_rank = sorted(person.live, key=lambda seen: seen.kind != "hr")
        bosses = [name for seen in by_rank if (name := seen.given("manager")) in people and people[name].live]
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
        if factor["kind"] not in ("sms", "voice")  # "one" is no telephone number
    }


ANSWERS = {
    Verdict.FAILS: "fails",
    Verdict.UNKNOWN: "unknown",
    Verdict.PASSES: "passes",
    Verdict.OUT_OF_SCOPE: "outside",
}


def judged_by_the_database() -> dict[tuple[str, str], str]:
    """check, user → answer, from the stored verdicts."""
    places = {check.slug: place_of(check) for check in Check.objects.all()}
    answers = {}
    for name, *words in User.objects.values_list("name", "verdict_a", "verdict_b"):
        for slug, at in places.items():
            bits = words[at.word] & at.mask
            answers[slug, name] = next(ANSWERS[verdict] for verdict in Verdict if at.bits(verdict) == bits)
    return answers


def judged_by_the_reference(
    now: datetime, before: World, after: World | None = None
) -> dict[tuple[str, str], str]:
    world = before if after is None else after
    hr = any(slug == "hr" for _, slug in world)
    return {
        (slug, name): judge(slug, person, now, hr_is_known=hr)
        for name, person in persons(world, made_in_order(before, world)).items()
        for slug in CATALOGUE
    }


def open_findings() -> set[tuple[str, str]]:
    rows = Finding.objects.filter(resolved_at__isnull=True).values_list("check_ref__slug", "user__name")
    assert len(rows) == len(set(rows)), "two open findings of one user"
    return set(rows)


def empty() -> None:
    for model in (Finding, CheckResult, Run, Account, User, Source):
        model.objects.all().delete()
    sync_catalogue()


def run() -> Run:
    done = run_checks(trigger="command")
    assert done.state == "succeeded", list(
        done.results.exclude(error="").values_list("check_ref__slug", "error")
    )
    return done


def disagreements(found: Mapping[Any, str], expected: Mapping[Any, str]) -> dict[Any, tuple[str | None, str]]:
    return {key: (found.get(key), answer) for key, answer in expected.items() if found.get(key) != answer}


def check_counts(done: Run, answers: Mapping[tuple[str, str], str]) -> None:
    for result in done.results.select_related("check_ref"):
        mine: Sequence[str] = [
            answer for (slug, _), answer in answers.items() if slug == result.check_ref.slug
        ]
        assert (result.evaluated, result.failing, result.unknown) == (
            len(mine) - mine.count("outside"),
            mine.count("fails"),
            mine.count("unknown"),
        ), result.check_ref.slug


@pytest.mark.django_db
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(worlds)
def test_the_database_judges_as_the_specification_read_in_python(world):
    empty()
    load(world)

    done = run()

    expected = judged_by_the_reference(done.started_at, world)
    found = judged_by_the_database()
    assert disagreements(found, expected) == {}
    assert open_findings() == {key for key, answer in expected.items() if answer == "fails"}
    check_counts(done, found)


@pytest.mark.django_db
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(worlds, worlds)
def test_a_second_run_over_changed_records_ends_where_a_first_one_would(before, change):
    empty()
    load(before)
    run()
    failed_before = open_findings()
    # Some records are new, some differ, the others stay; who had no record keeps having none.
    after = {**before, **change}
    load(after)

    second = run()

    expected = judged_by_the_reference(second.started_at, before, after)
    found = judged_by_the_database()
    assert disagreements(found, expected) == {}
    failing = {key for key, answer in expected.items() if answer == "fails"}
    assert open_findings() == failing
    opened = set(Finding.objects.filter(opened_run=second).values_list("check_ref__slug", "user__name"))
    resolved = Finding.objects.filter(resolved_run=second).values_list(
        "check_ref__slug", "user__name", "resolution"
    )
    assert opened == failing - failed_before
    reasons = {"passes": "cured", "unknown": "unknown", "outside": "out_of_scope"}
    assert set(resolved) == {
        (slug, name, reasons[expected[slug, name]]) for slug, name in failed_before - failing
    }
    check_counts(second, found)
