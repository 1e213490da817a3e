"""``benchmark pages``: the server time of every page, against its queries alone."""

from collections.abc import Callable

from cii_project.tools.benchmark import data
from cii_project.tools.benchmark.common_steps import utc_now
from cii_project.tools.benchmark.measuring import Measurement
from cii_project.tools.benchmark.scratch import Scratch

MOST_FINDINGS = 1_000_000


def measure_pages(scratch: Scratch, users: int, seed: int, say: Callable[[str], None]) -> list[Measurement]:
    """Ten open findings a user up to a million, and one a user at least; the slowest page first."""
    url = scratch.installed()
    scratch.step(url, "load", users=min(users, data.IMPORTED), seed=seed, now=utc_now())
    made = scratch.step(url, "multiply", users=users)
    say(f"{made['users']:,} users, {made['accounts']:,} accounts")
    scratch.step(url, "run_product")
    past = scratch.step(url, "history", findings=max(users, min(10 * users, MOST_FINDINGS)))
    say(
        f"{past['findings']:,} findings, {past['open']:,} of them open; {past['deliveries']:,} deliveries, "
        f"{past['attempts']:,} attempts"
    )
    visited = scratch.step(url, "visit")
    rows = [
        Measurement(
            name,
            "ms",
            1000 * page["seconds"],
            1000 * page["queries"],
            note=f"{page['count']} queries, {1000 * page['cpu']:.0f} ms of CPU outside the database",
            most=page["most_ms"],
        )
        for name, page in visited["pages"].items()
    ]
    rows.sort(key=lambda row: -row.product)
    return [*rows, Measurement("peak memory of the web process", "MB", visited["peak_mb"])]
