"""Rendering in a process that can be killed: previews, tests, and the check before a template is saved.

The process gets data and returns text. It needs neither database nor secrets, and its environment has none. Its memory
and CPU time are bounded, and the caller kills it at the deadline. It is started once and reused: a start takes 0.3 s,
mostly for Liquid.
"""

import json
import logging
import os
import pickle
import resource
import struct
import subprocess
import sys
import time
from atexit import register as at_exit
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from select import select
from threading import BoundedSemaphore, Event, Lock, Timer
from typing import IO, BinaryIO, cast

from liquid import BoundTemplate

from integrations.json_types import JsonMapping, JsonObject
from integrations.templating import liquid
from integrations.templating.liquid import TemplateError

log = logging.getLogger(__name__)

# Time for which a request waits for a free process that has started, and then for its answer: 2.5 seconds
# together. The process itself ends a job a little earlier if it can.
WAIT_SECONDS = 0.7
PROCESS_SECONDS = liquid.MAX_SECONDS + 0.2
MAX_PROCESSES = 2
MAX_MEMORY = 512 << 20
_LENGTH = struct.Struct("!I")
_DIALECTS = {"strict": liquid.STRICT, "lenient": liquid.LENIENT, "body": liquid.BODY}
# Variables that an interpreter may need to start.
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ")

# Nobody waits in a browser for a command: on a busy machine a start takes seconds.
PATIENT_SECONDS = 60.0
_is_patient: ContextVar[bool] = ContextVar("is_patient", default=False)

BUSY = "Other templates are being rendered. Try again in a moment."
TOO_LONG = liquid.TOO_LONG
DIED = "The template needs too much memory."
STARTING = "The process that renders templates is starting. Try again in a moment."


# --- In the calling process -----------------------------------------------------------------------------
def render_in_process(
    source: str,
    dialect: str,
    data: Sequence[JsonMapping],
    *,
    names: Mapping[str, set[str]] | None = None,
) -> list[str]:
    """The text of the template for each of ``data``. Raises :class:`TemplateError` with the index of the data as ``number``.

    ``dialect``: strict, lenient or body, as in liquid.py. ``names``: the variables that it may use; None: any.
    """
    job = (source, dialect, list(data), names)
    answer = _pool(os.getpid()).ask(pickle.dumps(job))
    if "error" in answer:
        message, line, column, number = answer["error"]
        error = TemplateError(message, line, column)
        error.number = number
        error.is_temporary = message in (BUSY, STARTING)
        raise error
    texts: list[str] = answer["texts"]
    return texts


def killable_templates() -> AbstractContextManager[None]:
    """Let liquid.py render in a separate process in the block."""
    return liquid.use_renderer(_render_one)


@contextmanager
def patient_templates() -> Iterator[None]:
    """Wait up to :data:`PATIENT_SECONDS` in the block for a process that is free and has started. For commands."""
    token = _is_patient.set(True)
    try:
        yield
    finally:
        _is_patient.reset(token)


def _render_one(template: BoundTemplate, data: JsonMapping) -> str:
    dialect = next(name for name, environment in _DIALECTS.items() if environment is template.env)
    source = cast(str, cast(liquid.Template, template).source)
    return render_in_process(source, dialect, [data])[0]


