"""What the forms drawn by crispy-forms with Unfold's pack share: the look of plain Django fields, and a layout."""

from collections.abc import Sequence
from typing import Any

from crispy_forms.helper import FormHelper
from crispy_forms.layout import Div, Layout
from django import forms
from django.forms.widgets import Input
from unfold.widgets import CHECKBOX_CLASSES, INPUT_CLASSES, TEXTAREA_CLASSES, UnfoldAdminSelectWidget

# The first that fits: CheckboxInput is an Input too.
LOOKS: tuple[tuple[type[forms.Widget], list[str]], ...] = (
    (forms.CheckboxSelectMultiple, CHECKBOX_CLASSES),
    (forms.CheckboxInput, CHECKBOX_CLASSES),
    (forms.Textarea, TEXTAREA_CLASSES),
    (forms.FileInput, ["c-file"]),
    (Input, INPUT_CLASSES),
)


def dress(form: forms.BaseForm) -> None:
    """Give the widgets of a form Unfold's look."""
    for field in form.fields.values():
        if isinstance(field, forms.ChoiceField) and type(field.widget) is forms.Select:
            field.widget = UnfoldAdminSelectWidget(attrs=field.widget.attrs)
            field.widget.choices = field.choices
            continue
        look = next((classes for kind, classes in LOOKS if isinstance(field.widget, kind)), [])
        field.widget.attrs["class"] = " ".join(look)


def laid_out(*parts: Any) -> FormHelper:
    """A helper for ``{% crispy form %}`` inside a form of the page's own."""
    helper = FormHelper()
    helper.form_tag = False
    helper.disable_csrf = True
    helper.layout = Layout(*parts)
    return helper


def pair(*fields: Any, **attributes: Any) -> Div:
    """Fields side by side, two a row, where there is room."""
    return Div(*fields, css_class="c-fields-2", **attributes)


def when(name: str, values: Sequence[str], *fields: Any) -> Div:
    """Fields that show only while the control with ``data-switch`` of that name has one of the values."""
    return Div(*fields, css_class="c-form", data_when=name, data_is=" ".join(values))
