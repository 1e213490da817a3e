"""/healthz for load balancers, /metrics for Prometheus: read from the database, the same on every host.

/healthz is open and says little. /metrics is for requests with the bearer token of METRICS_TOKEN,
and to people who are signed in.
"""

import hmac
import shutil
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import Max, Min, Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django_q.models import Schedule

from cii_project.console.core.roles import Role, role_of
from cii_project.metrics import CONTENT_TYPE, exposition
from integrations.models import Integration
from integrations.services import JsonObject
from notifications.models import Delivery, Hold

# A sweep is due each minute: a schedule this late means that no cluster is alive.
LATEST_SCHEDULE = timedelta(minutes=3)
# Due deliveries are sent at once: if one is this old, no worker sends.
OLDEST_DUE = timedelta(minutes=15)
# With less, a run or an import can fill the disk, and then nobody can sign in.
MIN_FREE_BYTES = 64 * 1024 * 1024


def _oldest_due(now: datetime) -> timedelta:
    """Time by which the oldest due delivery of an active target is late."""
    sendable = Q(integration__state=Integration.State.ACTIVE) & (
        Q(integration__breaker_until__isnull=True) | Q(integration__breaker_until__lt=now)
    )
    waiting = Delivery.objects.filter(sendable, state=Delivery.State.DUE, due_at__lte=now)
    due: datetime | None = waiting.aggregate(oldest=Min("due_at"))["oldest"]
    return now - due if due else timedelta()


def _disk() -> str:
    """ "ok" or what is wrong: SQLite cannot write when the disk of its file is full. PostgreSQL's is on its own host."""
    name = str(connection.settings_dict["NAME"])
    if connection.vendor != "sqlite" or not Path(name).is_file():
        return "ok"
    free = shutil.disk_usage(name).free
    return "ok" if free >= MIN_FREE_BYTES else "the disk is nearly full: free disk space"


def _cluster(now: datetime) -> str:
    """ "ok" or what is wrong: the schedules of each minute move only while some cluster's scheduler runs."""
    schedules = Schedule.objects.filter(schedule_type=Schedule.MINUTES).aggregate(
        Min("next_run"), Max("next_run")
    )
    first, last = schedules["next_run__min"], schedules["next_run__max"]
    if last and last > now + LATEST_SCHEDULE:
        return "the schedules wait for a future time, so the clock was set back: run manage.py setup"
    if not first or first < now - LATEST_SCHEDULE:
        return "no cluster is running: start manage.py qcluster"
    return "ok"


def read_health(now: datetime) -> JsonObject:
    """The JSON of /healthz. ``database``, ``cluster``, ``deliveries``: "ok" or the problem.
    ``oldest_due_seconds``: by which the oldest due delivery is late. ``open_holds``: they wait for a member
    and do not make the installation unhealthy."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        oldest = _oldest_due(now)
        cluster = _cluster(now)
        holds = Hold.objects.filter(state=Hold.State.OPEN).count()
    except DatabaseError:
        return {"database": "not reachable"}
    return {
        "database": _disk(),
        "cluster": cluster,
        "deliveries": "ok" if oldest < OLDEST_DUE else "due deliveries are not being sent",
        "oldest_due_seconds": int(oldest.total_seconds()),
        "open_holds": holds,
    }


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """200 when all is well, 503 when not; the same JSON in both cases."""
    state = read_health(timezone.now())
    healthy = all(state.get(part) == "ok" for part in ("database", "cluster", "deliveries"))
    return JsonResponse({"ok": healthy, **state}, status=200 if healthy else 503)


def _may_read(request: HttpRequest) -> bool:
    token = settings.METRICS_TOKEN
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if token and scheme.lower() == "bearer":
        return hmac.compare_digest(given.encode(), token.encode())
    return role_of(request.user) > Role.NONE


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus' text format 0.0.4 (metrics.py)."""
    if not _may_read(request):
        text = "Send the bearer token of METRICS_TOKEN, or sign in.\n"
        return HttpResponse(
            text, status=401, content_type="text/plain", headers={"WWW-Authenticate": "Bearer"}
        )
    now = timezone.now()
    return HttpResponse(exposition(read_health(now), now), content_type=CONTENT_TYPE)


urlpatterns = [path("healthz", healthz, name="healthz"), path("metrics", metrics, name="metrics")]
