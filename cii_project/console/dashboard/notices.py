"""Notices of what needs attention, and on an empty installation the first steps."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count
from django.utils import timezone

from checks.models import Check, CheckResult, Import, Run, Source
from cii_project.console.core.console_view import page_url
from cii_project.console.core.source_rows import lost_labels
from cii_project.console.core.titles import check_title
from cii_project.console.core.viewer_zone import recent_time, shown_day
from cii_project.sync.status import held_sync, is_stale
from integrations import services
from integrations.models import Integration, SourceConnection, Sync
from integrations.services import secret_expiry
from notifications.models import Configuration, Delivery, Event, Hold, Subscription
from notifications.services import held_messages, hold_reason

STALE_AFTER = timedelta(days=7)
# A daily run that is this long overdue has been missed: a day, and time enough for a long run.
LATE_AFTER = timedelta(hours=26)
# A worker sweeps each minute.
WORKER_SILENT_AFTER = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Notice:
    level: str  # danger, warning
    text: str
    url: str
    action: str


@dataclass(frozen=True, slots=True)
class FirstStep:
    done: bool
    title: str
    text: str
    url: str
    action: str


def worker_notices(configuration: Configuration, run: Run | None, now: datetime) -> list[Notice]:
    """The notice that no worker runs. A worker sweeps each minute; a busy one may be late."""
    signs = [configuration.swept_at]
    if run is not None and run.state == Run.State.RUNNING:
        signs.append(run.heartbeat_at)
    seen = max(filter(None, signs), default=None)
    # Before the first sweep the first steps say what to do.
    if seen is None or now - seen < WORKER_SILENT_AFTER:
        return []
    text = (
        f"No worker since {recent_time(seen, now)}: nothing is evaluated, synced or sent. "
        "Start manage.py qcluster."
    )
    return [Notice("danger", text, page_url("runs"), "See the runs")]


def paused_notices(integrations: Iterable[Integration]) -> list[Notice]:
    """The targets that a member has paused, and what waits for each. One query."""
    paused = [one for one in integrations if one.state == Integration.State.PAUSED]
    if not paused:
        return []
    waiting = dict(
        Delivery.objects.filter(integration__in=paused, state=Delivery.State.DUE)
        .order_by()
        .values_list("integration")
        .annotate(number=Count("id"))
    )
    return [_paused_notice(one, waiting.get(one.pk, 0)) for one in paused]


def _paused_notice(integration: Integration, waiting: int) -> Notice:
    what = "1 message waits" if waiting == 1 else f"{waiting:,} messages wait" if waiting else "nothing waits"
    text = f"“{integration.name}” is paused; {what}."
    if not waiting:
        return Notice("warning", text, page_url("integration", integration.pk), "Open it")
    url = f"{page_url('deliveries')}?target={integration.pk}&state={Delivery.State.DUE}"
    return Notice("warning", text, url, "See what waits")


def run_notices(run: Run | None, checks: Mapping[int, Check], now: datetime) -> list[Notice]:
    """The last run that failed or is overdue, and the checks that it could not evaluate."""
    if run is None:
        return []
    found = []
    if run.state in (Run.State.DIED, Run.State.FAILED):
        text = f"The last run {'died' if run.state == Run.State.DIED else 'failed'}. {run.error}".strip()
        found.append(Notice("danger", text, page_url("run", run.pk), "Look at the run"))
    if run.created_at < now - LATE_AFTER and run.state not in Run.LIVE:
        text = (
            "No run for over a day: the daily run is late. Is the task cluster (manage.py qcluster) running?"
        )
        found.append(Notice("danger", text, page_url("runs"), "See the runs"))
    failed = CheckResult.objects.filter(run=run).exclude(error="").values_list("check_ref_id", flat=True)
    for pk in failed:
        if pk in checks:
            text = f"The check “{check_title(checks[pk].slug)}” could not be evaluated in the last run."
            found.append(Notice("danger", text, page_url("run", run.pk), "See why"))
    return found


def secret_notices(integrations: Iterable[Integration]) -> list[Notice]:
    """Targets to which nothing can be sent, because no key of ``FIELD_KEYS`` opens their secrets."""
    return [
        Notice(
            "danger",
            f"The secrets of “{integration.name}” cannot be opened with any key of FIELD_KEYS: nothing can be sent to it.",
            page_url("integration", integration.pk),
            "Open it",
        )
        for integration in services.with_lost_secrets(integrations)
    ]


def integration_notices(integrations: Sequence[Integration], now: datetime) -> list[Notice]:
    found = []
    for integration in integrations:
        url = page_url("integration", integration.pk)
        if integration.state == Integration.State.DISABLED:
            text = f"“{integration.name}” is disabled. {integration.state_reason or integration.last_reason}"
            found.append(Notice("danger", text.strip(), url, "Open it"))
        elif integration.failing_since and integration.state == Integration.State.ACTIVE:
            since = recent_time(integration.failing_since, now)
            text = f"“{integration.name}” has been failing since {since}. {integration.last_reason}"
            found.append(Notice("warning", text.strip(), url, "Open it"))
    return found


def hold_notices(holds: Iterable[Hold]) -> list[Notice]:
    """The messages that wait for a member's decision."""
    return [
        Notice(
            "danger",
            f"{held_messages(hold)}. {hold_reason(hold)}",
            page_url("hold", hold.pk),
            "Release or drop",
        )
        for hold in holds
    ]


