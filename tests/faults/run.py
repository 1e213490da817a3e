"""The runner: one seed after the other, each in a process and a folder of its own.

python -m tests.faults.run --seeds 1-20 --database postgres --events 5000
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.faults.processes import ROOT


def seeds_of(text: str) -> list[int]:
    """``7``, ``1-20`` or ``1,4,9``."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def play(seed: int, database: str, events: int, *, keep: bool = False) -> dict[str, Any]:
    """One seed's result; ``problems`` says what went wrong, and ``folder`` where its logs are then."""
    folder = Path(tempfile.mkdtemp(prefix=f"faults-{database}-{seed}-"))
    folder.chmod(0o755)  # PostgreSQL's own user goes through it
    print(
        f"FAULT_SEED={seed} database={database} events={events} folder={folder}", file=sys.stderr, flush=True
    )
    command = [sys.executable, "-m", "tests.faults.scenario", str(folder), str(seed), database, str(events)]
    with (folder / "scenario.log").open("wb") as errors:
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, check=False)
    lines = done.stdout.decode().strip().splitlines()
    result: dict[str, Any] = {"seed": seed, "database": database}
    if lines and lines[-1].startswith("{"):
        result = json.loads(lines[-1])
    else:
        tail = (folder / "scenario.log").read_text(encoding="utf-8", errors="replace")[-1500:]
        result["problems"] = [f"the scenario ended with {done.returncode}: {tail}"]
    if result["problems"] or keep:
        result["folder"] = str(folder)
    else:
        shutil.rmtree(folder)
    return result


HEAD = (
    "| seed | database | deliveries | delivered | dead | skipped | requests | repeats | lost attempts | disturbances "
    "| seconds | disagreements |\n|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
)


def row(result: dict[str, Any]) -> str:
    names = (
        "deliveries",
        "state delivered",
        "state dead",
        "state skipped",
        "requests",
        "repeats",
        "lost attempts",
    )
    cells = [result["seed"], result["database"], *(result.get(name, 0) for name in names)]
    cells += [
        sum(result.get("disturbances", {}).values()),
        result.get("seconds", ""),
        len(result["problems"]),
    ]
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--seeds", type=seeds_of, default=[int(os.environ.get("FAULT_SEED", "1"))])
    parser.add_argument("--database", choices=("postgres", "sqlite"), default="postgres")
    parser.add_argument("--events", type=int, default=5000)
    parser.add_argument("--keep", action="store_true", help="keep the logs of seeds that went well, too")
    given = parser.parse_args()
    print(HEAD, flush=True)
    failed = 0
    for seed in given.seeds:
        result = play(seed, given.database, given.events, keep=given.keep)
        print(row(result), flush=True)
        print(json.dumps(result), file=sys.stderr, flush=True)
        for problem in result["problems"]:
            failed += 1
            print(f"    {problem}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
