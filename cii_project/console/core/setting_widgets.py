"""Form fields in Unfold's look, and those that follow from the fields that a kind of target or source declares."""

from collections.abc import Iterable, Mapping, Sequence

from django import forms
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from cii_project.console.core.form_parts import shown_when
from integrations.services import Document, JsonMapping, SettingField, put_value, value_at


def text_field(label: str, help_text: str = "", **attrs: object) -> forms.CharField:
    widget = UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "spellcheck": "false", **attrs})
    return forms.CharField(label=label, help_text=help_text, required=False, strip=False, widget=widget)


def secret_field(label: str, help_text: str = "") -> forms.CharField:
    widget = UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"})
    return forms.CharField(label=label, help_text=help_text, required=False, strip=False, widget=widget)


def choice_field(
    label: str, choices: Iterable[tuple[str, str]], help_text: str = "", switch: str = ""
) -> forms.ChoiceField:
    """``switch``: parts of the form with ``data-when`` of that name follow the value (console.js)."""
    widget = UnfoldAdminSelectWidget(attrs={"data-switch": switch} if switch else {})
    return forms.ChoiceField(label=label, help_text=help_text, choices=choices, required=False, widget=widget)


def number_field(label: str, help_text: str = "", *, whole: bool = True) -> forms.Field:
    widget = UnfoldAdminIntegerFieldWidget(attrs={"step": "1" if whole else "any", "inputmode": "decimal"})
    kind = forms.IntegerField if whole else forms.FloatField
    made: forms.Field = kind(label=label, help_text=help_text, required=False, widget=widget)
    return made


def checkbox_field(label: str, help_text: str = "") -> forms.BooleanField:
    return forms.BooleanField(label=label, help_text=help_text, required=False, widget=UnfoldBooleanWidget())


def lines_field(label: str, help_text: str = "", placeholder: str = "") -> forms.CharField:
    attrs = {"rows": 3, "spellcheck": "false", "placeholder": placeholder}
    widget = UnfoldAdminTextareaWidget(attrs=attrs)
    return forms.CharField(label=label, help_text=help_text, required=False, widget=widget)


def pem_field(label: str, help_text: str = "", placeholder: str = "") -> forms.CharField:
    return lines_field(label, help_text, placeholder or "-----BEGIN …")


def mark_required(fields: Mapping[str, forms.Field], names: Iterable[str]) -> None:
    """Mark the inputs that must not stay empty. The rule itself is in the kind, which validates the
    document."""
    for name in names:
        fields[name].widget.attrs["required"] = True


def required_names(declared: Sequence[SettingField], *, has_stored_secrets: bool) -> list[str]:
    """The paths of the fields that must not stay empty; a stored secret may."""
    return [
        field.path
        for field in declared
        if field.required
        and field.default is None
        and field.widget not in ("select", "checkbox")
        and not (field.secret and has_stored_secrets)
    ]


def secret_inputs(declared: Sequence[SettingField]) -> dict[str, str]:
    """The inputs of secrets, as ``unsaved_secrets`` wants them."""
    return {field.path: field.path for field in declared if field.secret}


def made_fields(declared: Sequence[SettingField], helps: Mapping[str, str]) -> dict[str, forms.Field]:
    """Path → form field. ``helps``: path → help text, where it is not the declared one."""
    switches = {field.when[0] for field in declared if field.when}
    return {
        field.path: made_field(field, helps.get(field.path, field.help), field.path in switches)
        for field in declared
    }


def initial_values(declared: Sequence[SettingField], settings: JsonMapping | None) -> dict[str, object]:
    """Path → what the form shows first; no secret."""
    return {
        field.path: shown(
            field, field.default if settings is None else value_at(settings, field.path, field.default)
        )
        for field in declared
        if not field.secret
    }


def document_from(declared: Sequence[SettingField], cleaned: Mapping[str, object]) -> Document:
    """The document that the values of a form say; hidden and empty fields are left out."""
    document: Document = {}
    for field in declared:
        if field.when and _value(declared, cleaned, field.when[0]) not in field.when[1]:
            continue
        value = cleaned.get(field.path)
        if value in (None, "") and field.widget != "checkbox":
            continue
        put_value(document, field.path, value)
    return document


def _value(declared: Sequence[SettingField], cleaned: Mapping[str, object], path: str) -> object:
    return cleaned.get(path) or next(field.default for field in declared if field.path == path)


def is_advanced(field: SettingField) -> bool:
    return field.path.startswith(("timeouts.", "tls.", "addresses."))


def placed(field: SettingField) -> object:
    return shown_when(field.when[0], field.when[1], field.path) if field.when else field.path


def shown(field: SettingField, value: object) -> object:
    return "\n".join(value) if field.widget == "lines" and isinstance(value, list) else value


def made_field(field: SettingField, help_text: str, switches: bool) -> forms.Field:
    match field.widget:
        case "select":
            return choice_field(field.label, field.choices, help_text, switch=field.path if switches else "")
        case "checkbox":
            return checkbox_field(field.label, help_text)
        case "number":
            return number_field(field.label, help_text, whole=False)
        case "lines":
            return lines_field(field.label, help_text)
        case "pem":
            return pem_field(field.label, help_text, field.hint)
    if field.secret:
        return secret_field(field.label, help_text)
    return text_field(
        field.label, help_text, **({"placeholder": "https://"} if field.widget == "url" else {})
    )
