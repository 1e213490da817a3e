"""The steps that are measured, each in a separate process with the product's settings."""

from collections.abc import Callable
from importlib import import_module

from integrations.services import JsonObject

BenchmarkStep = Callable[..., JsonObject]
STEPS: dict[str, BenchmarkStep] = {}
MODULES = (
    "common_steps",
    "evaluate_steps",
    "deliver_steps",
    "import_steps",
    "stored_floor",
    "pages_history",
    "pages_steps",
    "sync_steps",
)


def step(function: BenchmarkStep) -> BenchmarkStep:
    """Make ``function`` a step under its own name. It takes and gives what JSON holds."""
    STEPS[function.__name__] = function
    return function


def run_step(name: str, arguments: JsonObject) -> JsonObject:
    for module in MODULES:
        import_module(f"{__package__}.{module}")
    return STEPS[name](**arguments)
