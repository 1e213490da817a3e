"""The sources as lists show them: kind, state, last reading, accounts, next sync, what is too old."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Max, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from checks.models import Import, Source, SourceFreshness
from checks.services import LostField, outdated_groups, reported_lost_fields
from cii_project.console.core.field_labels import label_of
from cii_project.sync.status import is_stale
from integrations.models import SourceConnection, Sync
from integrations.services import SOURCE_KINDS, is_push_kind


@dataclass(frozen=True, slots=True)
class SourceState:
    """A badge: text, variant, icon, and more on hover."""

    text: str
    variant: str
    icon: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class SourceRow:
    """``connection``: how it is read through its API; None for a source of files."""

    source: Source
    accounts: int
    last: Import | None
    too_old: Sequence[SourceFreshness] = ()
    connection: SourceConnection | None = None
    sync: Sync | None = None

    @property
    def lost(self) -> list[tuple[str, LostField]]:
        return lost_labels(self.source)

    @property
    def kind(self) -> str:
        return kind_label(self.connection) if self.connection else "File"

    @property
    def logo(self) -> str:
        kind = SOURCE_KINDS.get(self.connection.kind) if self.connection else None
        return kind.logo if kind else "targets/file/logo.svg"

    @property
    def is_push(self) -> bool:
        """Whether its accounts arrive by requests to the product."""
        return bool(self.connection and is_push_kind(self.connection.kind))

    @property
    def menu_id(self) -> str:
        return f"source-menu-{self.source.pk}"

    @property
    def state(self) -> SourceState:
        if self.connection:
            return connection_state(self.connection, self.sync)
        if self.last is None:
            return SourceState("Nothing imported yet", "plain", "schedule")
        return SourceState(self.last.get_state_display(), variant_of(self.last.state), "", self.last.error)


def kind_label(connection: SourceConnection) -> str:
    kind = SOURCE_KINDS.get(connection.kind)
    return kind.label if kind else connection.kind


def connection_state(connection: SourceConnection, sync: Sync | None) -> SourceState:
    """The state of a connected source. ``sync``: its newest one."""
    if connection.state == SourceConnection.State.PAUSED:
        return SourceState("Paused", "warning", "pause_circle", connection.state_reason)
    if is_push_kind(connection.kind):
        return _push_state(connection)
    return _sync_state(connection, sync)


def _push_state(connection: SourceConnection) -> SourceState:
    if connection.last_push_at is None:
        return SourceState("Nothing pushed yet", "plain", "schedule")
    return SourceState("Receiving", "success", "check_circle")


def _sync_state(connection: SourceConnection, sync: Sync | None) -> SourceState:
    if sync is None:
        return SourceState("Not synced yet", "plain", "schedule")
    if sync.state == Sync.State.RUNNING:
        if sync.fault_reason:
            return SourceState("Waiting", "warning", "hourglass_empty", sync.fault_reason)
        return SourceState("Syncing", "info", "sync")
    if sync.state == Sync.State.HELD:
        return SourceState("Held", "danger", "front_hand", sync.error)
    if sync.state == Sync.State.FAILED:
        return SourceState("Failed", "danger", "error", sync.error)
    if sync.state == Sync.State.PARTIAL:
        return SourceState("Partial", "warning", "warning", "A part could not be read: see the source.")
    if is_stale(connection, timezone.now()):
        return SourceState("Stale", "danger", "history", "Its users were not listed for three periods.")
    return SourceState("Healthy", "success", "check_circle")


def variant_of(state: str) -> str:
    """The badge of an import's state."""
    return {"succeeded": "success", "partial": "warning", "failed": "danger"}.get(state, "plain")


def lost_labels(source: Source) -> list[tuple[str, LostField]]:
    """Label and figures of each field that an import made unknown for many accounts."""
    return [(label_of(lost.field), lost) for lost in reported_lost_fields(source)]


def source_rows() -> list[SourceRow]:
    """Every source with its last import, how many accounts it has, what of it is too old, and its connection. An
    account comes by an import and goes with its source alone: so the imports, which are few, tell how many there are."""
    newest = Import.objects.order_by().values("source_id").annotate(newest=Max("id")).values("newest")
    last = {one.source_id: one for one in Import.objects.filter(pk__in=newest)}
    live = Source.objects.filter(deleted_at__isnull=True)
    sources = live.annotate(created=Coalesce(Sum("imports__created"), 0)).order_by("slug")
    old = outdated_groups(timezone.now())
    connections = {each.source_slug: each for each in SourceConnection.objects.all()}
    newest_syncs = Sync.objects.order_by().values("connection_id").annotate(newest=Max("id")).values("newest")
    syncs = {one.connection_id: one for one in Sync.objects.filter(pk__in=newest_syncs)}
    return [
        SourceRow(
            source,
            source.created,
            last.get(source.pk),
            old.get(source.pk, ()),
            connection := connections.get(source.slug),
            syncs.get(connection.pk) if connection else None,
        )
        for source in sources
    ]
