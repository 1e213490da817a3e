"""Exclusions of a check: users exempt permanently or until a date, with a reason. Added, edited and removed, one or many."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

from crispy_forms.layout import Div
from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404
from django.urls import path
from django.utils import timezone
from django.utils.functional import cached_property

from checks.models import Check, Exclusion, User
from checks.services import (
    CATALOGUE,
    exclude_user,
    exclude_users,
    remove_exclusions,
    search_users,
    users_named,
)
from cii_project.console.checks.exclusion_forms import DATE, ExclusionForm
from cii_project.console.checks.head import CheckView
from cii_project.console.checks.settings_tab import LinesField
from cii_project.console.core.console_view import ConsoleView, Role, page_url
from cii_project.console.core.csv_export import time_cell
from cii_project.console.core.form_parts import form_helper, shown_when
from cii_project.console.core.list_query import Column, Filter, ListQuery, read_list_query
from cii_project.console.core.list_view import Listing, ListView
from cii_project.console.core.titles import check_title
from cii_project.console.core.unstorable_values import parse_id
from cii_project.console.core.viewer_zone import last_day, viewer_zone

MOST_AT_ONCE = 500
# Users that the question before a removal names.
MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class ExclusionRow:
    """An exclusion of the list. ``last_day``: in the member's zone; None: permanent."""

    exclusion: Exclusion
    last_day: date | None


class ExclusionsPage(ListView, CheckView):
    """The users excluded from this check."""

    template = "console/checks/exclusions.html"
    tab = "exclusions"
    list_name = "exclusions"
    nouns = ("exclusion", "exclusions")
    search_label = "Name, e-mail, login or employee ID"
    default_sort = "-added"
    columns = (
        Column("user", "User", lambda row: row.exclusion.user.name, ("user__name", "id"), is_fixed=True),
        Column("reason", "Reason", lambda row: row.exclusion.reason, ("reason", "id")),
        Column("last_day", "Last day", lambda row: row.last_day or "permanently", ("until", "id")),
        Column("by", "By", lambda row: row.exclusion.created_by or "configuration"),
        Column(
            "added",
            "Added",
            lambda row: time_cell(row.exclusion.created_at),
            ("id",),
            is_indexed=True,
            starts_descending=True,
        ),
    )

    @cached_property
    def _check(self) -> Check:
        return self.check(str(self.kwargs["slug"]))

    def filters(self) -> Sequence[Filter]:
        return exclusion_filters()

    def matching(self, asked: ListQuery) -> list[QuerySet[Model]]:
        return [*matching_exclusions(self._check, asked)]

    def related(self, found: QuerySet[Model]) -> QuerySet[Model]:
        return found.select_related("user", "created_by")

    def rows(self, found: Sequence[Exclusion]) -> Sequence[ExclusionRow]:
        zone = viewer_zone(self.request)
        return [ExclusionRow(one, last_day(one.until, zone) if one.until else None) for one in found]

    def exported_thing(self) -> Check:
        return self._check

    def more_context(self, listing: Listing) -> Mapping[str, object]:
        return self.head(self._check) | {"zone": viewer_zone(self.request).key}


def exclusion_filters() -> list[Filter]:
    return [Filter("state", "State", [("active", "In force"), ("ended", "Ended"), ("for_good", "For good")])]


def matching_exclusions(check: Check, asked: ListQuery) -> list[QuerySet[Exclusion]]:
    """The exclusions from ``check`` that match, without an order, in parts that may overlap."""
    now = timezone.now()
    found = Exclusion.objects.filter(check_ref=check)
    match asked.filters.get("state"):
        case "active":
            found = Exclusion.objects.active_at(now).filter(check_ref=check)
        case "ended":
            found = found.filter(until__lte=now)
        case "for_good":
            found = found.filter(until=None)
    return search_users(asked.search).parts(found, "user__")


class Exclude(ConsoleView):
    """The dialog that excludes one user, or edits the exclusion that there is."""

    role = Role.OPERATOR
    write_role = Role.OPERATOR

    def get(self, request: HttpRequest, slug: str, user_id: int) -> HttpResponse:
        check, user, exclusion = self._found(slug, user_id)
        form = ExclusionForm(zone=viewer_zone(request), exclusion=exclusion)
        return self._dialog(form, check, user, exclusion, request.GET.get("back", ""))

    def post(self, request: HttpRequest, slug: str, user_id: int) -> HttpResponse:
        check, user, exclusion = self._found(slug, user_id)
        back = request.POST.get("back", "")
        form = ExclusionForm(request.POST, zone=viewer_zone(request), exclusion=exclusion)
        if not form.is_valid():
            return self._dialog(form, check, user, exclusion, back)
        try:
            exclude_user(check, user, reason=form.cleaned_data["reason"], until=form.ends_at, by=request.user)
        except ValidationError as error:
            form.add_error(None, error.messages)
            return self._dialog(form, check, user, exclusion, back)
        text = f"{user.name} is excluded from {check_title(slug)} {form.end_text}, from the next run on."
        return self.done(text, _back_url(back, check, user))

    @staticmethod
    def _found(slug: str, user_id: int) -> tuple[Check, User, Exclusion | None]:
        check, user = get_object_or_404(Check, slug=slug), get_object_or_404(User, id=user_id)
        held = Exclusion.objects.filter(check_ref=check, user=user).select_related("check_ref")
        return check, user, held.first()

    def _dialog(
        self, form: ExclusionForm, check: Check, user: User, exclusion: Exclusion | None, back: str
    ) -> HttpResponse:
        context: dict[str, object] = {
            "form": form,
            "check": check,
            "check_title": check_title(check.slug),
            "user_excluded": user,
            "exclusion": exclusion,
            "back": back,
        }
        return self.fragment("console/checks/exclude.html", context)


