"""The forms of data sources: a file for a source, the meaning of its columns and of its words, how it is imported."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from crispy_forms.helper import FormHelper
from crispy_forms.layout import Div
from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict

from checks.models import Source, SourceKind, SourceMapping
from checks.services import MEANINGS, RECORD_FIELDS
from cii_project.console.core.field_labels import label_of
from cii_project.console.core.form_parts import apply_unfold_look, field_pair, form_helper, shown_when
from cii_project.console.core.form_versions import VersionedForm
from cii_project.imports.readings import FilePreview
from cii_project.web.bodies import MAX_FILE_BYTES
from integrations.services import JsonMapping

NEW = "new"
FORMATS = "CSV, JSON Lines or JSON in UTF-8, up to 64 MiB."
TIME_FIELDS = frozenset(name for name in RECORD_FIELDS if name.endswith("_at"))
_AMBIGUOUS = re.compile(r"\d{1,2}[./-]\d{1,2}[./-]\d{4}\b.*")


class FileForm(forms.Form):
    """A file for a source."""

    file = forms.FileField(
        label="File",
        help_text=FORMATS,
        widget=forms.FileInput(attrs={"accept": ".csv,.tsv,.txt,.json,.jsonl,.ndjson"}),
        error_messages={"required": "Choose a file.", "empty": "The file is empty. Choose another one."},
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        apply_unfold_look(self)
        self.helper: FormHelper = form_helper("file")

    def clean_file(self) -> object:
        given = self.cleaned_data["file"]
        if given.size > MAX_FILE_BYTES:
            raise ValidationError(
                "The file has over 64 MiB. Split it, or ask your administrator to import it."
            )
        return given


class NewFileForm(FileForm):
    """A file for a source that is chosen, or added."""

    source = forms.ChoiceField(label="Source", widget=forms.Select(attrs={"data-switch": "source"}))
    slug = forms.SlugField(
        label="Short name", max_length=64, required=False, help_text="Lower case, such as okta-production."
    )
    name = forms.CharField(label="Display name (optional)", max_length=128, required=False)
    kind = forms.ChoiceField(label="Kind", choices=SourceKind.choices, required=False)
    provider = forms.CharField(
        label="Vendor (optional)",
        max_length=32,
        required=False,
        help_text="As events write it: OKTA, ENTRA, WORKDAY …",
    )
    field_order = ("source", "slug", "name", "kind", "provider", "file")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        live = Source.objects.filter(deleted_at__isnull=True)
        sources = [(source.slug, f"{source.name} ({source.slug})") for source in live]
        cast(forms.ChoiceField, self.fields["source"]).choices = [*sources, (NEW, "A new source…")]
        self.helper = form_helper(
            "source", shown_when("source", [NEW], "slug", "name", "kind", "provider"), "file"
        )

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("source") == NEW and not self.errors.get("slug"):
            slug = given.get("slug")
            if not slug:
                self.add_error("slug", "Write a short name for the new source.")
            elif known := Source.objects.filter(slug=slug).first():
                if known.deleted_at is None:
                    self.add_error("slug", "This source exists already: choose it above.")
                elif known.kind != given["kind"]:
                    self.add_error("slug", "A deleted source of another kind has this name: use another one.")
        return given


class RenameForm(VersionedForm):
    name = forms.CharField(label="Display name", max_length=128)

    def __init__(self, source: Source, data: QueryDict | None = None) -> None:
        super().__init__(data, initial={"name": source.name})
        self.lock({"name": source.name}, source)
        apply_unfold_look(self)
        self.helper: FormHelper = form_helper("version", "name")


class ColumnsForm(forms.Form):
    """Which field each column of a file holds, and how its dates are written."""

    date_order = forms.ChoiceField(
        label="Order of dates",
        required=False,
        choices=[("", "Not named"), *SourceMapping.DateOrder.choices],
        help_text="For dates such as 1/2/2026. Without it such rows are rejected.",
    )
    zone = forms.CharField(
        label="Time zone",
        max_length=64,
        required=False,
        help_text="For times without an offset, such as Europe/Berlin. Empty is UTC.",
    )

    def __init__(
        self,
        data: QueryDict | None = None,
        *,
        preview: FilePreview,
        columns: Mapping[str, str],
        mapping: SourceMapping | None,
        may_change: bool,
    ) -> None:
        initial = {
            "date_order": mapping.date_order if mapping else "",
            "zone": mapping.zone if mapping else "",
        }
        super().__init__(data, initial=initial)
        self.preview, self.mapping = preview, mapping
        choices = [("", "Not read"), *sorted(((n, label_of(n)) for n in RECORD_FIELDS), key=lambda c: c[1])]
        for number, column in enumerate(preview.columns):
            self.fields[f"column-{number}"] = forms.ChoiceField(
                label=column, required=False, choices=choices, initial=columns.get(column, "")
            )
        for field in self.fields.values():
            field.disabled = not may_change
        apply_unfold_look(self)
        self.helper: FormHelper = form_helper(field_pair("date_order", "zone"))

    @property
    def selects(self) -> list[forms.BoundField]:
        return [self[f"column-{number}"] for number in range(len(self.preview.columns))]

    @property
    def chosen(self) -> dict[str, str]:
        """Column → field, "" for a column that is not read."""
        return {
            column: self.cleaned_data.get(f"column-{number}", "")
            for number, column in enumerate(self.preview.columns)
        }

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        first: dict[str, str] = {}
        for number, column in enumerate(self.preview.columns):
            field = given.get(f"column-{number}", "")
            if field and field in first:
                self.add_error(
                    f"column-{number}",
                    f"{label_of(field)} is read from “{first[field]}” already: choose another field.",
                )
            elif field:
                first[field] = column
        if "login" not in first:
            self.add_error(None, "Choose Login for the column that names each account.")
        if not given.get("date_order") and (value := self._ambiguous(first)):
            self.add_error(
                "date_order", f"“{value}” can be read in two ways: choose the order of day and month."
            )
        return given

    def _ambiguous(self, column_of_field: Mapping[str, str]) -> str:
        places = [
            self.preview.columns.index(column)
            for field, column in column_of_field.items()
            if field in TIME_FIELDS
        ]
        cells = (row[place] for row in self.preview.rows for place in places)
        return next((cell for cell in cells if _AMBIGUOUS.fullmatch(cell.strip())), "")


class WordsForm(forms.Form):
    """The form for the meanings of unknown words. ``words``: {field, word, count}, as an import reports
    them."""

    def __init__(
        self, data: QueryDict | None = None, *, words: Sequence[JsonMapping], may_change: bool
    ) -> None:
        super().__init__(data)
        self.words = [word for word in words if choices_of(word["field"]) and word["word"] != "…"]
        self.others = [word for word in words if word not in self.words and word["word"] != "…"]
        for number, word in enumerate(self.words):
            self.fields[f"word-{number}"] = forms.ChoiceField(
                label=f"Meaning of {word['word']}",
                required=False,
                choices=choices_of(word["field"]),
                disabled=not may_change,
            )
        apply_unfold_look(self)

    @property
    def rows(self) -> list[tuple[str, str, int, forms.BoundField]]:
        return [
            (label_of(word["field"]), word["word"], word["count"], self[f"word-{number}"])
            for number, word in enumerate(self.words)
        ]

    @property
    def chosen(self) -> list[tuple[str, str, str]]:
        """(field, word, meaning) of the words that were given one."""
        return [
            (word["field"], word["word"], meaning)
            for number, word in enumerate(self.words)
            if (meaning := self.cleaned_data.get(f"word-{number}"))
        ]


def choices_of(field: str) -> list[tuple[str, str]]:
    """The meanings that a word of a field may have; none for a field whose words are no matter of choice."""
    meanings = MEANINGS.get(field, ())
    if not meanings:
        return []
    return [
        ("", "Leave unknown"),
        *((one, one.replace("_", " ").capitalize()) for one in meanings),
        ("unknown", "Always unknown, do not ask again"),
    ]


class ImportForm(forms.Form):
    """The form for the options of an import."""

    full = forms.BooleanField(label="The file is complete: delete the accounts that it lacks", required=False)
    force = forms.BooleanField(label="Delete even more than a fifth of the accounts", required=False)
    strict = forms.BooleanField(label="Change nothing if any row is rejected", required=False)
    replace = forms.BooleanField(
        label="Fields that the file lacks become unknown, instead of keeping their last values",
        required=False,
    )

    def __init__(self, data: QueryDict | None, *, must_force: bool, has_unread: bool) -> None:
        super().__init__(data)
        if not must_force:
            del self.fields["force"]
        if not has_unread:
            del self.fields["replace"]
        self.must_force = must_force
        apply_unfold_look(self)
        self.helper: FormHelper = form_helper(Div(*self.fields, css_class="c-checkboxes"))

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if self.must_force and given.get("full") and not given.get("force"):
            self.add_error(
                "force", "The file lacks over a fifth of the accounts. See that it is complete, or allow it."
            )
        return given
