"""What the processes of a cluster share, so that it survives the death of any of them.

``multiprocessing`` guards queues, values and events by semaphores. A process that is killed (the kernel out of memory,
an operator's ``kill -9``) never gives its semaphore back, and what it had taken of a queue's bound stays taken. In
django-q2 1.11 the cluster then looks alive and takes no task ever again: workers wait for a lock, the pusher for room in
the queue, or the sentinel for the timer of a dead worker. Here everything that a process holds is the kernel's to give
back, and what is not held cannot be lost.
"""

import ctypes
import fcntl
import multiprocessing
import os
import pickle
import socket  # noqa: TID251  a pair of sockets within this machine
import struct
import tempfile
import termios
import time
import weakref
from contextlib import AbstractContextManager
from multiprocessing.sharedctypes import RawValue, Synchronized

from django_q import cluster

# Unread bytes from which on the pusher takes no more tasks: two or three tasks. What waits here is lost with the
# cluster, and no other cluster can take it.
MOST_UNREAD = 1024
# Seconds from one look to the next while a process waits for room or for an event.
LOOK = 0.05
_LENGTH = struct.Struct("=I")


class ProcessLock(AbstractContextManager["ProcessLock"]):
    """Exclusive among processes, not among threads of one; released by the kernel when its holder dies. Its holder may
    take it again, and gives it back as often.

    A POSIX record lock (fcntl(2)): unlike flock(2)'s it belongs to the process, not to the open file that a
    fork shares.
    """

    def __init__(self) -> None:
        self._descriptor, path = tempfile.mkstemp(prefix="task-queue-")
        os.unlink(path)  # nobody else may open it, and it goes with the last process
        weakref.finalize(self, os.close, self._descriptor)
        self._holder, self._times = 0, 0

    def acquire(self) -> bool:
        if self._holder != os.getpid():  # a fork has a copy of the count, and not the lock
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
            self._holder, self._times = os.getpid(), 0
        self._times += 1
        return True

    def release(self) -> None:
        self._times -= 1
        if not self._times:
            self._holder = 0
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN)

    def __enter__(self) -> "ProcessLock":
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class SturdyQueue:
    """Tasks or results, in the order in which they were put; each is read by one process.

    A message is in the kernel when ``put`` returns, and is read by one system call, so nobody who is killed leaves half of
    one, unless it is longer than the room in the kernel's buffer (208 KiB on Linux). A queue with a ``maxsize`` takes
    messages while less than :data:`MOST_UNREAD` bytes are unread: a count would be wrong after the first death.
    """

    def __init__(self, maxsize: int = 0) -> None:
        self._receiver, self._sender = socket.socketpair()
        for each in (self._receiver, self._sender):
            weakref.finalize(self, each.close)
        self._reading, self._writing = ProcessLock(), ProcessLock()
        self._is_bounded = maxsize > 0

    def put(self, message: object) -> None:
        data = pickle.dumps(message)
        while self._is_bounded and self._unread() >= MOST_UNREAD:
            time.sleep(LOOK)
        with self._writing:
            self._sender.sendall(_LENGTH.pack(len(data)) + data)

    def get(self) -> object:
        with self._reading:
            head = self._receiver.recv(_LENGTH.size, socket.MSG_PEEK | socket.MSG_WAITALL)
            (length,) = _LENGTH.unpack(head)
            data = self._receiver.recv(_LENGTH.size + length, socket.MSG_WAITALL)
        message: object = pickle.loads(data[_LENGTH.size :])  # noqa: S301  what a process of this cluster put  # nosec B301
        return message

    def empty(self) -> bool:
        return not self._unread()

    def qsize(self) -> int:
        """1 if there are messages: they are not counted."""
        return int(not self.empty())

    def close(self) -> None:
        """Nothing: a sentinel that stops still asks for the size."""

    def join_thread(self) -> None:
        """Nothing: what was put has been written."""

    def _unread(self) -> int:
        found = fcntl.ioctl(self._receiver, termios.FIONREAD, bytes(struct.calcsize("i")))
        return int(struct.unpack("i", found)[0])


class Flag:
    """An event that processes share: one byte, which no process can keep from the others."""

    def __init__(self) -> None:
        self._byte = RawValue(ctypes.c_bool, False)

    def is_set(self) -> bool:
        return bool(self._byte.value)

    def set(self) -> None:
        self._byte.value = True

    def wait(self, timeout: float) -> bool:
        """Whether it is set, at once or within ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        while not self.is_set() and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(LOOK, left))
        return self.is_set()


def shared_value(kind: str, value: float) -> "Synchronized[float]":
    """A number that processes share; who dies while it holds the lock gives it back."""
    return multiprocessing.Value(kind, value, lock=ProcessLock())  # type: ignore[call-overload, no-any-return]


def install() -> None:
    """Let every cluster of this process use these."""
    cluster.Queue, cluster.Value, cluster.Event = SturdyQueue, shared_value, Flag
