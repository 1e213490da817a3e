import pytest

from tests.scim.worlds import Sender, connect


@pytest.fixture
def sender(db) -> Sender:
    return Sender(*connect())
