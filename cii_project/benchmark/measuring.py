"""What a step costs its process, and how ratios are told."""

import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

Measured = dict[str, Any]


def peak_mb() -> float:
    """The most memory that this process has had resident, in MB."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found.group(1)) / 1000 if found else 0.0


def cpu_seconds() -> float:
    """Of this process, its threads included."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@contextmanager
def measured() -> Iterator[Measured]:
    """Fills ``seconds``, ``cpu`` (of this process, in seconds) and ``peak_mb`` at the end of the block."""
    result: Measured = {}
    cpu, start = cpu_seconds(), perf_counter()
    yield result
    result.update(seconds=perf_counter() - start, cpu=cpu_seconds() - cpu, peak_mb=peak_mb())


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the result. ``target``: what the ratio (or, without a floor, the value) must meet, as a bound.

    ``higher``: more is better (events a second); else less is.
    """

    what: str
    unit: str
    product: float
    floor: float | None = None
    target: float | None = None
    higher: bool = False
    note: str = ""

    @property
    def ratio(self) -> float | None:
        return self.product / self.floor if self.floor else None

    @property
    def met(self) -> bool | None:
        if self.target is None:
            return None
        value = self.product if self.floor is None else (self.ratio or 0.0)
        return value >= self.target if self.higher else value <= self.target

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "ratio": self.ratio, "met": self.met}
