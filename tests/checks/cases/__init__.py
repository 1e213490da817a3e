"""The cases of each check at its boundary: one module for each check, of the same name as in ``checks/catalogue/``."""

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules

from tests.checks.case_values import Case


def all_cases() -> Iterator[tuple[str, Case]]:
    """The slug of a check and a case, for each module of this package."""
    for module in iter_modules(__path__):
        for case in import_module(f"{__name__}.{module.name}").CASES:
            yield module.name.replace("_", "-"), case
