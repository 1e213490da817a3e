"""`.ci/advisories.py` against a stand-in for pip-audit: what it says and when it fails."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / ".ci/advisories.py"

CLEAN = {"name": "django", "version": "5.2.19", "vulns": []}
UNKNOWN = {"name": "idna", "skip_reason": "not found"}
VULNERABLE = {
    "name": "pyyaml",
    "version": "5.3",
    "vulns": [{"id": "PYSEC-2021-142", "fix_versions": ["5.4"]}],
}


def _run(folder: Path, packages: list | None) -> subprocess.CompletedProcess:
    """Run the script with a `pip-audit` that reports these packages, or that reaches no service."""
    stand_in = folder / "pip-audit"
    report = json.dumps({"dependencies": packages})
    stand_in.write_text(
        f"#!{sys.executable}\n"
        "import sys\n"
        f"packages, report = {packages is not None}, {report!r}\n"
        "if not packages: sys.exit('ConnectionError: no route to the service')\n"
        "open(sys.argv[sys.argv.index('-o') + 1], 'w').write(report)\n"
        "sys.exit('vulns\": [{' in report)\n"
    )
    stand_in.chmod(0o755)
    environment = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}
    command = [sys.executable, str(SCRIPT), "some.lock"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("packages", "said", "code"),
    [
        ([CLEAN], "answered for 1 of 1 packages", 0),
        ([CLEAN, UNKNOWN], "answered for 1 of 2 packages\n  NOT AUDITED: idna", 0),
        ([CLEAN, VULNERABLE], "pyyaml 5.3: PYSEC-2021-142, fixed in: 5.4", 1),
        (
            None,
            "NOT AUDITED, the advisory service did not answer: ConnectionError: no route to the service",
            0,
        ),
    ],
    ids=["all answered", "one not answered", "vulnerable", "no service"],
)
def test_outcome(tmp_path: Path, packages: list | None, said: str, code: int) -> None:
    done = _run(tmp_path, packages)
    assert said in done.stdout
    assert done.returncode == code, done.stderr
