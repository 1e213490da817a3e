"""The mutation tool (docs/development.md) mutates what exists, and runs tests that exist."""

import tomllib

import pytest
from django.conf import settings

MUTMUT = tomllib.loads((settings.BASE_DIR / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mutmut"]
PATHS = [path for paths in MUTMUT.values() for path in paths]


@pytest.mark.parametrize("path", PATHS)
def test_a_path_of_the_mutation_tool_exists(path: str) -> None:
    assert (settings.BASE_DIR / path).exists()


def test_every_mutated_module_is_below_a_source_path() -> None:
    assert all(
        path.startswith(tuple(f"{root}/" for root in MUTMUT["source_paths"]))
        for path in MUTMUT["only_mutate"]
    )
