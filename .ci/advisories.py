"""Ask the advisory service about each package of the given lock files (pip-audit), and say what it did not answer.

Exit code 1: a package has a known vulnerability. A service that does not answer fails nothing: the workflow on
GitHub, which reaches it, is strict.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any


def report_on(lock: str) -> list[dict[str, Any]] | str:
    """pip-audit's entry for each package, or why there is none."""
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "found.json"
        done = subprocess.run(
            [
                "pip-audit",
                "--require-hashes",
                "--disable-pip",
                f"--requirement={lock}",
                "--format=json",
                "-o",
                found,
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if not found.exists():
            return (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        packages: list[dict[str, Any]] = json.loads(found.read_text())["dependencies"]
    return packages


def print_report(lock: str, packages: list[dict[str, Any]] | str) -> bool:
    """Print what is known about the lock's packages; return whether one is vulnerable."""
    if isinstance(packages, str):
        print(f"{lock}: NOT AUDITED, the advisory service did not answer: {packages}")
        return False
    unknown = [package for package in packages if "skip_reason" in package]
    print(
        f"{lock}: the advisory service answered for {len(packages) - len(unknown)} of {len(packages)} packages"
    )
    if unknown:
        print("  NOT AUDITED: " + ", ".join(package["name"] for package in unknown))
    vulnerable = [package for package in packages if package.get("vulns")]
    for package in vulnerable:
        for vulnerability in package["vulns"]:
            fixed = ", ".join(vulnerability["fix_versions"]) or "none"
            print(f"  {package['name']} {package['version']}: {vulnerability['id']}, fixed in: {fixed}")
    return bool(vulnerable)


if __name__ == "__main__":
    vulnerable = [lock for lock in sys.argv[1:] if print_report(lock, report_on(lock))]
    sys.exit(bool(vulnerable))
