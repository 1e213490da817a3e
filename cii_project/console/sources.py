"""Data sources: what was imported when, and a file of accounts uploaded with a report of its bad rows."""

from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

from crispy_forms.layout import HTML, Div
from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Max, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.urls import path

from checks.accounts import ImportRefused, Rejected, import_accounts
from checks.models import Import, Source, SourceKind
from checks.records import FIELDS
from cii_project.columns import Columns
from cii_project.console.base import ADDITION, CHANGE, ConsoleView, link, record
from cii_project.console.form_parts import dress, laid_out, when
from integrations.sources import SOURCES, SourceError, detect, peekable

MOST_BYTES = 64 * 1024 * 1024
MOST_SHOWN = 100
NEW = "new"


@dataclass(frozen=True, slots=True)
class SourceRow:
    source: Source
    accounts: int
    last: Import | None

    @property
    def variant(self) -> str:
        return {"succeeded": "success", "partial": "warning", "failed": "danger"}.get(
            self.last.state if self.last else "", "plain"
        )


def source_rows() -> list[SourceRow]:
    """Every source with its last import and how many accounts it has, two queries. An account comes by an
    import and goes with its source alone: so the imports, which are few, tell how many there are."""
    newest = Import.objects.order_by().values("source_id").annotate(newest=Max("id")).values("newest")
    last = {one.source_id: one for one in Import.objects.filter(pk__in=newest)}
    sources = Source.objects.annotate(created=Coalesce(Sum("imports__created"), 0)).order_by("slug")
    return [SourceRow(source, source.created, last.get(source.pk)) for source in sources]


@dataclass(slots=True)
class Report:
    """What became of a file: the import's counts, and its first bad rows."""

    done: Import | None = None
    refused: str = ""
    # What of the file's columns nobody read, as a sentence.
    ignored: str = ""
    problems: list[tuple[int, str, str, str]] = field(default_factory=list)

    def add(self, rejected: Rejected) -> None:
        if len(self.problems) < MOST_SHOWN:
            self.problems += [(rejected.line, p.column, p.value, p.expected) for p in rejected.problems]


class UploadForm(forms.Form):
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
    file = forms.FileField(
        label="File",
        help_text="CSV with a header row, JSON Lines or a JSON array, in UTF-8, up to 64 MB.",
        widget=forms.FileInput(attrs={"accept": ".csv,.tsv,.txt,.json,.jsonl,.ndjson"}),
    )
    format = forms.ChoiceField(
        label="Format",
        required=False,
        choices=lambda: [("", "By name and content"), *((s.slug, s.label) for s in SOURCES.values())],
    )
    mapping = forms.CharField(
        label="Columns of other names",
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "placeholder": "login=UserName\ndisplay_name=Full name"}),
        help_text="One a line: our field, an equals sign, the file's name for it.",
    )
    full = forms.BooleanField(
        label="The file is complete: mark accounts that it lacks as deleted", required=False
    )
    force = forms.BooleanField(label="Even if that deletes more than a fifth of them", required=False)
    strict = forms.BooleanField(label="Change nothing if any row is bad", required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        sources = [(source.slug, f"{source.name} ({source.slug})") for source in Source.objects.all()]
        cast(forms.ChoiceField, self.fields["source"]).choices = [*sources, (NEW, "A new source…")]
        dress(self)
        opened = " open" if self.is_bound else ""
        self.helper = laid_out(
            "source",
            when("source", [NEW], "slug", "name", "kind", "provider"),
            "file",
            Div("full", "force", "strict", css_class="c-ticks"),
            HTML(f'<details class="c-fold"{opened}><summary>Format and columns</summary>'),
            Div("format", "mapping", css_class="c-form"),
            HTML("</details>"),
        )

    def clean_file(self) -> Any:
        given = self.cleaned_data["file"]
        if given.size > MOST_BYTES:
            raise ValidationError(
                "The file has over 64 MB. Import it on the server: manage.py import_users FILE --source …"
            )
        return given

    def clean_mapping(self) -> dict[str, str]:
        mapping = {}
        for line in filter(str.strip, self.cleaned_data["mapping"].splitlines()):
            name, equals, column = (part.strip() for part in line.partition("="))
            if not equals or not column:
                raise ValidationError(f"“{line}” is no pair. Write one such as login=UserName.")
            if name not in FIELDS:
                raise ValidationError(f"There is no field “{name}”. The fields are: {', '.join(FIELDS)}.")
            mapping[name] = column
        return mapping

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("source") == NEW and not self.errors.get("slug"):
            slug = given.get("slug")
            if not slug:
                self.add_error("slug", "Write a short name for the new source.")
            elif Source.objects.filter(slug=slug).exists():
                self.add_error("slug", "This source exists already: choose it above.")
        return given

    def target(self) -> Source:
        """The source chosen, or a new one that is not saved yet."""
        given = self.cleaned_data
        if given["source"] != NEW:
            return Source.objects.get(slug=given["source"])
        return Source(
            slug=given["slug"],
            name=given["name"] or given["slug"],
            kind=given["kind"] or SourceKind.IDENTITY,
            provider=(given["provider"] or "FILE").upper(),
        )


class Sources(ConsoleView):
    title = "Data sources"
    template = "console/integrations/sources.html"
    section = "console:integrations"

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.answer(UploadForm(initial={"source": request.GET.get("source")}))

    def answer(self, form: UploadForm, report: Report | None = None) -> HttpResponse:
        imports = Import.objects.select_related("source")[:20]
        context = {
            "form": form,
            "report": report,
            "rows": source_rows(),
            "imports": imports,
            "most_shown": MOST_SHOWN,
            "subtitle": "Identity providers and HR systems whose accounts the checks read.",
            "crumbs": [("Integrations", link("integrations"))],
        }
        return self.page(context)

    def post(self, request: HttpRequest) -> HttpResponse:
        form = UploadForm(request.POST, request.FILES)
        if not form.is_valid():
            return self.answer(form)
        source = form.target()
        new = source.pk is None
        report = _import(source, form.cleaned_data)
        if report.done is None:
            return self.answer(form, report)
        text = f"Imported {report.done.file_name}: {report.done.read} read, {report.done.rejected} rejected."
        record(request, source, text, ADDITION if new else CHANGE)
        return self.answer(UploadForm(initial={"source": source.slug}), report)


def _import(source: Source, given: dict[str, Any]) -> Report:
    report, columns = Report(), Columns()
    upload = given["file"]
    try:
        stream = peekable(cast(BinaryIO, upload.file))
        reader = SOURCES[given["format"]] if given["format"] else detect(upload.name, stream)
        report.done = import_accounts(
            columns.of(reader.read(stream, given["mapping"])),
            source=source,
            full=given["full"],
            force=given["force"],
            strict=given["strict"],
            on_reject=report.add,
            file_name=upload.name,
        )
    except (SourceError, ImportRefused) as error:
        report.refused = str(error)
    report.ignored = columns.note()
    return report


urlpatterns = [path("integrations/sources/", Sources.as_view(), name="sources")]
