"""The list of users: its filters, and what a page of it needs beside the rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from urllib.parse import urlencode

from django.db.models import Count, Q, QuerySet

from checks.models import Account, Check, Finding, Source, Status, User, UserType
from checks.searching import unserved
from cii_project.console.paging import are_few

FLAGS = {
    "admin": ("Administrators", Q(admin=True)),
    "guest": ("Guests and external", Q(guest=True)),
    "nhi": ("Non-human", Q(nhi=True)),
    "protected": ("Judged by the checks", Q(protected=True)),
    "unprotected": ("Left out by the checks", Q(protected=False)),
}


@dataclass(frozen=True, slots=True)
class Filters:
    """What the query string asks for; what makes no sense is dropped."""

    q: str = ""
    status: str = ""
    type: str = ""
    flag: str = ""
    check: str = ""
    source: str = ""

    @classmethod
    def read(cls, query: Mapping[str, str]) -> "Filters":
        given = {
            field.name: query.get(field.name, "").replace("\0", "").strip()[:320] for field in fields(cls)
        }
        known = {"status": Status.values, "type": UserType.values, "flag": FLAGS}
        for name, values in known.items():
            if given[name] not in values:
                given[name] = ""
        return cls(**given)

    @property
    def active(self) -> bool:
        return any(getattr(self, field.name) for field in fields(self))

    @property
    def query(self) -> str:
        pairs = {field.name: getattr(self, field.name) for field in fields(self)}
        return urlencode({name: value for name, value in pairs.items() if value})


def listed(filters: Filters) -> tuple[QuerySet[User], str]:
    """The users whom all filters but the search let through, and what to order them by for an order by name."""
    found, name = User.objects.all(), "name_key" if filters.q else "name"
    if filters.status:
        found = found.filter(status=filters.status)
    if filters.type:
        found = found.filter(user_type=filters.type)
    if filters.flag:
        found = found.filter(FLAGS[filters.flag][1])
    # By id, not by slug: then the database knows how many rows stand behind it and plans accordingly.
    if filters.check:
        check = Check.objects.filter(slug=filters.check).values_list("id", flat=True).first()
        if check is None:
            return found.none(), name
        failing = Finding.objects.filter(check_ref_id=check, resolved_at__isnull=True)
        found = found.filter(id__in=failing.values("user_id"))
        if not filters.q and are_few(failing):
            found, name = found.annotate(name_text=unserved("name")), "name_text"
    if filters.source:
        source = Source.objects.filter(slug=filters.source).values_list("id", flat=True).first()
        if source is None:
            return found.none(), name
        found = found.filter(id__in=Account.objects.filter(source_id=source).values("user_id"))
    return found, name


def failing_counts(users: Sequence[User]) -> dict[int, int]:
    """How many checks each of these users fails now."""
    open_findings = Finding.objects.filter(user__in=users, resolved_at__isnull=True)
    return dict(open_findings.order_by().values_list("user_id").annotate(number=Count("id")))


def source_names(users: Sequence[User]) -> dict[int, list[str]]:
    """The sources that know each of these users, by name."""
    found: dict[int, list[str]] = {}
    pairs = Account.objects.filter(user__in=users).values_list("user_id", "source__name").distinct()
    for user, name in pairs.order_by("source__name"):
        if user is not None:
            found.setdefault(user, []).append(name)
    return found
