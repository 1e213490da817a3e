"""The rate budgets of a source, shared by all workers through the database."""

import time
from collections.abc import Callable, Mapping

from integrations.models import RateBucket, SourceConnection
from integrations.services import RateBudget, RateLimit, RateSeen

TRIES = 20
# Calls that are made together take up no more than this time of the budget.
PACE_SECONDS = 4.0


class Budgets:
    """The budgets of one connection. ``clock`` gives epoch seconds."""

    def __init__(self, connection: SourceConnection, clock: Callable[[], float] = time.time) -> None:
        self.connection, self.clock = connection, clock

    def take(self, limit: RateLimit, most: int = 1) -> tuple[int, float]:
        """Take up to ``most`` calls of a limit: how many may go now, or 0 and the seconds to wait."""
        for _ in range(TRIES):
            row = self._row(limit)
            budget, now = self._budget(row), self.clock()
            if wait := budget.wait(now):
                return 0, wait
            count = max(1, min(most, int(PACE_SECONDS / budget.spacing)))
            if self._store(row, budget.after_calls(now, count)):
                return count, 0.0
        return 0, 1.0

    def answered(self, limit: RateLimit, rates: Mapping[str, RateSeen]) -> None:
        """Note what an answer says of the limit."""
        if seen := rates.get(limit.name):
            self._change(limit, lambda budget, now: budget.after_answer(seen, now))

    def pause(self, limit: RateLimit, seconds: float) -> None:
        """Make no call for this number of seconds."""
        self._change(limit, lambda budget, now: budget.paused_for(seconds, now))

    def _change(self, limit: RateLimit, change: Callable[[RateBudget, float], RateBudget]) -> None:
        for _ in range(TRIES):
            row = self._row(limit)
            budget = self._budget(row)
            changed = change(budget, self.clock())
            if changed == budget or self._store(row, changed):
                return

    def _row(self, limit: RateLimit) -> RateBucket:
        row, _ = RateBucket.objects.get_or_create(
            connection=self.connection,
            name=limit.name,
            defaults={"calls": limit.calls, "window_seconds": limit.window},
        )
        return row

    def _budget(self, row: RateBucket) -> RateBudget:
        share = self.connection.rate_share / 100
        return RateBudget(row.calls, row.window_seconds, share, row.next_at, row.paused_until)

    def _store(self, row: RateBucket, budget: RateBudget) -> bool:
        """Whether nobody else changed the row since it was read."""
        unchanged = RateBucket.objects.filter(
            pk=row.pk, next_at=row.next_at, paused_until=row.paused_until, calls=row.calls
        )
        return bool(
            unchanged.update(calls=budget.limit, next_at=budget.next_at, paused_until=budget.paused_until)
        )
