"""The report of a period: posture, users and findings at its start and end, what opened and ended, time to cure, coverage.

Counted from the results of the runs, and from findings grouped by the runs that opened and cured them, so that a million
findings cost no more than a few.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from typing import TypedDict
from zoneinfo import ZoneInfo

from django.db.models import Count, F, Max, OuterRef, Subquery, Sum
from django.urls import reverse
from django.utils import timezone

from checks.models import Check, CheckResult, Finding, GroupResult, Run, Severity, severity_rank
from checks.services import CATALOGUE
from cii_project.reporting.figures import CheckFigures, score
from notifications.models import Configuration

PERIODS = (7, 30, 90, 365)
DEFAULT_DAYS = 30
LONGEST_DAYS = 3660
REST = "All others"
NO_DEPARTMENT = "No department"


@dataclass(frozen=True, slots=True)
class Period:
    """From the start of the first day to the end of the last, in the installation's zone."""

    first: date
    last: date
    zone: ZoneInfo
    problem: str = ""

    @property
    def start(self) -> datetime:
        return datetime.combine(self.first, time(), self.zone)

    @property
    def end(self) -> datetime:
        return datetime.combine(self.last + timedelta(days=1), time(), self.zone)

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    @classmethod
    def read(cls, query: Mapping[str, str], today: date, zone: ZoneInfo) -> "Period":
        """``days``, or ``from`` and ``to``. What makes no sense gives the default period and says so."""
        usual = cls(today - timedelta(days=DEFAULT_DAYS - 1), today, zone)
        if query.get("from") or query.get("to"):
            try:
                first, last = (date.fromisoformat(query.get(name, "")) for name in ("from", "to"))
            except ValueError:
                return replace(usual, problem="Choose both days of the period. These are the last 30 days.")
            if not 0 <= (last - first).days < LONGEST_DAYS or last > today:
                text = "The period must end after it starts, today at the latest. These are the last 30 days."
                return replace(usual, problem=text)
            return cls(first, last, zone)
        days = query.get("days", "")
        if not days:
            return usual
        if days not in map(str, PERIODS):
            return replace(usual, problem="This period is not known. These are the last 30 days.")
        return cls(today - timedelta(days=int(days) - 1), today, zone)


@dataclass(slots=True)
class Line:
    """Findings of a group of checks in the period. ``before`` is None where no run came before the period."""

    title: str
    url: str = ""
    before: int | None = None
    opened: int = 0
    ended: int = 0
    after: int = 0
    unknown: int = 0
    evaluated: int = 0
    checks: list["Line"] = field(default_factory=list)

    @property
    def coverage(self) -> int | None:
        """Per cent of the evaluations that had the data; rounded down. None: nothing was evaluated."""
        return (
            100 * (self.evaluated - min(self.unknown, self.evaluated)) // self.evaluated
            if self.evaluated
            else None
        )

    def add(self, other: "Line") -> None:
        if other.before is not None:
            self.before = (self.before or 0) + other.before
        self.opened += other.opened
        self.ended += other.ended
        self.after += other.after
        self.unknown += other.unknown
        self.evaluated += other.evaluated
        self.checks.append(other)


@dataclass(frozen=True, slots=True)
class CheckLine:
    slug: str
    severity: str
    line: Line


def grouped(lines: Iterable[CheckLine], titles: Callable[[CheckLine], Sequence[str]]) -> list[Line]:
    """The lines of checks added up by each of their titles."""
    found: dict[str, Line] = {}
    for one in lines:
        for title in titles(one):
            found.setdefault(title, Line(title)).add(one.line)
    return list(found.values())


def by_framework(lines: Sequence[CheckLine]) -> list[tuple[str, list[Line]]]:
    """Framework → its controls with the findings of their checks, by number."""
    found: dict[str, dict[str, Line]] = {}
    for one in lines:
        for name in CATALOGUE[one.slug].frameworks:
            framework, _, control = name.partition(":")
            found.setdefault(framework, {}).setdefault(control, Line(control)).add(one.line)
    return [
        (framework, sorted(controls.values(), key=lambda line: line.title))
        for framework, controls in sorted(found.items())
    ]


def percentile(groups: Iterable[tuple[timedelta, int]], share: float) -> float | None:
    """The duration in days that ``share`` of the findings do not exceed (nearest rank). ``groups``: duration, findings."""
    ordered = sorted(groups)
    total = sum(number for _, number in ordered)
    seen = 0
    for duration, number in ordered:
        seen += number
        if seen >= share * total:
            return duration / timedelta(days=1)
    return None


def check_lines(checks: Sequence[Check], period: Period) -> tuple[list[CheckLine], int | None, int | None]:
    """A line for each check, and the posture score at the start and the end. Five queries."""
    within = CheckResult.objects.filter(
        run__created_at__gte=period.start, run__created_at__lt=period.end, finished_at__isnull=False, error=""
    )
    sums = {
        check: (opened, ended)
        for check, opened, ended in within.order_by()
        .values_list("check_ref_id")
        .annotate(opened=Sum("new"), ended=Sum("resolved"))
    }
    before, after = _results_at(period.start), _results_at(period.end)
    lines = []
    for check in checks:
        opened, ended = sums.get(check.pk, (0, 0))
        last = after.get(check.pk)
        line = Line(
            CATALOGUE[check.slug].title, reverse("console:check", args=[check.slug]), None, opened, ended
        )
        if check.pk in before:
            line.before = before[check.pk].failing
        if last:
            line.after, line.unknown, line.evaluated = last.failing, last.missing, last.evaluated
        lines.append(CheckLine(check.slug, check.severity, line))
    enabled = {check.pk for check in checks if check.enabled}
    scores = [score(result for pk, result in at.items() if pk in enabled) for at in (before, after)]
    return lines, scores[0], scores[1]


