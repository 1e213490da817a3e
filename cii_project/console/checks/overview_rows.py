"""The rows of the checks page: one per check, few enough to search, filter and sort in Python."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Count, Min
from django.utils import timezone

from checks.models import Check, CheckResult, Run, Severity, severity_rank
from checks.services import CATALOGUE, CatalogueCheck
from cii_project.console.checks.overview_charts import Sparkline
from cii_project.console.core.check_results import UnknownUsers, last_results, unknown_users
from cii_project.console.core.list_query import Filter, ListQuery, choices_of
from notifications.models import Subscription

SPARK_DAYS = 30
# The value of the severity filter for critical and high together.
URGENT = "urgent"
RESULTS = {
    "yes": "Failing users",
    "new": "New in the last run",
    "no": "Nobody failing",
    "unknown": "Could not evaluate all",
    "error": "Could not run",
}
_FINISHED = (Run.State.SUCCEEDED, Run.State.PARTIAL)


@dataclass(frozen=True, slots=True)
class EnabledTargets:
    """The targets enabled on a check: the first by name, and how many there are."""

    first: str = ""
    number: int = 0

    @property
    def more(self) -> int:
        return self.number - 1


@dataclass(slots=True)
class CheckRow:
    check: Check
    catalogue: CatalogueCheck
    spark: Sparkline
    result: CheckResult | None = None
    targets: EnabledTargets = EnabledTargets()

    @property
    def slug(self) -> str:
        return self.check.slug

    @property
    def title(self) -> str:
        return self.catalogue.title

    @property
    def topics(self) -> Sequence[str]:
        return self.catalogue.topics

    @property
    def failing(self) -> int:
        return self.result.failing if self.result else 0

    @property
    def new(self) -> int:
        return self.result.new if self.result else 0

    @property
    def unknown(self) -> UnknownUsers | None:
        return unknown_users(self.result)

    @property
    def last_run(self) -> datetime | None:
        return self.result.finished_at if self.result else None


def check_filters(rows: Sequence[CheckRow]) -> list[Filter]:
    """Severity, topic, tag, enabled, result."""
    topics = sorted({topic for row in rows for topic in row.topics})
    tags = sorted({tag for row in rows for tag in row.check.tags})
    return [
        Filter(
            "severity",
            "Severity",
            [(URGENT, "Critical and high"), *choices_of(Severity)],
        ),
        Filter("topic", "Topic", [(topic, topic) for topic in topics]),
        Filter("tag", "Tag", [(tag, tag) for tag in tags]),
        Filter("enabled", "Enabled", [("yes", "Enabled"), ("no", "Disabled")]),
        Filter("failing", "Result", list(RESULTS.items())),
    ]


def keeps(row: CheckRow, asked: ListQuery) -> bool:
    """Whether the row has every word and passes every filter."""
    text = " ".join([row.slug, row.title, *row.topics, *row.check.tags]).casefold()
    chosen = asked.filters
    by_result = {
        "yes": row.failing > 0,
        "no": row.failing == 0,
        "new": row.new > 0,
        "unknown": row.unknown is not None,
        "error": bool(row.result and row.result.error),
    }
    return all(
        (
            all(word in text for word in asked.search.casefold().split()),
            chosen.get("severity") in (None, row.check.severity)
            or (chosen["severity"] == URGENT and row.check.severity in (Severity.CRITICAL, Severity.HIGH)),
            chosen.get("topic") in (None, *row.topics),
            chosen.get("tag") in (None, *row.check.tags),
            chosen.get("enabled") in (None, "yes" if row.check.enabled else "no"),
            "failing" not in chosen or by_result[chosen["failing"]],
        )
    )


_NEVER = datetime.min.replace(tzinfo=UTC)
SORT_KEYS: dict[str, Callable[[CheckRow], Any]] = {
    "severity": lambda row: (severity_rank(row.check.severity), -row.failing),
    "title": lambda row: row.title.casefold(),
    "failing": lambda row: row.failing,
    "new": lambda row: row.new,
    "last_run": lambda row: row.last_run or _NEVER,
}


def days_of_runs(now: datetime) -> list[tuple[str, Run]]:
    """The last finished run of each of the last thirty days: (ISO date, run), oldest first."""
    runs = Run.objects.filter(
        state__in=_FINISHED, created_at__gte=now - timedelta(days=SPARK_DAYS), slugs=[]
    ).order_by("created_at")
    by_day: dict[str, Run] = {timezone.localdate(run.created_at).isoformat(): run for run in runs}
    return sorted(by_day.items())


def sparklines(now: datetime) -> dict[int, Sparkline]:
    """Check id → failing users a day over the days that had a run."""
    days = days_of_runs(now)
    position = {run.id: index for index, (_, run) in enumerate(days)}
    values: defaultdict[int, list[int | None]] = defaultdict(lambda: [None] * len(days))
    results = CheckResult.objects.filter(run__in=list(position), error="").values_list(
        "check_ref_id", "run_id", "failing"
    )
    for check_id, run_id, failing in results:
        values[check_id][position[run_id]] = failing
    return {check_id: Sparkline(points) for check_id, points in values.items()}


def targets_by_check() -> dict[int, EnabledTargets]:
    """Check id → the targets enabled on it. One query."""
    found = Subscription.objects.order_by().values_list("check_ref")
    counted = found.annotate(first=Min("integration__name"), number=Count("integration", distinct=True))
    return {check: EnabledTargets(first, number) for check, first, number in counted}


def all_rows(now: datetime | None = None) -> list[CheckRow]:
    """Every check of the catalogue that the database knows, in catalogue order. Five queries."""
    drawn = sparklines(now or timezone.now())
    results = last_results()
    targets = targets_by_check()
    checks = {check.slug: check for check in Check.objects.all()}
    return [
        CheckRow(
            check=checks[slug],
            catalogue=catalogue,
            spark=drawn.get(checks[slug].id, Sparkline(())),
            result=results.get(checks[slug].id),
            targets=targets.get(checks[slug].id, EnabledTargets()),
        )
        for slug, catalogue in CATALOGUE.items()
        if slug in checks
    ]