class _Process:
    """One process that renders one job at a time."""

    def __init__(self) -> None:
        paths = os.pathsep.join(os.path.abspath(path) for path in sys.path)
        kept = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        self._popen = subprocess.Popen(  # noqa: S603  # nosec B603  this very module
            [sys.executable, "-P", "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**kept, "PYTHONPATH": paths},
        )
        self._stdin = cast(IO[bytes], self._popen.stdin)
        self._stdout = cast(IO[bytes], self._popen.stdout)
        self._is_ready = False

    def is_ready(self, deadline: float) -> bool:
        """Whether it has started; waits for it until ``deadline``."""
        if not self._is_ready and select([self._stdout], [], [], max(deadline - time.monotonic(), 0))[0]:
            self._is_ready = self._stdout.readline() == b"ready\n"
        return self._is_ready

    def ask(self, job: bytes) -> JsonObject:
        """The answer, or an error in its place, after which the process must be replaced."""
        line, expired = self._line(_LENGTH.pack(len(job)) + job)
        if line:
            answer: JsonObject = json.loads(line)
            return answer
        return _failure(TOO_LONG if expired else DIED)

    def _line(self, request: bytes) -> tuple[bytes, bool]:
        """The line that it answers, empty if it ended, and whether the time expired."""
        expired = Event()

        def expire() -> None:
            expired.set()
            self._popen.kill()

        timer = Timer(PROCESS_SECONDS, expire)
        timer.start()
        try:
            self._stdin.write(request)
            self._stdin.flush()
            line = self._stdout.readline()
        except OSError:
            line = b""
        finally:
            timer.cancel()
            timer.join()  # otherwise it could kill the next job
        return b"" if expired.is_set() else line, expired.is_set()

    @property
    def is_usable(self) -> bool:
        return self._popen.poll() is None

    def end(self) -> None:
        self._popen.kill()
        with suppress(OSError):
            self._popen.communicate()


class _Pool:
    """The idle processes of this process; at most :data:`MAX_PROCESSES` render at the same time."""

    def __init__(self) -> None:
        self._idle: list[_Process] = []
        self._lock = Lock()
        self._slots = BoundedSemaphore(MAX_PROCESSES)

    def ask(self, job: bytes) -> JsonObject:
        wait = PATIENT_SECONDS if _is_patient.get() else WAIT_SECONDS
        deadline = time.monotonic() + wait
        if not self._slots.acquire(timeout=wait):
            return _failure(BUSY, ended=False)
        try:
            process = self._take()
            try:
                answer = process.ask(job) if process.is_ready(deadline) else _failure(STARTING, ended=False)
            except BaseException:
                process.end()
                raise
            self._give_back(process, answer)
            return answer
        finally:
            self._slots.release()

    def _take(self) -> _Process:
        while True:
            with self._lock:
                process = self._idle.pop() if self._idle else None
            if process is None:
                return _Process()
            if process.is_usable:
                return process
            process.end()

    def _give_back(self, process: _Process, answer: JsonMapping) -> None:
        """Keep the process for the next job. A killed one is replaced now, so that the next job need not wait for the start."""
        if answer.get("ended"):
            log.warning("Template process replaced", extra={"reason": answer["error"][0]})
            process.end()
            process = _Process()
        with self._lock:
            self._idle.append(process)

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for process in idle:
            process.end()


def _failure(message: str, *, ended: bool = True) -> JsonObject:
    return {"error": [message, None, None, 0], "ended": ended}


@cache
def _pool(pid: int) -> _Pool:
    """The pool of this process: after a fork the parent's pipes must not be used."""
    pool = _Pool()
    at_exit(lambda: pool.close() if os.getpid() == pid else None)
    return pool


# --- In the rendering process -------------------------------------------------------------------------------
def serve(requests: BinaryIO, answers: IO[bytes]) -> None:
    """Answer jobs until the input is closed."""
    answers.write(b"ready\n")
    answers.flush()
    while header := requests.read(_LENGTH.size):
        job = pickle.loads(requests.read(*_LENGTH.unpack(header)))  # noqa: S301  # nosec B301  of our parent process
        # If the parent is gone, the system ends it.
        used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
        _limit(resource.RLIMIT_CPU, round(used) + 5)
        answers.write(json.dumps(_answer(*job)).encode() + b"\n")
        answers.flush()


def _answer(
    source: str,
    dialect: str,
    data: Sequence[JsonMapping],
    names: Mapping[str, set[str]] | None,
) -> JsonObject:
    texts: list[str] = []
    end = time.monotonic() + liquid.MAX_SECONDS
    try:
        template = liquid.parse_template(source, _DIALECTS[dialect])
        if names is not None:
            liquid.check_names(template, source, names)
        for each in data:
            texts.append(liquid.render_here(template, each, end - time.monotonic()))  # noqa: PERF401  kept on errors
    except TemplateError as error:
        return {"error": [error.message, error.line, error.column, len(texts)]}
    except MemoryError:
        return {"error": [DIED, None, None, len(texts)]}
    return {"texts": texts}


def _limit(what: int, most: int) -> None:
    _, hard = resource.getrlimit(what)
    with suppress(ValueError, OSError):  # a system without this limit
        resource.setrlimit(what, (most, hard))


def main() -> None:
    _limit(resource.RLIMIT_AS, MAX_MEMORY)
    _limit(resource.RLIMIT_CORE, 0)
    serve(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
