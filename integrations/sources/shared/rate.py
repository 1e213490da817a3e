"""The number of calls that a source may make: a share of the vendor's limit, spread evenly. Pure; times are
epoch seconds.

Limits are usually shared with the customer's own applications, so a sync takes half of one by default. Calls are spaced
evenly, which needs no long wait: a burst of half the limit would leave the worker idle for half of each window.
"""

from dataclasses import dataclass, replace

from integrations.source_data import RateSeen

# A worker that was busy, importing for example, may catch up with this many seconds' calls at least and at most.
LEAST_CATCH_UP, MOST_CATCH_UP = 2.0, 30.0
# Okta answers a concurrent limit with zeros in all headers: it passes at once.
CONCURRENT_PAUSE = 1.0
# Calls are counted by the vendor's windows, which start at other times than ours: this share of the others'
# part may be used.
SLACK = 0.2
LONGEST_RESET = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class RateBudget:
    """``limit`` calls in ``window`` seconds are allowed by the vendor, of which ``share`` (0 to 1) are used.

    ``next_at``: when the next call may go. ``paused_until``: no call before.
    """

    limit: float
    window: float = 60.0
    share: float = 0.5
    next_at: float = 0.0
    paused_until: float = 0.0

    @property
    def spacing(self) -> float:
        """Seconds between two calls."""
        return self.window / max(self.limit * self.share, 1e-6)

    @property
    def catch_up(self) -> float:
        """Seconds whose calls a worker that was busy may make up for: as many as :meth:`after_answer` does not take for
        the calls of others."""
        return min(max(self.window * (1 - self.share) * SLACK, LEAST_CATCH_UP), MOST_CATCH_UP)

    def wait(self, now: float) -> float:
        """Seconds until the next call may go."""
        return max(self.next_at - now, self.paused_until - now, 0.0)

    def after_calls(self, now: float, count: int = 1) -> "RateBudget":
        """The budget after this number of calls at ``now``."""
        return replace(self, next_at=max(self.next_at, now - self.catch_up) + count * self.spacing)

    def after_answer(self, seen: RateSeen, now: float) -> "RateBudget":
        """The budget after an answer: the vendor's limit, and a pause once others have used up their part."""
        if seen.limit <= 0:
            return replace(self, paused_until=max(self.paused_until, now + CONCURRENT_PAUSE))
        reserve = seen.limit * (1 - self.share) * (1 - SLACK)
        paused = self.paused_until
        if seen.remaining < reserve:
            paused = max(paused, now + min(max(seen.reset_in, 0.0), LONGEST_RESET))
        return replace(self, limit=seen.limit, paused_until=paused)

    def paused_for(self, seconds: float, now: float) -> "RateBudget":
        """The budget after the provider asked to wait."""
        return replace(self, paused_until=max(self.paused_until, now + min(max(seconds, 0.0), LONGEST_RESET)))
