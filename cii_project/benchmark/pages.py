"""``benchmark pages``: the server time of every list page, against its queries alone."""

from collections.abc import Callable

from cii_project.benchmark import data
from cii_project.benchmark.common_steps import utc_now
from cii_project.benchmark.measuring import Row
from cii_project.benchmark.scratch import Scratch

MOST_MS = 300.0


def pages(scratch: Scratch, users: int, seed: int, say: Callable[[str], None]) -> list[Row]:
    url = scratch.installed()
    scratch.step(url, "load", users=min(users, data.IMPORTED), seed=seed, now=utc_now())
    made = scratch.step(url, "multiply", users=users)
    say(f"{made['users']:,} users, {made['accounts']:,} accounts")
    run = scratch.step(url, "run_product")
    say(f"a first run in {run['seconds']:.1f} s: {run['open']:,} open findings")
    visited = scratch.step(url, "visit")
    rows = []
    for name, page in visited["pages"].items():
        took = Row(
            name,
            "ms",
            1000 * page["seconds"],
            1000 * page["queries"],
            note=f"{page['count']} queries",
            most=MOST_MS,
        )
        rows.append(took)
    rows.append(Row("peak memory of the web process", "MB", visited["peak_mb"]))
    return rows
