from collections.abc import Iterator

import pytest

from integrations.auth import tokens
from integrations.transport import http
from tests.receiver import Receiver


@pytest.fixture(autouse=True)
def _no_leftovers() -> Iterator[None]:
    """No connection and no token of one test serves another."""
    yield
    http.close_idle()
    tokens.forget_tokens()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running
