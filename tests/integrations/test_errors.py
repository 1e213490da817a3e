"""Every error that this app raises derives from its base class."""

import importlib
import pkgutil

import pytest

import integrations
from integrations.errors import IntegrationError

# Internal to a library's class hierarchy: each is caught in its own module.
INTERNAL = {"_BadReply", "_LimitExceeded"}


def modules():
    for found in pkgutil.walk_packages(integrations.__path__, "integrations."):
        if "migrations" not in found.name:
            yield importlib.import_module(found.name)


def errors():
    return sorted(
        {
            member
            for module in modules()
            for member in vars(module).values()
            if isinstance(member, type)
            and issubclass(member, Exception)
            and member.__module__ == module.__name__
            and member.__name__ not in INTERNAL
        },
        key=lambda error: error.__name__,
    )


@pytest.mark.parametrize("error", errors(), ids=lambda error: error.__name__)
def test_an_error_of_this_app_is_an_integration_error(error):
    assert issubclass(error, IntegrationError)


def test_this_test_finds_errors():
    assert len(errors()) > 10
