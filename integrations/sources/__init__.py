"""The sources, one file each. Adding one is a module with a class and its line here."""

from collections.abc import Mapping
from io import BufferedReader
from pathlib import PurePath

from integrations.sources.base import FileSource, Read, SourceError, Unreadable, beginning, peekable
from integrations.sources.csv_file import CsvFile
from integrations.sources.json_array import JsonArray
from integrations.sources.json_lines import JsonLines

__all__ = ["SOURCES", "FileSource", "Read", "SourceError", "Unreadable", "detect", "peekable"]

SOURCES: Mapping[str, FileSource] = {source.slug: source for source in (CsvFile(), JsonLines(), JsonArray())}


def detect(name: str, stream: BufferedReader) -> FileSource:
    """The source for a file by its extension, else by its first byte.

    JSON is told by its first byte whatever the extension: ``.json`` may hold either kind.
    """
    first = beginning(stream)[:1]
    suffix = PurePath(name).suffix.casefold()
    by_byte = next((s for s in SOURCES.values() if s.first_bytes and first == s.first_bytes), None)
    by_name = next((s for s in SOURCES.values() if suffix in s.extensions), None)
    if suffix == ".json":
        return by_byte or SOURCES["json"]
    return by_name or by_byte or SOURCES["csv"]
