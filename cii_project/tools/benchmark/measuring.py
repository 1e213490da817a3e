"""Measures the cost of a step to its process, and prints ratios."""

import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

import psutil
from django.db import connection

from integrations.services import JsonObject

Measured = JsonObject


def peak_mb(process: int | str = "self") -> float:
    """The most memory that a process has had resident, in MB."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    return int(found.group(1)) / 1000 if found else 0.0


def cpu_seconds() -> float:
    """CPU seconds of this process, its threads included."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def server_cpu() -> float:
    """CPU seconds of the database's process that serves this one, 0 if it is not on this machine. Its
    parallel workers are not counted.
    """
    if connection.vendor != "postgresql":
        return 0.0
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    try:
        used = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(used.user + used.system)


@contextmanager
def measured() -> Iterator[Measured]:
    """Fills ``seconds``, ``cpu`` (of this process and its database's, in seconds) and ``peak_mb`` at the
    end of the block; ``own_cpu`` is of this process alone."""
    result: Measured = {}
    server, own, start = server_cpu(), cpu_seconds(), perf_counter()
    yield result
    seconds, used = perf_counter() - start, cpu_seconds() - own
    result.update(seconds=seconds, own_cpu=used, cpu=used + server_cpu() - server, peak_mb=peak_mb())


@dataclass(frozen=True, slots=True)
class Measurement:
    """One line of the result. ``target``: what the ratio (or, without a floor, the value) must meet, as a bound.

    ``higher``: more is better (events a second); else less is. ``most`` bounds the product's own value.
    """

    what: str
    unit: str
    product: float
    floor: float | None = None
    target: float | None = None
    higher: bool = False
    note: str = ""
    most: float | None = None

    @property
    def ratio(self) -> float | None:
        return self.product / self.floor if self.floor else None

    @property
    def met(self) -> bool | None:
        if self.most is not None:
            return self.product <= self.most
        if self.target is None:
            return None
        value = self.product if self.floor is None else (self.ratio or 0.0)
        return value >= self.target if self.higher else value <= self.target

    def as_dict(self) -> JsonObject:
        return {**asdict(self), "ratio": self.ratio, "met": self.met}
