"""manage.py apply_config FILE: the installation's configuration from a file kept in git."""

import os
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

import yaml
from django.core.management.base import CommandError

from cii_project.configuration import ConfigurationErrors, apply_config, read_file
from cii_project.management.audited import AuditedCommand
from integrations.services import patient_templates


class Command(AuditedCommand):
    help = (
        "Apply a configuration file (YAML or JSON, see docs/configuration.md). What the file does not name stays. "
        "Exit codes: 0 applied, or nothing to change; 2 errors, then nothing was changed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument(
            "--dry-run", action="store_true", help="say what would change, and change nothing"
        )

        parser.add_argument(
            "--secrets-to",
            type=Path,
            metavar="FILE",
            help="write the signing secrets that are made to FILE, as YAML; it must not exist",
        )

    def run(self, **options: Any) -> None:
        try:
            document = read_file(options["file"])
            with _new_file(options["secrets_to"]) as stream, patient_templates():
                report = apply_config(
                    document,
                    os.environ,
                    dry_run=options["dry_run"],
                    keep_secrets=partial(_write, stream) if stream else None,
                )
        except OSError as error:
            reason = f"{options['secrets_to']} cannot be written: {error.strerror or error}"
            raise CommandError(
                f"{reason}. Nothing was changed. --secrets-to takes a new file.", returncode=2
            ) from error
        except ConfigurationErrors as error:
            lines = [f"  {path}: {text}" for path, text in error.errors.items()]
            count = f"{len(lines)} error{'s' if len(lines) > 1 else ''}"
            text = "\n".join([f"{options['file']}: {count}, nothing was changed.", *lines])
            raise CommandError(text, returncode=2) from error
        self.outcome["changes"] = report.changes
        would = "would change: " if options["dry_run"] else ""
        for change in report.changes:
            self.stdout.write(f"{would}{change}")
        if report.secrets:
            self.stdout.write(_where(report.secrets, options["secrets_to"]))
        if not report.changes:
            self.stdout.write("Nothing changed.")


def _where(secrets: Mapping[str, str], path: Path | None) -> str:
    """The report about created secrets, without the secrets themselves."""
    names = ", ".join(secrets)
    if path:
        return f"The new signing secrets of {names} are in {path}."
    return (
        f"Signing secrets were made for {names} and are shown nowhere. To know one, set signing.secret in the "
        "file, or rotate it; --secrets-to FILE writes those that are made to a file."
    )


@contextmanager
def _new_file(path: Path | None) -> Iterator[IO[str] | None]:
    """A new file for its owner's eyes only, which goes again if nothing is written to it.

    Raises OSError where something has that name, a link included.
    """
    if path is None:
        yield None
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    written = False
    try:
        with open(descriptor, "w", encoding="utf-8") as stream:
            yield stream
            written = stream.tell() > 0
    finally:
        if not written:
            path.unlink(missing_ok=True)


def _write(stream: IO[str], secrets: Mapping[str, str]) -> None:
    yaml.safe_dump(dict(secrets), stream, allow_unicode=True, sort_keys=False)
    stream.flush()
    os.fsync(stream.fileno())
