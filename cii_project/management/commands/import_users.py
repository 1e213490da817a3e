"""Bring a source's accounts in step with a file."""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import IO, Any, BinaryIO

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from checks.models import Import, Source, SourceKind, SourceMapping
from checks.services import (
    DATE_ORDERS,
    MEANINGS,
    RECORD_FIELDS,
    ImportRefused,
    MappingError,
    TooManyDeleted,
    extended_mapping,
    import_accounts,
)
from cii_project.configuration.reading import ConfigurationErrors, load_yaml_or_json, read_text
from cii_project.imports.readings import (
    columns_in,
    completed_columns,
    reading_for,
    without_fields,
)
from cii_project.imports.rejected_records import Rejects, RejectsFile
from cii_project.imports.report import ImportReport, report_of
from cii_project.imports.unknown_columns import Columns
from cii_project.imports.vendor_layouts import layout_of
from cii_project.management.audited import AuditedCommand
from integrations.services import MAX_JSON_BYTES, SOURCES, SourceError, detect, is_encodable, peekable

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
  manage.py import_users ad.csv --source ad --map login=SamAccountName --dates mdy --zone Europe/Berlin
  manage.py import_users hr.csv --source hr --kind hr --map-value status:"Parental Leave"=on_leave
  zcat users.jsonl.gz | manage.py import_users - --source entra --format jsonl --rejects bad.jsonl
