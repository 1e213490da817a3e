"""The list of users: its filters, and the data that a page needs in addition to the rows."""

from collections.abc import Mapping, Sequence

from django.db.models import Count, Q, QuerySet

from checks.models import Account, Check, Finding, Source, Status, User, UserType
from cii_project.console.core.list_query import Filter
from cii_project.console.core.titles import check_choices
from cii_project.templatetags.console import words

USER_FLAGS = {
    "admin": ("Administrators", Q(admin=True)),
    "guest": ("Guests and external", Q(guest=True)),
    "nhi": ("Non-human", Q(nhi=True)),
    "protected": ("In scope of the checks", Q(protected=True)),
    "unprotected": ("Out of scope", Q(protected=False)),
}

# The value of the filter by check for users who fail any.
ANY_CHECK = "any"


def user_filters() -> list[Filter]:
    """Status, type, flag, failed check, source. Two queries."""
    sources = Source.objects.filter(deleted_at=None).values_list("slug", "name")
    return [
        Filter("status", "Status", [(one, words(one)) for one in Status.values]),
        Filter("type", "Type", [(one, words(one)) for one in UserType.values]),
        Filter("flag", "Group", [(name, label) for name, (label, _) in USER_FLAGS.items()]),
        Filter("check", "Failing", [(ANY_CHECK, "Any check"), *check_choices()]),
        Filter("source", "Source", list(sources)),
    ]


def filter_users(chosen: Mapping[str, str]) -> QuerySet[User]:
    """The users that pass all filters. ``chosen``: name of :func:`user_filters` → value."""
    found = User.objects.all()
    if status := chosen.get("status"):
        found = found.filter(status=status)
    if user_type := chosen.get("type"):
        found = found.filter(user_type=user_type)
    if flag := chosen.get("flag"):
        found = found.filter(USER_FLAGS[flag][1])
    # By id, not by slug: the database then knows how many rows match and plans accordingly.
    if slug := chosen.get("check"):
        failing = Finding.objects.filter(resolved_at__isnull=True)
        if slug != ANY_CHECK:
            check = Check.objects.filter(slug=slug).values_list("id", flat=True).first()
            failing = failing.filter(check_ref_id=check)
        found = found.filter(id__in=failing.values("user_id"))
    if slug := chosen.get("source"):
        source = Source.objects.filter(slug=slug).first()
        found = found.filter(id__in=Account.objects.filter(source=source).values("user_id"))
    return found


def failing_counts(users: Sequence[User]) -> dict[int, int]:
    """User id → number of checks that the user fails now."""
    open_findings = Finding.objects.filter(user__in=users, resolved_at__isnull=True)
    return dict(open_findings.order_by().values_list("user_id").annotate(number=Count("id")))


def source_names_by_user(users: Sequence[User]) -> dict[int, list[str]]:
    """User id → names of the sources with an account of the user."""
    found: dict[int, list[str]] = {}
    pairs = Account.objects.filter(user__in=users).values_list("user_id", "source__name").distinct()
    for user, name in pairs.order_by("source__name"):
        if user is not None:
            found.setdefault(user, []).append(name)
    return found
