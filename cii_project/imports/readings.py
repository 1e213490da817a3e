"""A stored file as records: its columns for a preview, and its records by field for an import."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO, NamedTuple

from checks.models import Source, SourceKind, SourceMapping, Upload
from checks.services import (
    NOT_READ,
    RECORD_FIELDS,
    ReadingRules,
    SignIns,
    employee_key_of,
    rules_from,
    shorten,
)
from cii_project.imports.listed_accounts import ListedStatuses
from cii_project.imports.status_columns import words_of_status_columns
from cii_project.imports.uploads import open_upload
from cii_project.imports.vendor_layouts import (
    VendorLayout,
    field_of_columns,
    is_employee_id,
    layout_of,
    own_names,
    words_of_layout,
)
from cii_project.imports.vendor_records import VendorRecord, fields_by_column, fold_column
from cii_project.imports.worker_logins import with_worker_logins
from integrations.services import SOURCES, FileSource, Read, SourceError

PREVIEW_ROWS = 10
# Number of JSON records that are searched for keys.
LOOKED_AT = 200
MOST_COLUMNS = 300
_FIELDS = frozenset(RECORD_FIELDS)
# Fields that may be read from the column of the login: sources name accounts by an address or by a worker's number.
SHARED_WITH_LOGIN = ("email", "employee_id")


@dataclass(frozen=True, slots=True)
class FilePreview:
    """The columns of a file and its first rows, each cell on one short line. ``values``: the whole cells' texts."""

    columns: list[str]
    rows: list[list[str]]
    layout: VendorLayout | None


@dataclass(frozen=True, slots=True)
class ColumnReading:
    """How one file becomes records by field. ``columns``: column of the file → field, for those that are read;
    ``layout``: the vendor's, by all columns of the file; ``shared``: fields that take the value of the login."""

    source: Source
    columns: Mapping[str, str]
    layout: VendorLayout | None
    rules: ReadingRules
    shared: frozenset[str] = frozenset()

    @property
    def combined_columns(self) -> frozenset[str]:
        """The folded columns that the layout reads together with others."""
        return self.layout.combined_columns(self.columns) if self.layout else frozenset()

    def derived(self, records: Iterable[Read]) -> Iterator[Read]:
        """The records by field, with what follows from several of the vendor's columns or has none
        (:attr:`VendorLayout.derive`), and the logins of an HR system's workers."""
        is_hr = self.source.kind == SourceKind.HR or (self.layout is not None and self.layout.is_hr)
        if self.shared:
            records = self._with_shared(records, is_hr=is_hr)
        if self.layout and self.layout.derive:
            records = self._derived(records)
        if self.layout and self.layout.lists_active and "status" not in self.columns.values():
            records = self._with_listed_status(records)
        return with_worker_logins(records, self.source) if is_hr else iter(records)

    def _with_shared(self, records: Iterable[Read], *, is_hr: bool) -> Iterator[Read]:
        """The records with the other fields of the login's column."""
        for line, record in records:
            if isinstance(record, dict) and "login" in record:
                record.update({field: record["login"] for field in self.shared if field not in record})
                if is_hr and "employee_id" in self.shared and employee_key_of(record):
                    # The stored account of the worker may have an address as its login, from a file that had one.
                    record["login"] = ""
            yield line, record

    def _derived(self, records: Iterable[Read]) -> Iterator[Read]:
        derive = self.layout.derive if self.layout else None
        fields = fields_by_column(self.columns)
        sign_ins = SignIns(self.rules)
        for line, record in records:
            if derive is not None and isinstance(record, dict):
                record.update(derive(VendorRecord(record, fields, sign_ins)))
            yield line, record

    def _with_listed_status(self, records: Iterable[Read]) -> Iterator[Read]:
        statuses = ListedStatuses(self.source)
        for line, record in records:
            if isinstance(record, dict) and "status" not in record:
                record["status"] = statuses.status_of(record)
            yield line, record


def preview_file(upload: Upload) -> FilePreview:
    """The first rows of a stored file. Raises :class:`SourceError`."""
    reader = SOURCES[upload.file_format]
    columns: dict[str, None] = {}
    rows: list[dict[str, object]] = []
    looked_at = PREVIEW_ROWS if upload.file_format == "csv" else LOOKED_AT
    with open_upload(upload) as stream:
        for _, record in islice(reader.read_as_written(stream), looked_at):
            row = record if isinstance(record, dict) else record.original
            if not isinstance(row, dict):
                continue
            columns.update(dict.fromkeys(name for name in row if isinstance(name, str) and name.strip()))
            rows.append(row)
            if len(columns) > MOST_COLUMNS:
                raise SourceError(
                    f"the file has more than {MOST_COLUMNS} columns; export only those that a user record needs"
                )
    if not rows:
        raise SourceError("the file has no rows: export it again and see that it holds the accounts")
    names = list(columns)
    shown = [[_cell(row.get(name)) for name in names] for row in rows[:PREVIEW_ROWS]]
    return FilePreview(names, shown, layout_of(names))


def _cell(value: object) -> str:
    return "" if value is None else shorten(value)


def columns_of(upload: Upload, preview: FilePreview | None = None) -> dict[str, str]:
    """Column of the file → field, for the columns that are read: as kept with the source, else by guess."""
    found = preview or preview_file(upload)
    stored = mapping_of(upload.source)
    return field_of_columns(found.columns, stored.columns if stored else {})


def mapping_of(source: Source) -> SourceMapping | None:
    return SourceMapping.objects.filter(source_id=source.pk).first() if source.pk else None


