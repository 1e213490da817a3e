"""manage.py rotate_keys: seal every secret anew with the first of FIELD_KEYS."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from integrations import sealing


class Command(BaseCommand):
    help = (
        "Seal every stored secret anew with the first key of FIELD_KEYS. To change keys: put the new key first "
        "and keep the old one behind it, restart, run this, then drop the old one."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            count = sealing.rotate()
        except sealing.Unsealable as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{count} secrets are sealed with the first of FIELD_KEYS.")
