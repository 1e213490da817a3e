"""Steps of ``deliver``: users who fail one check, targets, the plan, what is due, the bare loop."""

from collections.abc import Sequence
from contextlib import suppress
from time import perf_counter, sleep

import psutil
from django.db import connection
from django.db.models import Avg, Count
from django.utils import timezone
from django_q.brokers import get_broker

from checks.models import Check, Run, Source
from checks.services import import_accounts
from cii_project.tools.benchmark import bare_requests
from cii_project.tools.benchmark.common_steps import tidy
from cii_project.tools.benchmark.measuring import measured, peak_mb
from cii_project.tools.benchmark.steps import step
from integrations.models import Integration
from integrations.services import JsonObject, save_integration
from notifications import services
from notifications.models import Attempt, Configuration, Delivery
from notifications.planning import check_events

CHECK = "no-mfa"


@step
def plan(messages: int, batch: int, port: int) -> JsonObject:
    """One message to each user and lists of ``batch`` users, planned by a run of the daily task's code."""
    source = Source.objects.get(slug="okta")
    import_accounts(enumerate(map(_user, range(messages)), start=1), source=source)
    Configuration.objects.update(max_users_per_event=batch, max_people_per_run=0, max_people_percent=0)
    check = Check.objects.get(slug=CHECK)
    for name, audience in (("direct", "user"), ("lists", "list")):
        services.subscribe(check, _target(name, port, f"/{name}"), audience)
    taken = 0.0
    original = check_events.plan

    def timed(run: Run, check: Check) -> int:
        nonlocal taken
        start = perf_counter()
        count = original(run, check)
        taken += perf_counter() - start
        return count

    check_events.plan = timed
    with measured() as result:
        services.run_and_notify(trigger=Run.Trigger.SCHEDULE, slugs=(CHECK,))
    counts = dict(Delivery.objects.values_list("audience").annotate(Count("id")).order_by())
    _purge()
    return {**result, "planning": taken, "direct": counts.get("user", 0), "lists": counts.get("list", 0)}


def _user(index: int) -> JsonObject:
    login = f"user{index}@example.com"
    return {
        "login": login,
        "email": login,
        "display_name": f"User {index}",
        "status": "active",
        "user_type": "internal",
        "created_at": "2024-05-06T07:08:09Z",
        "last_sign_in_at": "2026-01-02T03:04:05Z",
        "mfa_enabled": False,
        "mfa_factors": [],
    }


def _target(name: str, port: int, path: str) -> Integration:
    document = {
        "url": f"http://127.0.0.1:{port}{path}",
        "authorization": {"type": "basic", "username": "benchmark", "password": "a-password"},
    }
    existing = Integration.objects.filter(name=name).first()
    saved = save_integration(
        name=name, kind="webhook", document=document, limits={"concurrency": 1000}, integration=existing
    )
    return saved.integration


def _purge() -> None:
    """Drop the dispatch tasks that planning requested; the measurement requests one when the workers are
    ready."""
    get_broker().purge_queue()


@step
def arm(paths: Sequence[str], count: int, port: int) -> JsonObject:
    """Make ``count`` direct messages due, spread over one target a path; everything else is settled."""
    now = timezone.now()
    Attempt.objects.all().delete()
    Delivery.objects.update(state="delivered", due_at=None, lease="", lease_until=None, finished_at=now)
    Integration.objects.update(breaker_until=None, consecutive_failures=0, failing_since=None)
    ids = list(
        Delivery.objects.filter(audience="user").order_by("batch").values_list("id", flat=True)[:count]
    )
    for place, path in enumerate(paths):
        target = _target(f"target {place}", port, path)
        mine = ids[place :: len(paths)]
        for start in range(0, len(mine), 5000):
            Delivery.objects.filter(id__in=mine[start : start + 5000]).update(
                state="due",
                due_at=now,
                integration=target,
                attempts=0,
                first_attempt_at=None,
                delivered_at=None,
            )
    tidy()
    return {"due": len(ids)}


@step
def send(cluster: int, seconds: float, but: Sequence[str] = ()) -> JsonObject:
    """Request a dispatch, and wait until no delivery is open that can be sent (except to the target ``but``).
    ``cluster``: process id. ``cpu``: seconds that its processes used; ``peak_mb``: of the largest.
    ``latency``: mean seconds of an attempt that was delivered.
    """
    processes = [psutil.Process(cluster), *psutil.Process(cluster).children(recursive=True)]
    waiting = Delivery.objects.filter(state__in=("due", "sending")).exclude(integration__name__in=but)
    due = waiting.count()
    before, database, start = _cpu(processes), _database(), perf_counter()
    services.request_workers()
    while perf_counter() - start < seconds and waiting.exists():
        sleep(0.2)
    used = {name: value - database[name] for name, value in _database().items()}
    states = Delivery.objects.values_list("state").annotate(Count("id")).order_by()
    latency = Attempt.objects.filter(outcome="delivered").aggregate(ms=Avg("latency_ms"))["ms"] or 0
    return {
        **used,
        "latency": latency / 1000,
        "due": due,
        "cpu": _cpu(processes) - before,
        "seconds": perf_counter() - start,
        "peak_mb": max(peak_mb(process.pid) for process in processes),
        "states": dict(states),
        "attempts": Attempt.objects.count(),
    }


def _database() -> dict[str, float]:
    """Use of this database's processes so far: seconds of CPU (0 on another machine) and transactions."""
    if connection.vendor != "postgresql":
        return {}
    with connection.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")
        pids = [pid for (pid,) in cursor.fetchall()]
        cursor.execute("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
        (transactions,) = cursor.fetchone()
    cpu = 0.0
    for pid in pids:
        with suppress(psutil.Error):
            cpu += _cpu([psutil.Process(pid)])
    return {"database_cpu": cpu, "transactions": transactions}


def _cpu(processes: Sequence[psutil.Process]) -> float:
    return sum(times.user + times.system for times in (process.cpu_times() for process in processes))


@step
def bare_loop(port: int, path: str, count: int, trust_env: bool) -> JsonObject:
    """One ``requests.Session``, one loop, the same bytes."""
    rows = Delivery.objects.filter(audience="user").order_by("batch")[:count].values_list("id", "body")
    events = [(str(id), bytes(body or b"")) for id, body in rows]
    with measured() as result:
        bare_requests.post_all(f"http://127.0.0.1:{port}{path}", events, trust_env=trust_env)
    size = sum(len(body) for _, body in events) / len(events)
    return {**result, "events": len(events), "bytes": size}
