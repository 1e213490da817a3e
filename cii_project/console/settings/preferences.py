"""A member's own settings: the time zone in which the pages show times."""

from django import forms
from django.http import HttpRequest, HttpResponse
from django.urls import path

from cii_project.audit.services import Action, record
from cii_project.console.core.console_view import ConsoleView, Role, page_url
from cii_project.console.core.form_parts import apply_unfold_look, form_helper
from cii_project.console.core.viewer_zone import SESSION_KEY, zone_choices
from cii_project.models import MemberPreference


class PreferencesForm(forms.Form):
    zone = forms.ChoiceField(
        label="Time zone",
        help_text="For the times on the pages, and the last day of an exclusion that you set.",
        required=False,
        choices=lambda: [("", "That of my browser"), *zone_choices()],
    )

    def __init__(self, zone: str, data: object = None) -> None:
        super().__init__(data, initial={"zone": zone})  # type: ignore[arg-type]
        apply_unfold_look(self)
        self.helper = form_helper("zone")


class PreferencesPage(ConsoleView):
    title = "Preferences"
    template = "console/settings/preferences.html"
    write_role = Role.VIEWER

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._show(PreferencesForm(self._zone()))

    def post(self, request: HttpRequest) -> HttpResponse:
        before = self._zone()
        form = PreferencesForm(before, request.POST)
        if not form.is_valid():
            return self._show(form)
        zone = form.cleaned_data["zone"]
        if zone != before:
            MemberPreference.objects.update_or_create(member=self.member, defaults={"zone": zone})
            record(
                Action.CHANGE,
                self.member,
                "Changed time zone.",
                before={"zone": before},
                after={"zone": zone},
            )
        request.session[SESSION_KEY] = zone
        return self.done("Saved.", page_url("preferences"))

    def _zone(self) -> str:
        found = MemberPreference.objects.filter(member=self.member).first()
        return found.zone if found else ""

    def _show(self, form: PreferencesForm) -> HttpResponse:
        return self.page({"form": form, "subtitle": "They are yours alone."})


urlpatterns = [path("preferences/", PreferencesPage.as_view(), name="preferences")]
