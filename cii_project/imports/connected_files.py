"""The file of a connected source as records by field: its columns, words, dates and zone as for an uploaded file.

What the connection's settings say comes first, then what is kept with the source, then the vendor's layout.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import orjson

from checks.models import Source, SourceMapping
from checks.services import RECORD_FIELDS, MappingError, ReadingRules, extended_mapping
from cii_project import __version__
from cii_project.imports.readings import (
    LOOKED_AT,
    ColumnReading,
    completed_columns,
    mapping_of,
    names_of_fields,
    reading_for,
    records_of,
    shared_with_login,
)
from cii_project.imports.vendor_layouts import field_of_columns
from integrations.models import SourceConnection
from integrations.services import (
    API_SOURCES,
    InvalidDocument,
    JsonMapping,
    Read,
    file_columns,
    unpacked_record,
)


@dataclass(frozen=True, slots=True)
class FileMapping:
    """How the records of one file become records by field."""

    reading: ColumnReading

    def records(self, packed: Iterable[JsonMapping]) -> Iterator[Read]:
        """The records by field, with their lines."""
        return self.reading.derived(records_of(map(unpacked_record, packed), self.reading.columns))

    @property
    def rules(self) -> ReadingRules:
        return self.reading.rules

    @property
    def column_names(self) -> dict[str, str]:
        return names_of_fields(self.reading.columns)


def map_file(source: Source, settings: JsonMapping, packed: Iterable[JsonMapping]) -> FileMapping:
    """The mapping of a file by its first records. Raises :class:`~checks.services.MappingError`."""
    names = file_columns(list(islice(packed, LOOKED_AT)))
    columns, shared = _columns_and_shared(source, settings, names)
    if "login" not in columns.values():
        raise MappingError(
            "No column of the file is the login. Write login=COLUMN under Columns of the connection. "
            f"The file has: {', '.join(names[:20]) or 'no columns'}."
        )
    return FileMapping(reading_for(source, columns, names, _kept_mapping(source, settings), shared))


def field_of_each(source: Source, settings: JsonMapping, names: Sequence[str]) -> dict[str, str]:
    """Column of the file → field, for the columns that are read."""
    return _columns_and_shared(source, settings, names)[0]


def _columns_and_shared(
    source: Source, settings: JsonMapping, names: Sequence[str]
) -> tuple[dict[str, str], frozenset[str]]:
    """Column of the file → field, for the columns that are read, and the fields that take the value of the login."""
    given = {field: column for field, column in columns_of_settings(settings).items() if column in names}
    completed = completed_columns(source, names, given)
    stored = mapping_of(source)
    kept = stored.columns if stored else {}
    others = {column: field for column, field in kept.items() if field not in completed.columns}
    known = {column: field for field, column in completed.columns.items()}
    return field_of_columns(names, {**others, **known}), completed.shared


def columns_of_settings(settings: JsonMapping) -> dict[str, str]:
    """Field → column, as the connection's settings name them. Raises :class:`~checks.services.MappingError`."""
    found: dict[str, str] = {}
    for line in settings.get("columns") or ():
        field, _, column = str(line).partition("=")
        if field not in RECORD_FIELDS:
            raise MappingError(f"There is no field “{field}”. The fields are: {', '.join(RECORD_FIELDS)}.")
        is_twice = field in found
        found[field] = column.strip()
        shared = shared_with_login(found)
        alone = [name for each, name in found.items() if each not in shared]
        if is_twice or len(set(alone)) < len(alone):
            raise MappingError(f"“{line}” names a field or a column a second time.")
    return found


def check_reading_settings(connection: SourceConnection) -> None:
    """Check the columns and words that the settings of a source of files name. Raises
    :class:`~integrations.services.InvalidDocument`."""
    kind = API_SOURCES.get(connection.kind)
    if kind is None or not kind.reads_file:
        return
    problems, settings = {}, connection.settings
    try:
        columns_of_settings(settings)
    except MappingError as error:
        problems["columns"] = str(error)
    try:
        extended_mapping(Source(), _words_of(settings))
    except MappingError as error:
        problems["words"] = str(error)
    if problems:
        raise InvalidDocument(problems)


def mapping_digest(source: Source, settings: JsonMapping) -> str:
    """A digest that changes when the same file would be read in another way."""
    kept = mapping_of(source)
    stored = [kept.columns, kept.words, kept.date_order, kept.zone] if kept else []
    parts = [__version__, dict(settings), stored]
    return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _kept_mapping(source: Source, settings: JsonMapping) -> SourceMapping:
    dates = str(settings.get("dates") or "none")
    return extended_mapping(
        source, _words_of(settings), "" if dates == "none" else dates, str(settings.get("zone") or "")
    )


def _words_of(settings: JsonMapping) -> list[tuple[str, str, str]]:
    found = []
    for line in settings.get("words") or ():
        field, _, rest = str(line).partition(":")
        word, _, meaning = rest.rpartition("=")
        found.append((field, word.strip(), meaning))
    return found
