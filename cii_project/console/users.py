"""Users: the list with its filters, and one user's page."""

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import path

from checks.accounts import link_account, unlink_account
from checks.models import Account, Check, Finding, Source, Status, User, UserType
from checks.searching import beginning, called
from cii_project.console.base import ConsoleView, KeysetPage, Role, link, record
from cii_project.console.form_parts import dress, laid_out
from cii_project.console.titles import about, title_of
from cii_project.console.users_accounts import factors_of, people_named, side_by_side
from cii_project.console.users_queries import (
    FLAGS,
    Filters,
    failing_counts,
    listed,
    source_names,
)
from cii_project.models import SavedFilter
from cii_project.templatetags.console import words
from notifications import told

MOST_SAVED = 20
RESOLVED_SHOWN = 20
SENT_SHOWN = 20
FOUND_SHOWN = 10


class Users(ConsoleView):
    title = "Users"
    template = "console/users/list.html"
    section = "console:users"

    def get(self, request: HttpRequest) -> HttpResponse:
        filters = Filters.read(request.GET)
        search = called(filters.q)
        found, name = listed(filters)
        page = KeysetPage.of(*search.parts(found), order=(name, "id"), cursor=request.GET.get("page"))
        failing, sources = failing_counts(page.rows), source_names(page.rows)
        saved = SavedFilter.objects.filter(person=self.person, page="users")
        checks = [(check.slug, title_of(check)) for check in Check.objects.all()]
        return self.page(
            {
                "filters": filters,
                "search": search,
                "page": page,
                "rows": [(user, failing.get(user.pk, 0), sources.get(user.pk, [])) for user in page.rows],
                "choices": [
                    ("status", "Status", [(s, words(s)) for s in Status.values], filters.status),
                    ("type", "Type", [(t, words(t)) for t in UserType.values], filters.type),
                    ("flag", "Who", [(name, label) for name, (label, _) in FLAGS.items()], filters.flag),
                    ("check", "Failing", sorted(checks, key=lambda pair: pair[1]), filters.check),
                    ("source", "Source", Source.objects.values_list("slug", "name"), filters.source),
                ],
                "saved": [(one, one.query == filters.query) for one in saved],
            }
        )


class SaveForm(forms.Form):
    name = forms.CharField(
        label="Name",
        max_length=64,
        help_text="It stands above the list, for you alone. A name that you have used is replaced.",
    )
    query = forms.CharField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        dress(self)
        self.helper = laid_out("query", "name")


class SaveFilter(ConsoleView):
    """A person's own filters; every role may keep some."""

    section = "console:users"
    write_role = Role.VIEWER
    template = "console/users/save_dialog.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        filters = Filters.read(request.GET)
        return self.fragment(self.template, {"form": SaveForm(initial={"query": filters.query})})

    def post(self, request: HttpRequest) -> HttpResponse:
        form = SaveForm(request.POST)
        mine = SavedFilter.objects.filter(person=self.person, page="users")
        if form.is_valid() and mine.count() >= MOST_SAVED:
            form.add_error("name", f"You keep {MOST_SAVED} filters already. Delete one first.")
        if not form.is_valid():
            return self.fragment(self.template, {"form": form})
        given = form.cleaned_data
        mine.update_or_create(
            name=given["name"],
            defaults={"query": given["query"][:1024]},
            create_defaults={"person": self.person, "page": "users", "query": given["query"][:1024]},
        )
        return self.done(f"The filter “{given['name']}” is saved.", f"{link('users')}?{given['query']}")


class DeleteFilter(ConsoleView):
    section = "console:users"
    write_role = Role.VIEWER

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        get_object_or_404(SavedFilter, pk=pk, person=self.person).delete()
        return self.done("The filter is deleted.", link("users"))


