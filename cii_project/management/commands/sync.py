"""manage.py sync: read sources through their providers' APIs now, from the command line."""

import json
import sys
import time
from argparse import ArgumentParser
from typing import IO, Any, cast

from django.core.management.base import CommandError
from django.utils import timezone
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from checks.models import Source
from checks.services import ImportRefused
from cii_project.configuration.reading import suggest
from cii_project.management.audited import AuditedCommand
from cii_project.management.progress import progress_bar
from cii_project.sync.driver import advance
from cii_project.sync.preview import PreviewFailed, preview_sync
from cii_project.sync.requests import SyncRefused, start_sync
from cii_project.sync.status import progress_of, running_sync
from integrations.models import SourceConnection, Sync
from integrations.services import API_SOURCES, JsonObject, is_push_kind

COUNTS = ("records", "created", "changed", "unchanged", "deleted", "rejected")
LONGEST_SLEEP = 2.0
# The worst of several sources decides.
EXIT_CODES = {Sync.State.SUCCEEDED: 0, Sync.State.PARTIAL: 1, Sync.State.HELD: 1}


class Command(AuditedCommand):
    help = (
        "Sync all connected sources, or those named, and wait for their end. "
        "Exit codes: 0 all were synced; 1 a pass failed or a listing is held; "
        "2 nothing was changed of a source: unknown, paused, refused or unreachable."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("sources", nargs="*", metavar="SOURCE")
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="read the listings and count; store nothing, read no other pass",
        )
        parser.add_argument("--format", choices=("table", "json"), default="table")

    def run(self, **options: Any) -> None:
        connections = self._connections(options["sources"])
        rows = [
            self._preview(connection) if options["dry_run"] else self._sync(connection)
            for connection in connections
        ]
        if not options["dry_run"]:
            self.outcome["sources"] = {row["source"]: row["state"] for row in rows}
        if options["format"] == "json":
            self.stdout.write(json.dumps({"sources": rows}, indent=2))
        else:
            self._print(rows)
        if code := max(row["exit_code"] for row in rows):
            sys.exit(code)

    def _connections(self, slugs: list[str]) -> list[SourceConnection]:
        known = {each.source_slug: each for each in SourceConnection.objects.all()}
        for slug in slugs:
            if slug not in known:
                raise CommandError(
                    f"There is no connected source {slug}. {suggest(slug, known)}", returncode=2
                )
            if is_push_kind(known[slug].kind):
                raise CommandError(f"{slug} is not synced: it pushes its users.", returncode=2)
        active = [
            each
            for each in known.values()
            if each.state == SourceConnection.State.ACTIVE and each.kind in API_SOURCES
        ]
        wanted = [known[slug] for slug in dict.fromkeys(slugs)] if slugs else active
        if not wanted:
            raise CommandError("No source is connected and active.", returncode=2)
        return wanted

    def _sync(self, connection: SourceConnection) -> JsonObject:
        try:
            sync = running_sync(connection) or start_sync(connection, Sync.Trigger.COMMAND)
        except SyncRefused as refusal:
            return _row(connection, "refused", str(refusal), 2)
        with progress_bar() as progress:
            while sync.state == Sync.State.RUNNING:
                if not advance(sync.pk, seconds=LONGEST_SLEEP):
                    self._wait(sync)
                sync.refresh_from_db()
                progress(*_progress(sync))
        passes = [
            {"pass": each.reading.slug, "state": each.reading.state, "error": each.reading.error}
            | {name: getattr(each.reading, name) for name in COUNTS}
            for each in progress_of(sync)
        ]
        row = _row(connection, sync.state, sync.error, EXIT_CODES.get(Sync.State(sync.state), 2))
        return {
            **row,
            "sync": sync.pk,
            "calls": sync.calls,
            "waited_seconds": sync.waited_seconds,
            "passes": passes,
        }

    def _wait(self, sync: Sync) -> None:
        """Until the sync is due again, or another worker has done something."""
        sync.refresh_from_db()
        seconds = (sync.due_at - timezone.now()).total_seconds()
        time.sleep(min(max(seconds, 0.1), LONGEST_SLEEP))

    def _preview(self, connection: SourceConnection) -> JsonObject:
        source = Source.objects.filter(slug=connection.source_slug, deleted_at__isnull=True).first()
        if source is None:
            return _row(connection, "refused", "The source was deleted.", 2)
        try:
            found = preview_sync(connection, source)
        except (PreviewFailed, ImportRefused) as error:
            return _row(connection, "refused", str(error), 2)
        done = found.done
        counts = {"records": done.read, "deleted": found.missing} | {
            name: getattr(done, name) for name in ("created", "changed", "unchanged", "rejected")
        }
        problem = (
            f"The listing lacks {found.missing:,} of {found.live:,} accounts: a sync would be held."
            if found.deletes_too_many
            else ""
        )
        row = _row(connection, "dry-run", problem, int(found.deletes_too_many))
        return {**row, "passes": [{"pass": "listing", "state": "read", "error": "", **counts}]}

    def _print(self, rows: list[JsonObject]) -> None:
        console = Console(file=cast("IO[str]", self.stdout), width=None if sys.stdout.isatty() else 120)
        table = Table("source", "pass", "state")
        for name in COUNTS:
            table.add_column(name, justify="right")
        for row in rows:
            for each in row.get("passes", ()):
                counts = (str(each[name]) for name in COUNTS)
                table.add_row(row["source"], each["pass"], each["state"], *counts)
        if table.row_count:
            console.print(table)
        for row in rows:
            console.print(escape(f"{row['source']}: {row['state']}. {row['error']}".strip()), highlight=False)
            for each in row.get("passes", ()):
                if each["error"]:
                    console.print(escape(f"  {each['pass']}: {each['error']}"), highlight=False)


def _row(connection: SourceConnection, state: str, error: str, code: int) -> JsonObject:
    return {"source": connection.source_slug, "state": str(state), "error": error, "exit_code": code}


def _progress(sync: Sync) -> tuple[int, int, str]:
    """Done, total and text of the pass that is being read."""
    for each in progress_of(sync):
        if each.reading.finished_at is None:
            return each.done, each.total or each.done, f"{sync.connection}: {each.label}"
    return 1, 1, str(sync.connection)
