"""A check's settings: the catalogue's fields with their bounds, severity, tags, scope; and what they would do."""

import copy
import re
from collections.abc import Mapping
from typing import Any

from crispy_forms.layout import Fieldset
from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.urls import path, reverse

from checks.catalogue import CATALOGUE
from checks.catalogue.base import Settings
from checks.models import Check, CheckResult
from checks.services import effective_settings, update_check, would_fail
from cii_project.console.base import Role, record
from cii_project.console.check_head import CheckView, last_result
from cii_project.console.checks_rows import SEVERITIES
from cii_project.console.form_parts import dress, laid_out, pair

PREFIX = "set-"
SCOPE = ("ignored_domains", "included_domains", "ignored_logins")


class LinesField(forms.CharField):
    """A list of texts, one a line (commas work too); blank and repeated lines are dropped."""

    widget = forms.Textarea

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, max_length=20_000, **options)
        self.widget.attrs.update({"rows": 3, "spellcheck": "false"})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> list[str]:
        lines = re.split(r"[\n,]", super().clean(value))
        return list(dict.fromkeys(line.strip() for line in lines if line.strip()))


class CheckForm(forms.Form):
    """The form of one check; a setting named ``days`` is the field ``set-days``."""

    severity = forms.ChoiceField(choices=[(name, name.capitalize()) for name in SEVERITIES])
    tags = LinesField(label="Tags", help_text="One a line. They travel in each message as checkTags.")
    included_domains = LinesField(
        label="Only these e-mail domains", help_text="One a line, such as example.com. Empty: all domains."
    )
    ignored_domains = LinesField(label="Ignored e-mail domains", help_text="One a line.")
    ignored_logins = LinesField(
        label="Ignored logins", help_text="One a line: logins or e-mail addresses that are never judged."
    )

    def __init__(self, check: Check, data: Mapping[str, Any] | None = None) -> None:
        self.catalogue = CATALOGUE[check.slug]
        stored = {f"{PREFIX}{name}": value for name, value in effective_settings(check).items()}
        initial = {name: getattr(check, name) for name in ("severity", "tags", *SCOPE)}
        super().__init__(data, initial={**initial, **stored})
        for name, field in self.catalogue.fields.items():
            self.fields[f"{PREFIX}{name}"] = copy.deepcopy(field)
        dress(self)
        own = [f"{PREFIX}{name}" for name in self.catalogue.fields]
        self.helper = laid_out(
            *([Fieldset("When a user fails", *own)] if own else []),
            Fieldset("Who is judged", pair("included_domains", "ignored_domains"), "ignored_logins"),
            Fieldset("How it is told", pair("severity", "tags")),
        )

    def settings(self) -> Settings:
        return Settings({name: self.cleaned_data[f"{PREFIX}{name}"] for name in self.catalogue.fields})

    def scope(self) -> dict[str, list[str]]:
        return {name: self.cleaned_data[name] for name in SCOPE}

    def take(self, error: ValidationError) -> None:
        """Show the service's errors beside their fields."""
        by_field = error.message_dict if hasattr(error, "error_dict") else {"": error.messages}
        for name, texts in by_field.items():
            short = name.removeprefix("settings.")
            field = next((one for one in (f"{PREFIX}{short}", short) if one in self.fields), None)
            self.add_error(field, texts if field or not name else [f"{name}: {text}" for text in texts])


class SettingsPage(CheckView):
    template = "console/checks/settings.html"
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
        data = form.cleaned_data
        before = _state(check)
        try:
            changed = update_check(
                check,
                severity=data["severity"],
                tags=data["tags"],
                settings=dict(form.settings()),
                included_domains=data["included_domains"],
                ignored_domains=data["ignored_domains"],
                ignored_logins=data["ignored_logins"],
            )
        except ValidationError as error:
            form.take(error)
            return self._show(self.check(slug), form)
        if changed:
            record(request, check, f"Changed {', '.join(_differing(before, _state(check)))}")
        text = "Saved. The next run judges by it." if changed else "Nothing was changed."
        return self.done(text, reverse("console:check-settings", args=[slug]))

    def _show(self, check: Check, form: CheckForm) -> HttpResponse:
        head = self.head(check)
        return self.page(head | {"form": form, "failing": _failing(head["result"])})


def _failing(last: CheckResult | None) -> int:
    """As the last run counted them: to count them anew may take as long as to judge all users."""
    return last.failing if last else 0


def _state(check: Check) -> dict[str, Any]:
    return {
        "severity": check.severity,
        "tags": list(check.tags),
        **{name: list(getattr(check, name)) for name in SCOPE},
        **{f"setting {name}": value for name, value in effective_settings(check).items()},
    }


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return [name.replace("_", " ") for name in after if before.get(name) != after[name]] or ["settings"]


class WouldFail(CheckView):
    """How many would fail with the settings in the form, before they are saved. Writes nothing."""

    write_role = Role.ENGINEER

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        check = self.check(slug)
        form = CheckForm(check, request.POST)
        context: dict[str, Any] = {"error": "", "count": None}
        if form.is_valid():
            try:
                context["count"] = would_fail(check, settings=form.settings(), **form.scope())
            except ValidationError as error:
                form.take(error)
        if form.is_valid():
            context["difference"] = context["count"] - _failing(last_result(check))
        else:
            name, problems = next(iter(form.errors.items()))
            field = f"{form[name].label}: " if name in form.fields else ""
            context["error"] = f"{field}{problems[0]}"
        return self.fragment("console/checks/would_fail.html", context)


urlpatterns = [
    path("checks/<slug:slug>/settings", SettingsPage.as_view(), name="check-settings"),
    path("checks/<slug:slug>/would-fail", WouldFail.as_view(), name="check-would-fail"),
]
