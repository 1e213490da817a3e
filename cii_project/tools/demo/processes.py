"""The long-running parts of the demonstration as child processes: started, watched, stopped by id."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from django.conf import settings

from cii_project.errors import ProjectError

GRACE_SECONDS = 10
PART_START_SECONDS = 30


class PartFailed(ProjectError):
    """A part did not start, or ended; the text says where its output is."""


@dataclass(slots=True)
class DemoProcess:
    """``command`` is what follows the interpreter, ``environment`` what joins ours. Output goes to ``log``, the process id to ``….pid``."""

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None

    def start(self, ready: str = "") -> None:
        """Start it, and wait until its log says ``ready``."""
        self._end_leftover()
        started = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as output:
            # A separate session: Ctrl-C reaches only this process, and the child's children end with it.
            self.process = subprocess.Popen(  # noqa: S603  our own interpreter and commands  # nosec B603
                [sys.executable, *self.command],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=settings.BASE_DIR,
                env={**os.environ, **self.environment},
                start_new_session=True,
            )
        self._pid_file.write_text(f"{self.process.pid}\n", encoding="utf-8")
        deadline = time.monotonic() + PART_START_SECONDS
        while ready and ready not in self._output_since(started):
            if not self.running or time.monotonic() > deadline:
                raise PartFailed(f"The {self.name} did not start; see {self.log}.")
            time.sleep(0.05)

    @property
    def _pid_file(self) -> Path:
        return self.log.with_suffix(".pid")

    def _end_leftover(self) -> None:
        """End what a demonstration that was itself killed left running: the process of the recorded id, if
        it still leads its session and works on our data folder."""
        try:
            left = psutil.Process(int(self._pid_file.read_text(encoding="utf-8")))
            ours = (
                left.environ().get("DATA_DIR") == str(settings.DATA_DIR) and os.getsid(left.pid) == left.pid
            )
        except (OSError, ValueError, psutil.Error):
            return
        if ours and left.pid != os.getpid():
            with suppress(psutil.Error, ProcessLookupError):
                left.terminate()
                psutil.wait_procs([left], timeout=GRACE_SECONDS)
                os.killpg(left.pid, signal.SIGKILL)

    def _output_since(self, started: int) -> str:
        with self.log.open("rb") as stream:
            stream.seek(started)
            return stream.read().decode("utf-8", "replace")

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def stop(self) -> None:
        """Ask it to end, and end it and its children when it does not within the grace."""
        if self.process is None:
            return
        if self.running:
            self.process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(GRACE_SECONDS)
        # The process group carries the child's own id: what a killed parent left behind goes too.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None


class Parts:
    """All parts; stops them in the reverse order of their start."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._started: list[DemoProcess] = []

    def start(self, part: DemoProcess, ready: str = "") -> DemoProcess:
        self._started.append(part)
        part.start(ready)
        return part

    def watch(self) -> bool:
        """Start a part again that has ended; true if there was one."""
        ended = [part for part in self._started if not part.running]
        for part in ended:
            self._say(f"The {part.name} has ended; starting it again (its output: {part.log}).")
            part.stop()
            part.start()
        return bool(ended)

    def stop(self) -> None:
        for part in reversed(self._started):
            part.stop()
        self._started.clear()
