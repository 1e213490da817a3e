"""Bring a source's accounts in step with a file."""

import argparse
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

import yaml
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from checks.accounts import Import, ImportRefused, import_accounts
from checks.models import Source, SourceKind
from checks.records import FIELDS
from cii_project.columns import Columns
from cii_project.rejects import Rejects, RejectsFile
from integrations.sources import SOURCES, SourceError, detect, peekable

PARTIAL, FAILED = 1, 2

EPILOG = """\
exit codes:
  0  every record was taken
  1  some records were rejected, the others were taken
  2  nothing was changed: bad usage, unreadable file, every record bad, --strict met a bad one,
     --full would delete too much

examples:
  manage.py import_users okta.csv --source okta --provider OKTA
  manage.py import_users people.csv --source workday --kind hr --map login=WorkerID --full
  zcat users.jsonl.gz | manage.py import_users - --source entra --format jsonl --rejects bad.jsonl
"""


class Command(BaseCommand):
    help = "Import the users of one source from CSV, JSON Lines or a JSON array (docs/importing.md)."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        return super().create_parser(
            prog_name,
            subcommand,
            epilog=EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            **kwargs,
        )

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("file", metavar="FILE", help="the file; - reads standard input")
        add("--source", required=True, metavar="SLUG", help="the source, such as okta; made where it is new")
        add("--kind", choices=SourceKind.values, help="of a new source (default: identity)")
        add("--provider", metavar="NAME", help="the vendor, as events name it: OKTA, ENTRA … (default: FILE)")
        add("--name", help="the source's display name (default: its slug)")
        add("--format", choices=list(SOURCES), help="default: by extension, else by the first byte")
        add(
            "--map",
            action="append",
            default=[],
            metavar="FIELD=NAME",
            help="the file's name for a field, such as login=UserName; may be repeated",
        )
        add("--map-file", metavar="FILE", help="the same as YAML or JSON: {login: UserName, …}; --map wins")
        add("--full", action="store_true", help="mark accounts that the file lacks as deleted")
        add("--force", action="store_true", help="let --full delete over 20 %% of the source's accounts")
        add("--strict", action="store_true", help="change nothing if any record is bad")
        add(
            "--rejects",
            metavar="FILE",
            help="write the bad records there, CSV for CSV, else JSON Lines "
            "(default, if there are any: NAME.rejects.csv or .jsonl in the current folder)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        path, rejects_path = options["file"], options["rejects"]
        columns = Columns()
        mapping = mapping_of(options["map"], options["map_file"])
        if rejects_path and path != "-" and Path(rejects_path).resolve() == Path(path).resolve():
            raise CommandError("--rejects would overwrite the file itself", returncode=FAILED)
        source, given = source_of(options)
        try:
            done = self._import(source, mapping, columns, options)
        except (SourceError, ImportRefused) as error:
            raise CommandError(f"{path}: {error}", returncode=FAILED) from error
        except OSError as error:
            raise CommandError(
                f"{error.filename or path}: {error.strerror or error}", returncode=FAILED
            ) from error
        Source.objects.filter(pk=source.pk).update(**given)
        self.stdout.write(summary(done))
        if note := columns.note():
            self.stderr.write(note + " --map FIELD=NAME reads one from another name.")
        if done.rejected:
            sys.exit(PARTIAL)

    def _import(
        self, source: Source, mapping: dict[str, str], columns: Columns, options: Mapping[str, Any]
    ) -> Import:
        path = options["file"]
        with ExitStack() as stack:
            stream = peekable(stack.enter_context(opened(path)))
            reader = SOURCES[options["format"]] if options["format"] else detect(path, stream)
            file = RejectsFile(
                options["rejects"],
                stem=Path(path).name if path != "-" else source.slug,
                as_csv=reader.slug == "csv",
                names=mapping,
                say=self.stderr.write,
            )
            rejects = stack.enter_context(Rejects(self.stderr.write, stack.enter_context(file), reader.unit))
            return import_accounts(
                columns.of(reader.read(stream, mapping)),
                source=source,
                full=options["full"],
                force=options["force"],
                strict=options["strict"],
                progress=stack.enter_context(progress_of(path, stream)),
                on_reject=rejects.add,
                file_name=Path(path).name,
            )


def summary(done: Import) -> str:
    counts = f"{done.created:,} new, {done.changed:,} changed, {done.unchanged:,} unchanged"
    if done.full:
        counts += f", {done.deleted:,} deleted"
    return f"{done.source.slug}: read {done.read:,} records: {counts}, {done.rejected:,} rejected"


def mapping_of(pairs: list[str], path: str | None) -> dict[str, str]:
    """Field → the file's name for it, from --map-file and --map."""
    mapping: dict[str, str] = {}
    if path:
        try:
            document = yaml.safe_load(Path(path).read_text(encoding="utf-8-sig"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise CommandError(f"--map-file {path} cannot be read: {error}", returncode=FAILED) from error
        if not isinstance(document, dict) or not all(
            isinstance(text, str) for pair in document.items() for text in pair
        ):
            raise CommandError(f"--map-file {path}: expected {{field: name in the file}}", returncode=FAILED)
        mapping |= document
    for pair in pairs:
        field, equals, name = pair.partition("=")
        if not equals or not name.strip():
            raise CommandError(
                f"--map {pair}: expected FIELD=NAME, such as login=UserName", returncode=FAILED
            )
        mapping[field.strip()] = name.strip()
    if unknown := sorted(mapping.keys() - set(FIELDS)):
        raise CommandError(
            f"there is no field {unknown[0]!r} to map; the fields are: {', '.join(FIELDS)}", returncode=FAILED
        )
    return mapping


def source_of(options: Mapping[str, Any]) -> tuple[Source, dict[str, str]]:
    """The source of that slug, unsaved where it is new, and what the options set of it."""
    slug = options["source"]
    given = {name: options[name] for name in ("kind", "provider", "name") if options[name]}
    known = Source.objects.filter(slug=slug).first()
    if known is None:
        known = Source(slug=slug, **{"name": slug, **given})
    elif given.get("kind", known.kind) != known.kind:
        raise CommandError(f"{slug} is of kind {known.kind}; use another --source", returncode=FAILED)
    for name, value in given.items():
        setattr(known, name, value)
    try:
        known.clean_fields()
    except ValidationError as error:
        option, texts = next(iter(error.message_dict.items()))
        option = "source" if option == "slug" else option
        raise CommandError(f"--{option}: {' '.join(texts)}", returncode=FAILED) from error
    return known, given


@contextmanager
def opened(path: str) -> Iterator[BinaryIO]:
    if path == "-":
        yield sys.stdin.buffer
        return
    with open(path, "rb") as stream:
        yield stream


@contextmanager
def progress_of(path: str, stream: IO[bytes]) -> Iterator[Any]:
    """A bar by bytes on standard error; nothing where that is no terminal."""
    console = Console(stderr=True)
    total = Path(path).stat().st_size if path != "-" else None
    columns = (
        TextColumn("{task.fields[records]:,} records"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("", total=total, records=0)

        def advance(read: int) -> None:
            if not bar.disable:
                bar.update(task, records=read, completed=stream.tell() if total is not None else 0)

        yield advance
