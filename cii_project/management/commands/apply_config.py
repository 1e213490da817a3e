"""manage.py apply_config FILE: the installation's configuration from a file kept in git."""

import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cii_project.configuration import ConfigurationErrors, apply_config, read_file


class Command(BaseCommand):
    help = (
        "Apply a configuration file (YAML or JSON, see docs/configuration.md). What the file does not name stays. "
        "Exit codes: 0 applied, or nothing to change; 2 errors, then nothing was changed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument(
            "--dry-run", action="store_true", help="say what would change, and change nothing"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            report = apply_config(read_file(options["file"]), os.environ, dry_run=options["dry_run"])
        except ConfigurationErrors as error:
            lines = [f"  {path}: {text}" for path, text in error.errors.items()]
            count = f"{len(lines)} error{'s' if len(lines) > 1 else ''}"
            text = "\n".join([f"{options['file']}: {count}, nothing was changed.", *lines])
            raise CommandError(text, returncode=2) from error
        would = "would change: " if options["dry_run"] else ""
        for change in report.changes:
            self.stdout.write(f"{would}{change}")
        for name, secret in report.secrets.items():
            self.stdout.write(f"The signing secret of {name}, shown this once: {secret}")
        if not report.changes:
            self.stdout.write("Nothing changed.")
