"""A file from the browser while it waits for its import: sealed in the database, so that any host serves the next step."""

import io
import logging
import os
import platform
from collections.abc import Iterable
from datetime import timedelta

import psutil
from django.db import transaction
from django.utils import timezone

from checks.models import Import, Member, Source, Upload, UploadPart
from integrations.services import SourceError, UnsealError, detect, reseal_bytes, seal_bytes, unseal_bytes

log = logging.getLogger(__name__)

PART_BYTES = 1024 * 1024
# Most files that can wait at a time: 64 MiB each.
MOST_WAITING = 20
# A worker on another host is gone after this long without a sign of life. Applying a large file gives none for a while.
SILENCE = timedelta(minutes=10)
# If a process started later than its work by more than this, its id was reused: the worker is gone.
CLOCK_TOLERANCE = timedelta(seconds=5)
BUSY = (Upload.State.QUEUED, Upload.State.RUNNING)


class UploadLost(SourceError):
    """The content of an upload can no longer be read. The text says why and what to do."""


def store_upload(source: Source, file_name: str, chunks: Iterable[bytes], by: Member | None) -> Upload:
    """Store a file in sealed parts of :data:`PART_BYTES`. Raises :class:`SourceError` where it is empty, or
    too many files wait already."""
    with transaction.atomic():
        if Upload.objects.exclude(state=Upload.State.DONE).count() >= MOST_WAITING:
            raise SourceError(
                f"{MOST_WAITING} files wait for their import already; import or discard one of them first"
            )
        upload = Upload.objects.create(
            source=source,
            file_name=shorten_name(file_name),
            size=0,
            created_by_id=by.pk if by else None,
        )
        number = 0
        for number, part in enumerate(_parts(chunks), 1):
            UploadPart.objects.create(upload=upload, number=number - 1, sealed=seal_bytes(part))
            upload.size += len(part)
        if not number:
            raise SourceError("the file is empty; it needs a header row and a row for each account")
        upload.file_format = detect(file_name, open_upload(upload)).slug
        upload.save(update_fields=["size", "file_format"])
    return upload


def shorten_name(name: str) -> str:
    """The name of a file as it is stored: printable, at most 255 characters."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)[-255:]


def _parts(chunks: Iterable[bytes]) -> Iterable[bytes]:
    waiting = bytearray()
    for chunk in chunks:
        waiting += chunk
        while len(waiting) >= PART_BYTES:
            yield bytes(waiting[:PART_BYTES])
            del waiting[:PART_BYTES]
    if waiting:
        yield bytes(waiting)


class _Parts(io.RawIOBase):
    """The content of an upload as a stream, one part in memory."""

    def __init__(self, upload: Upload) -> None:
        self._upload, self._number, self._part, self._left = upload, 0, memoryview(b""), upload.size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        if not self._part:
            self._part = memoryview(self._next())
        count = min(len(buffer), len(self._part))
        buffer[:count] = self._part[:count]
        self._part = self._part[count:]
        return count

    def _next(self) -> bytes:
        sealed = (
            UploadPart.objects.filter(upload=self._upload, number=self._number)
            .values_list("sealed", flat=True)
            .first()
        )
        if sealed is None:
            if self._left > 0:
                raise UploadLost(
                    "The file is no longer stored: files are kept for 24 hours. Upload it again."
                )
            return b""
        try:
            part = unseal_bytes(bytes(sealed))
        except UnsealError:
            raise UploadLost(
                "The stored file cannot be opened: the keys of this installation have changed since. Upload it again."
            ) from None
        self._number += 1
        self._left -= len(part)
        return part


def open_upload(upload: Upload) -> io.BufferedReader:
    """The content of an upload. Reading raises :class:`UploadLost` where it is gone."""
    return io.BufferedReader(_Parts(upload), 256 * 1024)


def reseal_uploads() -> tuple[int, int]:
    """Seal the parts of all stored files with the first key; how many were, and how many no key opens."""
    count = lost = 0
    # One part at a time: a file has up to 64 MiB.
    for pk in list(UploadPart.objects.values_list("pk", flat=True)):
        sealed = UploadPart.objects.filter(pk=pk).values_list("sealed", flat=True).first()
        if sealed is None:
            continue
        try:
            fresh = reseal_bytes(bytes(sealed))
        except UnsealError:
            lost += 1
            continue
        count += UploadPart.objects.filter(pk=pk).update(sealed=fresh)
    return count, lost


def delete_content(upload: Upload) -> None:
    """Delete the stored bytes of the file; the upload itself stays."""
    UploadPart.objects.filter(upload=upload).delete()


def has_content(upload: Upload) -> bool:
    """Whether the bytes of the file are still stored."""
    return UploadPart.objects.filter(upload=upload).exists()


def process_of_worker() -> dict[str, object]:
    """The columns of an upload for work that this process starts now."""
    now = timezone.now()
    return {"started_at": now, "heartbeat_at": now, "host": platform.node(), "pid": os.getpid()}


def fail_if_abandoned(upload: Upload) -> bool:
    """Mark a running upload as failed whose worker is gone: its import changed nothing."""
    if upload.state != Upload.State.RUNNING or not _is_gone(upload):
        return False
    if done := _finished_import(upload):
        finish(upload, done)
        upload.refresh_from_db()
        return False
    text = "The worker that read this file was stopped. Nothing was changed: start again."
    failed = Upload.objects.filter(pk=upload.pk, state=Upload.State.RUNNING, pid=upload.pid).update(
        state=Upload.State.FAILED, error=text
    )
    if failed:
        log.warning("An import lost its worker", extra={"upload": str(upload.pk), "host": upload.host})
    upload.refresh_from_db()
    return bool(failed)


def finish(upload: Upload, done: Import) -> None:
    """The import of an upload has ended well: its content is deleted."""
    Upload.objects.filter(pk=upload.pk).update(
        state=Upload.State.DONE, result=done, records_read=done.read, error=""
    )
    delete_content(upload)


def _finished_import(upload: Upload) -> Import | None:
    """The import that the worker committed before it was stopped, if it came so far."""
    if upload.started_at is None or upload.options.get("task") != "import":
        return None
    since = Import.objects.filter(
        source=upload.source, file_name=upload.file_name, started_at__gte=upload.started_at
    )
    return since.exclude(state=Import.State.FAILED).order_by("id").first()


def _is_gone(upload: Upload) -> bool:
    started = upload.started_at or upload.created_at
    if upload.host == platform.node() and upload.pid is not None:
        try:
            born = psutil.Process(upload.pid).create_time()
        except psutil.NoSuchProcess:
            return True
        except psutil.AccessDenied:
            return False
        return bool(born > (started + CLOCK_TOLERANCE).timestamp())
    return timezone.now() - (upload.heartbeat_at or started) > SILENCE
