"""What the checks page shows: one row a check, thirty in all, so that search, filters and sorting are Python."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import OuterRef, Subquery
from django.utils import timezone

from checks.catalogue import CATALOGUE
from checks.catalogue.base import CatalogueCheck
from checks.models import Check, CheckResult, Run
from cii_project.console.checks_charts import Spark
from integrations.models import Integration
from notifications.models import Subscription

SPARK_DAYS = 30
SEVERITIES = ("critical", "high", "medium", "low")
_RANK = {name: rank for rank, name in enumerate(SEVERITIES)}
_FINISHED = (Run.State.SUCCEEDED, Run.State.PARTIAL)


@dataclass(slots=True)
class Row:
    check: Check
    catalogue: CatalogueCheck
    spark: Spark
    result: CheckResult | None = None
    targets: list[Integration] = field(default_factory=list)

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
    def last_run(self) -> datetime | None:
        return self.result.finished_at if self.result else None


@dataclass(frozen=True, slots=True)
class Filters:
    """The query string of the checks page, unknown values dropped."""

    search: str = ""
    severity: str = ""
    topic: str = ""
    tag: str = ""
    enabled: str = ""
    failing: str = ""
    sort: str = ""

    @classmethod
    def read(cls, query: Mapping[str, str]) -> "Filters":
        def one_of(name: str, allowed: Iterable[str]) -> str:
            value = query.get(name, "")
            return value if value in allowed else ""

        return cls(
            search=query.get("search", "").strip()[:100],
            severity=one_of("severity", SEVERITIES),
            topic=query.get("topic", "")[:64],
            tag=query.get("tag", "")[:64],
            enabled=one_of("enabled", ("yes", "no")),
            failing=one_of("failing", ("yes", "no", "new", "error")),
            sort=one_of("sort", SORTS),
        )

    def active(self) -> bool:
        return any((self.search, self.severity, self.topic, self.tag, self.enabled, self.failing))

    def keeps(self, row: Row) -> bool:
        text = " ".join([row.slug, row.title, *row.topics, *row.check.tags]).casefold()
        error = bool(row.result and row.result.error)
        return all(
            (
                all(word in text for word in self.search.casefold().split()),
                self.severity in ("", row.check.severity),
                self.topic == "" or self.topic in row.topics,
                self.tag == "" or self.tag in row.check.tags,
                self.enabled in ("", "yes" if row.check.enabled else "no"),
                self.failing == ""
                or {"yes": row.failing > 0, "no": row.failing == 0, "new": row.new > 0, "error": error}[
                    self.failing
                ],
            )
        )


_NEVER = datetime.min.replace(tzinfo=UTC)
COLUMNS: dict[str, Callable[[Row], Any]] = {
    "severity": lambda row: (_RANK[row.check.severity], -row.failing),
    "title": lambda row: row.title.casefold(),
    "failing": lambda row: row.failing,
    "new": lambda row: row.new,
    "last_run": lambda row: row.last_run or _NEVER,
}
SORTS = frozenset(sign + column for column in COLUMNS for sign in ("", "-"))
DEFAULT_SORT = "severity"


def days_of_runs(now: datetime) -> list[tuple[str, Run]]:
    """The last finished run of each of the last thirty days: (ISO date, run), oldest first."""
    runs = Run.objects.filter(
        state__in=_FINISHED, created_at__gte=now - timedelta(days=SPARK_DAYS), slugs=[]
    ).order_by("created_at")
    by_day: dict[str, Run] = {run.created_at.date().isoformat(): run for run in runs}
    return sorted(by_day.items())


def last_results() -> dict[int, CheckResult]:
    """Check id → its latest result, of whatever run."""
    latest = CheckResult.objects.filter(check_ref=OuterRef("pk"), finished_at__isnull=False).order_by("-id")
    ids = Check.objects.annotate(last=Subquery(latest.values("id")[:1])).values("last")
    return {result.check_ref_id: result for result in CheckResult.objects.filter(id__in=ids)}


def sparks(now: datetime) -> dict[int, Spark]:
    """Check id → failing users a day over the days that had a run."""
    days = days_of_runs(now)
    position = {run.id: index for index, (_, run) in enumerate(days)}
    values: defaultdict[int, list[int | None]] = defaultdict(lambda: [None] * len(days))
    results = CheckResult.objects.filter(run__in=list(position), error="").values_list(
        "check_ref_id", "run_id", "failing"
    )
    for check_id, run_id, failing in results:
        values[check_id][position[run_id]] = failing
    return {check_id: Spark(points) for check_id, points in values.items()}


def targets_by_check() -> dict[int, list[Integration]]:
    """Check id → the targets ticked on it, each once, by name."""
    found: defaultdict[int, dict[int, Integration]] = defaultdict(dict)
    for one in Subscription.objects.select_related("integration").order_by("integration__name"):
        found[one.check_ref_id][one.integration_id] = one.integration
    return {check_id: list(targets.values()) for check_id, targets in found.items()}


def all_rows(now: datetime | None = None) -> list[Row]:
    """Every check of the catalogue that the database knows, in catalogue order. Five queries."""
    drawn = sparks(now or timezone.now())
    results = last_results()
    targets = targets_by_check()
    checks = {check.slug: check for check in Check.objects.all()}
    return [
        Row(
            check=checks[slug],
            catalogue=catalogue,
            spark=drawn.get(checks[slug].id, Spark(())),
            result=results.get(checks[slug].id),
            targets=targets.get(checks[slug].id, []),
        )
        for slug, catalogue in CATALOGUE.items()
        if slug in checks
    ]


def shown_rows(rows: Iterable[Row], filters: Filters) -> list[Row]:
    """The rows that match, sorted; equal ones by title."""
    sort = filters.sort or DEFAULT_SORT
    found = sorted((row for row in rows if filters.keeps(row)), key=COLUMNS["title"])
    return sorted(found, key=COLUMNS[sort.removeprefix("-")], reverse=sort.startswith("-"))
