"""Sources and their mappings as a person changes them: renamed, deleted, what their columns and words mean."""

from collections.abc import Iterable, Mapping

from django.db import connection, transaction
from django.utils import timezone

from checks import dialect
from checks.importing.mappings import MappingError, check_zone, clean_word
from checks.importing.records import FIELDS
from checks.importing.rejoining import rejoin
from checks.models import Account, Source, SourceMapping, Status, Upload
from cii_project.audit.services import Action, changes, record

# In ``SourceMapping.columns``: the column is not read.
NOT_READ = ""
LONGEST_COLUMN = 255
MOST_COLUMNS = 1_000
MOST_WORDS = 2_000


def add_source(*, slug: str, name: str, kind: str, provider: str) -> Source:
    """Create a source, or open again the deleted one of that slug. Raises ``ValidationError``."""
    known = Source.objects.filter(slug=slug, deleted_at__isnull=False, kind=kind).first()
    source = known or Source(slug=slug)
    source.name, source.kind, source.provider, source.deleted_at = name, kind, provider, None
    source.full_clean()
    with transaction.atomic():
        source.save()
        record(Action.ADD, source, "Added." if known is None else "Added again after it was deleted.")
    return source


def rename_source(source: Source, name: str) -> None:
    """Give a source another display name. Raises ``ValidationError``."""
    before, source.name = source.name, name.strip()
    source.full_clean()
    if before == source.name:
        return
    with transaction.atomic():
        source.save(update_fields=["name"])
        record(
            Action.CHANGE,
            source,
            f"Renamed from “{before}” to “{source.name}”.",
            before={"name": before},
            after={"name": source.name},
        )


def delete_source(source: Source) -> int:
    """Mark a source as deleted, with its accounts as if a full file lacked them; the number of accounts.

    Its imports, and the findings of its users, stay as history. Files that wait for their import are deleted.
    """
    now = timezone.now()
    with transaction.atomic(), connection.cursor() as cursor:
        dialect.lock_accounts(cursor)
        live = Account.objects.filter(source=source).exclude(status=Status.DELETED)
        # The empty fingerprint lets any record revive the account.
        count = live.update(status=Status.DELETED, status_changed_at=now, fingerprint=b"")
        # Other accounts may be joined now, because an address or a login has one account less.
        rejoin(cursor, "SELECT id FROM checks_account WHERE source_id = %s", [source.pk], now)
        Upload.objects.filter(source=source).delete()
        record(Action.DELETE, source, f"Deleted, with {count} accounts.")
        source.deleted_at, source.lost_fields = now, []
        source.save(update_fields=["deleted_at", "lost_fields"])
    return count


def save_mapping(
    source: Source,
    *,
    columns: Mapping[str, str] | None = None,
    words: Iterable[tuple[str, str, str]] = (),
    date_order: str | None = None,
    zone: str | None = None,
) -> SourceMapping:
    """Store with a source how its files are read; arguments that are None change nothing. ``columns``: column
    of the file → field, "" for a column that is not read; columns of other files stay. ``words``: (field,
    word, meaning); the meaning "" forgets the word. Raises :class:`MappingError`.
    """
    with transaction.atomic():
        mapping = SourceMapping.objects.select_for_update().filter(source=source).first()
        mapping = mapping or SourceMapping(source=source)
        before = _state(mapping)
        if columns is not None:
            mapping.columns = {**mapping.columns, **_clean_columns(columns)}
        for field, word, meaning in words:
            kept = {**mapping.words.get(field, {})}
            kept.pop(word, None)
            if meaning:
                field, word, meaning = clean_word(field, word, meaning)
                kept[word] = meaning
            mapping.words = {**mapping.words, field: kept}
        if len(mapping.columns) > MOST_COLUMNS or sum(map(len, mapping.words.values())) > MOST_WORDS:
            raise MappingError(
                f"At most {MOST_COLUMNS:,} columns and {MOST_WORDS:,} words are kept with a source."
            )
        if date_order is not None:
            if date_order and date_order not in SourceMapping.DateOrder.values:
                raise MappingError(f"Unknown order of dates “{date_order}”. Use ymd, dmy or mdy.")
            mapping.date_order = date_order
        if zone is not None:
            mapping.zone = check_zone(zone) if zone else ""
        old, new = changes(before, _state(mapping))
        if new:
            mapping.save()
            record(Action.CHANGE, source, "Changed how its files are read.", before=old, after=new)
    return mapping


def forget_mapping(source: Source) -> None:
    """Delete what is kept with a source on how its files are read."""
    mapping = SourceMapping.objects.filter(source=source).first()
    if mapping is None:
        return
    with transaction.atomic():
        record(Action.CHANGE, source, "Forgot how its files are read.", before=_state(mapping), after={})
        mapping.delete()


def _clean_columns(columns: Mapping[str, str]) -> dict[str, str]:
    known = {*FIELDS, NOT_READ}
    for column, field in columns.items():
        if field not in known:
            raise MappingError(f"There is no field “{field}”. The fields are: {', '.join(FIELDS)}.")
        if not column or len(column) > LONGEST_COLUMN or not column.isprintable():
            raise MappingError(f"A column needs a name of 1 to {LONGEST_COLUMN} printable characters.")
    return dict(columns)


def _state(mapping: SourceMapping) -> dict[str, object]:
    return {
        "columns": mapping.columns,
        "words": mapping.words,
        "date_order": mapping.date_order,
        "zone": mapping.zone,
    }


__all__ = [
    "NOT_READ",
    "add_source",
    "delete_source",
    "forget_mapping",
    "rename_source",
    "save_mapping",
]
