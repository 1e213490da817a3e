"""The forms of the kinds of target: what all share, and the form of a kind that declares its fields.

A form builds the document that the kind validates (``TargetKind.clean``); :meth:`IntegrationForm.place_errors`
puts each error next to the field that its path names. A stored secret never enters a form: an empty
field keeps it.
"""

from collections.abc import Collection, Mapping, Sequence

from crispy_forms.layout import HTML, Fieldset
from django import forms
from django.http import QueryDict
from unfold.widgets import UnfoldAdminEmailInputWidget

from cii_project.console.core import unsaved_secrets
from cii_project.console.core.form_parts import apply_unfold_look, column, field_pair, form_helper
from cii_project.console.core.form_versions import VersionedForm
from cii_project.console.core.setting_widgets import (
    document_from,
    initial_values,
    is_advanced,
    made_fields,
    mark_required,
    number_field,
    placed,
    required_names,
    text_field,
)
from integrations import services
from integrations.models import Integration
from integrations.services import Document, SettingField

KEEP = "Stored. Leave empty to keep it."
KEEP_URL = "Only its host is shown. Leave it as it is to keep it."
LIMIT_FIELDS = tuple(services.LIMITS)


class IntegrationForm(VersionedForm):
    """Name, description, owner and limits: what every integration has."""

    name = text_field("Name", "1 to 64 characters; people know the integration by it.")
    description = text_field("Description")
    owner_email = forms.CharField(
        label="Owner's e-mail",
        help_text="Gets an e-mail when this target fails or is disabled.",
        required=False,
        widget=UnfoldAdminEmailInputWidget(),
    )
    per_second = number_field("Requests per second", "Empty: the default of the kind.", whole=False)
    concurrency = number_field("Requests at a time", "Empty: the default of the kind.")
    max_attempts = number_field("Maximum attempts", "Empty: 185.")
    max_age_hours = number_field("Maximum age (hours)", "Empty: 24. Then it is a dead letter.")
    unsaved = unsaved_secrets.field()

    # The name of what is added if it is a preset and not just the kind.
    label = ""
    # Path in the document → field of the form, where it is not the same.
    paths: Mapping[str, str] = {f"limits.{name}": name for name in LIMIT_FIELDS}

    def __init__(
        self,
        data: QueryDict | None = None,
        *,
        integration: Integration | None = None,
        initial: Mapping[str, object] | None = None,
    ) -> None:
        common = ("name", "description", "owner_email", *LIMIT_FIELDS)
        stored = {name: getattr(integration, name) for name in common} if integration else {}
        super().__init__(data, initial={**stored, **(initial or {})})
        self.integration = integration
        mark_required(self.fields, ["name"])
        if integration:
            self.lock({**self.initial, "settings": integration.settings}, integration)
        left, right = self.parts()
        self.helper = form_helper(
            "version",
            "unsaved",
            column(Fieldset("General", field_pair("name", "owner_email"), "description"), *left),
            column(*right, *self.advanced_section()),
        )

    def parts(self) -> tuple[list[object], list[object]]:
        """The kind's own fieldsets, of the left and of the right column; narrow screens show one below the other."""
        raise NotImplementedError

    def mark_kept(self, kept: Collection[str]) -> None:
        """Say of each secret that is kept from the last attempt that it is; ``kept``: keys of ``unsaved_secrets``."""

    def advanced_parts(self) -> list[object]:
        """The kind's fields in the folded part."""
        return []

    def advanced_section(self) -> list[object]:
        is_set = self.integration and any(getattr(self.integration, name) for name in LIMIT_FIELDS)
        opened = " open" if is_set or self.is_bound else ""
        head = f'<details class="c-fold"{opened}><summary>Limits, timeouts, certificates</summary>'
        return [
            HTML(head),
            Fieldset(None, field_pair(*LIMIT_FIELDS), *self.advanced_parts()),
            HTML("</details>"),
        ]

    def document(self) -> Document:
        """The document of the fields, as people write it in a file; call after ``is_valid()``."""
        raise NotImplementedError

    def limits(self) -> dict[str, float | None]:
        return {name: self.cleaned_data.get(name) for name in LIMIT_FIELDS}

    def place_errors(self, errors: Mapping[str, str]) -> None:
        """Show each error of an ``InvalidDocument`` next to its field; the rest above the form."""
        for path, problem in errors.items():
            name = self.paths.get(path, path)
            known = name in self.fields
            self.add_error(name if known else None, problem if known else f"{path}: {problem}")


class FieldsForm(IntegrationForm):
    """The form of a kind that declares ``form_fields`` (docs: CONTRIBUTING, “Add a target kind”)."""

    def __init__(
        self,
        declared: Sequence[SettingField],
        data: QueryDict | None = None,
        *,
        integration: Integration | None = None,
        initial: Mapping[str, object] | None = None,
    ) -> None:
        self.declared = declared
        lost = bool(integration and services.has_lost_secrets(integration))
        self.made = made_fields(declared, {field.path: _help(field, integration, lost) for field in declared})
        stored = initial_values(declared, integration.settings if integration else None)
        super().__init__(data, integration=integration, initial={**stored, **(initial or {})})
        self.fields.update(self.made)
        mark_required(
            self.fields, required_names(declared, has_stored_secrets=integration is not None and not lost)
        )

    def parts(self) -> tuple[list[object], list[object]]:
        return [], [Fieldset("Endpoint", *(placed(f) for f in self.declared if not is_advanced(f)))]

    def advanced_parts(self) -> list[object]:
        return [field_pair(*(placed(field) for field in self.declared if is_advanced(field)))]

    def document(self) -> Document:
        return document_from(self.declared, self.cleaned_data)


class RotateForm(forms.Form):
    hours = forms.IntegerField(
        label="The old one stays valid for (hours)",
        min_value=0,
        max_value=services.MAX_OVERLAP_HOURS,
        initial=services.OVERLAP_HOURS,
        help_text="Up to 720. 0 ends it at once.",
    )

    def __init__(self, data: QueryDict | None = None) -> None:
        super().__init__(data)
        apply_unfold_look(self)
        self.helper = form_helper("hours")


def _help(field: SettingField, integration: Integration | None, lost: bool) -> str:
    if not integration or not (field.secret or field.sealed):
        return field.help
    stored = services.LOST_SECRET if lost else KEEP_URL if field.sealed else KEEP
    return f"{stored} {field.help}".strip()
