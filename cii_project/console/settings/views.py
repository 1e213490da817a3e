"""The settings of the installation: schedule, limits, identity in events, and the users in scope."""

from crispy_forms.layout import HTML, Fieldset
from django import forms
from django.http import HttpRequest, HttpResponse, QueryDict
from django.urls import path, reverse_lazy
from django.utils import timezone

from checks.models import User, UserType
from cii_project.console.core.console_view import ConsoleView, Role, page_url
from cii_project.console.core.daily_runs import local_run_times
from cii_project.console.core.form_parts import apply_unfold_look, field_pair, form_helper
from cii_project.console.core.form_versions import FIELD as VERSION, VersionedForm
from cii_project.console.core.viewer_zone import zone_choices
from integrations.services import DEFAULT_ACCENT, ENGLISH, LANGUAGES
from notifications.models import Configuration
from notifications.services import update_configuration, update_schedule

ROOM_TYPES = (UserType.CONFERENCE_ROOM, UserType.EQUIPMENT)


class SettingsForm(VersionedForm, forms.ModelForm):  # type: ignore[type-arg]  # Django's class takes none at run time
    run_zone = forms.ChoiceField(
        label="Time zone",
        choices=zone_choices,
    )
    language = forms.ChoiceField(
        label="Language",
        help_text="For lists, and for people whose own language no source gives.",
        choices=list(LANGUAGES.items()),
        required=False,
    )
    base_url = forms.URLField(
        label="Address of these pages",
        help_text="Messages link to it, such as https://checks.example.com. Empty: the server's PUBLIC_URL.",
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
            "max_people_per_run",
            "max_people_percent",
            "max_users_per_event",
            "attempt_retention_days",
            "payload_retention_days",
            "language",
            "instructions_url",
            "contact",
            "due_days",
            "signature",
            "logo_url",
            "accent_colour",
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
            "max_people_per_run": "Limit of people",
            "max_people_percent": "Limit of users (%)",
            "max_users_per_event": "Maximum users per event",
            "attempt_retention_days": "Keep attempts for (days)",
            "payload_retention_days": "Keep payloads for (days)",
            "instructions_url": "Instructions",
            "contact": "Contact",
            "due_days": "Due in (days)",
            "logo_url": "Logo",
            "accent_colour": "Colour",
            "tenant_name": "Name",
            "account": "Account number",
        }
        help_texts = {
            "run_time": "",
            "weekly_on": "At the time of the daily run.",
            "quiet_from": "No direct messages in these hours; they are sent afterwards.",
            "quiet_until": "In the same zone. Both empty: no quiet hours.",
            "max_people_per_run": "Direct messages of a run to more people are held until a member decides. 0: no limit.",
            "max_people_percent": "The same, of the users that the checks evaluate; from 21 people on. 0: no limit.",
            "max_users_per_event": "A longer list is split into several events; nothing is cut.",
            "payload_retention_days": "After that a delivery can no longer be replayed.",
            "instructions_url": "An https URL that messages to people link to. One for a single check, such as enrolling, is set on its page.",
            "contact": "Who answers questions, such as “the IT help desk, phone 4357”. Empty: each check's own.",
            "due_days": "Days until a user should have acted. Empty: each check's own.",
            "signature": "The end of messages to people, up to six lines.",
            "logo_url": "The https URL of an image for the head of mails, shown 32 pixels high.",
            "accent_colour": "For the button in mails, as #rrggbb; dark enough for white text.",
            "tenant_name": "The organization's logo, at the top of mails.",
            "account": "Twelve digits; the “account” of each event.",
            "region": "The “region” of each event.",
        }
        widgets = {
            **{
                name: forms.TimeInput(attrs={"type": "time"}, format="%H:%M")
                for name in ("run_time", "quiet_from", "quiet_until")
            },
            "instructions_url": forms.URLInput(attrs={"placeholder": "https://"}),
            "logo_url": forms.URLInput(attrs={"placeholder": "https://"}),
            "accent_colour": forms.TextInput(attrs={"placeholder": DEFAULT_ACCENT}),
            "signature": forms.Textarea(attrs={"rows": 3}),
        }

    def clean_language(self) -> str:
        return self.cleaned_data["language"] or ENGLISH

    def __init__(self, data: QueryDict | None = None, *, instance: Configuration) -> None:
        super().__init__(data, instance=instance)
        apply_unfold_look(self)
        self.lock({name: getattr(self.instance, name) for name in self.Meta.fields}, self.instance)
        self.helper = form_helper(
            VERSION,
            Fieldset(
                "Daily run",
                field_pair(
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
            Fieldset(
                "Messages",
                field_pair("weekly_on"),
                field_pair("quiet_from", "quiet_until"),
                field_pair("max_people_per_run", "max_people_percent"),
            ),
            Fieldset(
                "What people read",
                field_pair("language", "instructions_url"),
                field_pair("contact", "due_days"),
                "signature",
                field_pair("logo_url", "accent_colour"),
            ),
            Fieldset(
                "Identity in events",
                field_pair("tenant_name", "base_url", "account", "region"),
                _part("tenant_id"),
            ),
            Fieldset(
                "Limits",
                field_pair("max_users_per_event", "attempt_retention_days", "payload_retention_days"),
            ),
        )


def _part(name: str) -> HTML:
    return HTML(f'{{% include "console/settings/{name}.html" %}}')


class SettingsPage(ConsoleView):
    title = "Settings"
    template = "console/settings/page.html"
    section = "console:settings"
    guide = "configuration"
    write_role = Role.ENGINEER

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._page(SettingsForm(instance=Configuration.load()))

    def post(self, request: HttpRequest) -> HttpResponse:
        form = SettingsForm(request.POST, instance=Configuration.load())
        if not form.is_valid():
            return self._page(form)
        daily = {"run_time", "run_zone"}
        others = set(form.changed_data) - daily - {VERSION}
        if others:
            update_configuration({name: form.cleaned_data[name] for name in others})
        if daily & set(form.changed_data):
            given = form.cleaned_data
            update_schedule(given["run_time"], given["run_zone"])
        return self.done("The settings are saved.", page_url("settings"))

    def _page(self, form: SettingsForm) -> HttpResponse:
        # A form with errors has put what it could into its instance; times are of what is stored.
        stored = Configuration.load()
        if self.context()["can_engineer"] is False:
            for field in form.fields.values():
                field.disabled = True
        return self.page(
            {
                "subtitle": "Schedule, limits, identity in events and retention.",
                "form": form,
                "configuration": stored,
                "next_runs": local_run_times(stored, timezone.now()),
            },
        )


class NextRuns(ConsoleView):
    """The next three times for a time and zone that are not saved yet."""

    section = "console:settings"

    def get(self, request: HttpRequest) -> HttpResponse:
        form = SettingsForm(request.GET, instance=Configuration())
        form.full_clean()
        given = {name: form.cleaned_data.get(name) for name in ("run_time", "run_zone")}
        runs = local_run_times(Configuration(**given), timezone.now()) if all(given.values()) else []
        return self.fragment("console/settings/next_runs.html", {"next_runs": runs})


class PopulationPart(ConsoleView):
    """The users in scope. The page asks for them after it is shown: counting a million users takes time."""

    section = "console:settings"

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.fragment("console/settings/population.html", {"population": population()})


def population() -> dict[str, int]:
    """The users in scope. Each count reads only an index; one pass would read all users."""
    out = User.objects.filter(protected=False)
    total, excluded = User.objects.count(), out.count()
    # The second condition lets the database use the index, which has all types but that one.
    rooms = out.filter(user_type__in=ROOM_TYPES).exclude(user_type=UserType.INTERNAL).count()
    return {
        "total": total,
        "evaluated": total - excluded,
        "rooms": rooms,
        "gone": excluded - rooms,
        "nhi": _evaluated_users(nhi=True),
        "guests": _evaluated_users(guest=True),
        "admins": _evaluated_users(admin=True),
    }


def _evaluated_users(**flag: bool) -> int:
    flagged = User.objects.filter(**flag)
    return flagged.count() - flagged.filter(protected=False).count()


urlpatterns = [
    path("settings/", SettingsPage.as_view(), name="settings"),
    path("settings/next-runs/", NextRuns.as_view(), name="settings-next-runs"),
    path("settings/population/", PopulationPart.as_view(), name="settings-population"),
]
