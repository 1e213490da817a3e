"""``benchmark import``: a file of accounts by ``import_users``, against its rows by hand."""

from collections.abc import Callable
from typing import Any

from cii_project.benchmark.common_steps import utc_now
from cii_project.benchmark.measuring import Row
from cii_project.benchmark.scratch import Scratch

Found = dict[str, dict[str, Any]]


def import_(scratch: Scratch, accounts: int, seed: int, say: Callable[[str], None]) -> list[Row]:
    rows = []
    for form in ("csv", "jsonl"):
        small = _measure(scratch, max(100, accounts // 10), seed, form, say)
        large = _measure(scratch, accounts, seed, form, say)
        target = 4.0 if scratch.postgres else None
        first, second = large["first"], large["second"]
        rows += [
            Row(f"{form}: first import", "s", first["seconds"], large["floor first"]["seconds"], target),
            Row(f"{form}: first import, CPU", "s", first["cpu"], large["floor first"]["cpu"]),
            Row(f"{form}: second of the same file", "s", second["seconds"], large["floor second"]["seconds"]),
            Row(
                f"{form}: second, against the first",
                "s",
                second["seconds"],
                first["seconds"],
                0.5,
                note=f"{second['unchanged']:,} unchanged",
            ),
            Row(
                f"{form}: peak memory",
                "MB",
                first["peak_mb"],
                small["first"]["peak_mb"],
                1.25,
                note="floor: the product at a tenth of the accounts",
            ),
            Row(
                f"{form}: growth, first",
                "times",
                first["seconds"] / small["first"]["seconds"],
                target=11.0,
                note="ten times the accounts",
            ),
        ]
    return rows


def _measure(scratch: Scratch, accounts: int, seed: int, form: str, say: Callable[[str], None]) -> Found:
    url = scratch.installed()
    path = str(scratch.folder / f"accounts-{accounts}.{form}")
    scratch.step(url, "write_file", path=path, users=accounts, seed=seed, now=utc_now())
    found = {}
    for which in ("first", "second"):
        found[f"floor {which}"] = scratch.step(url, "import_floor", path=path)
        found[which] = scratch.step(url, "import_product", path=path)
    if found["first"]["created"] != accounts or found["second"]["unchanged"] != accounts:
        raise AssertionError(f"Of {accounts} accounts: {found}")
    say(f"{accounts:,} accounts, {form}: " + ", ".join(f"{k} {v['seconds']:.2f} s" for k, v in found.items()))
    scratch.drop(url)
    return found
