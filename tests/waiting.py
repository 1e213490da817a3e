"""Wait for a condition, never for a time: a busy machine is slow, not wrong."""

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T], what: str = "the condition", *, seconds: float = 60) -> T:
    """The condition's first true value. Fails after ``seconds``, which only a test that fails takes."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what} did not hold within {seconds:g} s"
        time.sleep(0.02)
    return found


def is_open(port: int) -> bool:
    """Whether somebody listens on this port of 127.0.0.1."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
