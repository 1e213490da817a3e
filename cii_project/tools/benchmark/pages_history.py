"""The step that gives the users of ``pages`` a past: months of runs, findings, messages and attempts.

It is written straight into the tables, since the product would take the months themselves. The open
findings of the run before it stay.
"""

# ruff: noqa: S608  the statements are put together from our own names

import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice

from django.db import connection, transaction
from django.db.models import Max, Min
from django.utils import timezone

from checks.models import Check, CheckResult, Exclusion, Finding, Import, Run, Source, User
from cii_project.tools.benchmark.steps import step
from integrations.models import Integration
from integrations.services import JsonObject, save_integration
from notifications.models import Attempt, Audience, Delivery, Event, Hold
from notifications.services import FindingRanges, subscribe

RUNS = 60  # one a day, the last one now
TARGETS = 12
MESSAGES = 100_000
EXCLUSIONS = 1000
BATCH = 5000
HELD = 5000
BODY = (
    b'{"detail": {"checkId": "benchmark", "users": [' + b'{"login": "somebody@example.com"}, ' * 100 + b"]}}"
)
KEPT = timedelta(days=14)  # bodies are retained as long


@step
def history(findings: int) -> JsonObject:
    """``findings`` open ones at least, half as many resolved, and of deliveries one a user up to 100,000."""
    last = Run.objects.latest("created_at")
    runs = [*_runs(last), last]
    with transaction.atomic():
        _findings(runs, findings)
    targets = _targets()
    _results(runs)
    Exclusion.objects.bulk_create(_exclusions(), batch_size=BATCH)
    Import.objects.bulk_create(_imports())
    deliveries = _deliveries(_events(runs), targets, min(MESSAGES, User.objects.count()))
    while made := list(islice(deliveries, BATCH)):
        Delivery.objects.bulk_create(made)
        Attempt.objects.bulk_create([attempt for delivery in made for attempt in _attempts(delivery)])
    _hold()
    found = Finding.objects.filter(resolved_at=None).count()
    return {
        "open": found,
        "findings": Finding.objects.count(),
        "deliveries": Delivery.objects.count(),
        "attempts": Attempt.objects.count(),
    }


def _runs(last: Run) -> list[Run]:
    made = []
    for days in range(RUNS - 1, 0, -1):
        start = last.created_at - timedelta(days=days)
        run = Run.objects.create(state="succeeded", trigger="schedule", users=last.users)
        run.created_at = run.started_at = start
        run.finished_at = start + timedelta(seconds=40)
        run.save()
        made.append(run)
    return made


def _findings(runs: list[Run], findings: int) -> None:
    """Write all again, in the order of the runs that opened them, as they arise in time."""
    run_of = Finding._meta.get_field("opened_run").get_db_prep_value
    time_of = Finding._meta.get_field("opened_at").get_db_prep_value
    with connection.cursor() as cursor:
        key, time = ("uuid", "timestamptz") if connection.vendor == "postgresql" else ("char(32)", "datetime")
        cursor.execute(f"CREATE TEMPORARY TABLE past_run (n INTEGER PRIMARY KEY, id {key}, at {time})")
        cursor.executemany(
            "INSERT INTO past_run VALUES (%s, %s, %s)",
            [
                (n, run_of(run.pk, connection), time_of(run.started_at, connection))
                for n, run in enumerate(runs)
            ],
        )
        when = f"(user_id * 7919 + check_id * 31) % {RUNS}"
        cursor.execute(
            "CREATE TEMPORARY TABLE past (check_id INTEGER, user_id BIGINT, opened INTEGER, resolved INTEGER)"
        )
        cursor.execute(f"INSERT INTO past SELECT check_id, user_id, {when}, NULL FROM checks_finding")
        have = cursor.rowcount
        # The failing users of the largest checks, if nearly all users failed them.
        cursor.execute("SELECT check_id FROM past GROUP BY check_id ORDER BY COUNT(*) DESC, check_id")
        for (check,) in cursor.fetchall():
            if have >= findings:
                break
            cursor.execute(
                f"INSERT INTO past SELECT {check}, user_id, {when.replace('check_id', str(check))}, NULL"
                " FROM (SELECT id AS user_id FROM checks_user"
                f" WHERE protected AND id NOT IN (SELECT user_id FROM past WHERE check_id = {check})"
                f" ORDER BY id LIMIT {findings - have}) AS more"
            )
            have += cursor.rowcount
        earlier = "opened * (user_id % 7) / 7"
        cursor.execute(
            f"INSERT INTO past SELECT check_id, user_id, {earlier}, {earlier} + 1 FROM past"
            f" WHERE opened > 0 LIMIT {findings // 2}"
        )
        cursor.execute("DELETE FROM checks_finding")
        cursor.execute(
            "INSERT INTO checks_finding (check_id, user_id, opened_at, opened_run_id, resolved_at,"
            " resolved_run_id, resolution) SELECT past.check_id, past.user_id, o.at, o.id, r.at, r.id,"
            " CASE WHEN r.id IS NULL THEN '' ELSE 'cured' END FROM past JOIN past_run AS o ON o.n = past.opened"
            " LEFT JOIN past_run AS r ON r.n = past.resolved ORDER BY past.opened, past.check_id, past.user_id"
        )
        cursor.execute("DROP TABLE past")
        cursor.execute("DROP TABLE past_run")


