"""What became of one attempt: a value, decided by a pure function."""

from dataclasses import dataclass, field
from enum import StrEnum


class Result(StrEnum):
    DELIVERED = "delivered"
    RETRYABLE = "retryable"  # theirs, and may pass: 408, 425, 429, 5xx, timeouts, connections
    PERMANENT = "permanent"  # theirs, and will not pass: 3xx, other 4xx, a refused address
    GONE = "gone"  # 410: the target is to be disabled
    OURS = "ours"  # our own bug or machine: retried, never held against the target


@dataclass(frozen=True, slots=True)
class Outcome:
    """``latency_ms`` counts from the first byte of work to the last byte of the answer.

    ``reason`` is a sentence for a person, without secrets. ``body`` is the answer's beginning (at most
    8 KiB, decoded with replacement). ``retry_after`` is in seconds. ``token_step`` tells what happened
    at the token endpoint, empty where there is none.
    """

    result: Result
    reason: str
    status: int | None = None
    latency_ms: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    retry_after: float | None = None
    token_step: str = ""
