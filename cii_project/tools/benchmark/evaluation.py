"""``benchmark evaluate``: the checks over all users, against the same rules by hand on the same tables, written
in the obvious way and as one pass (floor_rules.py)."""

from collections.abc import Callable

from cii_project.tools.benchmark import data
from cii_project.tools.benchmark.common_steps import utc_now
from cii_project.tools.benchmark.measuring import Measurement
from cii_project.tools.benchmark.scratch import Scratch
from integrations.services import JsonObject

REPEATS = 3
DATABASES = ("product", "obvious", "one_pass")
Say = Callable[[str], None]
Figures = dict[str, dict[str, JsonObject]]


def measure_evaluate(scratch: Scratch, users: int, seed: int, say: Say) -> list[Measurement]:
    small = _measure(scratch, max(100, users // 10), seed, say)
    large = _measure(scratch, users, seed, say)
    rows = []
    for what, target in (("first run", 1.5), ("nothing new", 2.5), ("1 % changed", 2.5)):
        product, obvious, one_pass = (large[what][name] for name in DATABASES)
        rows.append(
            Measurement(what, "s", product["seconds"], one_pass["seconds"], target, note=_note(product))
        )
        rows.append(
            Measurement(f"{what}, CPU", "s", product["cpu"], one_pass["cpu"], note="with the database's")
        )
        rows.append(
            Measurement(f"{what}, against check by check", "s", product["seconds"], obvious["seconds"])
        )
    peak = max(figures["product"]["peak_mb"] for figures in large.values())
    before = max(figures["product"]["peak_mb"] for figures in small.values())
    bound = 150.0 if scratch.postgres else None
    rows.append(
        Measurement("peak memory", "MB", peak, target=bound, note=f"{before:.0f} MB at a tenth of the users")
    )
    for what in large:
        product, _, one_pass = (
            large[what][name]["seconds"] / small[what][name]["seconds"] for name in DATABASES
        )
        note = f"ten times the users; the one pass: {one_pass:.1f} times"
        rows.append(Measurement(f"growth, {what}", "times", product, target=11.0, note=note))
    return rows


def _note(product: JsonObject) -> str:
    return f"{product['open']:,} open findings of {product['checks']} checks"


def _measure(scratch: Scratch, users: int, seed: int, say: Say) -> Figures:
    now = utc_now()
    say(f"{users:,} users: importing three sources")
    of_product = scratch.installed()
    imported = min(users, data.IMPORTED)
    loaded = scratch.step(of_product, "load", users=imported, seed=seed, now=now)
    say(f"{loaded['users']:,} users from {loaded['accounts']:,} accounts in {loaded['seconds']:.1f} s")
    if users > imported:
        scratch.step(of_product, "multiply", users=users)
    databases = {name: scratch.create(like=of_product) for name in DATABASES[1:]}
    databases["product"] = of_product
    scratch.step(databases["one_pass"], "prepare_one_pass")

    figures: Figures = {}
    figures["first run"] = _each(scratch, databases)
    figures["nothing new"] = _each(scratch, databases, REPEATS)
    for url in databases.values():
        every = max(1, 100 * imported // users)  # so that one of a hundred of all is another
        scratch.step(url, "load", users=imported, seed=seed, now=now, version=1, every=every)
    figures["1 % changed"] = _each(scratch, databases)
    for what, found in figures.items():
        say(f"{users:,} users, {what}: " + ", ".join(f"{k} {v['seconds']:.3f} s" for k, v in found.items()))
    for url in databases.values():
        scratch.drop(url)
    return figures


def _each(scratch: Scratch, databases: dict[str, str], repeats: int = 1) -> dict[str, JsonObject]:
    """Floors and product, one after the other; of several times the quickest. All must find the same."""
    found = {name: scratch.step(url, f"run_{name}", repeats=repeats) for name, url in databases.items()}
    prints = {name: each["fingerprint"] for name, each in found.items()}
    if len(set(prints.values())) > 1:
        raise AssertionError("The findings differ:\n" + "\n".join(f"{k}: {v}" for k, v in prints.items()))
    return found
