"""One import: its report, and its rejected rows as CSV."""

import json
from collections.abc import Iterator, Mapping, Sequence

from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import path
from django.utils.functional import cached_property

from checks.models import Import, JoinSuggestion, RejectedRow, Source
from checks.services import MOST_REJECTED_ROWS, REJECTED_ROWS_KEPT_DAYS
from cii_project.audit.services import Action, record
from cii_project.console.core.console_view import ConsoleView, Role, page_url
from cii_project.console.core.csv_export import csv_response, time_cell
from cii_project.console.core.field_labels import label_of
from cii_project.console.core.list_query import Column, Filter, ListQuery, choices_of
from cii_project.console.core.list_view import Listing, ListView
from cii_project.console.core.source_rows import variant_of
from cii_project.console.sources.views import SECTION, crumbs
from cii_project.imports.report import report_of

SHOWN_ROWS = 20
CHUNK = 500
# Number of rows whose columns make the header: a CSV file has them all in the first row.
LOOKED_AT = 1_000
OTHER_COLUMNS = "other columns"


class ImportView(ConsoleView):
    section = SECTION
    guide = "importing"

    def one(self, pk: int) -> Import:
        return get_object_or_404(Import.objects.select_related("source"), pk=pk)


class ImportsPage(ListView):
    """All imports, of files and of syncs."""

    title = "Imports"
    guide = "importing"
    template = "console/sources/imports.html"
    section = SECTION
    list_name = "imports"
    nouns = ("import", "imports")
    search_label = "File, source or error"
    default_sort = "-started"
    columns = (
        Column("file", "File", lambda one: one.file_name, ("file_name", "id"), is_fixed=True),
        Column("source", "Source", lambda one: one.source.name, ("source__name", "id")),
        Column("state", "State", lambda one: one.state, ("state", "id")),
        Column(
            "started",
            "When",
            lambda one: time_cell(one.started_at),
            ("id",),
            is_indexed=True,
            starts_descending=True,
        ),
        Column(
            "finished",
            "Finished",
            lambda one: time_cell(one.finished_at),
            ("finished_at", "id"),
            is_extra=True,
        ),
        Column("read", "Read", lambda one: one.read, ("read", "id"), is_number=True),
        Column("created", "New", lambda one: one.created, ("created", "id"), is_number=True),
        Column("changed", "Changed", lambda one: one.changed, ("changed", "id"), is_number=True),
        Column("rejected", "Rejected", lambda one: one.rejected, ("rejected", "id"), is_number=True),
        Column("error", "Error", lambda one: one.error, is_csv_only=True),
    )

    @cached_property
    def _filters(self) -> Sequence[Filter]:
        return (
            Filter("source", "Source", list(Source.objects.order_by("name").values_list("slug", "name"))),
            Filter("state", "State", choices_of(Import.State)),
        )

    def filters(self) -> Sequence[Filter]:
        return self._filters

    def matching(self, asked: ListQuery) -> list[QuerySet[Model]]:
        found = Import.objects.all()
        if source := asked.filters.get("source"):
            found = found.filter(source__slug=source)
        if state := asked.filters.get("state"):
            found = found.filter(state=state)
        for word in asked.search.split():
            found = found.filter(
                Q(file_name__icontains=word) | Q(source__name__icontains=word) | Q(error__icontains=word)
            )
        return [found]

    def related(self, found: QuerySet[Model]) -> QuerySet[Model]:
        return found.select_related("source")

    def more_context(self, listing: Listing) -> Mapping[str, object]:
        return {"crumbs": crumbs()}


class ImportPage(ImportView):
    template = "console/sources/import.html"

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        done = self.one(pk)
        report = report_of(done)
        rows = list(RejectedRow.objects.filter(of_import=done).order_by("line", "id")[:SHOWN_ROWS])
        source = done.source
        more = [] if source.deleted_at else [(source.name, page_url("source", source.slug))]
        return self.page(
            {
                "title": done.file_name or f"Import of {source.name}",
                "subtitle": f"Import into {source.name}",
                "crumbs": crumbs(*more),
                "done": done,
                "variant": variant_of(done.state),
                "words": [(label_of(word.field), word.word, word.count) for word in report.words],
                "warnings": [(label_of(each.field), each.text) for each in report.warnings],
                "unread": [label_of(name) for name in report.unread],
                "doubtful_joins": JoinSuggestion.objects.filter(found_by=done, state="open").count(),
                "problems": [{"line": row.line, **problem} for row in rows for problem in row.problems],
                "has_rows": bool(rows),
                "more_rows": max(done.rejected - len(rows), 0),
                "kept_days": REJECTED_ROWS_KEPT_DAYS,
                "most_rows": MOST_REJECTED_ROWS,
                "is_cut": done.rejected > MOST_REJECTED_ROWS,
            }
        )


class RejectedRowsExport(ImportView):
    """The rejected rows of an import as CSV, streamed: the line, what is wrong, and the row as the file had it.

    For members who can upload files: a row holds all columns of the file, also those that are not read.
    """

    role = Role.OPERATOR

    def get(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        done = self.one(pk)
        record(Action.EXPORT, done, "Exported the rejected rows as CSV.")
        return csv_response(_rejected_rows(done), f"import-{done.pk}-rejected.csv")


def _rejected_rows(done: Import) -> Iterator[Sequence[object]]:
    """Header and rows of the CSV. Columns that only later rows have are put into the last one, as JSON."""
    rows = RejectedRow.objects.filter(of_import=done).order_by("line", "id")
    columns: dict[str, None] = {}
    for record_ in rows.values_list("record", flat=True)[:LOOKED_AT]:
        if isinstance(record_, dict):
            columns.update(dict.fromkeys(record_))
    yield ["line", "problems", *columns, OTHER_COLUMNS]
    for row in rows.iterator(chunk_size=CHUNK):
        record_ = row.record if isinstance(row.record, dict) else {}
        others = {name: value for name, value in record_.items() if name not in columns}
        if not isinstance(row.record, dict):
            others = row.record
        yield [
            row.line,
            "; ".join(f"{p['column']}: {p['value']!r}, expected {p['expected']}" for p in row.problems),
            *(_text(record_.get(name, "")) for name in columns),
            _text(others) if others else "",
        ]


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


urlpatterns = [
    path("integrations/imports/", ImportsPage.as_view(), name="imports"),
    path("integrations/imports/<int:pk>/", ImportPage.as_view(), name="import"),
    path("integrations/imports/<int:pk>/rejected.csv", RejectedRowsExport.as_view(), name="import-rejected"),
]
