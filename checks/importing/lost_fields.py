"""Fields that an import made unknown for many accounts of its source: most likely the export lost them.

Such a field is kept with the source (``Source.lost_fields``) until a later import gives it again.
"""

# ruff: noqa: S608  what is put into SQL are our own names of tables and columns

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from django.db.backends.utils import CursorWrapper

from checks.importing.coverage import TEXTUAL, Reading
from checks.importing.records import FIELDS
from checks.importing.reports import ReadingWarning
from checks.models import Import, Source

# An import that makes a field unknown for a larger share of its source's accounts is warned of.
LOST_SHARE = 0.20
# These identify the account: they are never unknown.
_ALWAYS_KNOWN = frozenset(("login", "source_key"))
_LIVE = "COALESCE({account}.status, '') <> 'deleted'"


@dataclass(frozen=True, slots=True)
class LostField:
    """A field that an import made unknown. ``accounts``: those of the source that are not deleted and of which it is
    unknown now; ``of``: all that are not deleted; ``bearable``: the share of unknown accounts up to which the field is
    known again; ``import_id``: the import that made it unknown."""

    field: str
    accounts: int
    of: int
    bearable: float
    import_id: int


def reported_lost_fields(source: Source) -> list[LostField]:
    """The fields of ``Source.lost_fields``, by name."""
    return sorted((LostField(**each) for each in source.lost_fields), key=lambda lost: lost.field)


def count_live(cursor: CursorWrapper, source: Source) -> int:
    """The accounts of the source that are not deleted."""
    cursor.execute(
        f"SELECT COUNT(*) FROM checks_account a WHERE source_id = %s AND {_LIVE.format(account='a')}",
        [source.pk],
    )
    return int(cursor.fetchone()[0])


def count_losses(cursor: CursorWrapper, reading: Reading) -> Counter[str]:
    """Field → stored accounts of which the staged record makes it unknown. Call it before they are written."""
    fields = sorted(reading.read - _ALWAYS_KNOWN)
    if not fields:
        return Counter()
    losses = ", ".join(f"SUM(CASE WHEN {_is_lost(field, reading)} THEN 1 ELSE 0 END)" for field in fields)
    cursor.execute(
        f"SELECT {losses} FROM staged_accounts s JOIN checks_account a ON a.id = s.account_id "
        f"WHERE {_LIVE.format(account='a')} AND {_LIVE.format(account='s')}"
    )
    counts = dict(zip(fields, cursor.fetchone(), strict=True))
    return Counter({field: int(count) for field, count in counts.items() if count})


def _is_known(field: str, account: str) -> str:
    if field == "employee_id":
        return f"{account}.employee_key <> ''"
    if field == "last_sign_in_at":
        return f"{account}.last_sign_in_known"
    return f"{account}.{field} <> ''" if field in TEXTUAL else f"{account}.{field} IS NOT NULL"


def _is_lost(field: str, reading: Reading) -> str:
    lost = f"{_is_known(field, 'a')} AND NOT ({_is_known(field, 's')})"
    if field == "mfa_factors":
        # Factors of unknown kinds alone do not decide MFA.
        flag = "TRUE" if "mfa_enabled" in reading.read else "a.mfa_enabled IS NULL"
        lost = f"{lost} OR a.mfa IS NOT NULL AND s.mfa IS NULL AND {flag}"
    return lost


def settle(
    cursor: CursorWrapper, source: Source, done: Import, losses: Counter[str], live_before: int
) -> list[ReadingWarning]:
    """Set ``source.lost_fields`` (not saved) after an import, and warn of the fields that it made unknown.

    ``live_before``: accounts that were not deleted before it.
    """
    new = [field for field in FIELDS if losses[field] > live_before * LOST_SHARE]
    earlier = {each.field: each for each in reported_lost_fields(source)}
    if not new and not earlier:
        return []
    live = count_live(cursor, source)
    unknown = _count_unknown(cursor, source, {*new, *earlier})
    lost: list[LostField] = []
    warnings: list[ReadingWarning] = []
    for field in sorted({*new, *earlier}):
        count = unknown[field]
        if field in new:
            bearable = max(0, count - losses[field]) / max(1, live) + LOST_SHARE
            if before := earlier.get(field):
                bearable = min(bearable, before.bearable)
            lost.append(LostField(field, count, live, bearable, done.pk))
            warnings.append(ReadingWarning(field, _sentence(losses[field], live_before)))
        elif count > live * earlier[field].bearable:
            lost.append(LostField(field, count, live, earlier[field].bearable, earlier[field].import_id))
    source.lost_fields = [asdict(each) for each in lost]
    return warnings


def _sentence(count: int, of: int) -> str:
    accounts = f"{count:,} of {of:,} account{'' if of == 1 else 's'} ({count / of:.0%})"
    return (
        f"unknown now for {accounts} of which the source had a value before; "
        "check the columns and permissions of the export."
    )


def _count_unknown(cursor: CursorWrapper, source: Source, fields: Iterable[str]) -> dict[str, int]:
    """Field → accounts that are not deleted and of which it is unknown."""
    names = sorted(fields)
    conditions = {
        field: f"NOT ({_is_known(field, 'a')})" + (" OR a.mfa IS NULL" if field == "mfa_factors" else "")
        for field in names
    }
    sums = ", ".join(f"SUM(CASE WHEN {conditions[field]} THEN 1 ELSE 0 END)" for field in names)
    cursor.execute(
        f"SELECT {sums} FROM checks_account a WHERE a.source_id = %s AND {_LIVE.format(account='a')}",
        [source.pk],
    )
    row: tuple[int | None, ...] = cursor.fetchone()
    return {field: int(count or 0) for field, count in zip(names, row, strict=True)}
