"""The progress and the summary of a run: results and deliveries per check."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from django.db.models import Count, Q, QuerySet, Sum
from django.utils import timezone

from checks.models import Check, CheckResult, Run
from checks.services import CATALOGUE
from cii_project.console.core.titles import check_title
from notifications.models import Delivery, Event

# If work waits longer than this for a worker, most likely no worker runs.
WORKER_EXPECTED = timedelta(seconds=15)


@dataclass(slots=True)
class CheckProgress:
    """One check in a run; ``result`` is None until it is evaluated."""

    check: Check
    result: CheckResult | None = None
    events: int = 0
    deliveries: dict[str, int] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return check_title(self.check.slug)

    @property
    def made(self) -> int:
        return sum(self.deliveries.values())

    @property
    def waiting(self) -> int:
        return sum(self.deliveries.get(state, 0) for state in Delivery.OPEN)


@dataclass(frozen=True, slots=True)
class RunSummary:
    run: Run
    lines: Sequence[CheckProgress]

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
    def errors(self) -> list[CheckProgress]:
        return [line for line in self.lines if line.result and line.result.error]

    @property
    def deliveries(self) -> int:
        return sum(line.made for line in self.lines)


def duration_text(run: Run) -> str:
    """The duration of a run: ``0.4 s``, ``2 min 5 s``; empty until it ends."""
    if not (run.started_at and run.finished_at):
        return ""
    seconds = (run.finished_at - run.started_at).total_seconds()
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"


def live_run() -> Run | None:
    return Run.objects.filter(state__in=Run.LIVE).select_related("requested_by").first()


def summarize_run(run: Run) -> RunSummary:
    """The results of ``run`` so far. Four queries."""
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
        CheckProgress(check, results.get(check.id), events.get(check.id, 0), made[check.id])
        for check in sorted(checks.values(), key=lambda one: order.get(one.slug, len(order)))
    ]
    return RunSummary(run, lines)


def run_totals(runs: Sequence[Run]) -> dict[UUID, Mapping[str, object]]:
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


def delivery_counts(runs: Sequence[Run]) -> dict[UUID, int]:
    """Run id → deliveries that it made. One query."""
    found: QuerySet[Delivery] = Delivery.objects.filter(event__run__in=runs)
    return dict(found.values_list("event__run").annotate(Count("id")).order_by())
