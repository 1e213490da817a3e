"""The tutorial, followed: its files, its commands and its terminals, until its mails have arrived."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.console.browser_world import free_port
from tests.waiting import until

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs/tutorial.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PORTS = ("8099", "2525")


def script(folder: Path) -> str:
    """The commands up to the second run, with what belongs to a terminal of its own in the background."""
    lines = ["set -e"]
    terminals = 0
    steps = TEXT[: TEXT.index("## 8. ")]
    for block in BLOCK.finditer(steps):
        kind, text = block.groups()
        head = steps[: block.start()].rstrip().rpartition("\n")[2]
        if new := re.fullmatch(r"New file `(.+)`:", head):
            (folder / new[1]).write_text(text, encoding="utf-8")
        elif "terminal" in head:
            terminals += 1
            lines.append(f"{{ {text.strip()}; }} > {folder}/terminal-{terminals}.log 2>&1 &")
        elif "pip install" not in text:
            assert kind == "sh"
            lines.append(text)
    assert terminals == 3
    return "\n".join(lines)


@pytest.fixture
def free_ports() -> dict[str, str]:
    """The tutorial's ports may be taken on the machine that runs the tests: port → a free one."""
    return {port: str(free_port()) for port in PORTS}


def test_each_failing_user_gets_a_mail_with_the_instructions_once(tmp_path, free_ports):
    text = script(tmp_path)
    configuration = tmp_path / "tutorial.yaml"
    configuration.write_text(renumbered(configuration.read_text(), free_ports))
    for name in ("tutorial-users.csv", "tutorial.yaml"):
        text = text.replace(f" {name}", f" {tmp_path / name}")
    text = renumbered(text, free_ports).replace("$PWD/.tutorial", str(tmp_path / "data"))
    # The second run comes when the first one's messages have arrived.
    first, _, second = text.rpartition("python manage.py run_checks no-mfa")
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("COV", "DJANGO_", "TEST_")) and name not in ("DATABASE_URL", "REDIS_URL")
    }
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    shell = subprocess.Popen(
        ["bash"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        cwd=ROOT, env={**environment, "PYTHONUNBUFFERED": "1"}, text=True, start_new_session=True,
    )  # fmt: skip
    assert shell.stdin
    assert shell.stdout
    try:
        shell.stdin.write(f"{first}\necho the first run has ended > {tmp_path}/first\n")
        shell.stdin.flush()
        until((tmp_path / "first").exists, "the end of the first run", seconds=300)
        mails = tmp_path / "terminal-2.log"
        until(lambda: mails.read_text().count("To: ") == 2, "a mail to each of the two", seconds=120)
        hooks = tmp_path / "terminal-1.log"
        until(lambda: "FAILED_CHECK" in hooks.read_text(), "the webhook", seconds=120)
        shell.stdin.write(
            f"python manage.py run_checks no-mfa{second}\necho so has the second > {tmp_path}/second\n"
        )
        shell.stdin.flush()
        until((tmp_path / "second").exists, "the end of the second run", seconds=120)
    finally:
        os.killpg(shell.pid, signal.SIGKILL)
        output = shell.communicate()[0]
    printed = mails.read_text()
    assert set(re.findall(r"^To: .*?([\w.]+@example\.com)", printed, re.MULTILINE)) == {
        "kim@example.com",
        "lee@example.com",
    }
    assert "intranet.example.com/mfa" in printed
    assert re.search("2 users .* authorization basic .* schema valid", hooks.read_text())
    evaluated, failing, new = re.findall(r"no-mfa\D+(\d+)\D+(\d+)\D+(\d+)", output)[-1]
    assert (evaluated, failing, new) == ("3", "2", "0"), output


def renumbered(text: str, ports: dict[str, str]) -> str:
    return re.sub("|".join(ports), lambda found: ports[found[0]], text)
