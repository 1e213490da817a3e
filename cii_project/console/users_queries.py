"""The list of users: its filters, and what a page of it needs beside the rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from urllib.parse import urlencode

from django.db.models import Count, Q, QuerySet

from checks.models import Account, Finding, Status, User, UserType

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


def matching(filters: Filters) -> QuerySet[User]:
    found = User.objects.all()
    if filters.q:
        q = filters.q
        begins = Q(name__istartswith=q) | Q(display_name__istartswith=q) | Q(login__istartswith=q)
        found = found.filter(begins | Q(employee_id=q))
    if filters.status:
        found = found.filter(status=filters.status)
    if filters.type:
        found = found.filter(user_type=filters.type)
    if filters.flag:
        found = found.filter(FLAGS[filters.flag][1])
    if filters.check:
        open_findings = Finding.objects.filter(check_ref__slug=filters.check, resolved_at__isnull=True)
        found = found.filter(id__in=open_findings.values("user_id"))
    if filters.source:
        accounts = Account.objects.filter(source__slug=filters.source)
        found = found.filter(id__in=accounts.values("user_id"))
    return found


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
