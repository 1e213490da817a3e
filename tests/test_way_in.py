"""The files that a new contributor meets first agree with the project."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent


def test_the_hooks_before_a_commit_are_steps_of_the_ci_script() -> None:
    script = (ROOT / ".ci/run").read_text()
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    steps = {re.match(r"(ruff \w+|[\w-]+)", hook["entry"])[0] for hook in hooks}
    assert {step for step in steps if not re.search(rf"\b{re.escape(step)}\b", script)} == set()


def test_the_editor_breaks_lines_where_ruff_does() -> None:
    ruff = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["line-length"]
    everywhere = (ROOT / ".editorconfig").read_text().split("[*]")[1].split("[")[0]
    assert f"max_line_length = {ruff}" in everywhere


def test_the_forms_for_issues_ask_for_something() -> None:
    for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"):
        form = yaml.safe_load(path.read_text())
        asked = [part["id"] for part in form["body"] if part["type"] != "markdown"]
        assert form["name"], path.name
        assert form["description"], path.name
        assert len(asked) == len(set(asked)) > 0, path.name
