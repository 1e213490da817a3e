"""The users who fail one check now: the list's query, why each fails, and the CSV of all of them."""

import csv
import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from checks.explanations import login_details
from checks.models import Check, Exclusion, Finding, Run
from checks.searching import Called, called, unserved
from cii_project.console.paging import KeysetPage, are_few
from notifications.models import Configuration

GROUPS = {
    "admin": ("Administrators", Q(user__admin=True)),
    "guest": ("Guests and externals", Q(user__guest=True)),
    "nhi": ("Non-human identities", Q(user__nhi=True)),
    "person": ("Internal people", Q(user__guest=False, user__nhi=False)),
}
AGES = {"run": "New in the last run", "7": "Last 7 days", "30": "Last 30 days", "older": "Over 30 days"}
# name → label, columns of the key
SORTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "newest": ("Newest first", ("-id",)),
    "oldest": ("Longest failing first", ("id",)),
    "name": ("Name, A to Z", ("user__name", "user__id")),
    "-name": ("Name, Z to A", ("-user__name", "-user__id")),
}
EXPORT_CHUNK = 1000
_FORMULA = frozenset("=+-@")
_ACRONYMS = frozenset({"mfa", "hr", "id", "ip"})


@dataclass(frozen=True, slots=True)
class Filters:
    search: str = ""
    group: str = ""
    age: str = ""
    sort: str = "newest"

    @classmethod
    def read(cls, query: Mapping[str, str]) -> "Filters":
        group, age, sort = (query.get(name, "") for name in ("group", "age", "sort"))
        return cls(
            search=query.get("search", "").replace("\x00", "").strip()[:320],
            group=group if group in GROUPS else "",
            age=age if age in AGES else "",
            sort=sort if sort in SORTS else "newest",
        )

    def active(self) -> bool:
        return bool(self.search or self.group or self.age)


@dataclass(frozen=True, slots=True)
class FailingUser:
    finding: Finding
    reasons: list[tuple[str, str]]  # label, value
    exclusion: Exclusion | None = None

    @property
    def user(self) -> Any:
        return self.finding.user


def open_findings(check: Check, filters: Filters, search: Called) -> "list[QuerySet[Finding]]":
    """The open findings of ``check`` that match, without an order, in parts that may overlap."""
    found = Finding.objects.filter(check_ref=check, resolved_at__isnull=True)
    if filters.group:
        found = found.filter(GROUPS[filters.group][1])
    found = _of_age(found, check, filters.age, timezone.now()) if filters.age else found
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


def failing_page(check: Check, filters: Filters, search: Called, cursor: str = "") -> "KeysetPage[Finding]":
    """One page of open findings with their users; :func:`explained` says why each fails."""
    parts = [part.select_related("user") for part in open_findings(check, filters, search)]
    order = SORTS[filters.sort][1]
    name = "user__name"
    if filters.search:
        # The parts of a search sort by name as Python does, to be merged.
        name = "name_key"
    elif filters.sort.endswith("name") and are_few(check.findings.filter(resolved_at=None)):
        parts = [part.annotate(name_text=unserved("user__name")) for part in parts]
        name = "name_text"
    order = tuple(column.replace("user__name", name) for column in order)
    return KeysetPage.of(*parts, order=order, cursor=cursor)


def explained(check: Check, findings: Sequence[Finding]) -> list[FailingUser]:
    """Each finding with why its user fails and with the exclusion that the next run will heed."""
    if not findings:
        return []
    users = [finding.user for finding in findings]
    details = login_details(check, users, now=timezone.now(), tenant_id=Configuration.load().tenant_id)
    excluded = {
        one.user_id: one
        for one in check.exclusions.filter(user__in=users)
        if one.until is None or one.until > timezone.now()
    }
    return [
        FailingUser(finding, reasons(item), excluded.get(finding.user_id))
        for finding, item in zip(findings, details, strict=True)
    ]


def reasons(item: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The contract's details of one user as label and text for a person."""
    return [
        (label_of(detail["key"]), text_of(json.loads(detail["value"])))
        for detail in item["details"]
        if detail["key"] != "providersFailingChecks"
    ]


def label_of(key: str) -> str:
    """``lastSignIn`` → ``Last sign in``, ``sourcesWithoutMfa`` → ``Sources without MFA``."""
    words = "".join(f" {char.lower()}" if char.isupper() else char for char in key).split()
    first, *rest = [word.upper() if word in _ACRONYMS else word for word in words] or [""]
    return " ".join([first if first.isupper() else first.capitalize(), *rest])


def text_of(value: Any) -> str:
    """A value of a detail in words: times to the minute, lists with commas, none as “none”."""
    if value is None or value == [] or value == "":
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(text_of(one) for one in value)
    if isinstance(value, dict):
        return ", ".join(f"{label_of(str(key)).lower()} {text_of(one)}" for key, one in value.items())
    if isinstance(value, str) and len(value) >= 16 and value[4:5] == "-" and value[10:11] == "T":
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return value
        return f"{moment:%Y-%m-%d}" if (moment.hour, moment.minute) == (0, 0) else f"{moment:%Y-%m-%d %H:%M}"
    return str(value)


def safe_cell(value: Any) -> str:
    """A CSV cell that no spreadsheet takes for a formula (OWASP, CSV injection)."""
    text = str(value)
    # Some skip leading blanks, and read the full-width signs as the plain ones.
    first = unicodedata.normalize("NFKC", text.lstrip()[:1])
    return f"'{text}" if first in _FORMULA or text[:1] in ("\t", "\r", "\n") else text


class _Echo:
    """What csv.writer writes to: hands each line back instead of keeping it."""

    def write(self, line: str) -> str:
        return line


HEADER = ("user", "display_name", "department", "title", "manager", "failing_since", "why", "excluded")


def export_lines(check: Check, filters: Filters) -> Iterator[str]:
    """The CSV of all who match, line by line, read by key in chunks: memory does not grow with the list."""
    writer = csv.writer(_Echo())
    yield writer.writerow(HEADER)
    found = open_findings(check, filters, called(filters.search))
    parts = [part.select_related("user", "user__manager") for part in found]
    cursor: str | None = None
    while cursor != "":
        page = KeysetPage.of(*parts, order=("id",), cursor=cursor, size=EXPORT_CHUNK)
        cursor = page.next
        for row in explained(check, page.rows):
            yield writer.writerow([safe_cell(cell) for cell in _cells(row)])


def _cells(row: FailingUser) -> list[str]:
    user = row.user
    why = "; ".join(f"{label}: {value}" for label, value in row.reasons)
    return [
        user.name,
        user.display_name,
        user.department,
        user.title,
        user.manager.name if user.manager else "",
        row.finding.opened_at.isoformat(timespec="seconds"),
        why,
        row.exclusion.reason if row.exclusion else "",
    ]
