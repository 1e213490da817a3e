"""The base class of sources that are one file: read whole by each sync, unless it is the file of the last one.

The file is downloaded once and cut into pages while it arrives. Its records keep the file's own names; their mapping to
fields belongs to the source and is applied when the listing is complete (cii_project/imports/connected_files.py).
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from integrations.json_types import JsonMapping, JsonObject
from integrations.source_data import (
    Cursor,
    Fault,
    Permission,
    PermissionResult,
    ProbeResult,
    RecordPage,
    SourceFault,
    SourceSettings,
)
from integrations.sources.shared.api_source import ApiSource, RateLimit, SyncPassKind
from integrations.sources.shared.file_call import FileCall, FileReading, OpenFile
from integrations.sources.shared.file_fields import check_zone
from integrations.sources.shared.probing import try_permission
from integrations.targets.shared.documents import DocumentReader

PAGE_RECORDS = 2_000
PROBED_RECORDS = 1_000
MOST_COLUMNS = 300
# A page of a file that is being downloaded is no request: only the server's speed limits it.
PAGES = RateLimit("pages", 60_000)
Step = tuple[str, Callable[[], str]]


class FileDownload(ApiSource):
    """A kind that reads one file. A subclass opens it and names the steps that Test connectivity tries."""

    passes = (SyncPassKind(slug="users", label="File", groups=("profile",), limit=PAGES, one_session=True),)
    reads_file: ClassVar[bool] = True

    @abstractmethod
    def open_file(self, call: Any, known_version: JsonMapping) -> OpenFile | None:
        """Open the file; None where it is the one of ``known_version``. Raises
        :class:`~integrations.source_data.SourceFault`."""

    def steps_to_file(self, call: Any) -> Sequence[Step]:
        """What comes before the file, each with its name and an attempt as :func:`try_permission` makes it."""
        return ()

    def check(self, reader: DocumentReader, settings: JsonObject, secrets: JsonObject) -> None:
        check_zone(reader, settings)

    def fetch(self, reading: SyncPassKind, call: FileCall, cursor: Cursor | None) -> RecordPage:
        """Cursor: ``record``, the number of records that were read."""
        if cursor is None:
            call.close()
            file = self.open_file(call, call.known_version)
            if file is None:
                return RecordPage(is_unchanged=True, note="The file has not changed: it was not read again.")
            call.reading = FileReading(file, _format_of(call.options))
        elif call.reading is None or call.reading.read != cursor["record"]:
            text = "The download was interrupted: the file is read again from its start."
            raise SourceFault(text, Fault.EXPIRED)
        try:
            records = call.reading.page(PAGE_RECORDS)
            if not records and cursor is None:
                raise SourceFault(f"{call.reading.file.name} holds no records.", Fault.REFUSED)
        except BaseException:
            call.close()
            raise
        return self._page(call, call.reading, records, is_first=cursor is None)

    def _page(
        self, call: FileCall, reading: FileReading, records: list[JsonObject], *, is_first: bool
    ) -> RecordPage:
        if len(records) == PAGE_RECORDS:
            return RecordPage(records, {"record": reading.read}, calls=int(is_first))
        call.close()
        size = f"{reading.stream.size:,} bytes"
        note = f"{reading.file.name}: {reading.format.label}, {size}, {reading.read:,} records."
        return RecordPage(records, calls=int(is_first), version=reading.file.version, note=note)

    def probe(self, source: SourceSettings, call: FileCall, scopes: Sequence[str] | None) -> ProbeResult:
        found: list[FileReading] = []
        records: list[JsonObject] = []

        def open_file() -> str:
            file = self.open_file(call, {})
            assert file is not None  # noqa: S101  without a known version every file is another one
            found.append(FileReading(file, _format_of(call.options)))
            return ""

        def read_records() -> str:
            records.extend(found[0].page(PROBED_RECORDS))
            return "" if records else "The file is readable, and holds no records."

        results: list[PermissionResult] = []
        try:
            for name, attempt in (
                *self.steps_to_file(call),
                ("File", open_file),
                ("Records", read_records),
            ):
                results.append(_named(try_permission(self.listing, attempt), name))
                if results[-1].state is not Permission.GRANTED:
                    break
            else:
                results[-1] = _named(results[-1], "Records", _seen(found[0], records))
        finally:
            for each in found:
                each.close()
        return ProbeResult(
            results,
            len(records) if records else None,
            more_users=len(records) == PROBED_RECORDS,
            clock_skew=call.clock_skew,
            needed=len(self.steps_to_file(call)) + 2,
            columns=columns_of(records),
        )


def columns_of(records: Sequence[JsonMapping]) -> list[str]:
    """The file's own names in these packed records, in their order."""
    found: dict[str, None] = {}
    for each in records:
        row = each.get("record") or each.get("cells")
        if isinstance(row, dict) and len(found) < MOST_COLUMNS:
            found.update(dict.fromkeys(name for name in row if name.strip()))
    return list(found)[:MOST_COLUMNS]


def _format_of(settings: JsonMapping) -> str:
    chosen = str(settings.get("format") or "auto")
    return "" if chosen == "auto" else chosen


def _named(result: PermissionResult, name: str, detail: str = "") -> PermissionResult:
    return PermissionResult(name, result.state, detail or result.detail, result.groups)


def _seen(reading: FileReading, records: Sequence[JsonMapping]) -> str:
    unread = sum("problem" in each for each in records)
    count = (
        f"{len(records):,} records"
        if len(records) < PROBED_RECORDS
        else f"the first {len(records):,} records"
    )
    bad = f", {unread:,} of them unreadable" if unread else ""
    return f"{reading.file.name}: {reading.format.label}, {count}{bad}."
