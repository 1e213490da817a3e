"""A name of a class stands for one thing in the product packages."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

ROOT = Path(settings.BASE_DIR)
PACKAGES = ("checks", "cii_project", "integrations", "notifications")
# Where Django finds a class by its name, and the choices of a model's field: folder or outer class say whose it is.
BY_FOLDER = {"Command": "commands", "Migration": "migrations"}
NESTED = {"Meta", "Media", "State", "Trigger"}


def class_names(source: str, folder: str) -> Iterator[str]:
    """The names of the classes in a module of ``folder``, nested ones too, apart from those that Django asks for."""
    tree = ast.parse(source)
    nested = {
        id(inner)
        for outer in ast.walk(tree)
        if isinstance(outer, ast.ClassDef)
        for inner in outer.body
        if isinstance(inner, ast.ClassDef)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef) or BY_FOLDER.get(node.name) == folder:
            continue
        if not (node.name in NESTED and id(node) in nested):
            yield node.name


def test_no_two_classes_have_one_name() -> None:
    places = defaultdict(list)
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for name in class_names(path.read_text(encoding="utf-8"), path.parent.name):
                places[name].append(str(path.relative_to(ROOT)))
    assert len(places) > 500
    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}


def test_only_what_django_asks_for_may_be_repeated() -> None:
    source = "class State: ...\nclass Run:\n    class State: ...\n    class Meta: ...\n    class Inner: ...\nclass Command: ..."
    assert sorted(class_names(source, "commands")) == ["Inner", "Run", "State"]
    assert sorted(class_names(source, "engine")) == ["Command", "Inner", "Run", "State"]
