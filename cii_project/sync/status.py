"""The status of a connected source for pages, commands and metrics."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from integrations.models import RateBucket, SourceConnection, Sync, SyncPass
from integrations.services import API_SOURCES, is_push_kind

# Periods after the last listing from which on a source is stale.
STALE_PERIODS = 3


@dataclass(frozen=True, slots=True)
class PassProgress:
    """``done`` of ``total`` are read; ``total`` is None where the provider does not say. ``left``: the time to the end."""

    reading: SyncPass
    label: str
    done: int
    total: int | None
    left: timedelta | None

    @property
    def time_left(self) -> str:
        """In words: “2 h” or “25 min”."""
        minutes = round((self.left or timedelta()).total_seconds() / 60)
        return f"{round(minutes / 60)} h" if minutes >= 90 else f"{max(minutes, 1)} min"

    @property
    def percent(self) -> int | None:
        return min(100, self.done * 100 // self.total) if self.total else None


def pass_label(kind: str, slug: str) -> str:
    """The label of a pass; its slug where this version does not know it."""
    source = API_SOURCES.get(kind)
    return {each.slug: each.label for each in source.passes}.get(slug, slug) if source else slug


def progress_of(sync: Sync, now: datetime | None = None) -> list[PassProgress]:
    """The passes of a sync with what is read of each."""
    now = now or timezone.now()
    kind = sync.connection.kind
    found = []
    for reading in sync.passes.all():
        total = reading.expected
        done = reading.done if total is not None else reading.records
        found.append(PassProgress(reading, pass_label(kind, reading.slug), done, total, _left(sync, reading)))
    return found


def _left(sync: Sync, reading: SyncPass) -> timedelta | None:
    """By the allowed rate: the time that the rest of the calls takes at least."""
    if reading.state != SyncPass.State.READING or not reading.expected:
        return None
    kind = API_SOURCES.get(sync.connection.kind)
    limit = kind.pass_of(reading.slug).limit if kind else None
    row = limit and RateBucket.objects.filter(connection=sync.connection, name=limit.name).first()
    if not limit:
        return None
    calls, window = (row.calls, row.window_seconds) if row else (limit.calls, limit.window)
    rate = calls / window * sync.connection.rate_share / 100
    return timedelta(seconds=(reading.expected - reading.done) / rate) if rate > 0 else None


def running_sync(connection: SourceConnection) -> Sync | None:
    return connection.syncs.filter(state=Sync.State.RUNNING).first()


def held_sync(connection: SourceConnection) -> Sync | None:
    return connection.syncs.filter(state=Sync.State.HELD).first()


def is_stale(connection: SourceConnection, now: datetime) -> bool:
    """Whether the last listing is older than :data:`STALE_PERIODS` periods. A source that pushes has none: its silence says
    nothing."""
    if is_push_kind(connection.kind):
        return False
    since = connection.last_success_at or connection.created_at
    return now - since > timedelta(hours=connection.period_hours * STALE_PERIODS)


def stale_connections(now: datetime) -> Sequence[SourceConnection]:
    """The active sources whose accounts were not listed for too long, those that are never synced included."""
    active = SourceConnection.objects.filter(state=SourceConnection.State.ACTIVE)
    return [connection for connection in active if is_stale(connection, now)]
