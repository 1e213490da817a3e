"""Events as JSON Lines, into a file of the data folder or to standard output, for log shippers (docs/targets/file.md)."""

import fcntl
import os
import sys
import threading
from pathlib import Path
from typing import ClassVar

from django.conf import settings as django_settings

from integrations.target_data import AttemptRequest, Event, RenderedBody, Target
from integrations.targets.shared.call import Call
from integrations.targets.shared.event_json import encode_event
from integrations.targets.shared.setting_fields import Field
from integrations.targets.shared.target_kind import ALL_AUDIENCES, Inert, TargetKind
from integrations.transport.results import AttemptOutcome, Result

_stdout = threading.Lock()


class File(TargetKind):
    slug: ClassVar[str] = "file"
    label: ClassVar[str] = "File or standard output"
    summary: ClassVar[str] = "The events as JSON Lines, for a log shipper."
    position: ClassVar[int] = 110
    one_message: ClassVar[bool] = False
    max_bytes: ClassVar[int] = 256 * 1024
    per_second: ClassVar[float | None] = None
    concurrency: ClassVar[int] = 1
    audiences: ClassVar[frozenset[str]] = ALL_AUDIENCES
    inert: ClassVar[Inert] = Inert.DATA
    form_fields: ClassVar[tuple[Field, ...]] = (
        Field(
            path="destination",
            label="Write to",
            widget="select",
            choices=(("file", "a file"), ("stdout", "standard output of the worker")),
        ),
        Field(
            # Not “name”: in a form and in a configuration file that is the target's own.
            path="file_name",
            label="File name",
            help="In the folder “events” of the data folder (DATA_DIR).",
            default="events.jsonl",
            most=100,
            pattern=r"[A-Za-z0-9_-][A-Za-z0-9._-]*",
            hint="Write a file's name of letters, digits, -, _ and dots, without a folder.",
            when=("destination", ("file",)),
        ),
    )

    def render(self, event: Event, target: Target) -> RenderedBody:
        return RenderedBody(encode_event(event))

    def is_verbatim(self, target: Target) -> bool:
        return True

    def attempt(self, request: AttemptRequest, target: Target, call: Call) -> AttemptOutcome:
        # JSON escapes line breaks within texts: one event is one line.
        text = request.body + b"\n"
        try:
            if target.settings["destination"] == "stdout":
                with _stdout:
                    sys.stdout.buffer.write(text)
                    sys.stdout.buffer.flush()
                return call.outcome_without_answer(Result.DELIVERED, "Written to standard output.")
            path = Path(django_settings.DATA_DIR) / "events" / target.settings["file_name"]
            append(path, text)
        except OSError as error:
            return call.outcome_without_answer(
                Result.OURS, f"This machine cannot write it: {error.strerror or type(error).__name__}."
            )
        return call.outcome_without_answer(Result.DELIVERED, f"Written to {path.name}.")


def append(path: Path, text: bytes) -> None:
    """Append all of ``text`` to the file and flush it to the disk, or append nothing and raise OSError.

    The file is opened each time, so that it can be rotated.
    """
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
