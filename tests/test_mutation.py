"""The mutation tool (docs/development.md) changes modules that exist, and runs tests that exist."""

import tomllib

import pytest
from django.conf import settings

TOOL = tomllib.loads((settings.BASE_DIR / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
MODULES: dict[str, list[str]] = TOOL["mutation"]


@pytest.mark.parametrize(
    "path",
    [
        *TOOL["mutmut"]["source_paths"],
        *MODULES,
        *sorted({test for tests in MODULES.values() for test in tests}),
    ],
)
def test_a_path_of_the_mutation_tool_exists(path: str) -> None:
    assert (settings.BASE_DIR / path).exists()


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_below_a_source_path_and_has_a_row_of_figures(module: str) -> None:
    assert module.startswith(tuple(f"{root}/" for root in TOOL["mutmut"]["source_paths"]))
    guide = (settings.BASE_DIR / "docs" / "development.md").read_text(encoding="utf-8")
    assert f"| `{module}` |" in guide
