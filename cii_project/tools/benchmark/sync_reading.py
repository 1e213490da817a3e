"""``benchmark sync``: an Okta organization on loopback, read in full and again, against calls ÷ allowed rate.

The provider names 600 calls a minute, with the time scaled: at ``SCALE`` times as many, a minute of it takes seconds. What
the product computes meanwhile is not scaled, so an import weighs ``SCALE`` times as much as with a real provider. The
second sync reads the provider's log, the users that it names, and a part of the others by rotation.
"""

from collections.abc import Callable

from cii_project.tools.benchmark.measuring import Measurement
from cii_project.tools.benchmark.scratch import Scratch
from integrations.services import JsonObject

CALLS_A_MINUTE = 600
SCALE = 15
# Percent of the limit that the source may use.
SHARE = 75
# What a day's changes may take of the calls of a full sync, in percent.
MOST_FOR_CHANGES = 2.0
Say = Callable[[str], None]


def measure_sync(scratch: Scratch, users: int, seed: int, say: Say) -> list[Measurement]:
    tenth = max(100, users // 10)
    small = _measure(scratch, tenth, seed, say, again=False)
    large = _measure(scratch, users, seed, say, again=True)
    first, second = large["first sync"], large["second sync"]
    peak, before = (figures["first sync"]["peak_mb"] for figures in (large, small))
    return [
        Measurement("first sync", "s", first["seconds"], first["floor"], 1.1, note=_rate_note(first)),
        # No target: the listing is imported again, and computing is not scaled.
        Measurement("second sync", "s", second["seconds"], second["floor"], note=_rate_note(second)),
        *_calls_of_a_day(first, second),
        Measurement("peak memory", "MB", peak, before, 1.25, note=f"floor: the product with {tenth:,} users"),
    ]


def _calls_of_a_day(first: JsonObject, second: JsonObject) -> list[Measurement]:
    """What the second sync asked for and why: the changes, the users that are read each time, and the rotation."""
    by_limit, planned = second["by_limit"], second["planned"]
    listing, log = by_limit["users"], by_limit["logs"]
    changes = listing + log + planned["changed"]
    watched = by_limit["roles"] + planned["watched"]

    all_calls: int = first["calls"]

    def percent(calls: int) -> float:
        return calls / all_calls * 100

    return [
        Measurement(
            "calls of a day's changes",
            "%",
            percent(changes),
            target=MOST_FOR_CHANGES,
            note=f"{listing:,} listing, {log:,} log, {planned['changed']:,} factors of changed users, of "
            f"{all_calls:,}; {percent(changes + watched):.2f} % with the next line",
        ),
        Measurement("calls for administrators", "", watched, note="their roles and factors, each time"),
        Measurement("calls of the rotation", "", planned["oldest"], note="a seventh of the other users"),
    ]


def _rate_note(figures: JsonObject) -> str:
    return f"{figures['calls']:,} calls at {SHARE} % of {CALLS_A_MINUTE} a minute, {SCALE} times as fast"


def _measure(scratch: Scratch, users: int, seed: int, say: Say, *, again: bool) -> dict[str, JsonObject]:
    url = scratch.installed()
    found: dict[str, JsonObject] = scratch.step(
        url, "sync_okta", users=users, seed=seed, calls=CALLS_A_MINUTE * SCALE, share=SHARE, again=again
    )
    for what, figures in found.items():
        say(f"{users:,} users, {what}: {figures['seconds']:.1f} s, floor {figures['floor']:.1f} s")
    scratch.drop(url)
    return found
