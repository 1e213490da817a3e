"""manage.py run_checks: evaluate checks now, from the command line."""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import IO, Any, cast

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from checks import services as check_services
from checks.catalogue import CATALOGUE
from checks.models import Run
from cii_project.configuration.reading import one_of
from notifications import services as notification_services
from notifications.forecast import forecast

COLUMNS = ("check", "evaluated", "failing", "new", "resolved", "unknown", "duration_ms", "error")
Row = dict[str, Any]
NAMED = 5  # users named in a table; JSON has all


@contextmanager
def progress_bar() -> Iterator[Callable[[int, int, str], None]]:
    """A progress bar on stderr, so that stdout holds the result alone; silent where stderr is no terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description:<28}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    with Progress(*columns, TimeElapsedColumn(), console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("Evaluating", total=None)
        yield lambda done, total, text: bar.update(task, completed=done, total=total, description=text)


def rows_of_run(run: Run) -> list[Row]:
    results = run.results.select_related("check_ref").order_by("check_ref__slot")
    return [
        {"check": result.check_ref.slug, **{name: getattr(result, name) for name in COLUMNS[1:]}}
        for result in results
    ]


def table_of(rows: Sequence[Row]) -> Table:
    table = Table(*COLUMNS[:1])
    for name in COLUMNS[1:-1]:
        table.add_column(name, justify="right")
    table.add_column("error", overflow="fold")
    for row in rows:
        table.add_row(*("" if row[name] is None else str(row[name]) for name in COLUMNS))
    return table


def table_of_who(expected: Sequence[Row]) -> Table:
    table = Table("target", "to", "checks", "about", "when", "not told")
    for each in expected:
        users = each["users"]
        about = ", ".join(users[:NAMED]) + (f" and {len(users) - NAMED:,} more" if len(users) > NAMED else "")
        left_out = f"{each['left_out']:,} left out by the filter" if each["left_out"] else ""
        cells = (
            each["target"],
            each["recipient"] or ", ".join(each["audiences"]),
            ", ".join(each["checks"]),
            about,
            each["when"],
            each["skipped"] or left_out,
        )
        table.add_row(*(escape(cell) for cell in cells))
    return table


class Command(BaseCommand):
    help = (
        "Evaluate all enabled checks, or those named, and plan their notifications. "
        "Exit codes: 0 all checks ran; 1 some checks failed to run (see their error); "
        "2 nothing ran: an unknown check, a run under way, or a failure of the run itself."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slugs", nargs="*", metavar="CHECK")
        parser.add_argument("--dry-run", action="store_true", help="count only: no finding, no event")
        parser.add_argument(
            "--who", action="store_true", help="with --dry-run: list who would be told what, and when"
        )
        parser.add_argument("--no-notify", action="store_true", help="record findings, notify nobody of them")
        parser.add_argument("--format", choices=("table", "json"), default="table")

    def handle(self, *args: Any, **options: Any) -> None:
        slugs = tuple(options["slugs"])
        for slug in slugs:
            if slug not in CATALOGUE:
                raise CommandError(f"There is no check {slug}. {one_of(slug, CATALOGUE)}", returncode=2)
        if options["who"] and not options["dry_run"]:
            raise CommandError("--who goes with --dry-run: a run itself tells them.", returncode=2)
        if options["dry_run"]:
            state, rows = "dry-run", self._preview(slugs)
            document: Row = {"run": None, "state": state, "checks": rows}
            if options["who"]:
                document["who"] = [asdict(each) for each in forecast(slugs)]
        else:
            run = self._run(slugs, notify=not options["no_notify"])
            state, rows = run.state, rows_of_run(run)
            document = {
                "run": str(run.id),
                "state": state,
                "users": run.users,
                "error": run.error,
                "checks": rows,
            }
        self._print(document, rows, options["format"])
        if state in (Run.State.FAILED, Run.State.DIED):
            raise CommandError(f"The run failed: {document['error'] or 'see the log'}", returncode=2)
        if any(row["error"] for row in rows):
            sys.exit(1)

    def _preview(self, slugs: tuple[str, ...]) -> list[Row]:
        try:
            previews = check_services.preview_run(slugs)
        except check_services.UnknownChecks as error:
            raise CommandError(str(error), returncode=2) from error
        return [
            {
                "duration_ms": None,
                **{name: getattr(preview, name, None) for name in COLUMNS[1:] if name != "duration_ms"},
            }
            | {"check": preview.slug}
            for preview in previews
        ]

    def _run(self, slugs: tuple[str, ...], *, notify: bool) -> Run:
        try:
            with progress_bar() as progress:
                return notification_services.run_and_notify(
                    trigger=Run.Trigger.COMMAND, slugs=slugs, notify=notify, progress=progress
                )
        except (check_services.RunRefused, check_services.UnknownChecks) as error:
            raise CommandError(str(error), returncode=2) from error

    def _print(self, document: Row, rows: list[Row], form: str) -> None:
        if form == "json":
            self.stdout.write(json.dumps(document, indent=2))
            return
        console = Console(file=cast("IO[str]", self.stdout), width=None if sys.stdout.isatty() else 120)
        console.print(table_of(rows))
        if "who" in document:
            console.print(table_of_who(document["who"]))
        totals = {name: sum(row[name] for row in rows) for name in ("failing", "new", "resolved")}
        self.stdout.write(
            f"{len(rows)} check{'s' if len(rows) != 1 else ''}: {totals['failing']} failing, {totals['new']} new, {totals['resolved']} resolved."
        )
