"""manage.py run_checks: evaluate checks now, from the command line."""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import asdict
from typing import IO, Any, cast

from django.core.management.base import CommandError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from checks import services as check_services
from checks.models import Run
from checks.services import CATALOGUE, catalogue_position
from cii_project.configuration.reading import suggest
from cii_project.management.audited import AuditedCommand
from cii_project.management.progress import progress_bar
from integrations.services import JsonObject
from notifications import services as notification_services
from notifications.models import Hold
from notifications.services import (
    forecast,
    forecast_hold,
    held_messages,
    hold_document,
    hold_location,
    hold_reason,
)

RESULT_COLUMNS = (
    "check",
    "evaluated",
    "failing",
    "new",
    "resolved",
    "unknown",
    "stale",
    "duration_ms",
    "error",
)
ResultRow = JsonObject
USERS_NAMED = 5  # users named in a table; JSON has all


def result_rows(run: Run) -> list[ResultRow]:
    results = sorted(
        run.results.select_related("check_ref"), key=lambda result: catalogue_position(result.check_ref.slug)
    )
    return [
        {"check": result.check_ref.slug, **{name: getattr(result, name) for name in RESULT_COLUMNS[1:]}}
        | {"causes": check_services.cause_texts(check_services.reported_causes(result.unknown_causes))}
        for result in results
    ]


def unknown_lines(rows: Sequence[ResultRow]) -> list[str]:
    """One line for each check that could not evaluate some users, with the causes."""
    found = []
    for row in rows:
        if count := row["unknown"] + row["stale"]:
            why = f" ({'; '.join(row['causes'])})" if row["causes"] else ""
            found.append(f"{row['check']} could not evaluate: {count:,}{why}")
    return found


def results_table(rows: Sequence[ResultRow]) -> Table:
    table = Table(*RESULT_COLUMNS[:1])
    for name in RESULT_COLUMNS[1:-1]:
        table.add_column(name, justify="right")
    table.add_column("error", overflow="fold")
    for row in rows:
        table.add_row(*("" if row[name] is None else str(row[name]) for name in RESULT_COLUMNS))
    return table


def forecast_table(expected: Sequence[ResultRow]) -> Table:
    table = Table("target", "to", "checks", "about", "when", "not notified")
    for each in expected:
        users = each["users"]
        about = ", ".join(users[:USERS_NAMED]) + (
            f" and {len(users) - USERS_NAMED:,} more" if len(users) > USERS_NAMED else ""
        )
        left_out = f"{each['left_out']:,} excluded by the filter" if each["left_out"] else ""
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


class Command(AuditedCommand):
    help = (
        "Evaluate all enabled checks, or those named, and plan their notifications. "
        "Exit codes: 0 all checks ran; 1 some checks failed to run (see their error); "
        "2 nothing ran: an unknown check, a run under way, or a failure of the run itself."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slugs", nargs="*", metavar="CHECK")
        parser.add_argument("--dry-run", action="store_true", help="count only: no finding, no event")
        parser.add_argument(
            "--who", action="store_true", help="with --dry-run: list who would be notified of what, and when"
        )
        parser.add_argument("--no-notify", action="store_true", help="record findings, notify nobody of them")
        parser.add_argument("--format", choices=("table", "json"), default="table")

    def run(self, **options: Any) -> None:
        slugs = tuple(options["slugs"])
        for slug in slugs:
            if slug not in CATALOGUE:
                raise CommandError(f"There is no check {slug}. {suggest(slug, CATALOGUE)}", returncode=2)
        if options["who"] and not options["dry_run"]:
            raise CommandError("--who needs --dry-run: a run itself notifies them.", returncode=2)
        if options["dry_run"]:
            state, rows = "dry-run", self._preview(slugs)
            document: ResultRow = {"run": None, "state": state, "checks": rows}
            expected = forecast(slugs, people_only=not options["who"])
            if options["who"]:
                document["who"] = [asdict(each) for each in expected]
            hold = forecast_hold(expected)
        else:
            run = self._run(slugs, notify=not options["no_notify"])
            state, rows = run.state, result_rows(run)
            self.outcome.update(run=str(run.id), state=state)
            document = {
                "run": str(run.id),
                "state": state,
                "users": run.users,
                "error": run.error,
                "checks": rows,
            }
            hold = Hold.objects.filter(run=run).first()
        document["hold"] = hold_document(hold) if hold else None
        self._print(document, rows, options["format"], hold)
        if state in (Run.State.FAILED, Run.State.DIED):
            raise CommandError(f"The run failed: {document['error'] or 'see the log'}", returncode=2)
        if any(row["error"] for row in rows):
            sys.exit(1)

    def _preview(self, slugs: tuple[str, ...]) -> list[ResultRow]:
        try:
            previews = check_services.preview_run(slugs)
        except check_services.UnknownChecks as error:
            raise CommandError(str(error), returncode=2) from error
        return [
            {
                "duration_ms": None,
                **{
                    name: getattr(preview, name, None) for name in RESULT_COLUMNS[1:] if name != "duration_ms"
                },
            }
            | {"check": preview.slug, "causes": check_services.cause_texts(preview.causes)}
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

    def _print(self, document: ResultRow, rows: list[ResultRow], form: str, hold: Hold | None) -> None:
        if form == "json":
            self.stdout.write(json.dumps(document, indent=2))
            return
        console = Console(file=cast("IO[str]", self.stdout), width=None if sys.stdout.isatty() else 120)
        console.print(results_table(rows))
        if "who" in document:
            console.print(forecast_table(document["who"]))
        totals = {name: sum(row[name] for row in rows) for name in ("failing", "new", "resolved")}
        self.stdout.write(
            f"{len(rows)} check{'s' if len(rows) != 1 else ''}: {totals['failing']} failing, {totals['new']} new, {totals['resolved']} resolved."
        )
        for line in unknown_lines(rows):
            self.stdout.write(line)
        if hold:
            self.stdout.write(_said(hold))


def _said(hold: Hold) -> str:
    if hold._state.adding:
        return f"Direct messages of a run now would be held. {hold_reason(hold)}"
    held = f"{held_messages(hold)}: nothing is sent to these people"
    return f"{held}. {hold_reason(hold)} A member releases or drops them: {hold_location(hold)}"
