"""The options of one target that is enabled on a check: filter, frequency, reminders."""

from crispy_forms.layout import Div
from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404
from django.urls import path

from checks.models import Severity, UserType
from cii_project.console.checks.settings_tab import LinesField
from cii_project.console.core.audiences import AUDIENCE_LABELS
from cii_project.console.core.console_view import ConsoleView, Role
from cii_project.console.core.form_parts import apply_unfold_look, field_pair, form_helper
from cii_project.console.core.form_versions import FIELD as VERSION, VersionedForm
from cii_project.console.core.titles import check_title
from notifications.models import Audience, Cadence, Subscription
from notifications.services import FILTER_KEYS, change_subscription


class OptionsForm(VersionedForm):
    severity = forms.ChoiceField(
        label="Severity at least",
        required=False,
        choices=[("", "any"), *reversed(Severity.choices)],
        help_text="The check's severity at the time of the run.",
    )
    tags = LinesField(label="Tags of the check", help_text="One a line; any of them. Empty: all checks.")
    departments = LinesField(label="Departments", help_text="One per line, in any case. Empty: all users.")
    user_types = forms.MultipleChoiceField(
        label="User types",
        required=False,
        choices=[(value, label) for value, label in UserType.choices],
        widget=forms.CheckboxSelectMultiple,
        help_text="None selected: all users.",
    )
    cadence = forms.ChoiceField(
        label="Frequency",
        choices=Cadence.choices,
        help_text="Once a day: at the time of the daily run. Once a week: the same on the day in Settings.",
    )
    after_days = forms.IntegerField(
        label="Only users who still fail after (days)",
        min_value=0,
        max_value=365,
        help_text="0: at once. For managers: notify the user first, the manager this many days later.",
    )
    remind_days = forms.IntegerField(
        label="Remind every (days)", min_value=0, max_value=365, help_text="0: never. Until the user passes."
    )
    resolved = forms.BooleanField(label="Also send users who no longer fail", required=False)

    def __init__(self, subscription: Subscription, data: QueryDict | None = None) -> None:
        names = [name for name in self.base_fields if name not in (*FILTER_KEYS, VERSION)]
        initial = {name: getattr(subscription, name) for name in names}
        super().__init__(data, initial={**subscription.filter, **initial}, auto_id="options_%s")
        if subscription.audience == Audience.LIST:
            del self.fields["remind_days"]
        chosen = {name: subscription.filter.get(name) for name in FILTER_KEYS}
        self.lock({**chosen, **initial}, subscription.check_ref)
        apply_unfold_look(self)
        numbers = [name for name in ("after_days", "remind_days") if name in self.fields]
        self.helper = form_helper(
            VERSION,
            field_pair("cadence", "severity", "tags", "departments", *numbers),
            Div("user_types", css_class="chk-types", role="group", aria_label="User types"),
            "resolved",
        )

    def options(self) -> dict[str, object]:
        """The options as the services take them."""
        given = self.cleaned_data
        chosen = {name: given[name] for name in FILTER_KEYS}
        return {
            "filter": chosen,
            **{name: given[name] for name in given if name not in (*FILTER_KEYS, VERSION)},
        }

    def add_service_errors(self, error: ValidationError) -> None:
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
            change_subscription(subscription, **form.options())
        except ValidationError as error:
            form.add_service_errors(error)
            return self._dialog(subscription, form)
        return self.refreshed(f"The options of {subscription.integration.name} for this check are saved.")

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
            "check_title": check_title(subscription.check_ref.slug),
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