def _results(runs: list[Run]) -> None:
    last = list(CheckResult.objects.filter(run=runs[-1]))
    CheckResult.objects.bulk_create(
        CheckResult(
            run=run,
            check_ref_id=one.check_ref_id,
            severity=one.severity,
            evaluated=one.evaluated,
            failing=one.failing * (RUNS + number) // (2 * RUNS),
            new=one.failing // RUNS,
            resolved=one.failing // (2 * RUNS),
            unknown=one.unknown,
            finished_at=run.finished_at,
        )
        for number, run in enumerate(runs[:-1])
        for one in last
    )


def _targets() -> list[Integration]:
    targets = []
    for number in range(TARGETS):
        document = {
            "url": f"http://127.0.0.1:9/{number}",
            "authorization": {"type": "basic", "username": "benchmark", "password": "a-password"},
        }
        saved = save_integration(name=f"Target {number}", kind="webhook", document=document)
        targets.append(saved.integration)
    for check in Check.objects.all():
        for target in targets[check.pk % 3 :: 3]:
            subscribe(check, target)
        subscribe(check, targets[0], Audience.USER)
    return targets


def _hold() -> None:
    """An open hold of the newest messages to people."""
    mine = Delivery.objects.filter(audience=Audience.USER).order_by("-created_at", "-id")
    ids = list(mine.values_list("id", flat=True)[:HELD])
    now, count = timezone.now(), len(ids)
    hold = Hold.objects.create(created_at=now, messages=count, people=count, counted=count, max_people=1)
    Delivery.objects.filter(id__in=ids).update(hold=hold)


def _exclusions() -> Iterator[Exclusion]:
    findings = Finding.objects.filter(resolved_at=None).order_by("-id")
    for check, user in findings.values_list("check_ref_id", "user_id")[:EXCLUSIONS]:
        yield Exclusion(check_ref_id=check, user_id=user, reason="Break-glass account, reviewed each quarter")


def _imports() -> Iterator[Import]:
    for days in range(RUNS, 0, -1):
        for source in Source.objects.all():
            at = timezone.now() - timedelta(days=days)
            yield Import(source=source, state="succeeded", started_at=at, finished_at=at, read=100)


def _events(runs: list[Run]) -> list[Event]:
    """One a run and check, the latest first."""
    checks = list(Check.objects.values_list("pk", flat=True))
    events = [
        Event(run=run, check_ref_id=check, users=100, created_at=run.created_at)
        for run in reversed(runs)
        for check in checks
    ]
    return Event.objects.bulk_create(events)


def _deliveries(events: list[Event], targets: list[Integration], count: int) -> Iterator[Delivery]:
    """Half of them lists, spread over all events and targets; half messages to the people of open findings."""
    lists = count // 2
    spoken_of = _spoken_of()
    for number in range(lists):
        event, round_ = events[number % len(events)], number // len(events)
        about = spoken_of.get((event.run_id, event.check_ref_id))
        batch = {"batch": 1 + round_ // TARGETS, "users": 100, "finding_ranges": about}
        yield _delivery(number, event, targets[round_ % TARGETS], **batch)
    by_run = {(event.run_id, event.check_ref_id): event for event in events}
    found = Finding.objects.filter(resolved_at=None).order_by("-id")
    columns = found.values_list("pk", "user_id", "opened_run_id", "check_ref_id")
    for number, (finding, user, run, check) in enumerate(columns[: count - lists]):
        person = {
            "audience": "user",
            "batch": number,
            "recipient_id": user,
            "finding_id": finding,
            "users": 1,
        }
        yield _delivery(number, by_run[run, check], targets[0], **person)


def _spoken_of() -> dict[tuple[object, object], FindingRanges]:
    """The findings in the lists of a run and check: all between its first and its last."""
    found = Finding.objects.order_by().values_list("opened_run", "check_ref")
    ends = found.annotate(first=Min("pk"), last=Max("pk"))
    return {
        (run, check): {"first": first, "last": last, "ranges": [[first, last]]}
        for run, check, first, last in ends
    }


def _delivery(number: int, event: Event, target: Integration, **values: object) -> Delivery:
    """An unsaved delivery. Of 200, five are dead, one waits and one was skipped."""
    place = number * 7 % 200
    state = "dead" if place < 5 else "due" if place == 5 else "skipped" if place == 6 else "delivered"
    at = event.created_at + timedelta(milliseconds=number % 60_000)
    return Delivery(
        id=uuid.uuid4(),
        event=event,
        integration=target,
        state=state,
        created_at=at,
        due_at=at if state == "due" else None,
        finished_at=None if state == "due" else at,
        delivered_at=at if state == "delivered" else None,
        body=BODY if _kept(at) else None,
        status_code={"delivered": 200, "dead": 404}.get(state),
        reason="The receiver answered 404 Not Found." if state == "dead" else "",
        **values,
    )


def _kept(at: datetime) -> bool:
    return timezone.now() - at < KEPT


def _attempts(delivery: Delivery) -> Iterator[Attempt]:
    for number in range(1, {"delivered": 2, "dead": 9}.get(delivery.state, 1)):
        arrived = delivery.state == "delivered"
        yield Attempt(
            delivery=delivery,
            number=number,
            started_at=delivery.created_at + timedelta(minutes=number),
            latency_ms=40,
            outcome="delivered" if arrived else "retryable",
            status_code=delivery.status_code,
            reason=delivery.reason,
            response_headers={"Content-Type": "application/json"},
            response_body='{"status": "accepted"}',
        )
