"""One file of a source: opened, read in pieces within bounds, and cut into pages of records. Memory holds one page."""

import io
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from integrations.formats import SOURCES, detect
from integrations.formats.reader import FileSource, Read, SourceError, shorten
from integrations.json_types import JsonMapping, JsonObject
from integrations.source_data import Fault, SourceFault, SourceSettings
from integrations.sources.shared.file_records import packed
from integrations.sources.shared.provider_call import ProviderCall
from integrations.sources.shared.source_call import fault_of_transport
from integrations.transport.http import TransportError

MAX_FILE = 512 * 1024 * 1024
BUFFER = 256 * 1024
GZIP_WINDOW = 16 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file whose content is not read yet. ``read(size)`` gives the next bytes, b"" after the last.

    ``version``: what tells this content from a later one, such as an ETag. ``content_type``: "" where it is not known.
    """

    name: str
    read: Callable[[int], bytes] = field(repr=False)
    close: Callable[[], None] = field(repr=False)
    version: JsonObject = field(default_factory=dict)
    content_type: str = ""
    is_gzip: bool = False


class FileCall(ProviderCall):
    """The requests of a source of files by one worker, and the file that it reads."""

    def __init__(self, source: SourceSettings) -> None:
        super().__init__(source)
        self.known_version: JsonMapping = source.known_version
        self.reading: FileReading | None = None

    def close(self) -> None:
        reading, self.reading = self.reading, None
        if reading is not None:
            reading.close()


class FileReading:
    """A file that is being read. ``read``: the number of records so far."""

    def __init__(self, file: OpenFile, format_name: str = "") -> None:
        """``format_name``: csv, json or jsonl; by default what the name and the first byte say."""
        self.file, self.read = file, 0
        self.stream = _FileContent(file)
        self._format_name = format_name
        self._records: Iterator[Read] | None = None

    def page(self, most: int) -> list[JsonObject]:
        """The next records, packed; fewer than ``most`` only at the end of the file. Raises
        :class:`~integrations.source_data.SourceFault`."""
        try:
            if self._records is None:
                self._records = self._open()
            found = [packed(read) for read in islice(self._records, most)]
        except SourceError as error:
            raise SourceFault(f"{shorten(self.file.name)}: {error}.", Fault.REFUSED) from None
        except TransportError as error:
            raise SourceFault(str(error), fault_of_transport(error)) from error
        self.read += len(found)
        return found

    def close(self) -> None:
        self.file.close()

    @property
    def format(self) -> FileSource:
        """The reader of the file. Only after the first page."""
        return SOURCES[self._format_name]

    def _open(self) -> Iterator[Read]:
        kind = self.file.content_type.partition(";")[0].strip().lower()
        if kind in ("text/html", "application/xhtml+xml"):
            raise SourceError(
                "the server sent a web page, perhaps a sign-in page, instead of the file; check address and credential"
            )
        stream: io.BufferedReader = io.BufferedReader(self.stream, BUFFER)
        if not self._format_name:
            self._format_name = detect(self.file.name, stream).slug
        return self.format.read_as_written(stream)


class _FileContent(io.RawIOBase):
    """The content of a file up to :data:`MAX_FILE` bytes, inflated where it was sent with gzip."""

    def __init__(self, file: OpenFile) -> None:
        self._file, self.size = file, 0
        self._inflater = zlib.decompressobj(GZIP_WINDOW) if file.is_gzip else None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        piece = self._inflated(len(buffer)) if self._inflater else self._file.read(len(buffer))
        self.size += len(piece)
        if self.size > MAX_FILE:
            raise SourceError(f"the file is larger than {MAX_FILE // 1024 // 1024} MiB")
        buffer[: len(piece)] = piece
        return len(piece)

    def _inflated(self, size: int) -> bytes:
        assert self._inflater is not None  # noqa: S101  for the type checker
        while not self._inflater.eof:
            data = self._inflater.unconsumed_tail or self._file.read(size)
            try:
                piece = self._inflater.decompress(data, size)
            except zlib.error:
                raise SourceError("the server says that it sends gzip, and does not") from None
            if piece:
                return piece
            if not data:
                raise SourceError("the compressed file is not complete")
        return b""
