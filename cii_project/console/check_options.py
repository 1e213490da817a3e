"""The dialog of one ticked target of a check: only whom, how often, and of what it is told."""

from typing import Any

from crispy_forms.layout import Div
from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404
from django.urls import path

from checks.models import UserType
from cii_project.console.base import ConsoleView, Role
from cii_project.console.check_settings import LinesField
from cii_project.console.check_targets import AUDIENCE_LABELS
from cii_project.console.form_parts import dress, laid_out, pair
from cii_project.console.runs_progress import title_of
from notifications.choosing import KEYS, SEVERITIES
from notifications.models import Audience, Cadence, Subscription
from notifications.services import change_subscription


class OptionsForm(forms.Form):
    severity = forms.ChoiceField(
        label="Severity at least",
        required=False,
        choices=[("", "any"), *((name, name.capitalize()) for name in SEVERITIES)],
        help_text="Of the check, as it is when a run has found something.",
    )
    tags = LinesField(label="Tags of the check", help_text="One a line; any of them. Empty: all checks.")
    departments = LinesField(
        label="Departments", help_text="One a line, whatever the case. Empty: all users."
    )
    user_types = forms.MultipleChoiceField(
        label="User types",
        required=False,
        choices=[(value, label) for value, label in UserType.choices],
        widget=forms.CheckboxSelectMultiple,
        help_text="None ticked: all users.",
    )
    cadence = forms.ChoiceField(
        label="When",
        choices=Cadence.choices,
        help_text="Once a day: at the time of the daily run. Once a week: the same on the day in Settings.",
    )
    after_days = forms.IntegerField(
        label="Only of who still fails after (days)",
        min_value=0,
        max_value=365,
        help_text="0: at once. For managers: tell the user first, the manager so many days later.",
    )
    remind_days = forms.IntegerField(
        label="Remind every (days)", min_value=0, max_value=365, help_text="0: never. Until cured."
    )
    resolved = forms.BooleanField(label="Also tell who no longer fails", required=False)

    def __init__(self, subscription: Subscription, data: QueryDict | None = None) -> None:
        initial = {name: getattr(subscription, name) for name in self.base_fields if name not in KEYS}
        super().__init__(data, initial={**subscription.filter, **initial}, auto_id="options_%s")
        if subscription.audience == Audience.LIST:
            del self.fields["remind_days"]
        dress(self)
        numbers = [name for name in ("after_days", "remind_days") if name in self.fields]
        self.helper = laid_out(
            pair("cadence", "severity", "tags", "departments", *numbers),
            Div("user_types", css_class="chk-types", role="group", aria_label="User types"),
            "resolved",
        )

    def options(self) -> dict[str, Any]:
        """What the services take."""
        given = self.cleaned_data
        chosen = {name: given[name] for name in KEYS}
        return {"filter": chosen, **{name: given[name] for name in given if name not in KEYS}}

    def take(self, error: ValidationError) -> None:
        for name, texts in error.message_dict.items():
            field = name.removeprefix("filter.")
            self.add_error(field if field in self.fields else None, texts)


class TargetOptions(ConsoleView):
    role = Role.OPERATOR
    write_role = Role.OPERATOR

    def get(self, request: HttpRequest, slug: str, integration_id: int, audience: str) -> HttpResponse:
        subscription = self._subscription(slug, integration_id, audience)
        return self._dialog(subscription, OptionsForm(subscription))

    def post(self, request: HttpRequest, slug: str, integration_id: int, audience: str) -> HttpResponse:
        subscription = self._subscription(slug, integration_id, audience)
        form = OptionsForm(subscription, request.POST)
        if not form.is_valid():
            return self._dialog(subscription, form)
        try:
            change_subscription(subscription, by=request.user, **form.options())
        except ValidationError as error:
            form.take(error)
            return self._dialog(subscription, form)
        return self.refreshed(f"Saved what {subscription.integration.name} is told of this check.")

    @staticmethod
    def _subscription(slug: str, integration_id: int, audience: str) -> Subscription:
        found = Subscription.objects.select_related("check_ref", "integration")
        return get_object_or_404(
            found, check_ref__slug=slug, integration_id=integration_id, audience=audience
        )

    def _dialog(self, subscription: Subscription, form: OptionsForm) -> HttpResponse:
        context = {
            "form": form,
            "subscription": subscription,
            "check_title": title_of(subscription.check_ref.slug),
            "audience_label": AUDIENCE_LABELS[Audience(subscription.audience)],
        }
        return self.fragment("console/checks/options.html", context)


urlpatterns = [
    path(
        "checks/<slug:slug>/targets/<int:integration_id>/<slug:audience>/options",
        TargetOptions.as_view(),
        name="check-target-options",
    ),
]
