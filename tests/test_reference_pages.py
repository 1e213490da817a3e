"""The reference says what the code does: its pages are written from it, and the tables written by hand name what there is."""

import ast
import re

import pytest

from cii_project.metrics import DECLARED
from tests.reference_pages import FOLDER, ROOT, pages

PAGES = pages()
# Functions of cii_project/settings.py that read a variable of the environment.
READERS = {"flag", "number", "origin", "spelt"}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_the_reference_is_what_the_code_says(name):
    assert (FOLDER / name).read_text(encoding="utf-8") == PAGES[name], "Run python -m tests.update."


def test_the_reference_has_no_page_of_its_own():
    assert {file.name for file in FOLDER.iterdir()} == set(PAGES)


def read_settings() -> set[str]:
    found = set()
    for node in ast.walk(ast.parse((ROOT / "cii_project/settings.py").read_text(encoding="utf-8"))):
        if not (isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)):
            continue
        function = node.func
        is_reader = isinstance(function, ast.Name) and function.id in READERS
        is_reader |= isinstance(function, ast.Attribute) and getattr(function.value, "id", "") == "env"
        if is_reader and re.fullmatch("[A-Z_]+", str(node.args[0].value)):
            found.add(node.args[0].value)
    return found


def test_the_table_of_settings_names_every_variable_that_is_read_and_no_other():
    text = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([A-Z_]+)`", text, re.MULTILINE)) == read_settings()


def read_defaults() -> dict[str, str]:
    """Variable → its default as the table writes it: of every boolean, and of each number with a literal default."""
    found = {}
    for node in ast.walk(ast.parse((ROOT / "cii_project/settings.py").read_text(encoding="utf-8"))):
        match node:
            case ast.Call(func=ast.Name(id="flag"), args=[ast.Constant(value=name)]):
                found[str(name)] = "false"
            case ast.Call(
                func=ast.Name(id="number"), args=[ast.Constant(value=name), ast.Constant(value=value), *_]
            ):
                found[str(name)] = f"{value:g}"
    return found


def test_the_table_of_settings_has_the_defaults_of_booleans_and_numbers():
    text = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([A-Z_]+)`.*\| (.*?) \|$", text, re.MULTILINE))
    defaults = read_defaults()
    assert {name: rows[name].replace("`", "") for name in defaults} == defaults


def test_the_table_of_metrics_names_every_metric_with_its_labels_and_no_other():
    text = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(cii_\w+)` \| (.*?) ?\|", text, re.MULTILINE)
    assert [name for name, _ in rows] == list(dict(rows))
    assert {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows} == {
        name: set(declared.labels) for name, declared in DECLARED.items()
    }


def test_every_metric_that_is_declared_is_exposed():
    code = (ROOT / "cii_project/metrics.py").read_text(encoding="utf-8")
    assert [name for name in DECLARED if code.count(f'"{name}"') != 2] == []
