"""Read the stored values of accounts again by the present rules."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from checks.models import Source
from checks.services import Reread, reread_accounts
from cii_project.management.audited import AuditedCommand


class Command(AuditedCommand):
    help = (
        "Read the stored values of accounts again by the present rules, and say what changes: placeholders that were "
        "stored as factors, sentinel times, spellings that are known by now, accounts that are one user or are not. "
        "Run it after an upgrade, then run_checks."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--source", metavar="SLUG", help="only this source (default: all)")
        parser.add_argument(
            "--dry-run", action="store_true", help="say what would change, and change nothing"
        )

    def run(self, **options: Any) -> None:
        sources = Source.objects.all()
        if slug := options["source"]:
            sources = sources.filter(slug=slug)
            if not sources:
                known = ", ".join(Source.objects.values_list("slug", flat=True)) or "none"
                raise CommandError(f"Unknown source “{slug}”. The sources are: {known}.", returncode=2)
        done = [reread_accounts(source, dry_run=options["dry_run"]) for source in sources]
        self.outcome.update({each.source: each.changed for each in done})
        for each in done:
            self.stdout.write(_sentence(each, dry_run=options["dry_run"]))


def _sentence(done: Reread, *, dry_run: bool) -> str:
    counts = ", ".join(f"{field} {count:,}" for field, count in done.fields.items())
    verb = "would change" if dry_run else "changed"
    text = f"{done.source}: {done.changed:,} of {done.accounts:,} accounts {verb}"
    if counts:
        text += f" ({counts})"
    if done.moved:
        text += f"; accounts that {'would get' if dry_run else 'got'} another user: {done.moved:,}"
    return text