def _back_url(back: str, check: Check, user: User) -> str:
    """The page that opened the dialog: ``user``, ``exclusions``, else the check's page."""
    if back == "user":
        return page_url("user", user.pk)
    return page_url("check-exclusions" if back == "exclusions" else "check", check.slug)


class SeveralUsersForm(ExclusionForm):
    """Users by login or e-mail, one a line, whether they fail or not."""

    users = LinesField(
        label="Users",
        help_text=f"One login or e-mail a line, at most {MOST_AT_ONCE}. They may pass the check today.",
    )

    def __init__(self, data: QueryDict | None = None, *, zone: ZoneInfo) -> None:
        super().__init__(data, zone=zone)
        self.helper = form_helper("users", "reason", "period", shown_when("period", [DATE], "until"))

    def clean_users(self) -> list[User]:
        named: Sequence[str] = self.cleaned_data["users"]
        if not named:
            raise ValidationError("Write the login or e-mail of at least one user.")
        if len(named) > MOST_AT_ONCE:
            raise ValidationError(f"There are {len(named)} lines. Use at most {MOST_AT_ONCE}.")
        found, wrong = _users(users_named(named))
        if wrong:
            raise ValidationError(wrong)
        return found


def _users(named: Mapping[str, Sequence[User]]) -> tuple[list[User], list[str]]:
    """The users, each once, and a text for each name that is not exactly one user's."""
    users: dict[int, User] = {}
    wrong = []
    for name, found in named.items():
        if len(found) == 1:
            users[found[0].pk] = found[0]
        elif found:
            wrong.append(f"“{name}” is a login or e-mail of {len(found)} users. Exclude them on their pages.")
        else:
            wrong.append(f"“{name}” is no user's login or e-mail.")
    return list(users.values()), wrong


class ExcludeSeveral(CheckView):
    """The dialog that excludes users by name, before or after they fail."""

    role = Role.OPERATOR

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        return self._dialog(self.check(slug), SeveralUsersForm(zone=viewer_zone(request)))

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        check = self.check(slug)
        form = SeveralUsersForm(request.POST, zone=viewer_zone(request))
        if not form.is_valid():
            return self._dialog(check, form)
        given = form.cleaned_data
        users: list[User] = given["users"]
        try:
            exclude_users([(check, user) for user in users], given["reason"], form.ends_at, by=request.user)
        except ValidationError as error:
            form.add_error(None, error.messages)
            return self._dialog(check, form)
        who = users[0].name if len(users) == 1 else f"{len(users)} users"
        verb = "is" if len(users) == 1 else "are"
        text = f"{who} {verb} excluded {form.end_text}, from the next run on."
        return self.done(text, page_url("check-exclusions", slug))

    def _dialog(self, check: Check, form: SeveralUsersForm) -> HttpResponse:
        context = {"form": form, "check": check, "check_title": check_title(check.slug)}
        return self.fragment("console/checks/exclude_several.html", context)


class SeveralChecksForm(ExclusionForm):
    checks = forms.MultipleChoiceField(
        label="Checks", widget=forms.CheckboxSelectMultiple, error_messages={"required": "Choose a check."}
    )

    def __init__(self, data: QueryDict | None = None, *, zone: ZoneInfo, excluded: set[str]) -> None:
        super().__init__(data, zone=zone)
        slugs = sorted(set(Check.objects.values_list("slug", flat=True)) & set(CATALOGUE), key=check_title)
        self.fields["checks"].choices = [(slug, check_title(slug)) for slug in slugs if slug not in excluded]  # type: ignore[attr-defined]
        self.helper = form_helper(
            Div("checks", css_class="c-scroll-list", role="group", aria_label="Checks", tabindex="0"),
            "reason",
            "period",
            shown_when("period", [DATE], "until"),
        )


