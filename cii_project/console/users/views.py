"""Users: the list with its filters, and linking of accounts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Count, Model, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import path
from django.utils.functional import cached_property

from checks.models import Account, Finding, JoinSuggestion, User
from checks.services import (
    SearchResult,
    accounts_starting_with,
    folded,
    link_account,
    search_users,
    unlink_account,
    without_index,
)
from cii_project.console.core.console_view import ConsoleView, Role, page_url
from cii_project.console.core.csv_export import time_cell
from cii_project.console.core.list_query import Column, Filter, ListQuery
from cii_project.console.core.list_view import Listing, ListView
from cii_project.console.core.unstorable_values import parse_id
from cii_project.console.users.user_filters import (
    failing_counts,
    filter_users,
    source_names_by_user,
    user_filters,
)

FOUND_SHOWN = 10


@dataclass(frozen=True, slots=True)
class UserRow:
    """A user of the list. ``failing``: checks that the user fails now; ``sources``: names of sources with an account."""

    user: User
    failing: int
    sources: Sequence[str]


def _last_sign_in(row: UserRow) -> object:
    if row.user.last_sign_in_at:
        return time_cell(row.user.last_sign_in_at)
    return "never" if row.user.last_sign_in_known else "unknown"


class UsersPage(ListView):
    title = "Users"
    template = "console/users/list.html"
    section = "console:users"
    guide = "importing"
    list_name = "users"
    nouns = ("user", "users")
    search_label = "Name, e-mail, login or employee ID"
    default_sort = "name"
    columns = (
        Column("name", "User", lambda row: row.user.name, ("name", "id"), is_indexed=True, is_fixed=True),
        Column("display_name", "Display name", lambda row: row.user.display_name, is_csv_only=True),
        Column("type", "Type", lambda row: row.user.user_type, ("user_type", "name", "id")),
        Column("status", "Status", lambda row: row.user.status, ("status", "name", "id")),
        Column("department", "Department", lambda row: row.user.department, ("department", "name", "id")),
        Column("title", "Job title", lambda row: row.user.title, ("title", "name", "id"), is_extra=True),
        Column(
            "employee_id",
            "Employee ID",
            lambda row: row.user.employee_id,
            ("employee_id", "id"),
            is_extra=True,
        ),
        Column(
            "manager",
            "Manager",
            lambda row: row.user.manager.name if row.user.manager else "",
            ("manager__name", "name", "id"),
            is_extra=True,
        ),
        Column("sources", "Sources", lambda row: ", ".join(row.sources)),
        Column(
            "created",
            "Created",
            lambda row: time_cell(row.user.created_at),
            ("created_at", "id"),
            is_extra=True,
        ),
        Column("last_sign_in", "Last sign-in", _last_sign_in, ("last_sign_in_at", "id")),
        Column(
            "failing",
            "Failing",
            lambda row: row.failing,
            ("failing_checks", "id"),
            is_number=True,
            starts_descending=True,
        ),
    )

    @cached_property
    def search(self) -> SearchResult:
        return search_users(self.asked(self.request.GET).search)

    def filters(self) -> Sequence[Filter]:
        return self._filters

    @cached_property
    def _filters(self) -> Sequence[Filter]:
        return user_filters()

    def matching(self, asked: ListQuery) -> list[QuerySet[Model]]:
        return self.search.parts(filter_users(asked.filters))

    def related(self, found: QuerySet[Model]) -> QuerySet[Model]:
        return found.select_related("manager")

    def keyset(
        self, parts: list[QuerySet[Model]], columns: tuple[str, ...], asked: ListQuery, *, is_few: bool
    ) -> tuple[list[QuerySet[Model]], tuple[str, ...]]:
        if asked.search:
            # The parts of a search sort by name as Python does, to be merged.
            return parts, ("name_key", "id")
        if is_few:
            # The index of the names would lead through all users to find few.
            return [part.annotate(name_text=without_index("name")) for part in parts], ("name_text", "id")
        return parts, columns

    def sortable(self, found: QuerySet[Model], column: Column) -> QuerySet[Model]:
        if column.name != "failing":
            return found
        failing = Finding.objects.filter(user=OuterRef("pk"), resolved_at__isnull=True).order_by()
        numbers = failing.values("user").annotate(number=Count("pk")).values("number")
        counted: QuerySet[Model] = found.annotate(failing_checks=Coalesce(Subquery(numbers), 0))
        return counted

    def rows(self, found: Sequence[User]) -> Sequence[UserRow]:
        failing, sources = failing_counts(found), source_names_by_user(found)
        return [UserRow(user, failing.get(user.pk, 0), sources.get(user.pk, [])) for user in found]

    def more_context(self, listing: Listing) -> Mapping[str, object]:
        return {
            "open_joins": JoinSuggestion.objects.filter(state=JoinSuggestion.State.OPEN).count(),
            "search": self.search,
        }


class LinkAccount(ConsoleView):
    """A member links an account to a user; later imports keep it there."""

    role = write_role = Role.OPERATOR
    section = "console:users"
    template = "console/users/link_dialog.html"

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        user = get_object_or_404(User, pk=pk)
        return self.fragment(self.template, self._found(user, request.GET.get("q", "")))

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        user = get_object_or_404(User, pk=pk)
        chosen = parse_id(request.POST.get("account", ""))
        if not chosen:
            return self.toast("Choose an account first.", "error")
        account = get_object_or_404(Account, pk=chosen)
        link_account(account, user, by=request.user)
        return self.done(f"The account {account.login} is linked.", page_url("user", user.pk))

    def _found(self, user: User, q: str) -> dict[str, object]:
        q = q.replace("\0", "").strip()[:320]
        others = Account.objects.exclude(user=user).select_related("source", "user")
        # Each by its own index: an OR, or an order over both, would read all who match.
        keys = ("login_key", "email_key") if q else ()
        found = {
            one.pk: one
            for key in keys
            for one in accounts_starting_with(others, key, folded(q))[:FOUND_SHOWN]
        }
        accounts = sorted(found.values(), key=lambda account: account.login_key)[:FOUND_SHOWN]
        return {"one": user, "q": q, "accounts": accounts, "most": FOUND_SHOWN}


class UnlinkAccount(ConsoleView):
    section = "console:users"

    def post(self, request: HttpRequest, pk: int, account: int) -> HttpResponse:
        user = get_object_or_404(User, pk=pk)
        found = get_object_or_404(user.accounts.select_related("source"), pk=account)
        unlink_account(found, by=request.user)
        still = User.objects.filter(pk=pk).exists()
        url = page_url("user", pk if still else found.user_id)
        return self.done(f"The account {found.login} is now a separate user.", url)


urlpatterns = [
    path("users/", UsersPage.as_view(), name="users"),
    path("users/<int:pk>/link/", LinkAccount.as_view(), name="user-link"),
    path("users/<int:pk>/accounts/<int:account>/unlink/", UnlinkAccount.as_view(), name="user-unlink"),
]
