"""What a cluster's processes share outlives the death of any of them."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from django_q import cluster

from cii_project.task_queue import MOST_UNREAD, Flag, ProcessLock, SturdyQueue, shared_value
from tests.waiting import until

fork = multiprocessing.get_context("fork")
Start = Callable[[Callable[[], object]], multiprocessing.Process]


@pytest.fixture
def start() -> Iterator[Start]:
    """Run a function in a process of its own."""
    started: list[multiprocessing.Process] = []

    def begin(action: Callable[[], object]) -> multiprocessing.Process:
        process = fork.Process(target=action, daemon=True)
        process.start()
        started.append(process)
        return process

    yield begin
    for process in started:
        kill(process)
        process.close()


def kill(process: multiprocessing.Process) -> None:
    process.kill()
    process.join()


def reading(queue: SturdyQueue, answers: SturdyQueue) -> Callable[[], None]:
    def read() -> None:
        for task in iter(queue.get, "STOP"):
            answers.put(task)

    return read


def answered(answers: SturdyQueue) -> str:
    until(lambda: not answers.empty(), "an answer")
    return answers.get()


def lock_holder(processes: list[multiprocessing.Process]) -> multiprocessing.Process | None:
    """The process that holds a POSIX record lock; lines of those that wait for one have an arrow."""
    rows = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    holders = {row[4] for row in rows if row[1] == "POSIX"}
    return next((process for process in processes if str(process.pid) in holders), None)


def test_every_cluster_uses_them() -> None:
    assert (cluster.Queue, cluster.Value, cluster.Event) == (SturdyQueue, shared_value, Flag)


# --- The queue ---


def test_readers_killed_while_they_wait_leave_the_queue_to_the_others(start: Start) -> None:
    queue, answers = SturdyQueue(maxsize=4), SturdyQueue()
    waiting = [start(reading(queue, answers)) for _ in range(3)]
    queue.put("first")
    assert answered(answers) == "first"
    for _ in range(2):
        reader = until(lambda: lock_holder(waiting), "a reader that waits with the lock")
        kill(reader)
        waiting.remove(reader)
        queue.put(f"after {reader.pid}")
        assert answered(answers) == f"after {reader.pid}"
    newcomer = start(reading(queue, answers))
    kill(waiting[0])
    queue.put("last")
    assert answered(answers) == "last"
    assert newcomer.is_alive()


def test_a_task_is_read_by_one_reader_only(start: Start) -> None:
    queue, answers = SturdyQueue(), SturdyQueue()
    readers = [start(reading(queue, answers)) for _ in range(4)]
    for number in range(200):
        queue.put(str(number))
    assert sorted(int(answered(answers)) for _ in range(200)) == list(range(200))
    for _ in readers:
        queue.put("STOP")
    for process in readers:
        process.join()
    assert answers.empty()


def test_a_bounded_queue_makes_its_writer_wait_and_has_room_for_the_ends_of_its_readers() -> None:
    queue = SturdyQueue(maxsize=4)
    queue.put("x" * MOST_UNREAD)
    assert (queue.qsize(), queue.empty()) == (1, False)
    other = SturdyQueue(maxsize=4)
    for _ in range(16):
        other.put("STOP")
    assert [other.get() for _ in range(16)] == ["STOP"] * 16
    assert (other.qsize(), other.empty()) == (0, True)


def test_a_writer_killed_while_it_waits_for_room_takes_none_of_it(start: Start) -> None:
    """It was a count that every killed pusher lowered, until no task was taken."""
    queue, full = SturdyQueue(maxsize=2), "x" * MOST_UNREAD
    for _ in range(5):
        queue.put(full)
        waiting = start(lambda: queue.put("never"))
        time.sleep(0.1)
        kill(waiting)
        assert queue.get() == full
    queue.put("last")
    assert queue.get() == "last"


def test_a_long_result_passes_whole(start: Start) -> None:
    queue, long = SturdyQueue(), {"result": "é" * 1_000_000}
    start(lambda: queue.put(long))
    assert queue.get() == long


def test_deaths_at_any_moment_leave_whole_messages(start: Start) -> None:
    queue, answers, dice = SturdyQueue(), SturdyQueue(), Random(7)

    def write() -> None:
        while True:
            queue.put("task" * 100)

    def watched() -> list[multiprocessing.Process]:
        return [start(write), start(write), *(start(reading(queue, answers)) for _ in range(3))]

    processes = watched()
    for _ in range(150):
        victim = dice.randrange(len(processes))
        time.sleep(dice.random() / 100)
        kill(processes[victim])
        processes[victim] = start(write if victim < 2 else reading(queue, answers))
        while not answers.empty():
            assert answers.get() == "task" * 100
    assert answered(answers) == "task" * 100


# --- Values and events ---


def test_a_value_whose_holder_was_killed_is_free(start: Start) -> None:
    """django-q2's worker holds its timer while it returns a result; the sentinel then waited for it forever."""
    value, held = shared_value("f", -1), Flag()

    def hold() -> None:
        with value.get_lock():
            value.value = 3
            held.set()
            signal.pause()

    worker = start(hold)
    assert held.wait(5)
    kill(worker)
    with value.get_lock():
        value.value -= 0.5
    assert value.value == 2.5


def entering(lock: ProcessLock, entered: Flag) -> Callable[[], None]:
    def enter() -> None:
        with lock:
            entered.set()

    return enter


def test_a_lock_that_its_holder_took_again_is_given_back_with_the_last_return(start: Start) -> None:
    lock, entered = ProcessLock(), Flag()
    with lock:
        with lock:
            start(entering(lock, entered))
        assert not entered.wait(0.2)
    assert entered.wait(5)


def test_a_fork_of_the_holder_does_not_hold_the_lock(start: Start) -> None:
    lock, entered = ProcessLock(), Flag()
    with lock:
        start(entering(lock, entered))
        assert not entered.wait(0.2)
    assert entered.wait(5)


def test_an_event_is_seen_by_who_waits_and_keeps_nobody(start: Start) -> None:
    event, seen = Flag(), SturdyQueue()
    start(lambda: seen.put(event.wait(5)))
    kill(start(lambda: event.wait(60)))
    assert not event.is_set()
    assert not event.wait(0.01)
    event.set()
    assert seen.get() is True


def test_a_locks_file_is_gone_with_it() -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        shared_value("f", -1)
    assert len(os.listdir("/proc/self/fd")) <= before + 1