class UserPage(ConsoleView):
    template = "console/users/user.html"
    section = "console:users"

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        user = get_object_or_404(User.objects.select_related("manager", "owner"), pk=pk)
        accounts = list(user.accounts.select_related("source").order_by("source__kind", "source__name", "id"))
        accounts.sort(key=lambda account: account.source.kind != "identity")
        findings = list(user.findings.select_related("check_ref").order_by("resolved_at", "-opened_at"))
        still = [finding for finding in findings if finding.resolved_at is None]
        cured = [finding for finding in findings if finding.resolved_at is not None][::-1]
        exclusions = user.exclusions.select_related("check_ref", "created_by").order_by("-created_at")
        lines = side_by_side(accounts, people_named(accounts))
        return self.page(
            {
                "title": user.display_name or user.name,
                "subtitle": user.name if user.display_name else "",
                "crumbs": [("Users", link("users"))],
                "one": user,
                "accounts": [(account, f"account-{account.pk}") for account in accounts],
                "lines": lines,
                "differing": sum(line.differs for line in lines),
                "factors": [(account, factors_of(account)) for account in accounts],
                "failing": [_finding(finding) for finding in still],
                "history": [_finding(finding) for finding in cured[:RESOLVED_SHOWN]],
                "exclusions": [
                    (e, title_of(e.check_ref), link("check", e.check_ref.slug)) for e in exclusions
                ],
                "sent": [
                    (delivery, about(delivery.event), link("delivery", delivery.pk))
                    for delivery in told.last_about(user, findings, SENT_SHOWN)
                ],
            }
        )


def _finding(finding: Finding) -> tuple[Finding, str, str]:
    return finding, title_of(finding.check_ref), link("check", finding.check_ref.slug)


class LinkAccount(ConsoleView):
    """A person joins an account to a user by hand; later imports keep it there."""

    role = write_role = Role.OPERATOR
    section = "console:users"
    template = "console/users/link_dialog.html"

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        user = get_object_or_404(User, pk=pk)
        return self.fragment(self.template, self._found(user, request.GET.get("q", "")))

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        user = get_object_or_404(User, pk=pk)
        chosen = request.POST.get("account", "")
        if not (chosen.isascii() and chosen.isdigit()):
            return self.toast("Choose an account first.", "error")
        account = get_object_or_404(Account, pk=int(chosen))
        before = account.user
        link_account(account, user)
        record(request, user, f"Linked the account {account}{f', before at {before}' if before else ''}.")
        return self.done(f"The account {account.login} is linked.", link("user", user.pk))

    def _found(self, user: User, q: str) -> dict[str, Any]:
        q = q.replace("\0", "").strip()[:320]
        others = Account.objects.exclude(user=user).select_related("source", "user")
        # Each by its own index: an OR, or an order over both, would read all who match.
        keys = ("login_key", "email_key") if q else ()
        found = {one.pk: one for key in keys for one in beginning(others, key, q.casefold())[:FOUND_SHOWN]}
        accounts = sorted(found.values(), key=lambda account: account.login_key)[:FOUND_SHOWN]
        return {"one": user, "q": q, "accounts": accounts, "most": FOUND_SHOWN}


class UnlinkAccount(ConsoleView):
    section = "console:users"

    def post(self, request: HttpRequest, pk: int, account: int) -> HttpResponse:
        user = get_object_or_404(User, pk=pk)
        found = get_object_or_404(user.accounts.select_related("source"), pk=account)
        unlink_account(found)
        record(request, user, f"Unlinked the account {found}.")
        still = User.objects.filter(pk=pk).exists()
        url = link("user", pk if still else found.user_id)
        return self.done(f"The account {found.login} is a user of its own now.", url)


urlpatterns = [
    path("users/", Users.as_view(), name="users"),
    path("users/filters/save/", SaveFilter.as_view(), name="users-save-filter"),
    path("users/filters/<int:pk>/delete/", DeleteFilter.as_view(), name="users-delete-filter"),
    path("users/<int:pk>/", UserPage.as_view(), name="user"),
    path("users/<int:pk>/link/", LinkAccount.as_view(), name="user-link"),
    path("users/<int:pk>/accounts/<int:account>/unlink/", UnlinkAccount.as_view(), name="user-unlink"),
]