"""


class Command(AuditedCommand):
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
        add(
            "--map-value",
            action="append",
            default=[],
            metavar="FIELD:WORD=MEANING",
            help='what a word of the source means, such as status:"Parental Leave"=on_leave; may be repeated; '
            f"kept with the source. Fields: {', '.join((*MEANINGS, 'last_sign_in_country'))}",
        )
        add(
            "--dates",
            choices=DATE_ORDERS,
            help="the order of day, month and year in dates such as 1/2/2026; kept with the source",
        )
        add(
            "--zone",
            metavar="NAME",
            help="the time zone of times without an offset, such as Europe/Berlin (default: UTC); kept with the source",
        )
        add("--full", action="store_true", help="mark accounts that the file lacks as deleted")
        add("--force", action="store_true", help="let --full delete over 20 %% of the source's accounts")
        add(
            "--replace",
            action="store_true",
            help="make fields unknown that the file does not have (default: their last values stay)",
        )
        add("--strict", action="store_true", help="change nothing if any record is bad")
        add(
            "--rejects",
            metavar="FILE",
            help="write the bad records there, CSV for CSV, else JSON Lines "
            "(default, if there are any: NAME.rejects.csv or .jsonl in the current folder)",
        )

    def run(self, **options: Any) -> None:
        path, rejects_path = options["file"], options["rejects"]
        columns = Columns()
        mapping = mapping_of(options["map"], options["map_file"])
        if rejects_path and path != "-" and Path(rejects_path).resolve() == Path(path).resolve():
            raise CommandError("--rejects would overwrite the file itself", returncode=FAILED)
        source, given = source_of(options)
        reading = reading_of(source, options)
        try:
            done = self._import(source, mapping, reading, columns, options)
        except TooManyDeleted as error:
            raise CommandError(f"{path}: {error} (--force)", returncode=FAILED) from error
        except (SourceError, ImportRefused) as error:
            raise CommandError(f"{path}: {error}", returncode=FAILED) from error
        except OSError as error:
            raise CommandError(
                f"{error.filename or path}: {error.strerror or error}", returncode=FAILED
            ) from error
        Source.objects.filter(pk=source.pk).update(**given)
        if options["map_value"] or options["dates"] or options["zone"]:
            reading.source = source
            reading.save()
        counts = ("read", "created", "changed", "unchanged", "deleted", "rejected")
        self.outcome.update({name: getattr(done, name) for name in counts})
        self.stdout.write(summary(done))
        self._print_report(report_of(done))
        if note := columns.note():
            self.stderr.write(note + " --map FIELD=NAME reads one from another name.")
        if done.rejected:
            sys.exit(PARTIAL)

    def _print_report(self, report: ImportReport) -> None:
        for sentence in report.sentences():
            self.stderr.write(sentence)
        if report.unread:
            self.stderr.write("--replace makes them unknown.")
        if report.words:
            first = report.words[0]
            meaning = next(iter(MEANINGS.get(first.field, ())), "FR")
            self.stderr.write(
                f'--map-value {first.field}:"{first.word}"={meaning} says what a word means; it is kept with the source.'
            )

    def _import(
        self,
        source: Source,
        mapping: dict[str, str],
        reading: SourceMapping,
        columns: Columns,
        options: Mapping[str, Any],
    ) -> Import:
        path = options["file"]
        with ExitStack() as stack:
            stream = peekable(stack.enter_context(opened(path)))
            reader = SOURCES[options["format"]] if options["format"] else detect(path, stream)
            with file_start(path, stream) as first:
                names = columns_in(reader, first)
            if warning := kind_warning(source, names):
                self.stderr.write(warning)
            completed = completed_columns(source, names, mapping)
            mapping = completed.columns
            column_reading = reading_for(
                source, {column: field for field, column in mapping.items()}, names, reading, completed.shared
            )
            columns.combined = column_reading.combined_columns
            file = RejectsFile(
                options["rejects"],
                stem=Path(path).name if path != "-" else source.slug,
                as_csv=reader.slug == "csv",
                names=mapping,
                say=self.stderr.write,
            )
            rejects = stack.enter_context(Rejects(self.stderr.write, stack.enter_context(file), reader.unit))
            return import_accounts(
                columns.of(
                    without_fields(column_reading.derived(reader.read(stream, mapping)), completed.unread)
                ),
                source=source,
                full=options["full"],
                force=options["force"],
                strict=options["strict"],
                replace=options["replace"],
                progress=stack.enter_context(progress_of(path, stream)),
                on_reject=rejects.add,
                file_name=Path(path).name,
                rules=column_reading.rules,
                column_names=mapping,
            )


def kind_warning(source: Source, columns: Sequence[str]) -> str:
    """A sentence where the file is the export of an HR system and the source is of another kind; "" elsewhere."""
    layout = layout_of(columns)
    if layout is None or not layout.is_hr or source.kind == SourceKind.HR:
        return ""
    return (
        f"{layout.label} is an HR system, but {source.slug} is of kind {source.kind}: its users count as accounts that "
        "sign in, and a termination that is still to come as one that has happened. Import the file into a source of "
        "--kind hr."
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
            document = load_yaml_or_json(read_text(path, MAX_JSON_BYTES))
        except (ValueError, ConfigurationErrors) as error:
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
    if unknown := sorted(mapping.keys() - set(RECORD_FIELDS)):
        raise CommandError(
            f"there is no field {unknown[0]!r} to map; the fields are: {', '.join(RECORD_FIELDS)}",
            returncode=FAILED,
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
        if not is_encodable(value):
            raise CommandError(f"--{name}: {value!a} is not UTF-8 text", returncode=FAILED)
        setattr(known, name, value)
    try:
        known.clean_fields()
    except ValidationError as error:
        option, texts = next(iter(error.message_dict.items()))
        option = "source" if option == "slug" else option
        raise CommandError(f"--{option}: {' '.join(texts)}", returncode=FAILED) from error
    return known, given


def reading_of(source: Source, options: Mapping[str, Any]) -> SourceMapping:
    """The source's mapping with the words, the order of dates and the time zone that the options name, unsaved."""
    try:
        words = [_word_of(text) for text in options["map_value"]]
        return extended_mapping(source, words, options["dates"] or "", options["zone"] or "")
    except MappingError as error:
        raise CommandError(str(error), returncode=FAILED) from error


def _word_of(text: str) -> tuple[str, str, str]:
    field, colon, rest = text.partition(":")
    word, equals, meaning = rest.rpartition("=")
    if not colon or not equals or not field.strip() or not word.strip():
        raise CommandError(
            f'--map-value {text}: expected FIELD:WORD=MEANING, such as status:"Parental Leave"=on_leave',
            returncode=FAILED,
        )
    return field, word.strip().strip("\"'"), meaning


@contextmanager
def opened(path: str) -> Iterator[BinaryIO]:
    if path == "-":
        yield sys.stdin.buffer
        return
    with open(path, "rb") as stream:
        yield stream


@contextmanager
def file_start(path: str, stream: BufferedReader) -> Iterator[BinaryIO]:
    """The file opened once more; for standard input, which cannot be read twice, its buffered start."""
    if path == "-":
        yield BytesIO(stream.peek())
        return
    with opened(path) as again:
        yield again


@contextmanager
def progress_of(path: str, stream: IO[bytes]) -> Iterator[Callable[[int], None]]:
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
