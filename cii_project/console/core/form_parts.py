"""Shared parts of the forms rendered by crispy-forms with Unfold's pack: the look of plain Django fields, and
a layout."""

from collections.abc import Sequence

from crispy_forms.helper import FormHelper
from crispy_forms.layout import Div, Layout
from django import forms
from django.forms.widgets import Input
from unfold.widgets import CHECKBOX_CLASSES, INPUT_CLASSES, TEXTAREA_CLASSES, UnfoldAdminSelectWidget

# The first that fits: CheckboxInput is an Input too.
WIDGET_CLASSES: tuple[tuple[type[forms.Widget], list[str]], ...] = (
    (forms.CheckboxSelectMultiple, CHECKBOX_CLASSES),
    (forms.CheckboxInput, CHECKBOX_CLASSES),
    (forms.Textarea, TEXTAREA_CLASSES),
    (forms.FileInput, ["c-file"]),
    (Input, INPUT_CLASSES),
)


def apply_unfold_look(form: forms.BaseForm) -> None:
    """Give the widgets of a form Unfold's look."""
    for field in form.fields.values():
        if isinstance(field, forms.ChoiceField) and type(field.widget) is forms.Select:
            field.widget = UnfoldAdminSelectWidget(attrs=field.widget.attrs)
            field.widget.choices = field.choices
            continue
        look = next((classes for kind, classes in WIDGET_CLASSES if isinstance(field.widget, kind)), [])
        field.widget.attrs["class"] = " ".join(look)


def form_helper(*parts: object) -> FormHelper:
    """A helper for ``{% crispy form %}`` inside a form of the page's own."""
    helper = FormHelper()
    helper.form_tag = False
    helper.disable_csrf = True
    helper.layout = Layout(*parts)
    return helper


def field_pair(*fields: object, **attributes: object) -> Div:
    """Fields side by side, two a row, where there is room."""
    return Div(*fields, css_class="c-fields-2", **attributes)


def column(*fields: object) -> Div:
    """One of the two columns of a long form (``c-form-columns``)."""
    return Div(*fields, css_class="c-form-column")


def shown_when(name: str, values: Sequence[str], *fields: object) -> Div:
    """Fields that show only while the control with ``data-switch`` of that name has one of the values."""
    return Div(*fields, css_class="c-form", data_when=name, data_is=" ".join(values))
