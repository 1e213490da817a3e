"""Whom and what a few letters mean: searches that an index answers, however many begin so."""

from dataclasses import dataclass
from typing import Any, TypeVar

from django.db import connection
from django.db.models import Model, QuerySet, Value
from django.db.models.functions import Concat

from checks.indexes import LAST, Folded, PatternOrder, begins
from checks.models import Account, User

M = TypeVar("M", bound=Model)
# A search reads so many of those who are so called by one of their names.
MOST = 1000


@dataclass(frozen=True, slots=True)
class Called:
    """Whom a search means, all without one: the ids of ``names``, who have such a name, and of ``others``;
    with ``many``, all whose name begins so, more than ``names`` holds.

    ``cut``: more users are so called by their display name or login than ``MOST``; the rest are left out.
    """

    text: str
    names: frozenset[int] = frozenset()
    others: frozenset[int] = frozenset()
    many: bool = False
    cut: bool = False

    @property
    def ids(self) -> frozenset[int]:
        return self.names | self.others

    @property
    def most(self) -> int:
        return MOST

    def parts(self, found: "QuerySet[M]", user: str = "") -> "list[QuerySet[M]]":
        """Those of ``found`` who are meant, in parts that may overlap, with their folded ``name_key``.
        ``user``: the path to the user, such as ``user__``."""
        if not self.text:
            return [found]
        ids = self.others if self.many else self.ids
        # The few by their ids, sorted.
        few = found.model._default_manager.filter(
            pk__in=list(found.filter(**{f"{user}id__in": ids}).values_list("pk", flat=True))
        )
        parts: list[Any] = [few.annotate(name_key=Folded(unserved(f"{user}name")))]
        if self.many:
            keyed: Any = found.annotate(name_key=Folded(f"{user}name"))
            parts.append(keyed.filter(begins("name_key", self.text)))
        return parts


def unserved(column: str) -> Concat:
    """The text of a column, to order by where few rows match: an index that has the column's order would lead
    through all rows to find them, and the database cannot always tell."""
    return Concat(column, Value(""))


def called(text: str) -> Called:
    """The users whose name (the e-mail), display name or login begins with ``text``, in any case, or whose
    employee id it is; each account's login counts. Each part is read from an index, and no further than
    ``MOST``: so a letter costs no more than a word."""
    if not text:
        return Called("")
    folded, accounts = text.casefold(), Account.objects.all()
    employees = accounts.filter(employee_key=folded).exclude(employee_key="")
    logins = beginning(accounts, "login_key", folded)
    parts = (
        _named("name", text),
        _named("display_name", text),
        *(found.values_list("user_id", flat=True) for found in (logins, employees)),
    )
    names, *others = (list(ids[: MOST + 1]) for ids in parts)
    kept = frozenset(id for ids in others for id in ids[:MOST] if id)
    return Called(text, frozenset(names[:MOST]), kept, len(names) > MOST, max(map(len, others)) > MOST)


def accounts_called(text: str) -> set[int]:
    """The ids of the accounts whose login or e-mail begins with ``text``, or whose employee id it is; of each
    at most ``MOST``."""
    folded, accounts = text.casefold(), Account.objects.all()
    same = accounts.filter(employee_key=folded).exclude(employee_key="")
    parts = (beginning(accounts, "login_key", folded), beginning(accounts, "email_key", folded), same)
    return {id for part in parts for id in part.values_list("id", flat=True)[:MOST]}


def _named(column: str, text: str) -> QuerySet[User, int]:
    keyed: Any = User.objects.alias(key=Folded(column))
    named: QuerySet[User, int] = (
        keyed.filter(begins("key", text)).order_by("key", "id").values_list("id", flat=True)
    )
    return named


def beginning(accounts: QuerySet[Account], key: str, folded: str) -> QuerySet[Account]:
    """The accounts whose ``key`` column (``login_key`` or ``email_key``) begins with a case-folded text, in its order."""
    # Said for the partial index of addresses, which a database takes only where the query says the same.
    given = accounts.exclude(**{key: ""})
    if connection.vendor == "sqlite":
        return given.filter(**{f"{key}__gte": folded, f"{key}__lt": folded + LAST}).order_by(key)
    return given.filter(**{f"{key}__startswith": folded}).order_by(PatternOrder(key))
