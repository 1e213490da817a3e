"""manage.py benchmark: measure the product against its floor on scratch databases."""

import json
import sys
from argparse import ArgumentParser
from typing import IO, Any, cast

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.table import Table

from cii_project.tools.benchmark.deliver import measure_deliver
from cii_project.tools.benchmark.evaluation import measure_evaluate
from cii_project.tools.benchmark.file_import import measure_import
from cii_project.tools.benchmark.measuring import Measurement
from cii_project.tools.benchmark.pages import measure_pages
from cii_project.tools.benchmark.scratch import StepFailed, scratch
from cii_project.tools.benchmark.steps import run_step
from cii_project.tools.benchmark.sync_reading import measure_sync

SUBJECTS = {
    "evaluate": measure_evaluate,
    "deliver": measure_deliver,
    "import": measure_import,
    "pages": measure_pages,
    "sync": measure_sync,
}


class Command(BaseCommand):
    help = (
        "Measure evaluate, deliver, import, pages or sync against a floor, both in this run, on a scratch database "
        "that is made and dropped. Exit codes: 0 measured; 1 measured, and a target was missed with --strict; "
        "2 not measured."
    )
    # Its processes bring their own keys and database; the caller's are never touched.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("subject", choices=(*SUBJECTS, "step"), metavar="|".join(SUBJECTS))
        parser.add_argument("--users", type=int, default=10_000, help="users, accounts or messages")
        parser.add_argument(
            "--database",
            default="",
            metavar="URL",
            help="a PostgreSQL database whose server takes the scratch ones",
        )
        parser.add_argument(
            "--redis", default="", metavar="URL", help="the task queue of deliver; else the database"
        )
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--format", choices=("table", "json"), default="table")
        parser.add_argument("--strict", action="store_true", help="exit with 1 where a target is missed")
        parser.add_argument("--step", default="", help="internal")
        parser.add_argument("--given", default="{}", help="internal")

    def handle(self, *args: object, **options: Any) -> None:
        if options["subject"] == "step":
            self.stdout.write(json.dumps(run_step(options["step"], json.loads(options["given"]))))
            return
        server = options["database"]
        if server and not server.startswith(("postgres://", "postgresql://")):
            raise CommandError(
                "--database takes postgres://…; without it SQLite files are made.", returncode=2
            )
        if options["users"] < 100:
            raise CommandError("--users takes 100 or more.", returncode=2)
        measure = SUBJECTS[options["subject"]]
        try:
            with scratch(server, options["redis"]) as made:
                rows = measure(made, options["users"], options["seed"], self._say)
        except StepFailed as error:
            raise CommandError(str(error), returncode=2) from error
        self._print(rows, options)
        if options["strict"] and any(row.met is False for row in rows):
            sys.exit(1)

    def _say(self, text: str) -> None:
        self.stderr.write(text)

    def _print(self, rows: list[Measurement], options: dict[str, object]) -> None:
        if options["format"] == "json":
            document = {
                "subject": options["subject"],
                "users": options["users"],
                "seed": options["seed"],
                "database": "postgresql" if options["database"] else "sqlite",
                "rows": [row.as_dict() for row in rows],
            }
            self.stdout.write(json.dumps(document, indent=2))
            return
        table = Table("what")
        for name in ("product", "floor", "ratio", "target", "met"):
            table.add_column(name, justify="right")
        table.add_column("note", overflow="fold")
        for row in rows:
            table.add_row(row.what, *_cells(row), row.note)
        console = Console(file=cast("IO[str]", self.stdout), width=None if sys.stdout.isatty() else 140)
        console.print(table)


def _cells(row: Measurement) -> list[str]:
    bound = (
        f"≤ {row.most:g} {row.unit}"
        if row.most is not None
        else ""
        if row.target is None
        else f"{'≥' if row.higher else '≤'} {row.target:g}"
    )
    return [
        f"{_number(row.product)} {row.unit}",
        "" if row.floor is None else f"{_number(row.floor)} {row.unit}",
        "" if row.ratio is None else f"{row.ratio:.2f}",
        bound,
        {None: "", True: "yes", False: "NO"}[row.met],
    ]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
