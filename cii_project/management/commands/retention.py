"""manage.py retention: delete what is older than the installation keeps; also a daily schedule."""

from typing import Any

from django.core.management.base import BaseCommand

from notifications import retaining
from notifications.models import Configuration


class Command(BaseCommand):
    help = "Delete attempts and payloads older than the installation keeps (settings page: 30 and 14 days)."

    def handle(self, *args: Any, **options: Any) -> None:
        kept = Configuration.load()
        attempts, bodies = retaining.remove_old()
        self.stdout.write(
            f"Attempts are kept {kept.attempt_retention_days} days, payloads {kept.payload_retention_days} days: "
            f"{attempts} attempts and {bodies} payloads removed."
        )
