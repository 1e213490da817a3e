"""Joining: doubtful joins of accounts, both accounts side by side, and a member's decision."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import path
from django.utils.functional import cached_property

from checks.models import Account, Exclusion, JoinReason, JoinSuggestion, Source
from checks.services import (
    ImportRefused,
    SuggestionDecided,
    accept_suggestion,
    copy_exclusions,
    reject_suggestion,
)
from cii_project.console.core.console_view import ConsoleView, Role, page_url
from cii_project.console.core.csv_export import time_cell
from cii_project.console.core.list_query import Column, Filter, ListQuery, choices_of
from cii_project.console.core.list_view import Listing, ListView
from cii_project.console.core.titles import check_title
from cii_project.console.core.unstorable_values import parse_id
from cii_project.console.users.account_tables import FieldComparison, compare_accounts
from integrations.services import JsonObject

# The fields of a record that waits, as the page names them.
RECORD_LABELS = (
    ("login", "Login"),
    ("email", "E-mail"),
    ("employee_id", "Employee id"),
    ("display_name", "Display name"),
    ("status", "Status"),
    ("user_type", "User type"),
    ("department", "Department"),
    ("title", "Title"),
)


# The accounts of a user that stand beside the doubtful one.
ACCOUNTS_BESIDE = 4


@dataclass(frozen=True, slots=True)
class Doubt:
    """One suggestion with its columns: the account, and the user's accounts or the record that waits."""

    suggestion: JoinSuggestion
    heads: list[str]
    lines: list[FieldComparison]
    excluded_from: list[str]


def _user_words(asked: ListQuery) -> Q:
    """Suggestions whose account or user has every word of the search in a name, login, e-mail or employee id."""
    of_account = ("account__login", "account__email", "account__display_name", "account__employee_id")
    names = (*of_account, "user__name", "user__display_name", "user__email", "user__employee_id")
    found = Q()
    for word in asked.search.split():
        found &= reduce(or_, (Q(**{f"{name}__icontains": word}) for name in names))
    return found


class JoiningPage(ListView):
    title = "Joining"
    template = "console/joining/list.html"
    section = "console:users"
    guide = "importing#which-accounts-are-one-user"
    list_name = "joining"
    nouns = ("doubtful join", "doubtful joins")
    search_label = "Name, login, e-mail or employee ID"
    default_sort = "-found"
    default_size = 25
    has_heads = False
    columns = (
        Column("found", "Found", lambda one: time_cell(one.created_at), ("id",), is_indexed=True),
        Column("account", "Account", lambda one: one.account.login, ("account__login", "id")),
        Column("source", "Source", lambda one: one.account.source.name, ("account__source__name", "id")),
        Column("user", "User", lambda one: one.user.name, ("user__name", "id")),
        Column("reason", "Reason", lambda one: one.get_reason_display(), ("reason", "id")),
        Column("doubt", "Doubt", lambda one: one.doubt),
        Column("state", "State", lambda one: one.state),
        Column("decided_by", "Decided by", lambda one: one.decided_by or ""),
        Column("decided", "Decided", lambda one: time_cell(one.decided_at), is_csv_only=True),
    )

    @cached_property
    def _filters(self) -> Sequence[Filter]:
        states = [(value, label) for value, label in choices_of(JoinSuggestion.State) if value != "open"]
        return (
            # Without the filter the page shows what waits for a decision.
            Filter(
                "state",
                "State",
                [*states, ("all", "State: any")],
                accepts=lambda value: value == JoinSuggestion.State.OPEN,
                unset_text="Open",
            ),
            Filter("reason", "Reason", choices_of(JoinReason)),
            Filter("source", "Source", list(Source.objects.order_by("name").values_list("slug", "name"))),
            Filter(
                "import", "Found by", accepts=lambda value: bool(parse_id(value)), describe="import {}".format
            ),
        )

    def filters(self) -> Sequence[Filter]:
        return self._filters

    def matching(self, asked: ListQuery) -> list[QuerySet[Model]]:
        chosen = asked.filters
        found = JoinSuggestion.objects.filter(_user_words(asked))
        state = chosen.get("state", JoinSuggestion.State.OPEN)
        if state != "all":
            found = found.filter(state=state)
        if reason := chosen.get("reason"):
            found = found.filter(reason=reason)
        if source := chosen.get("source"):
            found = found.filter(account__source__slug=source)
        if of_import := chosen.get("import"):
            found = found.filter(found_by=parse_id(of_import))
        return [found]

    def related(self, found: QuerySet[Model]) -> QuerySet[Model]:
        return found.select_related("account__source", "account__user", "user", "decided_by")

    def more_context(self, listing: Listing) -> Mapping[str, object]:
        return {
            "subtitle": "Accounts that may belong to one user. Nothing is joined until a member decides.",
            "crumbs": [("Users", page_url("users"))],
            "doubts": _doubts(listing.page.rows),
        }


