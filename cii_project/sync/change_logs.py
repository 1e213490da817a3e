"""Passes that read a provider's log: which period they read, and the accounts that they named.

The place up to which a log was read is the end of that period, in the pass's ``version``. It counts once the accounts
that were named have been read too, so that a sync that breaks off in between loses nobody.
"""

from datetime import UTC, datetime

from cii_project.sync import spool
from integrations.models import Sync, SyncPass
from integrations.services import ChangeLog, Cursor, SyncPassKind, api_source

NO_PLACE = "Not read yet: the next sync reads what changes from now on."
GAP = "The log does not reach back to {since:%Y-%m-%d %H:%M} UTC, where it was read last."
NAMED = "Users named since {since:%Y-%m-%d %H:%M} UTC: {count:,}."
FAILED = "The log was not read, so that changes are found in the order of reading: {reason}"


def start_reading(reading: SyncPass, changes: ChangeLog, now: datetime) -> None:
    """Choose the period of a pass that starts; without a place to start from it reads nothing and keeps this place."""
    place = _last_place(reading, changes)
    reading.version = {"until": _text(now)}
    if place is None:
        reading.note = NO_PLACE
    elif place - changes.late < now - changes.kept:
        reading.note = GAP.format(since=place)
    else:
        reading.version["since"] = _text(place - changes.late)
    reading.cursor = first_cursor(reading)
    if reading.cursor is None:
        reading.state = SyncPass.State.READ


def first_cursor(reading: SyncPass) -> Cursor | None:
    """The period of a log's pass; None where it reads nothing."""
    return dict(reading.version) if "since" in reading.version else None


def finish_reading(reading: SyncPass) -> None:
    """Say in the history how many accounts a log named; what it named stays until they are planned."""
    if since := reading.version.get("since"):
        named = len(_named(reading))
        reading.note = NAMED.format(count=named, since=datetime.fromisoformat(since))


def changed_accounts(sync: Sync, kind: SyncPassKind) -> frozenset[str] | None:
    """The immutable ids that a log named for the pass ``kind``; None: what has changed is not known."""
    for reading in _logs_of(sync, kind):
        if reading.state == SyncPass.State.IMPORTED and "since" in reading.version:
            return _named(reading)
    return None


def forget_named(sync: Sync, kind: SyncPassKind) -> None:
    """Delete what the logs named for the pass ``kind``, once it is planned."""
    spool.drop(_logs_of(sync, kind))


def _logs_of(sync: Sync, kind: SyncPassKind) -> list[SyncPass]:
    passes = api_source(sync.connection).passes
    slugs = [each.slug for each in passes if each.changes and each.changes.of == kind.slug]
    return list(sync.passes.filter(slug__in=slugs)) if slugs else []


def _named(reading: SyncPass) -> frozenset[str]:
    return frozenset(str(record.get("source_key", "")) for record in spool.records_of(reading))


def _last_place(reading: SyncPass, changes: ChangeLog) -> datetime | None:
    """Where the last sync ended that read the log and then every account that it named."""
    imported = SyncPass.State.IMPORTED
    complete = Sync.objects.filter(
        connection=reading.sync.connection,
        passes__slug=changes.of,
        passes__state=imported,
        passes__error="",
    )
    found = SyncPass.objects.filter(sync__in=complete, slug=reading.slug, state=imported).order_by("-sync_id")
    newest = found.values_list("version", flat=True).first()
    return datetime.fromisoformat(newest["until"]) if newest and "until" in newest else None


def _text(moment: datetime) -> str:
    """RFC 3339 in UTC."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
