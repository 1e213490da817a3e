"""Sixty days of past for the demonstration, so that trends, times to cure and the report show something at once.

One run without notifications finds the users who fail today. Its findings are then spread over daily runs of
the last sixty days, with others that have been cured; the counts of each run follow from its findings, so all
pages agree. A tenth of the findings of today is left out: the run that the demonstration shows finds and
sends it.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from checks.models import Account, CheckResult, Finding, GroupResult, Run, User
from checks.services import run_checks

DAYS = 60
BACKLOG = 0.55  # of the findings, open since the first day or before
TODAY = 0.1  # of the findings, found by the run that comes next
CURED = 0.9  # findings that have been cured, for each that is still open
TYPICAL_CURE = 9.0  # days
BATCH = 2000


@dataclass(frozen=True, slots=True)
class PastFinding:
    """A finding by the places of its days; ``resolved`` is None while it is open."""

    check: int
    user: int
    opened: int
    resolved: int | None = None


def write_past(now: datetime, seed: int) -> int:
    """Give an installation that never ran a past of ``DAYS`` days before ``now``; returns the number of its findings."""
    silent = run_checks(trigger=Run.Trigger.COMMAND, notify=False)
    chance = random.Random(seed)  # nosec B311  made-up data
    results = list(silent.results.select_related("check_ref").filter(error=""))
    failing: defaultdict[int, list[int]] = defaultdict(list)
    for check, user in Finding.objects.order_by("check_ref_id", "user_id").values_list(
        "check_ref_id", "user_id"
    ):
        failing[check].append(user)
    everybody = list(User.objects.filter(protected=True).order_by("pk").values_list("pk", flat=True))
    found = sorted(
        (one for check, users in failing.items() for one in _of_check(check, users, everybody, chance)),
        key=lambda one: (one.opened, one.check, one.user),
    )
    with transaction.atomic():
        Finding.objects.all().delete()
        runs = _runs(now, silent, found)
        _store_findings(runs, found)
        _store_results(runs, results, found)
        _store_groups(runs, found)
        silent.delete()
    return len(found)


def _of_check(
    check: int, users: Sequence[int], everybody: Sequence[int], chance: random.Random
) -> Iterable[PastFinding]:
    """Most users who fail today, each from some day on, and others who failed for a while."""
    shuffled = chance.sample(list(users), len(users))
    kept = shuffled[max(1, round(TODAY * len(users))) :]
    for user in kept:
        opened = 0 if chance.random() < BACKLOG else chance.randrange(1, DAYS)
        yield PastFinding(check, user, opened)
    others = sorted(set(everybody) - set(users))
    for user in chance.sample(others, min(len(others), round(CURED * len(users)))):
        lasted = min(1 + int(chance.expovariate(1 / TYPICAL_CURE)), DAYS - 1)
        opened = 0 if chance.random() < BACKLOG else chance.randrange(DAYS - lasted)
        yield PastFinding(check, user, opened, opened + lasted)


def _runs(now: datetime, silent: Run, found: Sequence[PastFinding]) -> list[Run]:
    counts: Counter[int] = Counter()
    per_day = _changes(found)
    runs = []
    for place in range(DAYS):
        opened, resolved = per_day[place]
        counts.update(one.user for one in opened)
        counts.subtract(one.user for one in resolved)
        start = now - timedelta(days=DAYS - place)
        runs.append(
            Run(
                state=Run.State.SUCCEEDED,
                trigger=Run.Trigger.SCHEDULE,
                notify=False,
                started_at=start,
                finished_at=start + timedelta(seconds=4),
                users=silent.users,
                failing_users=sum(number > 0 for number in counts.values()),
            )
        )
    Run.objects.bulk_create(runs)
    for run in runs:
        run.created_at = run.started_at or now
    Run.objects.bulk_update(runs, ["created_at"])
    return runs


def _changes(found: Sequence[PastFinding]) -> dict[int, tuple[list[PastFinding], list[PastFinding]]]:
    """Day → what opened and what was resolved on it."""
    days: dict[int, tuple[list[PastFinding], list[PastFinding]]] = {place: ([], []) for place in range(DAYS)}
    for one in found:
        days[one.opened][0].append(one)
        if one.resolved is not None:
            days[one.resolved][1].append(one)
    return days


def _store_findings(runs: Sequence[Run], found: Sequence[PastFinding]) -> None:
    """In the order of the runs that opened them, as findings arise."""
    Finding.objects.bulk_create(
        (
            Finding(
                check_ref_id=one.check,
                user_id=one.user,
                opened_run=runs[one.opened],
                opened_at=runs[one.opened].created_at,
                resolved_run=None if one.resolved is None else runs[one.resolved],
                resolved_at=None if one.resolved is None else runs[one.resolved].created_at,
                resolution="" if one.resolved is None else Finding.Resolution.CURED,
            )
            for one in found
        ),
        batch_size=BATCH,
    )


def _store_results(runs: Sequence[Run], results: Sequence[CheckResult], found: Sequence[PastFinding]) -> None:
    opened = Counter((one.check, one.opened) for one in found)
    resolved = Counter((one.check, one.resolved) for one in found if one.resolved is not None)
    rows = []
    for result in results:
        failing = 0
        for place, run in enumerate(runs):
            new, ended = opened[result.check_ref_id, place], resolved[result.check_ref_id, place]
            failing += new - ended
            rows.append(
                CheckResult(
                    run=run,
                    check_ref=result.check_ref,
                    severity=result.severity,
                    evaluated=result.evaluated,
                    failing=failing,
                    new=new,
                    resolved=ended,
                    unknown=result.unknown,
                    stale=result.stale,
                    unknown_causes=result.unknown_causes,
                    duration_ms=result.duration_ms,
                    finished_at=run.finished_at,
                )
            )
    # In the order of the runs: the latest result of a check is the one with the highest id.
    CheckResult.objects.bulk_create(sorted(rows, key=lambda row: row.run.created_at), batch_size=BATCH)


def _store_groups(runs: Sequence[Run], found: Sequence[PastFinding]) -> None:
    """Departments and sources at the end of each run."""
    departments = dict(User.objects.filter(protected=True).values_list("pk", "department"))
    sources: defaultdict[int, set[str]] = defaultdict(set)
    accounts = Account.objects.filter(user__protected=True, source__deleted_at=None)
    for user, source in accounts.values_list("user_id", "source__name"):
        sources[user or 0].add(source)
    groups = {
        GroupResult.Dimension.DEPARTMENT: {user: [name] for user, name in departments.items()},
        GroupResult.Dimension.SOURCE: {user: sorted(names) for user, names in sources.items()},
    }
    users = {
        dimension: Counter(name for names in names_of.values() for name in names)
        for dimension, names_of in groups.items()
    }
    rows: list[GroupResult] = []
    open_now: Counter[int] = Counter()
    for place, (opened, resolved) in _changes(found).items():
        open_now.update(one.user for one in opened)
        open_now.subtract(one.user for one in resolved)
        for dimension, names_of in groups.items():
            failing: Counter[str] = Counter()
            findings: Counter[str] = Counter()
            for user, number in open_now.items():
                for name in names_of.get(user, ()) if number else ():
                    failing[name] += 1
                    findings[name] += number
            rows += [
                GroupResult(
                    run=runs[place],
                    dimension=dimension,
                    name=name,
                    users=number,
                    failing_users=failing[name],
                    findings=findings[name],
                )
                for name, number in users[dimension].items()
            ]
    GroupResult.objects.bulk_create(rows, batch_size=BATCH)
