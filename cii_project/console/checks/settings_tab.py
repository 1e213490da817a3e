"""A check's settings: the catalogue's fields with their bounds, severity, tags, scope; and what they would do."""

import copy
import re

from crispy_forms.layout import Fieldset
from django import forms
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse, QueryDict
from django.urls import path, reverse

from checks.models import Check, CheckResult, Severity
from checks.services import CATALOGUE, Settings, effective_settings, update_check, would_fail
from cii_project.console.checks.head import CheckView, last_result
from cii_project.console.core.console_view import Role
from cii_project.console.core.form_parts import apply_unfold_look, field_pair, form_helper
from cii_project.console.core.form_versions import VersionedForm
from notifications.models import CheckMessageSettings
from notifications.services import change_message_settings, message_settings_of, shared_message_settings

SETTING_PREFIX = "set-"
MESSAGE_LABELS = {
    "instructions_url": "Instructions",
    "contact": "Contact",
    "due_days": "Due in (days)",
    "signature": "Signature",
    "sender": "From, in mails",
    "sender_name": "Name of the sender",
    "reply_to": "Reply to",
}
SCOPE_FIELDS = ("ignored_domains", "included_domains", "ignored_logins")


class LinesField(forms.CharField):
    """A list of texts, one a line (commas work too); blank and repeated lines are dropped."""

    widget = forms.Textarea

    def __init__(self, *, label: str, help_text: str) -> None:
        super().__init__(required=False, max_length=20_000, label=label, help_text=help_text)
        self.widget.attrs.update({"rows": 3, "spellcheck": "false"})

    def prepare_value(self, value: object) -> object:
        return "\n".join(value) if isinstance(value, list) else value

    def clean(self, value: object) -> list[str]:
        lines = re.split(r"[\n,]", super().clean(value))
        return list(dict.fromkeys(line.strip() for line in lines if line.strip()))


class CheckForm(VersionedForm):
    """The form of one check; a setting named ``days`` is the field ``set-days``."""

    severity = forms.ChoiceField(choices=Severity.choices)
    tags = LinesField(label="Tags", help_text="One a line. They travel in each message as checkTags.")
    included_domains = LinesField(
        label="Only these e-mail domains", help_text="One a line, such as example.com. Empty: all domains."
    )
    ignored_domains = LinesField(label="Ignored e-mail domains", help_text="One a line.")
    ignored_logins = LinesField(
        label="Ignored logins", help_text="One a line: logins or e-mail addresses that are never evaluated."
    )

    def __init__(self, check: Check, data: QueryDict | None = None) -> None:
        self.catalogue = CATALOGUE[check.slug]
        stored = {f"{SETTING_PREFIX}{name}": value for name, value in effective_settings(check).items()}
        initial = {name: getattr(check, name) for name in ("severity", "tags", *SCOPE_FIELDS)}
        own_messages = message_settings_of(check)
        messages = {name: getattr(own_messages, name) for name in CheckMessageSettings.FIELDS}
        super().__init__(data, initial={**initial, **stored, **messages})
        self.fields |= _message_fields(check)
        for name, field in self.catalogue.fields.items():
            self.fields[f"{SETTING_PREFIX}{name}"] = copy.deepcopy(field)
        apply_unfold_look(self)
        self.lock({**initial, **stored, **messages}, check)
        own = [f"{SETTING_PREFIX}{name}" for name in self.catalogue.fields]
        self.helper = form_helper(
            "version",
            *([Fieldset("Settings", *own)] if own else []),
            Fieldset("Scope", field_pair("included_domains", "ignored_domains"), "ignored_logins"),
            Fieldset("Messages", field_pair("severity", "tags")),
            Fieldset("What people read", field_pair(*CheckMessageSettings.FIELDS)),
        )

    def settings(self) -> Settings:
        return Settings(
            {name: self.cleaned_data[f"{SETTING_PREFIX}{name}"] for name in self.catalogue.fields}
        )

    def message_settings(self) -> dict[str, object]:
        return {name: self.cleaned_data[name] for name in CheckMessageSettings.FIELDS}

    def scope(self) -> dict[str, list[str]]:
        return {name: self.cleaned_data[name] for name in SCOPE_FIELDS}

    def add_service_errors(self, error: ValidationError) -> None:
        """Show the service's errors next to their fields."""
        by_field = error.message_dict if hasattr(error, "error_dict") else {"": error.messages}
        for name, texts in by_field.items():
            short = name.removeprefix("settings.")
            field = next((one for one in (f"{SETTING_PREFIX}{short}", short) if one in self.fields), None)
            self.add_error(field, texts if field or not name else [f"{name}: {text}" for text in texts])


