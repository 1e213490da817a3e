"""Pages that a sync has read and not imported yet: one row per page, compressed and sealed, deleted after the
import."""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import orjson

from integrations.models import SpooledPage, SyncPass
from integrations.services import Cursor, JsonObject, seal_bytes, unseal_bytes

# Records of one group of fields that are joined by account in memory at a time.
JOINED_AT_ONCE = 200_000


def digest_of(cursor: Cursor | None) -> str:
    """A digest that differs for each cursor of a pass."""
    return blake2b(orjson.dumps(cursor, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()


def add_page(reading: SyncPass, cursor: Cursor | None, records: Sequence[JsonObject]) -> None:
    """Store the records that ``cursor`` brought. Raises ``IntegrityError`` if that cursor has brought a page before."""
    content = seal_bytes(zlib.compress(orjson.dumps(list(records)), 1))
    SpooledPage.objects.create(
        sync_pass=reading, number=reading.pages, cursor_digest=digest_of(cursor), content=content
    )


def was_read(reading: SyncPass, cursor: Cursor | None) -> bool:
    """Whether that cursor has brought a page of this pass before."""
    return SpooledPage.objects.filter(sync_pass=reading, cursor_digest=digest_of(cursor)).exists()


def pages_of(reading: SyncPass) -> Iterator[list[JsonObject]]:
    """The records of each page, in the order of reading. Holds one page."""
    for number in range(reading.pages):
        content = SpooledPage.objects.values_list("content", flat=True).get(sync_pass=reading, number=number)
        yield orjson.loads(zlib.decompress(unseal_bytes(bytes(content))))


def records_of(reading: SyncPass) -> Iterator[JsonObject]:
    for page in pages_of(reading):
        yield from page


@dataclass(frozen=True, slots=True)
class JoinedRecords:
    """A part of the accounts of a pass: the records of each account joined to one, by ``source_key``."""

    part: int
    parts: int
    records: dict[str, JsonObject] = field(default_factory=dict)

    def holds(self, key: str) -> bool:
        """Whether the account belongs to this part, with or without a record."""
        return zlib.crc32(key.encode()) % self.parts == self.part


def joined_records(reading: SyncPass) -> Iterator[JoinedRecords]:
    """The records of a pass, part by part: texts replaced, lists added up. Memory holds about ``JOINED_AT_ONCE``."""
    parts = reading.records // JOINED_AT_ONCE + 1
    for part in range(parts):
        found = JoinedRecords(part, parts)
        for record in records_of(reading):
            key = str(record.get("source_key", ""))
            if key and found.holds(key):
                _join(found.records.setdefault(key, {}), record)
        yield found


def account_records(reading: SyncPass, at_once: int) -> Iterator[dict[str, JsonObject]]:
    """The records by ``source_key`` of a pass that stores all records of an account in one page: about ``at_once`` at a
    time."""
    found: dict[str, JsonObject] = {}
    for page in pages_of(reading):
        for record in page:
            if key := str(record.get("source_key", "")):
                _join(found.setdefault(key, {}), record)
        if len(found) >= at_once:
            yield found
            found = {}
    yield found


def _join(into: JsonObject, record: JsonObject) -> None:
    for name, value in record.items():
        known = into.get(name)
        if isinstance(known, list) and isinstance(value, list):
            known.extend(item for item in value if item not in known)
        else:
            into[name] = list(value) if isinstance(value, list) else value


def drop(readings: Iterable[SyncPass]) -> None:
    """Delete what was read."""
    SpooledPage.objects.filter(sync_pass__in=list(readings)).delete()


# --- Which accounts a pass with one call each asks for ---------------------------------------------------

PLAN_FROM = 1_000_000_000
PLANNED_AT_ONCE = 1_000


def add_plan(reading: SyncPass, keys: Sequence[str]) -> None:
    """Store the immutable ids of the accounts that the pass asks for, in this order."""
    rows = [
        SpooledPage(
            sync_pass=reading,
            number=PLAN_FROM + place,
            cursor_digest=f"plan {place}",
            content=seal_bytes(zlib.compress(orjson.dumps(keys[start : start + PLANNED_AT_ONCE]), 1)),
        )
        for place, start in enumerate(range(0, len(keys), PLANNED_AT_ONCE))
    ]
    SpooledPage.objects.bulk_create(rows, batch_size=50)


def planned(reading: SyncPass, at: int, most: int) -> list[str]:
    """Up to ``most`` of the planned ids from place ``at`` on, of one stored row."""
    number = PLAN_FROM + at // PLANNED_AT_ONCE
    content = (
        SpooledPage.objects.filter(sync_pass=reading, number=number).values_list("content", flat=True).first()
    )
    if content is None:
        return []
    keys: list[str] = orjson.loads(zlib.decompress(unseal_bytes(bytes(content))))
    start = at % PLANNED_AT_ONCE
    return keys[start : start + most]
