"""The form of an exclusion: a reason, and a period whose last day counts in the member's own time zone."""

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict

from checks.models import Exclusion
from cii_project.console.core.form_parts import apply_unfold_look, form_helper, shown_when
from cii_project.console.core.form_versions import VersionedForm
from cii_project.console.core.viewer_zone import end_of_day, last_day, shown_day, today

DATE, FOREVER = "date", ""
PERIODS = [
    ("7", "7 days"),
    ("30", "30 days"),
    ("90", "90 days"),
    (DATE, "Until a date"),
    (FOREVER, "For good"),
]


class ExclusionForm(VersionedForm):
    """A form without ``period`` is read by its date alone."""

    reason = forms.CharField(
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 3, "placeholder": "Break-glass account, reviewed each quarter"}),
        help_text="The reason is shown to other members.",
    )
    period = forms.ChoiceField(
        label="For", required=False, choices=PERIODS, widget=forms.Select(attrs={"data-switch": "period"})
    )
    until = forms.DateField(
        required=False, label="Last day", widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )

    def __init__(
        self,
        data: QueryDict | None = None,
        *,
        zone: ZoneInfo,
        exclusion: Exclusion | None = None,
    ) -> None:
        super().__init__(data, initial=initial_values(exclusion, zone), auto_id="exclude_%s")
        self.zone = zone
        self.fields["until"].help_text = f"The exclusion holds to the end of this day ({zone.key})."
        self.fields["until"].widget.attrs["min"] = today(zone).isoformat()
        apply_unfold_look(self)
        self.helper = form_helper("version", "reason", "period", shown_when("period", [DATE], "until"))
        stored = {"reason": exclusion.reason, "until": exclusion.until} if exclusion else {}
        self.lock(stored, exclusion.check_ref if exclusion else None)

    def clean_until(self) -> date | None:
        day: date | None = self.cleaned_data["until"]
        if day is not None and day < today(self.zone):
            raise ValidationError("Choose today or a later day.")
        return day

    def clean(self) -> dict[str, Any]:
        given = super().clean()
        period = given.get("period") or FOREVER
        if period == DATE and not given.get("until") and "until" not in self.errors:
            self.add_error("until", "Choose the last day of the exclusion.")
        elif period not in (DATE, FOREVER):
            given["until"] = today(self.zone) + timedelta(days=int(period))
        return given

    @property
    def ends_at(self) -> datetime | None:
        """The end of the exclusion."""
        day: date | None = self.cleaned_data["until"]
        return end_of_day(day, self.zone) if day else None

    @property
    def end_text(self) -> str:
        day: date | None = self.cleaned_data["until"]
        return f"to the end of {shown_day(day)}" if day else "permanently"


def initial_values(exclusion: Exclusion | None, zone: ZoneInfo) -> dict[str, object]:
    """30 days for a new exclusion: it ends automatically."""
    if exclusion is None:
        return {"period": "30"}
    if exclusion.until is None:
        return {"reason": exclusion.reason, "period": FOREVER}
    return {"reason": exclusion.reason, "period": DATE, "until": last_day(exclusion.until, zone)}
