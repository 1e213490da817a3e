"""A cluster's queue outlives the death of those who read it."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest
from django_q import cluster

from cii_project.task_queue import SturdyQueue

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


def answered(answers: "multiprocessing.SimpleQueue[str]", seconds: float = 5) -> str | None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not answers.empty():
            return answers.get()
        time.sleep(0.01)
    return None


def test_every_cluster_uses_it() -> None:
    assert cluster.Queue is SturdyQueue


def test_readers_killed_while_they_wait_leave_the_queue_to_the_others(readers) -> None:
    queue, answers = SturdyQueue(maxsize=4), fork.SimpleQueue()
    waiting = [readers(queue, answers) for _ in range(3)]
    queue.put("first")
    assert answered(answers) == "first"
    for reader in waiting[:2]:
        time.sleep(0.1)  # whoever waits holds the lock now
        os.kill(reader.pid, signal.SIGKILL)
        reader.join()
        queue.put(f"after {reader.pid}")
        assert answered(answers) == f"after {reader.pid}"
    newcomer = readers(queue, answers)
    os.kill(waiting[2].pid, signal.SIGKILL)
    waiting[2].join()
    queue.put("last")
    assert answered(answers) == "last"
    assert newcomer.is_alive()
    queue.close()
    queue.join_thread()
    answers.close()


def test_a_task_is_read_by_one_reader_only(readers) -> None:
    queue, answers = SturdyQueue(), fork.SimpleQueue()
    for _ in range(4):
        readers(queue, answers)
    for number in range(200):
        queue.put(str(number))
    assert sorted(int(answered(answers) or -1) for _ in range(200)) == list(range(200))
    assert answered(answers, 0.2) is None
    queue.close()
    queue.join_thread()
    answers.close()
