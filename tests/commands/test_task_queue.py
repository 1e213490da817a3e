"""A cluster's queue outlives the death of those who read it."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django_q import cluster

from cii_project.task_queue import SturdyQueue
from tests.waiting import until

fork = multiprocessing.get_context("fork")


@pytest.fixture
def readers() -> Iterator[Callable[..., multiprocessing.Process]]:
    started: list[multiprocessing.Process] = []

    def start(queue: SturdyQueue, answers: "multiprocessing.SimpleQueue[str]") -> multiprocessing.Process:
        def read() -> None:
            for task in iter(queue.get, "STOP"):
                answers.put(task)

        process = fork.Process(target=read, daemon=True)
        process.start()
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.join()
        process.close()


def answered(answers: "multiprocessing.SimpleQueue[str]") -> str:
    until(lambda: not answers.empty(), "an answer")
    return answers.get()


def lock_holder(readers: list[multiprocessing.Process]) -> multiprocessing.Process | None:
    """The reader that holds a POSIX record lock; lines of those that wait for one have an arrow."""
    rows = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    holders = {row[4] for row in rows if row[1] == "POSIX"}
    return next((reader for reader in readers if str(reader.pid) in holders), None)


def test_every_cluster_uses_it() -> None:
    assert cluster.Queue is SturdyQueue


def test_readers_killed_while_they_wait_leave_the_queue_to_the_others(readers) -> None:
    queue, answers = SturdyQueue(maxsize=4), fork.SimpleQueue()
    waiting = [readers(queue, answers) for _ in range(3)]
    queue.put("first")
    assert answered(answers) == "first"
    for _ in range(2):
        reader = until(lambda: lock_holder(waiting), "a reader that waits with the lock")
        os.kill(reader.pid, signal.SIGKILL)
        reader.join()
        waiting.remove(reader)
        queue.put(f"after {reader.pid}")
        assert answered(answers) == f"after {reader.pid}"
    newcomer = readers(queue, answers)
    os.kill(waiting[0].pid, signal.SIGKILL)
    waiting[0].join()
    queue.put("last")
    assert answered(answers) == "last"
    assert newcomer.is_alive()
    queue.close()
    queue.join_thread()
    answers.close()


def test_a_task_is_read_by_one_reader_only(readers) -> None:
    queue, answers = SturdyQueue(), fork.SimpleQueue()
    reading = [readers(queue, answers) for _ in range(4)]
    for number in range(200):
        queue.put(str(number))
    assert sorted(int(answered(answers)) for _ in range(200)) == list(range(200))
    for _ in reading:
        queue.put("STOP")
    for process in reading:
        process.join()
    assert answers.empty()
    queue.close()
    queue.join_thread()
    answers.close()
