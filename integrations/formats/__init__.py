"""The sources, one file each. Adding one is a module with a class and its line here."""

from collections.abc import Mapping
from io import BufferedReader
from pathlib import PurePath

from integrations.formats import envelopes
from integrations.formats.csv_file import CsvFile
from integrations.formats.json_array import JsonArray
from integrations.formats.json_lines import JsonLines
from integrations.formats.reader import FileSource, Read, SourceError, UnreadableRecord, first_bytes, peekable

__all__ = ["SOURCES", "FileSource", "Read", "SourceError", "UnreadableRecord", "detect", "peekable"]

SOURCES: Mapping[str, FileSource] = {source.slug: source for source in (CsvFile(), JsonLines(), JsonArray())}


def detect(name: str, stream: BufferedReader) -> FileSource:
    """The source for a file by its extension, else by its first byte.

    JSON is recognized by its first byte for every extension: ``.json`` may hold either kind. An object that
    holds a list of records is read as the list.
    """
    start = first_bytes(stream)
    first = start[:1]
    suffix = PurePath(name).suffix.casefold()
    by_byte = next((s for s in SOURCES.values() if s.first_bytes and first == s.first_bytes), None)
    by_name = next((s for s in SOURCES.values() if suffix in s.extensions), None)
    if (
        first == b"{"
        and suffix not in CsvFile.extensions
        and envelopes.is_envelope(start.decode(errors="replace"))
    ):
        return SOURCES["json"]
    if suffix == ".json":
        return by_byte or SOURCES["json"]
    return by_name or by_byte or SOURCES["csv"]
