"""Events as JSON Lines, into a file of the data folder or to standard output, for those who ship logs (docs/targets/file.md)."""

import fcntl
import os
import sys
import threading
from pathlib import Path
from typing import ClassVar

from django.conf import settings as django_settings

from integrations.outcomes import Outcome, Result
from integrations.targets.base import Event, Outgoing, Rendered, Target
from integrations.targets.calls import Call, FieldsKind, compact
from integrations.targets.fields import Field

_stdout = threading.Lock()


class File(FieldsKind):
    slug: ClassVar[str] = "file"
    label: ClassVar[str] = "File or standard output"
    summary: ClassVar[str] = "The events as JSON Lines, for a log shipper."
    one_message: ClassVar[bool] = False
    max_bytes: ClassVar[int] = 256 * 1024
    per_second: ClassVar[float | None] = None
    concurrency: ClassVar[int] = 1
    audiences: ClassVar[frozenset[str]] = frozenset({"list", "user", "manager"})
    form_fields: ClassVar[tuple[Field, ...]] = (
        Field(
            path="destination",
            label="Write to",
            widget="select",
            choices=(("file", "a file"), ("stdout", "standard output of the worker")),
        ),
        Field(
            path="name",
            label="File name",
            help="In the folder “events” of the data folder (DATA_DIR).",
            default="events.jsonl",
            most=100,
            pattern=r"[A-Za-z0-9_-][A-Za-z0-9._-]*",
            hint="Write a file's name of letters, digits, -, _ and dots, without a folder.",
            when=("destination", ("file",)),
        ),
    )

    def render(self, event: Event, target: Target) -> Rendered:
        return Rendered(compact(event))

    def attempt(self, outgoing: Outgoing, target: Target, call: Call) -> Outcome:
        # JSON escapes line breaks within texts: one event is one line.
        text = outgoing.body + b"\n"
        try:
            if target.settings["destination"] == "stdout":
                with _stdout:
                    sys.stdout.buffer.write(text)
                    sys.stdout.buffer.flush()
                return call.stopped(Result.DELIVERED, "Written to standard output.")
            path = Path(django_settings.DATA_DIR) / "events" / target.settings["name"]
            append(path, text)
        except OSError as error:
            return call.stopped(
                Result.OURS, f"This machine cannot write it: {error.strerror or type(error).__name__}."
            )
        return call.stopped(Result.DELIVERED, f"Written to {path.name}.")


def append(path: Path, text: bytes) -> None:
    """All of ``text`` at the end of the file, on the disk, or none of it. Opened anew each time, so that it can be rotated."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        end = os.fstat(handle).st_size
        try:
            left = memoryview(text)
            while left:
                left = left[os.write(handle, left) :]
            os.fsync(handle)
        except OSError:
            os.ftruncate(handle, end)
            raise
    finally:
        os.close(handle)