def _results_at(moment: datetime) -> dict[int, CheckFigures]:
    """Each check's last result without error before ``moment``. Two queries."""
    earlier = CheckResult.objects.filter(
        check_ref=OuterRef("pk"), run__created_at__lt=moment, finished_at__isnull=False, error=""
    )
    newest = Check.objects.annotate(last=Subquery(earlier.order_by("-id").values("id")[:1])).values_list(
        "last", flat=True
    )
    rows = CheckResult.objects.filter(id__in=[pk for pk in newest if pk]).values_list(
        "check_ref_id", "severity", "evaluated", "failing", "finished_at", "error", "unknown", "stale"
    )
    return {row[0]: CheckFigures(*row[:4], row[4], row[5], row[6], row[7]) for row in rows if row[4]}


@dataclass(frozen=True, slots=True)
class GroupLine:
    """The users of one department or source. ``failing_before`` is None where no run came before the period, or the
    group was not in it. ``is_named``: the title is the group's own name, not a word of the product."""

    title: str
    users: int
    failing_users: int
    findings: int
    failing_before: int | None
    is_named: bool

    @property
    def percent(self) -> int:
        return -(-100 * self.failing_users // self.users) if self.users else 0


@dataclass(frozen=True, slots=True)
class Population:
    """Users at one moment: those failing at least one check, and all in scope."""

    failing: int
    users: int


def population_at(moment: datetime) -> Population | None:
    """By the last run before ``moment`` that counted its users. One query."""
    last = Run.objects.filter(created_at__lt=moment, failing_users__isnull=False).order_by(
        "-created_at", "-id"
    )
    found = last.values_list("failing_users", "users").first()
    return Population(found[0] or 0, found[1]) if found else None


def group_lines(period: Period, dimension: str) -> list[GroupLine]:
    """The departments or sources at the end of the period, those with most failing users first. Four queries."""
    before = {(one.name, one.is_rest): one.failing_users for one in _groups_at(period.start, dimension)}
    lines = [
        GroupLine(
            _group_title(one),
            one.users,
            one.failing_users,
            one.findings,
            before.get((one.name, one.is_rest)),
            is_named=bool(one.name) and not one.is_rest,
        )
        for one in _groups_at(period.end, dimension)
    ]
    return sorted(lines, key=lambda line: (-line.failing_users, line.title.casefold()))


def _group_title(group: GroupResult) -> str:
    return REST if group.is_rest else group.name or NO_DEPARTMENT


def _groups_at(moment: datetime, dimension: str) -> list[GroupResult]:
    found = GroupResult.objects.filter(run__created_at__lt=moment, dimension=dimension)
    run = found.order_by(F("run__created_at").desc(), "-run").values_list("run", flat=True).first()
    return list(GroupResult.objects.filter(run=run, dimension=dimension)) if run else []


def cure_times(period: Period) -> list[tuple[timedelta, int]]:
    """From opened to cured, of the findings that the period's runs found cured: duration, findings."""
    runs = Run.objects.filter(created_at__gte=period.start, created_at__lt=period.end).values("pk")
    cured = Finding.objects.filter(resolved_run__in=runs, resolution=Finding.Resolution.CURED)
    groups = cured.order_by().values_list("opened_run_id", "resolved_run_id")
    counted = groups.annotate(opened=Max("opened_at"), resolved=Max("resolved_at"), number=Count("id"))
    return [(resolved - opened, number) for _, _, opened, resolved, number in counted]


def read_period(query: Mapping[str, str]) -> Period:
    """The period that a query string names, up to today in the installation's zone."""
    zone = ZoneInfo(Configuration.load().run_zone)
    return Period.read(query, timezone.now().astimezone(zone).date(), zone)


class ReportFigures(TypedDict):
    """The report's figures. Numbers of users are None where no run counted them; ``median`` and ``slowest``: the days
    until half and nine of ten findings were cured."""

    period: Period
    has_runs: bool
    score_before: int | None
    score_after: int | None
    users_before: Population | None
    users_after: Population | None
    total: Line
    cured: int
    median: float | None
    slowest: float | None
    severities: list[Line]
    topics: list[Line]
    departments: list[GroupLine]
    sources: list[GroupLine]
    frameworks: list[tuple[str, list[Line]]]
    lines: list[CheckLine]


def report(period: Period) -> ReportFigures:
    """The report's figures by name, as its page, its CSV and its mail show them."""
    checks = sorted(
        (check for check in Check.objects.all() if check.slug in CATALOGUE),
        key=lambda check: (severity_rank(check.severity), CATALOGUE[check.slug].title),
    )
    lines, score_before, score_after = check_lines(checks, period)
    cures = cure_times(period)
    total = Line("All checks")
    for one in lines:
        total.add(one.line)
    order = list(Severity.values)
    return {
        "period": period,
        "has_runs": bool(total.checks)
        and any(one.line.after or one.line.opened or one.line.evaluated for one in lines),
        "score_before": score_before,
        "score_after": score_after,
        "users_before": population_at(period.start),
        "users_after": population_at(period.end),
        "total": total,
        "cured": sum(number for _, number in cures),
        "median": percentile(cures, 0.5),
        "slowest": percentile(cures, 0.9),
        "severities": sorted(
            grouped(lines, lambda one: [one.severity]), key=lambda line: order.index(line.title)
        ),
        "topics": sorted(
            grouped(lines, lambda one: CATALOGUE[one.slug].topics), key=lambda line: line.title.casefold()
        ),
        "departments": group_lines(period, GroupResult.Dimension.DEPARTMENT),
        "sources": group_lines(period, GroupResult.Dimension.SOURCE),
        "frameworks": by_framework(lines),
        "lines": lines,
    }
