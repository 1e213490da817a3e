"""The form of a source that is read through its provider's API: names, the kind's own fields, schedule and limits."""

from collections.abc import Mapping
from typing import Any

from crispy_forms.layout import HTML, Fieldset
from django import forms
from django.http import QueryDict

from checks.models import Source, SourceKind
from cii_project.console.core import unsaved_secrets
from cii_project.console.core.form_parts import apply_unfold_look, field_pair, form_helper
from cii_project.console.core.form_versions import VersionedForm
from cii_project.console.core.setting_widgets import (
    document_from,
    initial_values,
    is_advanced,
    made_fields,
    mark_required,
    placed,
    required_names,
)
from integrations.models import SourceConnection
from integrations.services import (
    MAX_OVERLAP_HOURS,
    OVERLAP_HOURS,
    ApiSource,
    ConnectionKind,
    Document,
    has_lost_source_secrets,
)

KEEP = "Stored. Leave empty to keep it."
LOST = "The stored secret cannot be opened with any key of FIELD_KEYS. Enter it again."
COMMON = ("period_hours", "rate_share", "secret_expires_on")


class ConnectionForm(VersionedForm):
    """A source of one kind. ``connection``: the stored one that is edited."""

    name = forms.CharField(label="Display name", max_length=128)
    slug = forms.SlugField(
        label="Short name", max_length=64, help_text="Lower case, such as okta-production. It stays."
    )
    kind = forms.ChoiceField(label="Kind of system", choices=SourceKind.choices)
    period_hours = forms.IntegerField(
        label="Hours between syncs",
        initial=24,
        min_value=1,
        max_value=168,
        help_text="By whole days a sync ends up before the daily run.",
    )
    rate_share = forms.IntegerField(
        label="Share of the rate limit (%)",
        initial=50,
        min_value=1,
        max_value=100,
        help_text="The rest is left to your other applications.",
    )
    secret_expires_on = forms.DateField(
        label="The secret ends on",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text="Optional: a warning shows 30 days before.",
    )

    unsaved = unsaved_secrets.field()

    def __init__(
        self,
        source_kind: ConnectionKind,
        data: QueryDict | None = None,
        *,
        connection: SourceConnection | None = None,
    ) -> None:
        self.source_kind, self.connection = source_kind, connection
        declared = source_kind.form_fields
        stored = initial_values(declared, connection.settings if connection else None)
        common = {name: getattr(connection, name) for name in COMMON} if connection else {}
        names = {} if connection else {"name": source_kind.label, "slug": _free_slug(source_kind.slug)}
        super().__init__(data, initial={**stored, **common, **names})
        if connection:
            for name in ("name", "slug", "kind"):
                del self.fields[name]
            self.lock({**stored, **common}, connection)
        is_read = isinstance(source_kind, ApiSource)
        if not is_read:
            for name in COMMON:
                del self.fields[name]
        apply_unfold_look(self)
        self.fields.update(made_fields(declared, _helps(source_kind, connection)))
        lost = bool(connection and has_lost_source_secrets(connection))
        mark_required(
            self.fields, required_names(declared, has_stored_secrets=connection is not None and not lost)
        )
        has_system = connection is None and not source_kind.system
        if connection is None and not has_system:
            del self.fields["kind"]
        general = Fieldset("General", field_pair("name", "slug"), *(["kind"] if has_system else []))
        first = [] if connection else [general]
        if not is_read:
            # It has nothing to set but its names: the product makes its token.
            self.helper = form_helper("version", "unsaved", *first)
            return
        self.helper = form_helper(
            "version",
            "unsaved",
            *first,
            Fieldset("Connection", *(placed(field) for field in declared if not is_advanced(field))),
            Fieldset("Schedule", field_pair("period_hours", "rate_share"), "secret_expires_on"),
            HTML(
                f'<details class="c-fold"{" open" if data else ""}><summary>Addresses and certificates</summary>'
            ),
            Fieldset(None, *(placed(field) for field in declared if is_advanced(field))),
            HTML("</details>"),
        )

    def clean_slug(self) -> str:
        slug = str(self.cleaned_data["slug"])
        if slug != slug.lower():
            raise forms.ValidationError("Write lower case.")
        if Source.objects.filter(slug=slug, deleted_at__isnull=True).exists():
            raise forms.ValidationError("A source has this short name already. Choose another.")
        return slug

    def document(self) -> Document:
        """The document of the fields; call after ``is_valid()``."""
        return document_from(self.source_kind.form_fields, self.cleaned_data)

    def common(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in COMMON if name in self.cleaned_data}

    def place_errors(self, errors: Mapping[str, str]) -> None:
        """Show each error of an ``InvalidDocument`` next to its field; the rest above the form."""
        for path, problem in errors.items():
            known = path in self.fields
            self.add_error(path if known else None, problem if known else f"{path}: {problem}")


def _free_slug(wanted: str) -> str:
    taken = set(
        Source.objects.filter(slug__startswith=wanted, deleted_at__isnull=True).values_list("slug", flat=True)
    )
    names = (wanted, *(f"{wanted}-{number}" for number in range(2, 100)))
    return next((name for name in names if name not in taken), "")


def _helps(source_kind: ConnectionKind, connection: SourceConnection | None) -> dict[str, str]:
    if connection is None:
        return {}
    stored = LOST if has_lost_source_secrets(connection) else KEEP
    return {field.path: f"{stored} {field.help}".strip() for field in source_kind.form_fields if field.secret}


class RotateTokenForm(forms.Form):
    hours = forms.IntegerField(
        label="The old one stays valid for (hours)",
        min_value=0,
        max_value=MAX_OVERLAP_HOURS,
        initial=OVERLAP_HOURS,
        help_text="Up to 720. 0 ends it at once.",
    )

    def __init__(self, data: QueryDict | None = None) -> None:
        super().__init__(data)
        apply_unfold_look(self)
        self.helper = form_helper("hours")
