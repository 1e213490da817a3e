"""The dry run and the import of an uploaded file, as tasks of the queue: any cluster serves them.

A task may be lost or run twice: an upload is claimed by one worker, and one that dies leaves it to be seen
(:func:`cii_project.imports.uploads.fail_if_abandoned`).
"""

import logging
from collections.abc import Callable, Iterator
from time import monotonic
from typing import BinaryIO

from django.contrib.auth import get_user_model
from django.db import DatabaseError
from django.utils import timezone
from structlog.contextvars import bound_contextvars

from checks.models import Member, Upload
from checks.services import (
    ImportRefused,
    Rejected,
    import_accounts,
    preview_import,
)
from cii_project.audit.services import Action, Actor, ActorKind, acting, record
from cii_project.imports.readings import ColumnReading, names_of_fields, reading_of_upload, records_of
from cii_project.imports.uploads import (
    finish,
    open_upload,
    process_of_worker,
)
from integrations.services import SOURCES, Read, SourceError
from notifications.services import request_task

log = logging.getLogger(__name__)

TASK = "cii_project.imports.upload_tasks.work_on_upload"
CHECK, IMPORT = "check", "import"
OPTIONS = ("full", "force", "strict", "replace")
SHOWN_PROBLEMS = 20
MOST_WORDS = 200
PROGRESS_SECONDS = 0.5
BROKEN = "An unexpected error stopped the worker. Nothing was changed; the log of the server says more."


def request_check(upload: Upload, by: Member, *, words_seen: bool = False) -> bool:
    """Queue the dry run of an upload; False where a worker is busy with it, or has imported it.

    ``words_seen``: a member has decided about the words of the last dry run.
    """
    return _request(upload, {"task": CHECK, "by": by.pk, "words_seen": words_seen}, preview=None)


def request_import(upload: Upload, by: Member, **options: bool) -> bool:
    """Queue the import of an upload; see :func:`request_check`."""
    return _request(upload, {"task": IMPORT, "by": by.pk, **options})


def _request(upload: Upload, options: dict[str, object], **values: object) -> bool:
    idle = Upload.objects.filter(pk=upload.pk, state__in=(Upload.State.WAITING, Upload.State.FAILED))
    queued = idle.update(
        state=Upload.State.QUEUED,
        options=options,
        heartbeat_at=timezone.now(),
        records_read=0,
        error="",
        **values,
    )
    if queued:
        request_task(TASK, str(upload.pk))
    upload.refresh_from_db()
    return bool(queued)


def request_again(upload: Upload) -> None:
    """Request the task of a queued upload once more: a lost task costs a minute."""
    waiting = Upload.objects.filter(pk=upload.pk, state=Upload.State.QUEUED, heartbeat_at=upload.heartbeat_at)
    if waiting.update(heartbeat_at=timezone.now()):
        request_task(TASK, str(upload.pk))


def work_on_upload(upload_id: str) -> str:
    """Carry out what was requested for an upload."""
    queued = Upload.objects.filter(pk=upload_id, state=Upload.State.QUEUED)
    if not queued.update(state=Upload.State.RUNNING, **process_of_worker()):
        return "nothing to do"
    upload = Upload.objects.select_related("source").get(pk=upload_id)
    work = _import if upload.options.get("task") == IMPORT else _check
    with bound_contextvars(upload_id=upload_id), acting(_actor(upload)):
        try:
            work(upload)
        except (SourceError, ImportRefused) as error:
            _fail(upload, _first_upper(str(error)))
        except Exception:
            log.exception("The work on an upload failed")
            _fail(upload, BROKEN)
            raise
    return str(Upload.objects.values_list("state", flat=True).get(pk=upload_id))


def _actor(upload: Upload) -> Actor:
    member = get_user_model().objects.filter(pk=upload.options.get("by")).first()
    if member is None:
        return Actor(ActorKind.SYSTEM)
    return Actor(ActorKind.MEMBER, member.get_username(), id=str(member.pk))


def _first_upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _fail(upload: Upload, text: str) -> None:
    Upload.objects.filter(pk=upload.pk, state=Upload.State.RUNNING).update(
        state=Upload.State.FAILED, error=text
    )
    log.info("An upload could not be used", extra={"upload": str(upload.pk), "reason": text})


def _progress(upload: Upload) -> Callable[[int], None]:
    last = 0.0

    def advance(read: int) -> None:
        nonlocal last
        if monotonic() - last < PROGRESS_SECONDS:
            return
        last = monotonic()
        try:
            Upload.objects.filter(pk=upload.pk).update(records_read=read, heartbeat_at=timezone.now())
        except DatabaseError as error:  # busy with another's writing: progress is not worth an import
            log.debug("Progress was not stored", extra={"error": type(error).__name__})

    return advance


class _Problems:
    """The first rejected records, for the page of a dry run."""

    def __init__(self, names: dict[str, str]) -> None:
        self.names, self.shown = names, []  # type: ignore[var-annotated]

    def add(self, rejected: Rejected) -> None:
        if len(self.shown) < SHOWN_PROBLEMS:
            self.shown += [
                {
                    "line": rejected.line,
                    "column": self.names.get(problem.column, problem.column),
                    "value": problem.value,
                    "expected": problem.expected,
                }
                for problem in rejected.problems
            ]


def _records(upload: Upload, reading: ColumnReading, stream: BinaryIO) -> Iterator[Read]:
    written = SOURCES[upload.file_format].read_as_written(stream)
    return reading.derived(records_of(written, reading.columns))


def _check(upload: Upload) -> None:
    reading = reading_of_upload(upload)
    problems = _Problems(names_of_fields(reading.columns))
    with open_upload(upload) as stream:
        found = preview_import(
            _records(upload, reading, stream),
            source=upload.source,
            progress=_progress(upload),
            on_reject=problems.add,
            rules=reading.rules,
        )
    done = found.done
    preview = {
        **{name: getattr(done, name) for name in ("read", "created", "changed", "unchanged", "rejected")},
        "live": found.live,
        "missing": found.missing,
        "must_force": found.deletes_too_many,
        "doubtful_joins": found.doubtful_joins,
        "unknown_words": done.unknown_words[:MOST_WORDS],
        "more_words": max(len(done.unknown_words) - MOST_WORDS, 0),
        "warnings": done.warnings,
        "unread_fields": done.unread_fields,
        "problems": problems.shown[:SHOWN_PROBLEMS],
    }
    Upload.objects.filter(pk=upload.pk, state=Upload.State.RUNNING).update(
        state=Upload.State.WAITING, preview=preview, records_read=done.read
    )


def _import(upload: Upload) -> None:
    reading = reading_of_upload(upload)
    with open_upload(upload) as stream:
        done = import_accounts(
            _records(upload, reading, stream),
            source=upload.source,
            progress=_progress(upload),
            rules=reading.rules,
            column_names=names_of_fields(reading.columns),
            file_name=upload.file_name,
            full=bool(upload.options.get("full")),
            force=bool(upload.options.get("force")),
            strict=bool(upload.options.get("strict")),
            replace=bool(upload.options.get("replace")),
        )
    text = f"Imported {done.file_name}: {done.read} read, {done.rejected} rejected."
    record(Action.CHANGE, upload.source, text)
    finish(upload, done)
