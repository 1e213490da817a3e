"""The installation's own settings: when the checks run, limits, who we are to receivers, whom we judge."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from crispy_forms.layout import HTML, Fieldset
from django import forms
from django.http import HttpRequest, HttpResponse
from django.urls import path, reverse_lazy
from django.utils import timezone

from checks.models import User, UserType
from cii_project.console.base import ConsoleView, Role, link, record
from cii_project.console.form_parts import dress, laid_out, pair
from notifications.models import Configuration
from notifications.schedule import slots
from notifications.services import update_schedule

ROOMS = (UserType.CONFERENCE_ROOM, UserType.EQUIPMENT)


def next_runs(configuration: Configuration, after: datetime, count: int = 3) -> list[datetime]:
    """The next times of the daily run, in its own zone."""
    zone = ZoneInfo(configuration.run_zone)
    found = slots(configuration.run_time, configuration.run_zone, after, count)
    return [moment.astimezone(zone) for moment in found]


class SettingsForm(forms.ModelForm):
    run_zone = forms.ChoiceField(
        label="Time zone",
        choices=lambda: [(name, name.replace("_", " ")) for name in sorted(available_timezones())],
    )
    base_url = forms.URLField(
        label="Address of these pages",
        help_text="Messages link to it, such as https://checks.example.com",
        required=False,
        assume_scheme="https",
    )

    class Meta:
        model = Configuration
        fields = [
            "run_time",
            "run_zone",
            "weekly_on",
            "quiet_from",
            "quiet_until",
            "max_users_per_event",
            "attempt_retention_days",
            "payload_retention_days",
            "tenant_name",
            "base_url",
            "account",
            "region",
        ]
        labels = {
            "run_time": "Daily run at",
            "weekly_on": "Weekly digests on",
            "quiet_from": "From",
            "quiet_until": "Until",
            "max_users_per_event": "Users in one event, at most",
            "attempt_retention_days": "Keep attempts for (days)",
            "payload_retention_days": "Keep payloads for (days)",
            "tenant_name": "Name",
            "account": "Account number",
        }
        help_texts = {
            "run_time": "",
            "weekly_on": "At the time of the daily run.",
            "quiet_from": "Nobody is written to in person then; what is due goes when they end.",
            "quiet_until": "In the same zone. Both empty: no quiet hours.",
            "max_users_per_event": "A longer list is split into several events; nothing is cut.",
            "payload_retention_days": "After that a delivery can no longer be replayed.",
            "account": "Twelve digits; the “account” of each event.",
            "region": "The “region” of each event.",
        }
        widgets = {
            name: forms.TimeInput(attrs={"type": "time"}, format="%H:%M")
            for name in ("run_time", "quiet_from", "quiet_until")
        }

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        dress(self)
        self.helper = laid_out(
            Fieldset(
                "Daily run",
                pair(
                    "run_time",
                    "run_zone",
                    hx_get=reverse_lazy("console:settings-next-runs"),
                    hx_trigger="change",
                    hx_include="this",
                    hx_target="#next-runs",
                    hx_swap="outerHTML",
                ),
                _part("next_runs"),
            ),
            Fieldset("Messages", pair("weekly_on"), pair("quiet_from", "quiet_until")),
            Fieldset(
                "Identity in events", pair("tenant_name", "base_url", "account", "region"), _part("tenant_id")
            ),
            Fieldset(
                "Limits", pair("max_users_per_event", "attempt_retention_days", "payload_retention_days")
            ),
        )


def _part(name: str) -> HTML:
    return HTML(f'{{% include "console/settings/{name}.html" %}}')


class Settings(ConsoleView):
    title = "Settings"
    template = "console/settings/page.html"
    section = "console:settings"
    write_role = Role.ENGINEER

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._page(SettingsForm(instance=Configuration.load()))

    def post(self, request: HttpRequest) -> HttpResponse:
        form = SettingsForm(request.POST, instance=Configuration.load())
        if not form.is_valid():
            return self._page(form)
        daily, others = {"run_time", "run_zone"}, set(form.changed_data) - {"run_time", "run_zone"}
        if others:
            configuration = form.save(commit=False)
            configuration.save(update_fields=sorted(others))
            record(request, configuration, f"Changed {', '.join(sorted(others))}.")
        if daily & set(form.changed_data):
            given = form.cleaned_data
            update_schedule(given["run_time"], given["run_zone"], by=request.user)
        return self.done("The settings are saved.", link("settings"))

    def _page(self, form: SettingsForm) -> HttpResponse:
        # A form with errors has put what it could into its instance; times are of what is stored.
        stored = Configuration.load()
        if self.context()["can_engineer"] is False:
            for field in form.fields.values():
                field.disabled = True
        return self.page(
            {
                "subtitle": "When the checks run, how events name this installation, and what is kept.",
                "form": form,
                "configuration": stored,
                "next_runs": next_runs(stored, timezone.now()),
            },
        )


class NextRuns(ConsoleView):
    """The next three times for a time and zone that are not saved yet."""

    section = "console:settings"

    def get(self, request: HttpRequest) -> HttpResponse:
        form = SettingsForm(request.GET, instance=Configuration())
        form.full_clean()
        given = {name: form.cleaned_data.get(name) for name in ("run_time", "run_zone")}
        runs = next_runs(Configuration(**given), timezone.now()) if all(given.values()) else []
        return self.fragment("console/settings/next_runs.html", {"next_runs": runs})


class Population(ConsoleView):
    """Whom the checks judge: asked for by the page once it stands, since a million users take a while to count."""

    section = "console:settings"

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.fragment("console/settings/population.html", {"population": population()})


def population() -> dict[str, int]:
    """Whom the checks judge. Each count reads an index alone, where one pass would read all users."""
    out = User.objects.filter(protected=False)
    total, left_out = User.objects.count(), out.count()
    # The second is said for the index, which holds all types but that.
    rooms = out.filter(user_type__in=ROOMS).exclude(user_type=UserType.INTERNAL).count()
    return {
        "total": total,
        "judged": total - left_out,
        "rooms": rooms,
        "gone": left_out - rooms,
        "nhi": _judged(nhi=True),
        "guests": _judged(guest=True),
        "admins": _judged(admin=True),
    }


def _judged(**flag: bool) -> int:
    flagged = User.objects.filter(**flag)
    return flagged.count() - flagged.filter(protected=False).count()


urlpatterns = [
    path("settings/", Settings.as_view(), name="settings"),
    path("settings/next-runs/", NextRuns.as_view(), name="settings-next-runs"),
    path("settings/population/", Population.as_view(), name="settings-population"),
]
