"""Every recipe of docs/recipes.md, followed in a copy of the tree: its files, its changes, and its commands, which pass."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs/recipes.md").read_text(encoding="utf-8")
RECIPES = dict(re.findall(r"^## (Add .*?)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))
STEP = re.compile(r"^([^\n]+):\n\n```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)
NEW = re.compile(r"New file `(.+)`")
CHANGE = re.compile(r"In `(.+?)`, after (the row of )?`(.+)`")
COPIED = ("checks", "cii_project", "docs", "integrations", "notifications", "static", "templates", "tests")


@pytest.fixture
def tree(tmp_path):
    for name in COPIED:
        shutil.copytree(
            ROOT / name,
            tmp_path / name,
            ignore=shutil.ignore_patterns("__pycache__", "mermaid", "screenshots"),
        )
    for file in (*ROOT.glob("*.md"), ROOT / "manage.py", ROOT / "pyproject.toml"):
        shutil.copy(file, tmp_path)
    return tmp_path


def follow(tree: Path, recipe: str) -> int:
    """The number of commands that the recipe runs."""
    commands = 0
    for head, block in STEP.findall(recipe):
        if new := NEW.fullmatch(head):
            (tree / new[1]).parent.mkdir(parents=True, exist_ok=True)
            (tree / new[1]).write_text(block, encoding="utf-8")
        elif change := CHANGE.fullmatch(head):
            insert(tree / change[1], f"| `{change[3]}` |" if change[2] else change[3], block)
        else:
            assert head == "Run", f"This step is not understood: {head}"
            for line in block.splitlines():
                run(tree, line)
                commands += 1
    return commands


def insert(file: Path, after: str, block: str) -> None:
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    found = [index for index, line in enumerate(lines) if line.startswith(after)]
    assert len(found) == 1, f"{file.name} has {len(found)} lines that start with {after!r}."
    lines.insert(found[0] + 1, block)
    file.write_text("".join(lines), encoding="utf-8")


def run(tree: Path, line: str) -> None:
    command, *arguments = shlex.split(line)
    module = ["-m", "pytest", "-q", "-p", "no:cacheprovider"] if command == "pytest" else []
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("COV", "PYTEST", "TEST_")) and name != "REQUIRE_SERVICES"
    }
    environment["PYTHONPATH"] = str(tree)
    done = subprocess.run(
        [sys.executable, *module, *arguments],
        check=False,
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{line}\n{done.stdout[-4000:]}{done.stderr[-2000:]}"


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_gives_what_its_tests_accept(name, tree):
    assert follow(tree, RECIPES[name]) > 0


def test_a_command_that_fails_fails_the_recipe(tree):
    broken = RECIPES["Add a check"].replace('Q(department="")', 'Q(department="Sales")')
    with pytest.raises(AssertionError, match="guest-without-department"):
        follow(tree, broken)