def _doubts(suggestions: Sequence[JoinSuggestion]) -> list[Doubt]:
    """What the page shows of each: the users' other accounts and exclusions are read together."""
    users = {one.user_id for one in suggestions if one.record is None}
    accounts: dict[int | None, list[Account]] = defaultdict(list)
    for account in (
        Account.objects.filter(user__in=users).select_related("source").order_by("source__kind", "pk")
    ):
        accounts[account.user_id].append(account)
    excluded: dict[int, list[str]] = defaultdict(list)
    for exclusion in Exclusion.objects.filter(user__in=users).select_related("check_ref"):
        excluded[exclusion.user_id].append(check_title(exclusion.check_ref.slug))
    return [_doubt(one, accounts.get(one.user_id, []), excluded.get(one.user_id, [])) for one in suggestions]


def _doubt(suggestion: JoinSuggestion, of_user: Sequence[Account], excluded_from: list[str]) -> Doubt:
    account = suggestion.account
    if suggestion.record is not None:
        record: JsonObject = suggestion.record
        lines = [
            FieldComparison(label, [mine, theirs], mine != theirs)
            for name, label in RECORD_LABELS
            for mine, theirs in [(_text(getattr(account, name)), _text(record.get(name)))]
            if mine is not None or theirs is not None
        ]
        return Doubt(
            suggestion, [f"{account.source.name}, stored", f"{account.source.name}, new record"], lines, []
        )
    others = [one for one in of_user if one.pk != account.pk][:ACCOUNTS_BESIDE]
    accounts = [account, *others]
    return Doubt(
        suggestion, [each.source.name for each in accounts], compare_accounts(accounts), excluded_from
    )


def _text(value: object) -> str | None:
    return str(value) if value not in (None, "") else None


class Decide(ConsoleView):
    """Accept or reject one suggestion."""

    section = "console:users"
    write_role = Role.OPERATOR

    def post(self, request: HttpRequest, pk: int, decision: str) -> HttpResponse:
        suggestion = get_object_or_404(
            JoinSuggestion.objects.select_related("account__source", "account__user", "user"), pk=pk
        )
        login, name = suggestion.account.login, suggestion.user.name
        try:
            if decision == "accept":
                accept_suggestion(suggestion, by=request.user)
                text = f"{login} belongs to {name}."
            elif decision == "exclude":
                number = copy_exclusions(suggestion, by=request.user)
                text = f"{login} is excluded from {number} check{'' if number == 1 else 's'}."
            else:
                reject_suggestion(suggestion, by=request.user)
                text = f"{login} and {name} stay apart."
        except (SuggestionDecided, ImportRefused) as error:
            return self.done(str(error), page_url("joining"), "warning")
        return self.done(text, page_url("joining"))


urlpatterns = [
    path("joining/", JoiningPage.as_view(), name="joining"),
    path("joining/<int:pk>/accept/", Decide.as_view(), {"decision": "accept"}, name="joining-accept"),
    path("joining/<int:pk>/reject/", Decide.as_view(), {"decision": "reject"}, name="joining-reject"),
    path("joining/<int:pk>/exclude/", Decide.as_view(), {"decision": "exclude"}, name="joining-exclude"),
]
