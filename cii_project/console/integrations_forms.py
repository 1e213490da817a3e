"""The forms of the kinds of target: what all share, and the form of a kind that declares its fields.

A form builds the document that the kind validates (``TargetKind.clean``); :meth:`IntegrationForm.place_errors`
puts each error beside the field that its path names. A stored secret never enters a form: an empty
field keeps it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from crispy_forms.layout import HTML, Fieldset
from django import forms
from django.http import QueryDict
from unfold.widgets import (
    UnfoldAdminEmailInputWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from cii_project.console.form_parts import dress, laid_out, pair, when
from integrations import services
from integrations.models import Integration
from integrations.targets.base import Document
from integrations.targets.fields import Field, at

KEEP = "Stored. Leave empty to keep it."
LIMITS = ("per_second", "concurrency", "max_attempts", "max_age_hours")


def text(label: str, help_text: str = "", **attrs: Any) -> forms.CharField:
    widget = UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "spellcheck": "false", **attrs})
    return forms.CharField(label=label, help_text=help_text, required=False, strip=False, widget=widget)


def secret(label: str, help_text: str = "") -> forms.CharField:
    widget = UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"})
    return forms.CharField(label=label, help_text=help_text, required=False, strip=False, widget=widget)


def choice(
    label: str, choices: Iterable[tuple[str, str]], help_text: str = "", switch: str = ""
) -> forms.ChoiceField:
    """``switch``: parts of the form with ``data-when`` of that name follow the value (console.js)."""
    widget = UnfoldAdminSelectWidget(attrs={"data-switch": switch} if switch else {})
    return forms.ChoiceField(label=label, help_text=help_text, choices=choices, required=False, widget=widget)


def number(label: str, help_text: str = "", *, whole: bool = True) -> forms.Field:
    widget = UnfoldAdminIntegerFieldWidget(attrs={"step": "1" if whole else "any", "inputmode": "decimal"})
    kind = forms.IntegerField if whole else forms.FloatField
    made: forms.Field = kind(label=label, help_text=help_text, required=False, widget=widget)
    return made


def flag(label: str, help_text: str = "") -> forms.BooleanField:
    return forms.BooleanField(label=label, help_text=help_text, required=False, widget=UnfoldBooleanWidget())


def lines(label: str, help_text: str = "", placeholder: str = "") -> forms.CharField:
    attrs = {"rows": 3, "spellcheck": "false", "placeholder": placeholder}
    widget = UnfoldAdminTextareaWidget(attrs=attrs)
    return forms.CharField(label=label, help_text=help_text, required=False, widget=widget)


def pem(label: str, help_text: str = "") -> forms.CharField:
    return lines(label, help_text, "-----BEGIN …")


class IntegrationForm(forms.Form):
    """Name, description, owner and limits: what every integration has."""

    name = text("Name", "1 to 64 characters; people know the integration by it.")
    description = text("Description")
    owner_email = forms.CharField(
        label="Owner's e-mail",
        help_text="Is told when this target fails or is disabled.",
        required=False,
        widget=UnfoldAdminEmailInputWidget(),
    )
    per_second = number("Requests per second", "Empty: the default of the kind.", whole=False)
    concurrency = number("Requests at a time", "Empty: the default of the kind.")
    max_attempts = number("Attempts, at most", "Empty: 185.")
    max_age_hours = number("Hours, at most", "Empty: 24. Then it is a dead letter.")

    # What is added, where that is more than the kind: a preset's name.
    label = ""
    # Path in the document → field of the form, where it is not the same.
    paths: Mapping[str, str] = {f"limits.{name}": name for name in LIMITS}

    def __init__(
        self,
        data: QueryDict | None = None,
        *,
        integration: Integration | None = None,
        initial: Mapping[str, Any] | None = None,
    ) -> None:
        common = ("name", "description", "owner_email", *LIMITS)
        stored = {name: getattr(integration, name) for name in common} if integration else {}
        super().__init__(data, initial={**stored, **(initial or {})})
        self.integration = integration
        self.helper = laid_out(
            Fieldset("Who it is", pair("name", "owner_email"), "description"), *self.parts(), *self.folded()
        )

    def parts(self) -> list[Any]:
        """The kind's own fieldsets."""
        raise NotImplementedError

    def rare(self) -> list[Any]:
        """What of the kind stands in the folded part."""
        return []

    def folded(self) -> list[Any]:
        is_set = self.integration and any(getattr(self.integration, name) for name in LIMITS)
        opened = " open" if is_set or self.is_bound else ""
        head = f'<details class="c-fold"{opened}><summary>Limits, timeouts, certificates</summary>'
        return [HTML(head), Fieldset(None, pair(*LIMITS), *self.rare()), HTML("</details>")]

    def document(self) -> Document:
        """What the fields say, as people write it in a file; call after ``is_valid()``."""
        raise NotImplementedError

    def limits(self) -> dict[str, float | None]:
        return {name: self.cleaned_data.get(name) for name in LIMITS}

    def place_errors(self, errors: Mapping[str, str]) -> None:
        """Each error of an ``InvalidDocument`` beside its field; the rest above the form."""
        for path, problem in errors.items():
            name = self.paths.get(path, path)
            known = name in self.fields
            self.add_error(name if known else None, problem if known else f"{path}: {problem}")


