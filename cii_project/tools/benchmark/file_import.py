"""``benchmark import``: a file of accounts by ``import_users``, against its rows by hand."""

from collections.abc import Callable
from pathlib import Path

from cii_project.tools.benchmark.common_steps import utc_now
from cii_project.tools.benchmark.measuring import Measurement
from cii_project.tools.benchmark.scratch import Scratch
from integrations.services import Json, JsonObject

ImportResult = dict[str, JsonObject]


def measure_import(
    scratch: Scratch, accounts: int, seed: int, say: Callable[[str], None]
) -> list[Measurement]:
    rows = []
    for form in ("csv", "jsonl"):
        small = _measure(scratch, max(100, accounts // 10), seed, form, say)
        large = _measure(scratch, accounts, seed, form, say)
        target = 4.0 if scratch.postgres else None
        first, second, stored = large["first"], large["second"], large["stored"]
        rows += [
            Measurement(
                f"{form}: first import",
                "s",
                first["seconds"],
                stored["seconds"],
                target,
                note="floor: the same rows, COPYed into the same tables",
            ),
            Measurement(f"{form}: the same, CPU", "s", first["cpu"], stored["cpu"]),
            Measurement(
                f"{form}: first, against its texts",
                "s",
                first["seconds"],
                large["floor first"]["seconds"],
                note="floor: the file's texts, upserted by login: one row an account",
            ),
            Measurement(f"{form}: the same, CPU", "s", first["cpu"], large["floor first"]["cpu"]),
            Measurement(
                f"{form}: second of the same file", "s", second["seconds"], large["floor second"]["seconds"]
            ),
            Measurement(
                f"{form}: second, against the first",
                "s",
                second["seconds"],
                first["seconds"],
                0.5,
                note=f"{second['unchanged']:,} unchanged",
            ),
            Measurement(
                f"{form}: peak memory",
                "MB",
                first["peak_mb"],
                small["first"]["peak_mb"],
                1.25,
                note="floor: the product at a tenth of the accounts",
            ),
            _growth(f"{form}: growth, first", small["first"], first),
        ]
        if "joined" in large:
            joined = large["joined"]
            rows += [
                Measurement(
                    f"{form}: other source, joined by e-mail", "s", joined["seconds"], first["seconds"]
                ),
                _growth(f"{form}: growth, other source", small["joined"], joined),
            ]
    return rows


def _growth(what: str, small: JsonObject, large: JsonObject) -> Measurement:
    times = large["seconds"] / small["seconds"]
    return Measurement(what, "times", times, target=11.0, note="ten times the accounts")


def _measure(
    scratch: Scratch, accounts: int, seed: int, form: str, say: Callable[[str], None]
) -> ImportResult:
    url = scratch.installed()
    path = str(scratch.folder / f"accounts-{accounts}.{form}")
    scratch.step(url, "write_file", path=path, users=accounts, seed=seed, now=utc_now())
    found = {}

    def measure(which: str, at: str, step: str, **given: Json) -> None:
        found[which] = scratch.step(at, step, **given)
        say(f"{accounts:,} accounts, {form}, {which}: {found[which]['seconds']:.2f} s")

    for which in ("first", "second"):
        measure(f"floor {which}", url, "import_floor", path=path)
        measure(which, url, "import_product", path=path)
        if which == "first":
            _measure_stored(scratch, url, measure)
    if found["first"]["created"] != accounts or found["second"]["unchanged"] != accounts:
        raise AssertionError(f"Of {accounts} accounts: {found}")
    # Reading and joining are independent: joining is measured once.
    if form == "csv":
        other = str(scratch.folder / f"others-{accounts}.{form}")
        scratch.step(url, "write_file", path=other, users=accounts, seed=seed, now=utc_now(), by_email=True)
        measure("joined", url, "import_product", path=other, source="other")
        if found["joined"]["users"] != found["first"]["users"]:
            raise AssertionError(f"Not every account found its user: {found}")
        Path(other).unlink()
    scratch.drop(url)
    Path(path).unlink()
    return found


def _measure_stored(scratch: Scratch, url: str, measure: Callable[..., None]) -> None:
    given = scratch.step(url, "export_stored", folder=str(scratch.folder))["given"]
    empty = scratch.installed()
    measure("stored", empty, "import_stored", given=given)
    scratch.drop(empty)
