"""The steps: what is measured, each in a process of its own with the product's settings."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

Step = Callable[..., dict[str, Any]]
STEPS: dict[str, Step] = {}
MODULES = (
    "common_steps",
    "evaluate_steps",
    "deliver_steps",
    "import_steps",
    "stored_floor",
    "pages_history",
    "pages_steps",
)


def step(function: Step) -> Step:
    """Make ``function`` a step under its own name. It takes and gives what JSON holds."""
    STEPS[function.__name__] = function
    return function


def run_step(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    for module in MODULES:
        import_module(f"cii_project.benchmark.{module}")
    return STEPS[name](**arguments)
