"""Leaving a user out of a check, for good or until a date, with a reason."""

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from django.utils import timezone

from checks.models import Check, Exclusion, User
from checks.services import exclude_user, remove_exclusion
from cii_project.console.base import ADDITION, DELETION, ConsoleView, KeysetPage, Role, record
from cii_project.console.check_head import CheckView
from cii_project.console.form_parts import dress, laid_out
from cii_project.console.runs_progress import title_of


class ExclusionForm(forms.Form):
    reason = forms.CharField(
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 3, "placeholder": "Break-glass account, reviewed each quarter"}),
        help_text="Others will read why this user is left out.",
    )
    until = forms.DateField(
        required=False,
        label="Until (optional)",
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text="The last day of the exclusion (UTC). Empty: for good.",
    )

    def __init__(self, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(data, auto_id="exclude_%s")
        dress(self)
        self.helper = laid_out("reason", "until")

    def clean_until(self) -> datetime | None:
        """The end of the day chosen, in UTC."""
        day = self.cleaned_data["until"]
        if day is None:
            return None
        if day < timezone.now().date():
            raise ValidationError("Choose today or a later day.")
        return timezone.make_aware(datetime.combine(day + timedelta(days=1), time.min), UTC)


class ExclusionsPage(CheckView):
    """Who is left out of this check."""

    template = "console/checks/exclusions.html"
    tab = "exclusions"

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        check = self.check(slug)
        found = Exclusion.objects.filter(check_ref=check).select_related("user", "created_by")
        page = KeysetPage.of(found, order=["-id"], cursor=request.GET.get("page"))
        return self.page(self.head(check) | {"page": page, "now": timezone.now()})


class Exclude(ConsoleView):
    """The dialog that excludes one user."""

    role = Role.OPERATOR
    write_role = Role.OPERATOR

    def get(self, request: HttpRequest, slug: str, user_id: int) -> HttpResponse:
        return self._dialog(ExclusionForm(), slug, user_id)

    def post(self, request: HttpRequest, slug: str, user_id: int) -> HttpResponse:
        form = ExclusionForm(request.POST)
        if not form.is_valid():
            return self._dialog(form, slug, user_id)
        check, user = get_object_or_404(Check, slug=slug), get_object_or_404(User, id=user_id)
        until = form.cleaned_data["until"]
        try:
            exclude_user(check, user, reason=form.cleaned_data["reason"], until=until, by=request.user)
        except ValidationError as error:
            form.add_error(None, error.messages)
            return self._dialog(form, slug, user_id)
        record(request, check, f"Excluded {user.name}: {form.cleaned_data['reason']}", ADDITION)
        end = f" until {until - timedelta(days=1):%d %b %Y}" if until else " for good"
        text = f"{user.name} is excluded{end}, from the next run on."
        return self.done(text, reverse("console:check", args=[slug]))

    def _dialog(self, form: ExclusionForm, slug: str, user_id: int) -> HttpResponse:
        context: dict[str, Any] = {
            "form": form,
            "check": get_object_or_404(Check, slug=slug),
            "check_title": title_of(slug),
            "user_excluded": get_object_or_404(User, id=user_id),
        }
        return self.fragment("console/checks/exclude.html", context)


class RemoveExclusion(ConsoleView):
    write_role = Role.OPERATOR

    def post(self, request: HttpRequest, slug: str, exclusion_id: int) -> HttpResponse:
        exclusion = get_object_or_404(
            Exclusion.objects.select_related("user", "check_ref"), id=exclusion_id, check_ref__slug=slug
        )
        name = exclusion.user.name
        record(request, exclusion.check_ref, f"Removed the exclusion of {name}", DELETION)
        remove_exclusion(exclusion)
        text = f"{name} is judged again from the next run on."
        return self.done(text, reverse("console:check-exclusions", args=[slug]))


urlpatterns = [
    path("checks/<slug:slug>/exclusions", ExclusionsPage.as_view(), name="check-exclusions"),
    path("checks/<slug:slug>/exclude/<int:user_id>", Exclude.as_view(), name="check-exclude"),
    path(
        "checks/<slug:slug>/exclusions/<int:exclusion_id>/remove",
        RemoveExclusion.as_view(),
        name="check-exclusion-remove",
    ),
]
