"""manage.py schema [DETAIL_TYPE]: the published contract as JSON Schema."""

import json
from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError

from cii_project.configuration.reading import suggest
from notifications.services import SCHEMA_FILES, all_schemas, load_schema


class Command(BaseCommand):
    help = "Print the JSON Schema (2020-12) of one detail-type, or of all as one object by detail-type."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("detail_type", nargs="?", metavar="DETAIL_TYPE", help=", ".join(SCHEMA_FILES))

    def handle(self, *args: object, **options: object) -> None:
        wanted = options["detail_type"]
        if wanted is not None and wanted not in SCHEMA_FILES:
            raise CommandError(
                f"There is no schema for {wanted}. {suggest(wanted, SCHEMA_FILES)}", returncode=2
            )
        document = load_schema(wanted) if wanted else all_schemas()
        self.stdout.write(json.dumps(document, indent=2, ensure_ascii=False))
