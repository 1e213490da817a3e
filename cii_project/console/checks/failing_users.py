"""The users who fail a check now: the query of the list, the reasons, and the CSV export."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Model, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone
from django.utils.functional import cached_property

from checks.models import Check, Exclusion, Finding, Run, User
from checks.services import SearchResult, login_details, search_users, without_index
from cii_project.console.core.csv_export import time_cell
from cii_project.console.core.failure_reasons import failure_reasons
from cii_project.console.core.list_query import Column, Filter, ListQuery
from cii_project.console.core.list_view import ListView
from notifications.models import Configuration

USER_GROUPS = {
    "admin": ("Administrators", Q(user__admin=True)),
    "guest": ("Guests and externals", Q(user__guest=True)),
    "nhi": ("Non-human identities", Q(user__nhi=True)),
    "person": ("Internal people", Q(user__guest=False, user__nhi=False)),
}
FAILING_SINCE = {
    "run": "New in the last run",
    "7": "Last 7 days",
    "30": "Last 30 days",
    "older": "Over 30 days",
}


def failing_filters() -> list[Filter]:
    """Group of users, and since when they fail."""
    return [
        Filter("group", "Group", [(name, label) for name, (label, _) in USER_GROUPS.items()]),
        Filter("age", "Since", list(FAILING_SINCE.items())),
    ]


@dataclass(frozen=True, slots=True)
class ExplainedFinding:
    finding: Finding
    reasons: list[tuple[str, str]]  # label, value
    exclusion: Exclusion | None = None

    @property
    def user(self) -> User:
        return self.finding.user


def matching_findings(
    check: Check, chosen: Mapping[str, str], search: SearchResult
) -> "list[QuerySet[Finding]]":
    """The open findings of ``check`` that match, without an order, in parts that may overlap.

    ``chosen``: name of :func:`failing_filters` → value."""
    found = Finding.objects.filter(check_ref=check, resolved_at__isnull=True)
    if group := chosen.get("group"):
        found = found.filter(USER_GROUPS[group][1])
    if age := chosen.get("age"):
        found = _of_age(found, check, age, timezone.now())
    return search.parts(found, "user__")


def _of_age(found: "QuerySet[Finding]", check: Check, age: str, now: datetime) -> "QuerySet[Finding]":
    """One run works at a time, so findings are opened in the order of their ids: with the id of the first
    finding of the period an index leads to its end, however many lie outside."""
    if age == "run":
        # By its id, not as a subquery: then the database knows how many it opened.
        last = check.results.order_by("-id").values_list("run_id", flat=True).first()
        return found.filter(opened_run_id=last)
    start = now - timedelta(days=30 if age == "older" else int(age))
    opened = (
        Finding.objects.filter(check_ref=check, opened_run=OuterRef("pk")).order_by("id").values("id")[:1]
    )
    runs = Run.objects.filter(started_at__gte=start).order_by()
    first = min(filter(None, runs.values_list(Subquery(opened), flat=True)), default=None)
    if age == "older":
        return found.filter(id__lt=first) if first else found
    return found.filter(id__gte=first) if first else found.none()


def explain_findings(check: Check, findings: Sequence[Finding]) -> list[ExplainedFinding]:
    """Each finding with why its user fails and with the exclusion that the next run will heed."""
    if not findings:
        return []
    users = [finding.user for finding in findings]
    details = login_details(check, users, now=timezone.now(), tenant_id=Configuration.load().tenant_id)
    excluded = {
        one.user_id: one
        for one in Exclusion.objects.active_at(timezone.now()).filter(check_ref=check, user__in=users)
    }
    return [
        ExplainedFinding(finding, failure_reasons(item), excluded.get(finding.user_id))
        for finding, item in zip(findings, details, strict=True)
    ]


def _why(row: ExplainedFinding) -> str:
    return "; ".join(f"{label}: {value}" for label, value in row.reasons)


FAILING_COLUMNS = (
    Column(
        "user", "User", lambda row: row.user.name, ("user__name", "user__id"), is_indexed=True, is_fixed=True
    ),
    Column("display_name", "Display name", lambda row: row.user.display_name, is_csv_only=True),
    Column(
        "department",
        "Department",
        lambda row: row.user.department,
        ("user__department", "user__name", "id"),
        is_extra=True,
    ),
    Column(
        "title", "Job title", lambda row: row.user.title, ("user__title", "user__name", "id"), is_extra=True
    ),
    Column(
        "manager",
        "Manager",
        lambda row: row.user.manager.name if row.user.manager else "",
        ("user__manager__name", "user__name", "id"),
        is_extra=True,
    ),
    Column("why", "Why", _why),
    Column(
        "failing_since",
        "Since",
        lambda row: time_cell(row.finding.opened_at),
        ("id",),
        is_indexed=True,
        starts_descending=True,
    ),
    Column(
        "excluded", "Excluded", lambda row: row.exclusion.reason if row.exclusion else "", is_csv_only=True
    ),
)


class FailingList(ListView):
    """The users who fail one check. A page of it says which (:meth:`shown_check`)."""

    list_name = "failing"
    nouns = ("failing user", "failing users")
    search_name = "search"
    search_label = "Name, e-mail, login or employee ID"
    default_sort = "-failing_since"
    columns = FAILING_COLUMNS

    def shown_check(self) -> Check:
        raise NotImplementedError

    @cached_property
    def search(self) -> SearchResult:
        return search_users(self.asked(self.request.GET).search)

    def filters(self) -> Sequence[Filter]:
        return failing_filters()

    def matching(self, asked: ListQuery) -> list[QuerySet[Model]]:
        return [*matching_findings(self.shown_check(), asked.filters, self.search)]

    def related(self, found: QuerySet[Model]) -> QuerySet[Model]:
        return found.select_related("user__manager")

    def keyset(
        self, parts: list[QuerySet[Model]], columns: tuple[str, ...], asked: ListQuery, *, is_few: bool
    ) -> tuple[list[QuerySet[Model]], tuple[str, ...]]:
        if columns == ("id",):
            return parts, columns
        if asked.search:
            # The parts of a search sort by name as Python does, to be merged.
            return parts, ("name_key", "user__id")
        if is_few:
            # The index of the names would lead through all users to find few.
            return [part.annotate(name_text=without_index("user__name")) for part in parts], (
                "name_text",
                "user__id",
            )
        return parts, columns

    def rows(self, found: Sequence[Finding]) -> Sequence[ExplainedFinding]:
        return explain_findings(self.shown_check(), found)

    def exported_thing(self) -> Check:
        return self.shown_check()

    def csv_name(self) -> str:
        return f"{self.shown_check().slug}-failing"
