"""manage.py schema [DETAIL_TYPE]: the published contract as JSON Schema."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cii_project.configuration.reading import one_of
from notifications import schema


class Command(BaseCommand):
    help = "Print the JSON Schema (2020-12) of one detail-type, or of all as one object by detail-type."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("detail_type", nargs="?", metavar="DETAIL_TYPE", help=", ".join(schema.FILES))

    def handle(self, *args: Any, **options: Any) -> None:
        wanted = options["detail_type"]
        if wanted is not None and wanted not in schema.FILES:
            raise CommandError(
                f"There is no schema for {wanted}. {one_of(wanted, schema.FILES)}", returncode=2
            )
        document = schema.load(wanted) if wanted else schema.all()
        self.stdout.write(json.dumps(document, indent=2, ensure_ascii=False))
