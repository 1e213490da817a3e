"""What needs somebody, and on an empty installation the first steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from checks.models import Check, CheckResult, Import, Run, Source
from cii_project.console.base import link
from cii_project.console.titles import title_of
from integrations.models import Integration
from notifications.models import Delivery, Event, Subscription

STALE_AFTER = timedelta(days=7)
# A daily run that is this long overdue has been missed: a day, and time enough for a long run.
LATE_AFTER = timedelta(hours=26)
# What a person sent to try a target; it says nothing of how the installation does.
TRIALS = (Event.Origin.TEST, Event.Origin.CONNECTIVITY)


@dataclass(frozen=True, slots=True)
class Notice:
    level: str  # danger, warning
    text: str
    url: str
    action: str


@dataclass(frozen=True, slots=True)
class Step:
    done: bool
    title: str
    text: str
    url: str
    action: str


def of_run(run: Run | None, checks: Mapping[int, Check], now: datetime) -> list[Notice]:
    """The last run that failed or is overdue, and the checks that it could not evaluate."""
    if run is None:
        return []
    found = []
    if run.state in (Run.State.DIED, Run.State.FAILED):
        text = f"The last run {'died' if run.state == Run.State.DIED else 'failed'}. {run.error}".strip()
        found.append(Notice("danger", text, link("run", run.pk), "Look at the run"))
    if run.created_at < now - LATE_AFTER and run.state not in Run.LIVE:
        text = (
            "No run for over a day: the daily run is late. Is the task cluster (manage.py qcluster) running?"
        )
        found.append(Notice("danger", text, link("runs"), "See the runs"))
    failed = CheckResult.objects.filter(run=run).exclude(error="").values_list("check_ref_id", flat=True)
    for pk in failed:
        if pk in checks:
            text = f"The check “{title_of(checks[pk])}” could not be evaluated in the last run."
            found.append(Notice("danger", text, link("run", run.pk), "See why"))
    return found


def of_integrations(integrations: Sequence[Integration]) -> list[Notice]:
    found = []
    for integration in integrations:
        url = link("integration", integration.pk)
        if integration.state == Integration.State.DISABLED:
            text = f"“{integration.name}” is disabled. {integration.state_reason or integration.last_reason}"
            found.append(Notice("danger", text.strip(), url, "Open it"))
        elif integration.failing_since and integration.state == Integration.State.ACTIVE:
            since = f"{integration.failing_since:%d %b, %H:%M} UTC"
            text = f"“{integration.name}” has been failing since {since}. {integration.last_reason}"
            found.append(Notice("warning", text.strip(), url, "Open it"))
    return found


def of_dead_letters(number: int, shown: str) -> list[Notice]:
    if not number:
        return []
    text = (
        "1 message could not be delivered and waits in the dead letters."
        if number == 1
        else f"{shown} messages could not be delivered and wait in the dead letters."
    )
    return [Notice("warning", text, f"{link('deliveries')}?state=dead", "Look and replay")]


def of_sources(sources: Sequence[Source], now: datetime) -> list[Notice]:
    found = []
    for source in sources:
        if not source.last_import_at or source.last_import_at < now - STALE_AFTER:
            when = f"since {source.last_import_at:%d %b}" if source.last_import_at else "yet"
            text = f"Nothing was imported into “{source.name}” {when}: the checks judge old data."
            found.append(Notice("warning", text, link("sources"), "Import a file"))
    return found


def first_steps(run: Run | None, integrations: Sequence[Integration]) -> list[Step]:
    """The way from nothing to a first delivered message; empty once it was gone."""
    delivered = Delivery.objects.filter(state=Delivery.State.DELIVERED)
    sent = delivered.exclude(event__origin__in=TRIALS).exists()
    if sent:
        return []
    imported = Import.objects.filter(state__in=(Import.State.SUCCEEDED, Import.State.PARTIAL)).exists()
    enabled = Subscription.objects.exists()
    return [
        Step(
            imported,
            "Import your users",
            "A file from your identity provider: CSV or JSON.",
            link("sources"),
            "Import a file",
        ),
        Step(
            bool(integrations),
            "Add an integration",
            "Where messages go: your SOAR, SIEM or chat.",
            link("integration-add"),
            "Add one",
        ),
        Step(
            delivered.filter(event__origin=Event.Origin.CONNECTIVITY).exists(),
            "Test its connectivity",
            "See that the other side answers.",
            link("integrations"),
            "Test",
        ),
        Step(
            enabled,
            "Enable it on checks",
            "Say which checks it hears about.",
            link("integrations"),
            "Choose checks",
        ),
        Step(
            bool(run and run.state not in Run.LIVE),
            "Run the checks",
            "Now, or let the daily run do it.",
            link("checks"),
            "Run them",
        ),
        Step(
            sent,
            "See the first message delivered",
            "Only users who newly fail are told of.",
            link("deliveries"),
            "Deliveries",
        ),
    ]