def columns_in(reader: FileSource, stream: BinaryIO) -> list[str]:
    """The names of a file's columns, or of the keys of its first records, as far as it can be read."""
    found: dict[str, None] = {}
    try:
        for _, record in islice(reader.read_as_written(stream), LOOKED_AT):
            if isinstance(record, dict):
                found.update(dict.fromkeys(name for name in record if name.strip()))
                if reader.slug == "csv":
                    break
    except SourceError:
        # The start of standard input ends within a record, or the import itself says why.
        pass
    return list(found)


class CompletedColumns(NamedTuple):
    """``columns``: field → column, one field a column. ``shared``: fields that take the value of the login, since they are
    read from its column. ``unread``: fields whose own column is not read."""

    columns: dict[str, str]
    shared: frozenset[str]
    unread: frozenset[str]


def completed_columns(source: Source, columns: Sequence[str], given: Mapping[str, str]) -> CompletedColumns:
    """``given`` (field → column), completed by what is kept with the source and by the vendor's layout.

    ``given`` wins for its fields. The layout is that of all columns, also of those that ``given`` names.
    """
    stored = mapping_of(source)
    kept = stored.columns if stored else {}
    decided = {column: field for column, field in kept.items() if field not in given}
    decided |= {column: field for field, column in given.items()}
    layout = layout_of(columns)
    known = {**(layout.guesses(columns, decided) if layout else {}), **decided}
    completed = {
        field: column
        for column, field in field_of_columns(columns, decided).items()
        if field not in given and known.get(column) == field
    }
    fields = {**given, **completed}
    if "login" not in fields and "login" not in own_names(columns).values():
        by_layout = layout.login_column(columns) if layout else None
        by_number = fields.get("employee_id") if source.kind == SourceKind.HR else None
        if column := by_layout or by_number:
            fields["login"] = column
    shared = shared_with_login(fields)
    unread = {name for name in kept if kept[name] == NOT_READ and name in _FIELDS and name not in given}
    return CompletedColumns(
        {field: column for field, column in fields.items() if field not in shared}, shared, frozenset(unread)
    )


def shared_with_login(fields: Mapping[str, str]) -> frozenset[str]:
    """The fields that are read from the column of the login. ``fields``: field → column."""
    login = fields.get("login")
    return frozenset(field for field in SHARED_WITH_LOGIN if login and fields.get(field) == login)


def without_fields(records: Iterable[Read], unread: frozenset[str]) -> Iterator[Read]:
    """The records without these fields."""
    for line, record in records:
        if unread and isinstance(record, dict):
            yield line, {name: value for name, value in record.items() if name not in unread}
        else:
            yield line, record


def reading_for(
    source: Source,
    columns: Mapping[str, str],
    names: Collection[str],
    mapping: SourceMapping | None = None,
    shared: frozenset[str] = frozenset(),
) -> ColumnReading:
    """The reading of a file. ``columns``: column → field, for those that are read; ``names``: all its columns;
    ``mapping``: in the place of what is kept with the source; ``shared``: fields that take the value of the login."""
    # What is mapped by hand may lie beyond the names that were found.
    names = [*dict.fromkeys((*names, *columns))]
    layout = layout_of(names)
    rules = _rules_for(source, columns, names, layout, mapping or mapping_of(source))
    login = next((column for column, field in columns.items() if field == "login"), "")
    if "employee_id" not in columns.values() and is_employee_id(login, layout):
        shared |= {"employee_id"}
    return ColumnReading(source, columns, layout, rules, shared)


def reading_of_upload(upload: Upload) -> ColumnReading:
    """How a stored file is read. Raises :class:`SourceError`."""
    preview = preview_file(upload)
    return reading_for(upload.source, columns_of(upload, preview), preview.columns)


def _rules_for(
    source: Source,
    columns: Mapping[str, str],
    names: Collection[str],
    layout: VendorLayout | None,
    mapping: SourceMapping | None,
) -> ReadingRules:
    """The rules of the source's mapping, then those of the status column and of the layout of the file."""
    words = {name: dict(meanings) for name, meanings in (mapping.words if mapping else {}).items()}
    own = {name: set(map(fold_column, meanings)) for name, meanings in words.items()}
    for name, word, meaning in (*words_of_status_columns(columns), *words_of_layout(columns, layout)):
        if fold_column(word) not in own.get(name, ()):
            words.setdefault(name, {})[word] = meaning
    kept = mapping.columns if mapping else {}
    used = SourceMapping(
        source=source,
        columns=kept,
        words=words,
        date_order=mapping.date_order if mapping else "",
        zone=mapping.zone if mapping else "",
    )
    layouts = (layout, layout_of(kept))
    is_entra = any(each is not None and each.slug == "entra" for each in layouts)
    return rules_from(source, used, names, is_entra=is_entra)


def names_of_fields(columns: Mapping[str, str]) -> dict[str, str]:
    """Field → column, and the placeholder names of :func:`records_of` → column."""
    stand_ins = {f"({name})": name for name in _FIELDS}
    return stand_ins | {field: column for column, field in columns.items()}


def records_of(records: Iterable[Read], columns: Mapping[str, str]) -> Iterator[Read]:
    """The records of a reader by field. A column that is not read never passes for the field of its name."""

    def renamed(record: Mapping[str, object]) -> dict[str, object]:
        return {
            columns.get(name) or (f"({name})" if name in _FIELDS else name): value
            for name, value in record.items()
        }

    for line, record in records:
        if isinstance(record, dict):
            yield line, renamed(record)
        elif isinstance(record.original, dict):
            yield line, record._replace(original=renamed(record.original))
        else:
            yield line, record
