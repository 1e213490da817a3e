"""manage.py replay: send deliveries again, by id or by filter; same id, same bytes."""

import sys
from argparse import ArgumentParser, ArgumentTypeError
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError
from django.db.models import QuerySet

from checks.services import CATALOGUE
from cii_project.configuration.reading import suggest
from cii_project.management.audited import AuditedCommand
from integrations.models import Integration
from notifications import services
from notifications.models import Delivery

REPLAYABLE_STATES = ("dead", "delivered", "skipped")


def parse_time(text: str) -> datetime:
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError(
            "write a date or time such as 2026-01-31 or 2026-01-31T06:00+01:00"
        ) from error
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def parse_delivery_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text} is no delivery's id (a UUID)") from error


class Command(AuditedCommand):
    help = (
        "Send deliveries again: those named by id, or all that match. Says how many first and asks, unless --yes. "
        "Exit codes: 0 done or nothing to do; 2 refused."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("ids", nargs="*", type=parse_delivery_id, metavar="ID")
        parser.add_argument(
            "--state", choices=REPLAYABLE_STATES, default="dead", help="of those that match (default dead)"
        )
        parser.add_argument("--integration", metavar="NAME")
        parser.add_argument("--check", metavar="SLUG", dest="slug")
        parser.add_argument("--since", type=parse_time, metavar="TIME", help="created at or after")
        parser.add_argument("--until", type=parse_time, metavar="TIME", help="created before")
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def run(self, **options: Any) -> None:
        matching = self._by_id(options["ids"]) if options["ids"] else self._by_filter(options)
        matching = services.replayable_together(matching)
        count = matching.count()
        if not count:
            self.stdout.write("No delivery matches: nothing to replay.")
            return
        self.stdout.write(f"{count} deliveries match.")
        if not options["yes"] and not self._agreed(count):
            return
        done = services.replay_matching(matching)
        self.outcome["deliveries"] = done
        self.stdout.write(f"{done} deliveries are due again, with the same ids and bytes.")

    def _by_id(self, ids: list[UUID]) -> QuerySet[Delivery]:
        matching = Delivery.objects.filter(id__in=ids)
        missing = set(ids) - set(matching.values_list("id", flat=True))
        if missing:
            raise CommandError(f"There is no delivery {min(missing)}.", returncode=2)
        return matching

    def _by_filter(self, options: dict[str, object]) -> QuerySet[Delivery]:
        matching = Delivery.objects.filter(state=options["state"])
        if name := options["integration"]:
            target = Integration.objects.filter(name__iexact=name).first()
            if target is None:
                known = Integration.objects.values_list("name", flat=True)
                raise CommandError(f"There is no integration {name}. {suggest(name, known)}", returncode=2)
            matching = matching.filter(integration=target)
        if slug := options["slug"]:
            if slug not in CATALOGUE:
                raise CommandError(f"There is no check {slug}. {suggest(slug, CATALOGUE)}", returncode=2)
            matching = matching.filter(event__check_ref__slug=slug)
        if options["since"]:
            matching = matching.filter(created_at__gte=options["since"])
        if options["until"]:
            matching = matching.filter(created_at__lt=options["until"])
        return matching

    def _agreed(self, count: int) -> bool:
        if not sys.stdin.isatty():
            raise CommandError("Add --yes to replay them: there is no terminal here to ask.", returncode=2)
        return input(f"Replay these {count}? [y/N] ").strip().lower() in ("y", "yes")