def _message_fields(check: Check) -> dict[str, forms.Field]:
    """The fields of what differs from the installation; each shows as placeholder what holds without it."""
    fields = forms.fields_for_model(
        CheckMessageSettings,
        CheckMessageSettings.FIELDS,
        labels=MESSAGE_LABELS,
        widgets={"signature": forms.Textarea(attrs={"rows": 3})},
    )
    shared = shared_message_settings(check)
    for name, field in fields.items():
        own = "the installation's" if name in shared else "the target's"
        field.help_text = f"Empty: {own}."
        field.widget.attrs["placeholder"] = shared.get(name, "")
    return fields


class CheckSettingsPage(CheckView):
    template = "console/checks/settings.html"
    guide = "checks#what-can-be-set-for-every-check"
    tab = "settings"
    write_role = Role.ENGINEER

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        check = self.check(slug)
        return self._show(check, CheckForm(check))

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        check = self.check(slug)
        form = CheckForm(check, request.POST)
        if not form.is_valid():
            return self._show(check, form)
        try:
            with transaction.atomic():
                changed = self._save(check, form)
        except ValidationError as error:
            form.add_service_errors(error)
            return self._show(self.check(slug), form)
        text = "Saved. The next run uses it." if changed else "Nothing was changed."
        return self.done(text, reverse("console:check-settings", args=[slug]))

    def _save(self, check: Check, form: CheckForm) -> bool:
        data = form.cleaned_data
        changed = update_check(
            check,
            severity=data["severity"],
            tags=data["tags"],
            settings=dict(form.settings()),
            included_domains=data["included_domains"],
            ignored_domains=data["ignored_domains"],
            ignored_logins=data["ignored_logins"],
        )
        return change_message_settings(check, form.message_settings()) or changed

    def _show(self, check: Check, form: CheckForm) -> HttpResponse:
        head = self.head(check)
        return self.page(head | {"form": form, "failing": _failing(head["result"])})


def _failing(last: CheckResult | None) -> int:
    """The count of the last run: counting again can take as long as evaluating all users."""
    return last.failing if last else 0


class WouldFail(CheckView):
    """The number of users who would fail with the settings in the form, before they are saved. Writes
    nothing."""

    write_role = Role.ENGINEER

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        check = self.check(slug)
        form = CheckForm(check, request.POST)
        context: dict[str, object] = {"error": "", "count": None}
        count = 0
        if form.is_valid():
            try:
                count = would_fail(check, settings=form.settings(), **form.scope())
            except ValidationError as error:
                form.add_service_errors(error)
        if form.is_valid():
            context |= {"count": count, "difference": count - _failing(last_result(check))}
        else:
            name, problems = next(iter(form.errors.items()))
            field = f"{form[name].label}: " if name in form.fields else ""
            context["error"] = f"{field}{problems[0]}"
        return self.fragment("console/checks/would_fail.html", context)


urlpatterns = [
    path("checks/<slug:slug>/settings", CheckSettingsPage.as_view(), name="check-settings"),
    path("checks/<slug:slug>/would-fail", WouldFail.as_view(), name="check-would-fail"),
]