def dead_letter_notices(number: int, shown: str) -> list[Notice]:
    if not number:
        return []
    text = (
        "1 message could not be delivered and waits in the dead letters."
        if number == 1
        else f"{shown} messages could not be delivered and wait in the dead letters."
    )
    return [Notice("warning", text, f"{page_url('deliveries')}?state=dead", "See dead letters")]


def source_notices(sources: Sequence[Source], now: datetime) -> list[Notice]:
    """Notices about sources: files that are old; syncs that are held, failed or stale; secrets that expire
    soon."""
    connections = {each.source_slug: each for each in SourceConnection.objects.all()}
    found = []
    for source in sources:
        if connection := connections.get(source.slug):
            found += _connection_notices(source, connection, now)
        elif not source.last_import_at or source.last_import_at < now - STALE_AFTER:
            when = f"since {shown_day(source.last_import_at)}" if source.last_import_at else "yet"
            text = f"Nothing was imported into “{source.name}” {when}: the checks evaluate old data."
            found.append(Notice("warning", text, page_url("sources"), "Import a file"))
        if lost := lost_labels(source):
            fields = ", ".join(f"{label} ({each.accounts:,} of {each.of:,} accounts)" for label, each in lost)
            text = f"Unknown at “{source.name}” since an import: {fields}."
            found.append(Notice("warning", text, page_url("source", source.slug), "Open it"))
    return found


def _connection_notices(source: Source, connection: SourceConnection, now: datetime) -> list[Notice]:
    url, found = page_url("source", source.slug), []
    newest = connection.syncs.first()
    if held := held_sync(connection):
        text = f"“{source.name}”: {held.error}"
        found.append(Notice("danger", text, page_url("source-one-sync", held.pk), "Release or drop"))
    elif connection.state == SourceConnection.State.ACTIVE and is_stale(connection, now):
        since = connection.last_success_at
        when = f"since {shown_day(since)}" if since else "yet"
        text = f"The users of “{source.name}” were not listed {when}: the checks evaluate old data."
        found.append(Notice("danger", text, url, "Open it"))
    elif newest and newest.state == Sync.State.FAILED:
        found.append(
            Notice("warning", f"The last sync of “{source.name}” failed. {newest.error}", url, "Open it")
        )
    if expiry := secret_expiry(connection, timezone.localdate(now)):
        end, days = expiry
        text = f"The secret of “{source.name}” {'ended' if days < 0 else 'ends'} on {shown_day(end)}."
        found.append(Notice("danger" if days < 0 else "warning", text, url, "Enter a new one"))
    return found


def first_steps(run: Run | None, integrations: Sequence[Integration]) -> list[FirstStep]:
    """The way from nothing to a first delivered message; empty once it was gone."""
    delivered = Delivery.objects.filter(state=Delivery.State.DELIVERED)
    sent = delivered.exclude(event__origin__in=Event.TESTS).exists()
    if sent:
        return []
    imported = Import.objects.filter(state__in=(Import.State.SUCCEEDED, Import.State.PARTIAL)).exists()
    enabled = Subscription.objects.exists()
    return [
        FirstStep(
            imported,
            "Import your users",
            "Connect your identity provider, or import a file from it.",
            page_url("sources"),
            "Add a source",
        ),
        FirstStep(
            bool(integrations),
            "Add an integration",
            "Where messages go: your SOAR, SIEM or chat.",
            page_url("integration-add"),
            "Add one",
        ),
        FirstStep(
            delivered.filter(event__origin=Event.Origin.CONNECTIVITY).exists(),
            "Test its connectivity",
            "See that the other side answers.",
            page_url("integrations"),
            "Test",
        ),
        FirstStep(
            enabled,
            "Enable it on checks",
            "Say which checks it hears about.",
            page_url("integrations"),
            "Choose checks",
        ),
        FirstStep(
            bool(run and run.state not in Run.LIVE),
            "Run the checks",
            "Now, or let the daily run do it.",
            page_url("checks"),
            "Run them",
        ),
        FirstStep(
            sent,
            "See the first message delivered",
            "Only newly failing users are sent.",
            page_url("deliveries"),
            "Deliveries",
        ),
    ]