class FieldsForm(IntegrationForm):
    """The form of a kind that declares ``form_fields`` (integrations/targets/fields.py)."""

    def __init__(
        self,
        declared: Sequence[Field],
        data: QueryDict | None = None,
        *,
        integration: Integration | None = None,
        initial: Mapping[str, Any] | None = None,
    ) -> None:
        self.declared = declared
        switches = {field.when[0] for field in declared if field.when}
        self.made = {field.path: _made(field, integration, field.path in switches) for field in declared}
        stored = {
            field.path: _shown(field, at(integration.settings, field.path, field.default))
            if integration
            else _shown(field, field.default)
            for field in declared
            if not field.secret
        }
        super().__init__(data, integration=integration, initial={**stored, **(initial or {})})
        self.fields.update(self.made)

    def parts(self) -> list[Any]:
        return [Fieldset("How it is reached", *(_placed(f) for f in self.declared if not _is_rare(f)))]

    def rare(self) -> list[Any]:
        return [pair(*(_placed(field) for field in self.declared if _is_rare(field)))]

    def document(self) -> Document:
        document: Document = {}
        for declared in self.declared:
            if declared.when and self._value(declared.when[0]) not in declared.when[1]:
                continue
            value = self.cleaned_data.get(declared.path)
            if value in (None, "") and declared.widget != "checkbox":
                continue
            place = document
            *parents, key = declared.path.split(".")
            for parent in parents:
                place = place.setdefault(parent, {})
            place[key] = value
        return document

    def _value(self, path: str) -> Any:
        return self.cleaned_data.get(path) or next(f.default for f in self.declared if f.path == path)


class RotateForm(forms.Form):
    hours = forms.IntegerField(
        label="The old one stays valid for (hours)",
        min_value=0,
        max_value=720,
        initial=services.OVERLAP_HOURS,
        help_text="Up to 720. 0 ends it at once.",
    )

    def __init__(self, data: QueryDict | None = None) -> None:
        super().__init__(data)
        dress(self)
        self.helper = laid_out("hours")


def _is_rare(field: Field) -> bool:
    return field.path.startswith(("timeouts.", "tls."))


def _placed(field: Field) -> Any:
    return when(field.when[0], field.when[1], field.path) if field.when else field.path


def _shown(field: Field, value: Any) -> Any:
    return "\n".join(value) if field.widget == "lines" and isinstance(value, list) else value


def _made(field: Field, integration: Integration | None, switches: bool) -> forms.Field:
    help_text = f"{KEEP} {field.help}".strip() if field.secret and integration else field.help
    match field.widget:
        case "select":
            return choice(field.label, field.choices, help_text, switch=field.path if switches else "")
        case "checkbox":
            return flag(field.label, help_text)
        case "number":
            return number(field.label, help_text, whole=False)
        case "lines":
            return lines(field.label, help_text)
        case "pem":
            return pem(field.label, help_text)
    if field.secret:
        return secret(field.label, help_text)
    return text(field.label, help_text, **({"placeholder": "https://"} if field.widget == "url" else {}))
