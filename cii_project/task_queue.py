"""A queue between a cluster's processes that survives the death of any of them.

``multiprocessing.Queue`` guards its reading end by a semaphore, held by the process that waits for a task. A process
that is killed while it waits (the kernel out of memory, an operator's ``kill -9``) never gives it back: in
django-q2 1.11 the cluster then starts another worker, keeps its schedules going, looks alive, and takes no task
ever again; where it was the monitor, no task is ever acknowledged. Here the kernel gives the lock back.
"""

import fcntl
import os
import tempfile
import weakref
from contextlib import AbstractContextManager

from django_q import cluster, queues


class ProcessLock(AbstractContextManager["ProcessLock"]):
    """Exclusive among processes, not among threads of one; released by the kernel when its holder dies.

    A POSIX record lock (fcntl(2)): unlike flock(2)'s it belongs to the process, not to the open file that a
    fork shares.
    """

    def __init__(self) -> None:
        self._descriptor, path = tempfile.mkstemp(prefix="task-queue-")
        os.unlink(path)  # nobody else may open it, and it goes with the last process
        weakref.finalize(self, os.close, self._descriptor)

    def __enter__(self) -> "ProcessLock":
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_: object) -> None:
        fcntl.lockf(self._descriptor, fcntl.LOCK_UN)


class SturdyQueue(queues.Queue):
    """django-q2's queue, whose readers may be killed while they wait. It reads by ``get()`` alone."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self._rlock = ProcessLock()


def install() -> None:
    """Let every cluster of this process use it."""
    cluster.Queue = SturdyQueue
