"""One run while it works and when it is done: what each check found, what it set off."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, Q, QuerySet, Sum
from django.utils import timezone

from checks.catalogue import CATALOGUE
from checks.models import Check, CheckResult, Run
from notifications.models import Delivery, Event

# A run that waits longer than this for a worker is most likely waiting for one that does not exist.
WORKER_EXPECTED = timedelta(seconds=15)


def title_of(slug: str) -> str:
    """The catalogue's title; the slug where the catalogue no longer has the check."""
    return CATALOGUE[slug].title if slug in CATALOGUE else slug


@dataclass(slots=True)
class Line:
    """One check in a run; ``result`` is None until it is judged."""

    check: Check
    result: CheckResult | None = None
    events: int = 0
    deliveries: dict[str, int] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return title_of(self.check.slug)

    @property
    def made(self) -> int:
        return sum(self.deliveries.values())

    @property
    def waiting(self) -> int:
        return sum(self.deliveries.get(state, 0) for state in Delivery.OPEN)


@dataclass(frozen=True, slots=True)
class Progress:
    run: Run
    lines: Sequence[Line]

    @property
    def live(self) -> bool:
        return self.run.state in Run.LIVE

    @property
    def done(self) -> int:
        return sum(line.result is not None for line in self.lines)

    @property
    def total(self) -> int:
        return len(self.lines)

    @property
    def percent(self) -> int:
        return round(100 * self.done / self.total) if self.total else 0

    @property
    def no_worker(self) -> bool:
        queued = self.run.state == Run.State.QUEUED
        return queued and timezone.now() - self.run.created_at > WORKER_EXPECTED

    def sum(self, name: str) -> int:
        return sum(getattr(line.result, name) for line in self.lines if line.result)

    @property
    def new(self) -> int:
        return self.sum("new")

    @property
    def failing(self) -> int:
        return self.sum("failing")

    @property
    def resolved(self) -> int:
        return self.sum("resolved")

    @property
    def errors(self) -> list[Line]:
        return [line for line in self.lines if line.result and line.result.error]

    @property
    def deliveries(self) -> int:
        return sum(line.made for line in self.lines)


def took(run: Run) -> str:
    """How long a run worked: ``0.4 s``, ``2 min 5 s``; empty while it works."""
    if not (run.started_at and run.finished_at):
        return ""
    seconds = (run.finished_at - run.started_at).total_seconds()
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"


def live_run() -> Run | None:
    return Run.objects.filter(state__in=Run.LIVE).select_related("requested_by").first()


def progress_of(run: Run) -> Progress:
    """What ``run`` has found so far. Four queries."""
    results = {result.check_ref_id: result for result in run.results.all()}
    wanted = Q(slug__in=run.slugs) if run.slugs else Q(enabled=True)
    if run.state not in Run.LIVE:
        wanted = Q(id__in=list(results))
    checks = {check.slug: check for check in Check.objects.filter(wanted | Q(id__in=list(results)))}
    events = dict(Event.objects.filter(run=run).values_list("check_ref").annotate(Count("id")).order_by())
    made: defaultdict[int | None, dict[str, int]] = defaultdict(dict)
    for check_id, state, count in (
        Delivery.objects.filter(event__run=run)
        .values_list("event__check_ref", "state")
        .annotate(Count("id"))
        .order_by()
    ):
        made[check_id][state] = count
    order = {slug: place for place, slug in enumerate(CATALOGUE)}
    lines = [
        Line(check, results.get(check.id), events.get(check.id, 0), made[check.id])
        for check in sorted(checks.values(), key=lambda one: order.get(one.slug, len(order)))
    ]
    return Progress(run, lines)


def totals(runs: Sequence[Run]) -> dict[UUID, Mapping[str, Any]]:
    """Run id → new, resolved, checks and errors over its checks. One query."""
    rows = (
        CheckResult.objects.filter(run__in=runs)
        .values("run_id")
        .annotate(
            new=Sum("new"),
            resolved=Sum("resolved"),
            failing=Sum("failing"),
            checks=Count("id"),
            errors=Count("id", filter=~Q(error="")),
        )
        .order_by()
    )
    return {row["run_id"]: row for row in rows}


def deliveries_of(runs: Sequence[Run]) -> dict[UUID, int]:
    """Run id → deliveries that it made. One query."""
    found: QuerySet[Delivery] = Delivery.objects.filter(event__run__in=runs)
    return dict(found.values_list("event__run").annotate(Count("id")).order_by())
