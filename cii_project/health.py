"""/healthz for load balancers, /metrics for Prometheus: read from the database, the same on every host.

/healthz is open and says little. /metrics is shown to whoever sends the bearer token of METRICS_TOKEN,
and to people who are signed in.
"""

import hmac
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, cast

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import Count, Min, Q, QuerySet, Sum
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django_q.models import Schedule

from checks.models import Run
from cii_project.console.roles import Role, role_of
from integrations.models import Integration
from notifications.models import Attempt, Delivery

# A sweep is due each minute: a schedule this late means that no cluster is alive.
LATEST_SCHEDULE = timedelta(minutes=3)
# What is due is sent at once; this old means that nobody sends.
OLDEST_DUE = timedelta(minutes=15)
BUCKETS_MS = (50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000)
WINDOW = timedelta(hours=1)


def _oldest_due(now: datetime) -> timedelta:
    """How long the oldest due delivery of an active target has waited past its time."""
    sendable = Q(integration__state=Integration.State.ACTIVE) & (
        Q(integration__breaker_until__isnull=True) | Q(integration__breaker_until__lt=now)
    )
    waiting = Delivery.objects.filter(sendable, state=Delivery.State.DUE, due_at__lte=now)
    due: datetime | None = waiting.aggregate(oldest=Min("due_at"))["oldest"]
    return now - due if due else timedelta()


def _cluster_is_alive(now: datetime) -> bool:
    """The schedules of each minute move only while some cluster's scheduler runs, whatever the broker."""
    late = Schedule.objects.filter(schedule_type=Schedule.MINUTES, next_run__lt=now - LATEST_SCHEDULE)
    return Schedule.objects.filter(schedule_type=Schedule.MINUTES).exists() and not late.exists()


def state_of_health(now: datetime) -> dict[str, Any]:
    """``database``, ``cluster``, ``deliveries``: "ok" or what is wrong, and ``oldest_due_seconds``."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        oldest = _oldest_due(now)
        alive = _cluster_is_alive(now)
    except DatabaseError:
        return {"database": "not reachable"}
    return {
        "database": "ok",
        "cluster": "ok" if alive else "no cluster is running: start manage.py qcluster",
        "deliveries": "ok" if oldest < OLDEST_DUE else "due deliveries are not being sent",
        "oldest_due_seconds": int(oldest.total_seconds()),
    }


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """200 when all is well, 503 when not; the same JSON in both cases."""
    state = state_of_health(timezone.now())
    healthy = all(state.get(part) == "ok" for part in ("database", "cluster", "deliveries"))
    return JsonResponse({"ok": healthy, **state}, status=200 if healthy else 503)


def _may_read(request: HttpRequest) -> bool:
    token = settings.METRICS_TOKEN
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if token and scheme.lower() == "bearer":
        return hmac.compare_digest(given.encode(), token.encode())
    return role_of(request.user) > Role.NONE


def _sample(name: str, value: float, **labels: str) -> str:
    escaped = {
        key: text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        for key, text in labels.items()
    }
    inside = ",".join(f'{key}="{text}"' for key, text in escaped.items())
    return f"{name}{{{inside}}} {value:g}" if inside else f"{name} {value:g}"


def _metric(name: str, kind: str, text: str, samples: Iterable[str]) -> list[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}", *samples]


def _latency(attempts: QuerySet[Attempt]) -> list[str]:
    within = {f"le_{limit}": Count("pk", filter=Q(latency_ms__lte=limit)) for limit in BUCKETS_MS}
    rows = attempts.values("delivery__integration__kind").annotate(
        **within, total=Count("pk"), spent=Sum("latency_ms")
    )
    name = "cii_attempt_latency_seconds"
    samples: list[str] = []
    for row in cast("Iterable[dict[str, Any]]", rows.order_by("delivery__integration__kind")):
        kind = row["delivery__integration__kind"]
        samples += [
            _sample(f"{name}_bucket", row[f"le_{limit}"], kind=kind, le=f"{limit / 1000:g}")
            for limit in BUCKETS_MS
        ]
        samples += [
            _sample(f"{name}_bucket", row["total"], kind=kind, le="+Inf"),
            _sample(f"{name}_sum", (row["spent"] or 0) / 1000, kind=kind),
            _sample(f"{name}_count", row["total"], kind=kind),
        ]
    return _metric(name, "histogram", "Time to the answer, attempts of the last hour", samples)


def _deliveries() -> list[str]:
    unsettled = Delivery.objects.filter(state__in=(*Delivery.OPEN, Delivery.State.DEAD))
    rows = unsettled.values("integration__kind", "state").annotate(count=Count("pk")).order_by()
    samples = [
        _sample("cii_deliveries", row["count"], kind=row["integration__kind"], state=row["state"])
        for row in rows
    ]
    return _metric(
        "cii_deliveries", "gauge", "Deliveries that are due, being sent or dead letters", sorted(samples)
    )


def _attempts(attempts: QuerySet[Attempt]) -> list[str]:
    rows = attempts.values("delivery__integration__kind", "outcome").annotate(count=Count("pk")).order_by()
    name = "cii_attempts_last_hour"
    samples = [
        _sample(name, row["count"], kind=row["delivery__integration__kind"], outcome=row["outcome"])
        for row in rows
    ]
    return _metric(name, "gauge", "Attempts of the last hour by outcome", sorted(samples))


def _runs() -> list[str]:
    rows = Run.objects.values("state").annotate(count=Count("pk")).order_by("state")
    lines = _metric(
        "cii_runs",
        "gauge",
        "Runs by state",
        [_sample("cii_runs", row["count"], state=row["state"]) for row in rows],
    )
    last = Run.objects.filter(finished_at__isnull=False).order_by("-finished_at").first()
    if last is None or last.finished_at is None:
        return lines
    name = "cii_last_run_finished_timestamp_seconds"
    lines += _metric(name, "gauge", "When the last run ended", [f"{name} {last.finished_at.timestamp():.0f}"])
    failing = [
        _sample("cii_check_failing", result.failing, check=result.check_ref.slug, severity=result.severity)
        for result in last.results.select_related("check_ref").order_by("check_ref__slot")
    ]
    return lines + _metric("cii_check_failing", "gauge", "Users failing a check in the last run", failing)


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus' text format 0.0.4."""
    if not _may_read(request):
        text = "Send the bearer token of METRICS_TOKEN, or sign in.\n"
        return HttpResponse(
            text, status=401, content_type="text/plain", headers={"WWW-Authenticate": "Bearer"}
        )
    now = timezone.now()
    recent = Attempt.objects.filter(started_at__gte=now - WINDOW)
    state = state_of_health(now)
    lines = [
        *_metric(
            "cii_cluster_up",
            "gauge",
            "Whether a cluster runs",
            [_sample("cii_cluster_up", state["cluster"] == "ok")],
        ),
        *_metric(
            "cii_oldest_due_seconds",
            "gauge",
            "How long the oldest due delivery waits past its time",
            [_sample("cii_oldest_due_seconds", state["oldest_due_seconds"])],
        ),
        *_deliveries(),
        *_attempts(recent),
        *_latency(recent),
        *_runs(),
    ]
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain; version=0.0.4; charset=utf-8")


urlpatterns = [path("healthz", healthz, name="healthz"), path("metrics", metrics, name="metrics")]
