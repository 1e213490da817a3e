"""docs/security.md names what exists: every test it names can be run, and no threat is without one."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs/security.md").read_text()
TESTS = sorted(set(re.findall(r"tests/[\w/]+\.py(?:::\w+)*", TEXT)))
# | T1 | threat | defence | tests |
THREATS = re.findall(r"^\| (T\d+) \|.*\| ([^|]*) \|$", TEXT, re.M)


@cache
def _names(path: str) -> set[str]:
    """The classes and functions of a file as pytest names them: ``Class``, ``Class::function``, ``function``."""
    found = set()
    for node in ast.parse((ROOT / path).read_text()).body:
        if isinstance(node, ast.ClassDef):
            found.add(node.name)
            found |= {f"{node.name}::{each.name}" for each in node.body if isinstance(each, ast.FunctionDef)}
        elif isinstance(node, ast.FunctionDef):
            found.add(node.name)
    return found


@pytest.mark.parametrize("test", TESTS)
def test_each_test_that_is_named_exists(test: str) -> None:
    path, _, name = test.partition("::")
    assert (ROOT / path).is_file(), path
    assert not name or name in _names(path), f"{path} has no {name}"


def test_a_test_is_named_with_its_file() -> None:
    shortened = re.findall(r"(?<![\w/:.])(?:::test_\w+|test_\w+(?:\.py)?)", TEXT)
    assert shortened == [], "write tests/folder/test_file.py::test_name"


def test_the_threats_are_numbered_and_each_has_a_test() -> None:
    assert [number for number, _ in THREATS] == [f"T{n}" for n in range(1, len(THREATS) + 1)]
    assert [number for number, tests in THREATS if "tests/" not in tests] == []


def test_the_picture_shows_each_boundary_that_a_heading_names() -> None:
    picture = re.search(r"```mermaid\n(.*?)```", TEXT, re.S)
    assert picture
    headings = set(re.findall(r"^### (B\d+) ", TEXT, re.M))
    assert headings
    assert headings == set(re.findall(r"\b(B\d+)\b", picture[1]))