class ExcludeFromSeveral(ConsoleView):
    """The dialog on a user's page: excluded from the checks that a member chooses."""

    role = Role.OPERATOR
    section = "console:users"

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        user = get_object_or_404(User, pk=pk)
        return self._dialog(user, self._form(request, user))

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        user = get_object_or_404(User, pk=pk)
        form = self._form(request, user, request.POST)
        if not form.is_valid():
            return self._dialog(user, form)
        given = form.cleaned_data
        checks = list(Check.objects.filter(slug__in=given["checks"]))
        try:
            exclude_users([(check, user) for check in checks], given["reason"], form.ends_at, by=request.user)
        except ValidationError as error:
            form.add_error(None, error.messages)
            return self._dialog(user, form)
        what = check_title(checks[0].slug) if len(checks) == 1 else f"{len(checks)} checks"
        text = f"{user.name} is excluded from {what} {form.end_text}, from the next run on."
        return self.done(text, page_url("user", user.pk))

    @staticmethod
    def _form(request: HttpRequest, user: User, data: QueryDict | None = None) -> SeveralChecksForm:
        active = Exclusion.objects.active_at(timezone.now()).filter(user=user)
        excluded = set(active.values_list("check_ref__slug", flat=True))
        return SeveralChecksForm(data, zone=viewer_zone(request), excluded=excluded)

    def _dialog(self, user: User, form: SeveralChecksForm) -> HttpResponse:
        return self.fragment("console/checks/exclude_from_several.html", {"form": form, "one": user})


class RemoveExclusions(CheckView):
    """The dialog that asks before exclusions are removed, and their removal: one, or those that a member has selected."""

    role = Role.OPERATOR
    write_role = Role.OPERATOR

    def get(self, request: HttpRequest, slug: str, exclusion_id: int = 0) -> HttpResponse:
        check = self.check(slug)
        chosen = self._chosen(check, request.GET, exclusion_id)
        context = {
            "check": check,
            "check_title": check_title(slug),
            "chosen": chosen,
            "named": chosen[:MOST_NAMED],
            "unnamed": max(len(chosen) - MOST_NAMED, 0),
            "kept": [(name, value) for name, value in request.GET.items() if value]
            if "all" in request.GET
            else [],
        }
        return self.fragment("console/checks/remove_exclusions.html", context)

    def post(self, request: HttpRequest, slug: str, exclusion_id: int = 0) -> HttpResponse:
        check = self.check(slug)
        chosen = self._chosen(check, request.POST, exclusion_id)
        if not chosen:
            return self.done(
                "Nothing matched any more, so nothing was removed.",
                page_url("check-exclusions", slug),
                "info",
            )
        remove_exclusions(chosen)
        who = f"{chosen[0].user.name} is" if len(chosen) == 1 else f"{len(chosen)} users are"
        text = f"{who} evaluated again from the next run on."
        return self.done(text, page_url("check-exclusions", slug))

    @staticmethod
    def _chosen(check: Check, query: QueryDict, exclusion_id: int) -> list[Exclusion]:
        """The exclusions to remove: one, the selected ones, or with ``all`` every exclusion that the list's
        filters match."""
        if exclusion_id:
            found = Exclusion.objects.filter(check_ref=check, pk=exclusion_id)
        elif query.get("all"):
            asked = read_list_query(
                query,
                filters=exclusion_filters(),
                columns=ExclusionsPage.columns,
                ignored=["all", "exclusion", "csrfmiddlewaretoken"],
            )
            ids = {
                pk
                for part in ([] if asked.matches_nothing else matching_exclusions(check, asked))
                for pk in part.order_by().values_list("pk", flat=True)
            }
            found = Exclusion.objects.filter(check_ref=check, pk__in=ids)
        else:
            wanted = [parse_id(text) for text in query.getlist("exclusion")[:MOST_AT_ONCE]]
            found = Exclusion.objects.filter(check_ref=check, pk__in=wanted)
        chosen = list(found.select_related("user", "check_ref").order_by("user__name"))
        if exclusion_id and not chosen:
            raise Http404("There is no such exclusion.")
        return chosen


urlpatterns = [
    path("checks/<slug:slug>/exclusions", ExclusionsPage.as_view(), name="check-exclusions"),
    path("checks/<slug:slug>/exclusions/add", ExcludeSeveral.as_view(), name="check-exclusions-add"),
    path("checks/<slug:slug>/exclusions/remove", RemoveExclusions.as_view(), name="check-exclusions-remove"),
    path("checks/<slug:slug>/exclude/<int:user_id>", Exclude.as_view(), name="check-exclude"),
    path(
        "checks/<slug:slug>/exclusions/<int:exclusion_id>/remove",
        RemoveExclusions.as_view(),
        name="check-exclusion-remove",
    ),
    path("users/<int:pk>/exclude", ExcludeFromSeveral.as_view(), name="user-exclude"),
]
