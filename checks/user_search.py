"""Searches by the start of a name and by words. An index answers each, for any number of matches."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db import connection
from django.db.models import Model, QuerySet, Value
from django.db.models.functions import Concat

from checks import dialect
from checks.folding import folded
from checks.indexes import LAST, Folded, PatternOrder, starts_with
from checks.models import Account, User
from checks.word_search import users_with_words

M = TypeVar("M", bound=Model)
# Rows that a search reads from each index.
LIMIT = 1000


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The users that match a search; an empty ``text`` matches all.

    ``by_name``: ids of users whose name matches; ``by_others``: ids of users with another matching value.
    ``has_more_by_name``: more users than ``by_name`` holds match by name; they are found by the name.
    ``is_truncated``: more than ``LIMIT`` users match by a display name, a login or a word, and the rest is missing.
    """

    text: str
    by_name: frozenset[int] = frozenset()
    by_others: frozenset[int] = frozenset()
    has_more_by_name: bool = False
    is_truncated: bool = False

    @property
    def ids(self) -> frozenset[int]:
        return self.by_name | self.by_others

    @property
    def limit(self) -> int:
        return LIMIT

    def parts(self, found: "QuerySet[M]", user: str = "") -> "list[QuerySet[M]]":
        """The rows of ``found`` whose user matches, as querysets that may overlap, annotated with the folded
        ``name_key``. ``user``: the path to the user, such as ``user__``."""
        if not self.text:
            return [found]
        ids = self.by_others if self.has_more_by_name else self.ids
        # By their primary keys, sorted: few.
        few = found.model._default_manager.filter(
            pk__in=list(found.filter(**{f"{user}id__in": ids}).values_list("pk", flat=True))
        )
        parts: list[Any] = [few.annotate(name_key=Folded(without_index(f"{user}name")))]
        if self.has_more_by_name:
            keyed = found.annotate(name_key=Folded(f"{user}name"))
            parts.append(keyed.filter(starts_with("name_key", self.text)))
        return parts


def without_index(column: str) -> Concat:
    """The text of a column as an expression that no index has.

    To sort few rows by: an index in the column's order would lead through all rows to find them, and the database
    cannot always tell.
    """
    return Concat(column, Value(""))


def search_users(text: str) -> SearchResult:
    """The users whose name (the e-mail), display name or login starts with ``text``, in any case, whose
    employee id it is, or who have words that start so (:func:`users_with_words`). Each account's login
    counts.

    Reads at most ``LIMIT`` rows from each of five indexes: one letter costs no more than a word.
    """
    if not text:
        return SearchResult("")
    key, accounts = folded(text), Account.objects.all()
    employees = accounts.filter(employee_key=key).exclude(employee_key="")
    logins = accounts_starting_with(accounts, "login_key", key)
    parts = (
        _users_named("name", text),
        _users_named("display_name", text),
        *(found.values_list("user_id", flat=True) for found in (logins, employees)),
    )
    names, *others = (list(ids[: LIMIT + 1]) for ids in parts)
    if max(map(len, others)) <= LIMIT:
        # Otherwise the result is incomplete in any case.
        others.append(users_with_words(text, LIMIT + 1))
    by_others = frozenset(id for ids in others for id in ids[:LIMIT] if id)
    return SearchResult(
        text, frozenset(names[:LIMIT]), by_others, len(names) > LIMIT, max(map(len, others)) > LIMIT
    )


def search_accounts(text: str) -> set[int]:
    """Ids of the accounts whose login or e-mail starts with ``text`` or whose employee id it is; at most
    ``LIMIT`` by each of the three."""
    key, accounts = folded(text), Account.objects.all()
    parts = (
        accounts_starting_with(accounts, "login_key", key),
        accounts_starting_with(accounts, "email_key", key),
        accounts.filter(employee_key=key).exclude(employee_key=""),
    )
    return {id for part in parts for id in part.values_list("id", flat=True)[:LIMIT]}


def users_named(names: Iterable[str]) -> dict[str, list[User]]:
    """Name → the users with this login or e-mail, in any case; the order of ``names`` is kept. Two queries."""
    keys = {name: folded(name) for name in names}
    found: dict[str, dict[int, User]] = {key: {} for key in keys.values()}
    accounts = Account.objects.filter(user__isnull=False).select_related("user")
    for column in ("login_key", "email_key"):
        for account in accounts.filter(**{f"{column}__in": dialect.among(found.keys() - {""})}):
            if account.user:
                found[getattr(account, column)][account.user.pk] = account.user
    return {name: list(found[key].values()) for name, key in keys.items()}


def _users_named(column: str, text: str) -> QuerySet[User, int]:
    keyed = User.objects.alias(key=Folded(column))
    named: QuerySet[User, int] = (
        keyed.filter(starts_with("key", text)).order_by("key", "id").values_list("id", flat=True)
    )
    return named


def accounts_starting_with(accounts: QuerySet[Account], key: str, text: str) -> QuerySet[Account]:
    """The accounts whose ``key`` column (``login_key`` or ``email_key``) starts with a folded text, in its
    order."""
    # For the partial index of addresses, which a database uses only where the query has its condition.
    given = accounts.exclude(**{key: ""})
    if connection.vendor == "sqlite":
        return given.filter(**{f"{key}__gte": text, f"{key}__lt": text + LAST}).order_by(key)
    return given.filter(**{f"{key}__startswith": text}).order_by(PatternOrder(key))
